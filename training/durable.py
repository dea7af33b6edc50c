"""Writing files so that neither a kill nor a power cut leaves half of one in its place."""

import contextlib
import errno
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import IO

PARTIAL = ".partial"  # ends the name of a file or folder that is still being written
ADVICE = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there",
    errno.EROFS: "training needs a folder that it may write to",
    errno.EACCES: "training needs a folder that it may write to",
    errno.EPERM: "training needs a folder that it may write to",
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
