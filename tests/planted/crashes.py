"""Crashes at chosen moments: an error at the k-th operation on files below a folder.

Python tells audit hooks of each operation just before it happens, so crashing at every k in turn
visits every state that a kill can leave on the disk.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

EVENTS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}


class Crash(BaseException):
    """No handler for errors takes it."""


class _Armed:
    folder: str | None = None
    left = 0
    hooked = False


@contextlib.contextmanager
def crash_at(k: int, folder: os.PathLike[str]) -> Iterator[None]:
    """Raises `Crash` in place of the k-th operation below `folder`, counted from 1."""
    if not _Armed.hooked:
        sys.addaudithook(_hook)  # for good: there is no way to take one back
        _Armed.hooked = True
    _Armed.folder, _Armed.left = os.fspath(folder), k
    try:
        yield
    finally:
        _Armed.folder = None


def every_crash(folder: os.PathLike[str], prepare: Callable[[], None], act: Callable[[], None]):
    """Yields k = 1, 2, ... after `prepare()` and an `act()` crashed at k, until one is not."""
    k = 0
    while True:
        k += 1
        prepare()
        try:
            with crash_at(k, folder):
                act()
        except Crash:
            yield k
        else:
            return


def _hook(event: str, args: tuple[object, ...]) -> None:
    if _Armed.folder is None or event not in EVENTS:
        return
    path = args[0]
    if not isinstance(path, str | os.PathLike):
        return
    # An operation may name a file relative to a folder that is already open: then it counts too.
    if os.path.isabs(path) and not os.fspath(path).startswith(_Armed.folder):
        return
    if not os.path.isabs(path) and event == "open":
        return
    _Armed.left -= 1
    if _Armed.left == 0:
        raise Crash(event, path)
