"""Compiled programs kept on disk, so that the same command starts in seconds the next time.

The folder is that of JAX_COMPILATION_CACHE_DIR, else one in the user's cache for each number of
cores: JAX names an entry by program, versions, flags, and the device's kind (a CPU's instructions
too), but not by the cores, with which a CPU's results may change in their last bits.
JAX_ENABLE_COMPILATION_CACHE=false switches it off.

JAX writes an entry in place and never again, so that a kill or a full disk leaves a cut one, of
which each later start would warn. Those are removed here, at the start after.
"""

import contextlib
import os
import pathlib
import shutil
import stat
import time
import zlib

import jax

from scripts.terminal.console import say

LEAST_FREE = 500_000_000  # bytes; a run's programs take a hundredth of it
LEAST_SECONDS = 0.1  # of compilation, for a program to be kept
CHECKED = "checked"  # the file whose time says until when all entries have been checked
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ZSTD_RLE = 1  # the type of a block that repeats one byte


def start() -> None:
    """Turns the cache on, unless it is set or off already; one that cannot work is a warning."""
    set_already = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    if set_already or not jax.config.jax_enable_compilation_cache:  # type: ignore[attr-defined]
        return
    folder = _folder()
    try:
        _make(folder)
        fault = _fault(folder)
        if not fault:
            drop_damaged(folder)
    except OSError as error:
        fault = f"cannot be written ({error.strerror})"
    if fault:
        say(f"warning: no compilation cache, {folder} {fault}")
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", LEAST_SECONDS)


def drop_damaged(folder: pathlib.Path) -> None:
    """Removes the entries that are not whole, of those written since the last check.

    One that another process is writing may be among them: it is compiled once more, that is all.
    """
    marker = folder / CHECKED
    since = marker.stat().st_mtime if marker.exists() else 0.0
    until = time.time()
    for entry in folder.glob("*-cache"):
        with contextlib.suppress(FileNotFoundError):  # another start was faster
            if entry.stat().st_mtime >= since and not _is_whole(entry.read_bytes()):
                entry.unlink()
    marker.touch(mode=0o600)
    os.utime(marker, (until, until))


def _folder() -> pathlib.Path:
    root = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return pathlib.Path(root) / "selfplay" / "jax" / f"{cores}-cores"


def _make(folder: pathlib.Path) -> None:
    """Makes the folder, and what we need above it, for the user alone: its files are run."""
    above = folder.parents[1]
    above.parent.mkdir(parents=True, exist_ok=True)
    for path in (above, folder.parent, folder):
        path.mkdir(mode=0o700, exist_ok=True)


def _fault(folder: pathlib.Path) -> str:
    """Returns why a folder cannot be used; "" if it can."""
    status = folder.stat()
    if status.st_uid != os.geteuid():
        return f"belongs to user {status.st_uid}, whose programs would be run"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "may be written by others, whose programs would be run: chmod 700 it"
    free = shutil.disk_usage(folder).free
    return f"has only {free / 1e6:.0f} MB of space left" if free < LEAST_FREE else ""


def _is_whole(entry: bytes) -> bool:
    """Whether an entry is all there: packed by zstd where JAX finds it, else by zlib."""
    if entry[:4] == ZSTD_MAGIC:
        return _is_whole_zstd(entry)
    unpacking = zlib.decompressobj()
    try:
        unpacking.decompress(entry)
    except zlib.error:
        return False
    return unpacking.eof


def _is_whole_zstd(entry: bytes) -> bool:
    """Whether a zstd frame has all its blocks, which tell their sizes (RFC 8878, section 3.1.1).

    Walked, not unpacked: this Python may lack zstd where the one that wrote the entry had it.
    """
    if len(entry) < 5:
        return False
    flags = entry[4]
    single, checksum = flags >> 5 & 1, flags >> 2 & 1
    dictionary = (0, 1, 2, 4)[flags & 3]
    content = (single, 2, 4, 8)[flags >> 6]
    at, last = 5 + (1 - single) + dictionary + content, 0
    while not last:
        if at + 3 > len(entry):
            return False
        header = int.from_bytes(entry[at : at + 3], "little")
        last, kind, size = header & 1, header >> 1 & 3, header >> 3
        at += 3 + (1 if kind == ZSTD_RLE else size)
    return at + 4 * checksum == len(entry)
