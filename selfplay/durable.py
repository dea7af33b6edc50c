"""Files that survive a kill: whole lines, appended at once; and locks that a kill lets go."""

import contextlib
import fcntl
import os
import pathlib
import socket
from collections.abc import Iterator


def append(path: str | os.PathLike[str], text: str) -> None:
    """Adds whole lines to the end of a file, which need not exist; they are on disk on return.

    A line that an earlier process did not finish is cut off first. Several processes may append.
    """
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


@contextlib.contextmanager
def lock(path: str | os.PathLike[str]) -> Iterator[None]:
    """Holds a lock file for this process; the system frees it even when the process is killed.

    Raises:
      BlockingIOError: another process holds it; says which.
    """
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise BlockingIOError(
                f"{os.path.dirname(path)} is in use by {holder}: stop it first"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
