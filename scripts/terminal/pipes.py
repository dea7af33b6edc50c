"""Lines through pipes: read as bytes come, and written whole, whatever the other side does."""

import contextlib
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from scripts.terminal import signals

CHUNK = 4096  # bytes that a pipe takes at once where it says that it takes any
HELD_S = 1.0  # for which a line begun holds up a signal, if nobody reads its rest
MAX_UNREAD = 64 << 20  # bytes of answers that nobody has read


def lines_of(descriptor: int, longest: int) -> Iterator[bytes]:
    """Yields the lines of an open file without their ends.

    Of a line that is longer, the beginning comes, `longest + 1` bytes at least.
    """
    # Not by Python's buffered stream, whose lock a thread would hold while the program ends.
    rest = b""
    while data := _read_some(descriptor, longest):
        *lines, rest = (rest + data).split(b"\n")
        yield from lines
        rest = rest[: longest + 1]  # enough to see that it is too long
    if rest:
        yield rest


def _read_some(descriptor: int, most: int) -> bytes:
    """The bytes that can be read now; none at the end, and where the other end is lost."""
    try:
        return os.read(descriptor, most)
    except OSError:  # closed meanwhile, or a terminal that is gone
        return b""


class Outbox:
    """Lines on their way out, written by a thread: who writes them need not wait for a reader."""

    def __init__(self, descriptor: int) -> None:
        self.is_broken = False  # whoever read has left
        self.on_break: Callable[[], None] = lambda: None  # called then
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._unread = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._write_all, daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Sends a line, with its end; waits while too much is unread."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_broken or self._unread < MAX_UNREAD)
            if self.is_broken:
                return
            self._lines.append(line)
            self._unread += len(line)
            self._changed.notify_all()

    def close(self) -> None:
        """Waits until all is written, or nobody reads it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._closed)
                if not self._lines:
                    return
                line = self._lines.popleft()
            try:
                self._write(line)
            except OSError:
                self._break()
                return
            with self._changed:
                self._unread -= len(line)
                self._changed.notify_all()

    def _write(self, line: bytes) -> None:
        """Writes a line that a signal does not cut, unless nobody reads it."""
        rest = memoryview(line)
        while rest:
            with signals.whole():
                began = time.monotonic()
                while rest and time.monotonic() - began < HELD_S:
                    if select.select((), (self._descriptor,), (), HELD_S / 10)[1]:
                        rest = rest[os.write(self._descriptor, rest[:CHUNK]) :]
            time.sleep(0)  # a signal that waits comes first

    def _break(self) -> None:
        with self._changed:
            self.is_broken = True
            self._lines.clear()
            self._changed.notify_all()
        with contextlib.suppress(OSError):  # nothing else complains at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._descriptor)
        self.on_break()
