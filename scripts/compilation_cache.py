"""Compiled programs kept on disk, so that the same command starts in seconds the next time.

The folder is that of JAX_COMPILATION_CACHE_DIR, else one in the user's cache for each number of
cores: JAX names an entry by program, versions, flags, and the device's kind (a CPU's instructions
too), but not by the cores, with which a CPU's results may change in their last bits.
JAX_ENABLE_COMPILATION_CACHE=false switches it off.
"""

import os
import pathlib
import shutil

import jax

from scripts.console import say

LEAST_FREE = 500_000_000  # bytes; a run's programs take a hundredth of it
LEAST_SECONDS = 0.1  # of compilation, for a program to be kept


def start() -> None:
    """Turns the cache on, unless it is set or off already; one that cannot work is a warning."""
    set_already = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    if set_already or not jax.config.jax_enable_compilation_cache:  # type: ignore[attr-defined]
        return
    folder = _folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # ours alone: its files are run
        trial = folder / f"trial-{os.getpid()}"
        trial.write_bytes(b"")
        trial.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        say(f"warning: no compilation cache, {folder} cannot be written ({error.strerror})")
        return
    if free < LEAST_FREE:
        say(f"warning: no compilation cache, {folder} has only {free / 1e6:.0f} MB of space left")
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", LEAST_SECONDS)


def _folder() -> pathlib.Path:
    root = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return pathlib.Path(root) / "selfplay" / "jax" / f"{cores}-cores"
