"""Files that survive a kill or a power cut: whole ones, whole lines of a log, and locks."""

import contextlib
import errno
import fcntl
import os
import pathlib
import shutil
import socket
from collections.abc import Callable, Iterator
from typing import IO

PARTIAL = ".partial"  # ends the name of a file or folder that is still being written
NO_SPACE = "free some space there (nothing reads a run's folder discarded/ again)"
ADVICE = {
    errno.ENOSPC: NO_SPACE,
    errno.EDQUOT: NO_SPACE,
    errno.EROFS: "selfplay needs a folder that it may write to",
    errno.EACCES: "selfplay needs a folder that it may write to",
    errno.EPERM: "selfplay needs a folder that it may write to",
    errno.ENOENT: "the folder was moved or deleted, put it back",
}


class WriteError(OSError):
    """A file that cannot be written; the message says which, why, and what to do."""


@contextlib.contextmanager
def writing(path: pathlib.Path) -> Iterator[None]:
    """Turns an OSError of the block into a `WriteError` about `path`."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        advice = ADVICE.get(error.errno or 0, "mend that")
        raise WriteError(
            f"cannot write {path} ({error.strerror or error}): {advice}, "
            "then the same command goes on from the last save"
        ) from error


def write_whole(path: pathlib.Path, content: bytes | Callable[[IO[bytes]], None]) -> None:
    """Writes a file whole or not at all; when this returns, it is on the disk.

    Args:
      content: the bytes, or a function that writes them.
    """
    partial = path.with_name(path.name + PARTIAL)
    with writing(path):
        with partial.open("wb") as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                content(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync(path.parent)


def append(path: str | os.PathLike[str], text: str) -> None:
    """Adds whole lines to the end of a file, which need not exist; they are on disk on return.

    A line that an earlier process did not finish is cut off first. Several processes may append.
    """
    check_file(path)
    with open(path, "ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if size and file.read() != b"\n":
            keep_lines(path)
        file.write(text.encode(errors="replace"))
        file.flush()
        os.fsync(file.fileno())


def keep_lines(path: str | os.PathLike[str], count: int | None = None) -> list[bytes]:
    """Cuts a file after its first `count` whole lines, or after the last; returns the lines."""
    whole = [
        line for line in pathlib.Path(path).read_bytes().splitlines(True) if line[-1:] == b"\n"
    ]
    lines = whole[:count]
    os.truncate(path, sum(map(len, lines)))
    return lines


def move(source: pathlib.Path, target: pathlib.Path) -> None:
    """Moves a file or folder, to another disk too: people link parts of a run to larger ones."""
    with writing(target):
        shutil.move(source, target)


def check_file(path: str | os.PathLike[str]) -> None:
    """Raises OSError if something else than a file lies there: a pipe would wait for ever."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(f"{path} is a folder, a pipe or a device where a file belongs: move it away")


def sync(path: pathlib.Path) -> None:
    """Waits until a file's content, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: pathlib.Path) -> None:
    """Waits until a folder is on the disk with all that lies in it."""
    for root, _, names in os.walk(folder):
        for name in names:
            sync(pathlib.Path(root, name))
        sync(pathlib.Path(root))


@contextlib.contextmanager
def lock(path: pathlib.Path) -> Iterator[str]:
    """Holds a folder by its lock file, which is left with this process's name in it; yields that.

    The system frees it even when the process is killed.

    Raises:
      BlockingIOError: another process holds it; says which.
      OSError: the file cannot be written or locked; says what to do.
    """
    with contextlib.ExitStack() as stack:
        with writing(path):
            check_file(path)
            file = stack.enter_context(path.open("a+", errors="replace"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read(200).strip() or "another process"
            raise BlockingIOError(
                f"{path.parent} is in use by {holder}: stop it first, or name another folder"
            ) from None
        except OSError as error:
            raise OSError(
                f"{path.parent} cannot be locked ({error.strerror}), so two processes could "
                "write to it at once: use a folder on another file system"
            ) from None
        holder = f"process {os.getpid()} on {socket.gethostname()}"
        with writing(path):
            file.truncate(0)
            file.write(holder + "\n")
            file.flush()
        yield holder
