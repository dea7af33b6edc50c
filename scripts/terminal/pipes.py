"""Lines through pipes: read as bytes come, written by a thread, whatever the other side does."""

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Iterator

MAX_UNREAD = 10_000  # lines of answers that nobody has read


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
        self._lines: queue.Queue[bytes | None] = queue.Queue(MAX_UNREAD)
        self._thread = threading.Thread(target=self._write_all, daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Sends a line, with its end; waits while too many are unread."""
        self._lines.put(line)

    def close(self) -> None:
        """Waits until all is written, or nobody reads it."""
        self._lines.put(None)
        self._thread.join()

    def _write_all(self) -> None:
        with open(self._descriptor, "wb", closefd=False) as file:
            while (line := self._lines.get()) is not None:
                try:
                    file.write(line)
                    file.flush()
                except OSError:
                    with contextlib.suppress(OSError):  # what is written from now on goes nowhere
                        os.dup2(os.open(os.devnull, os.O_WRONLY), self._descriptor)
                    self.is_broken = True
                    self.on_break()
