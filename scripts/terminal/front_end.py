"""A front end at the other end of standard input and output: its lines, and our answers."""

import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from typing import Protocol

from scripts.terminal.pipes import lines_of

MAX_WAITING = 1000  # lines read ahead of the answers


class Server(Protocol):
    """What answers, by any protocol."""

    closed: bool

    def answer(self, line: bytes) -> Iterator[str]: ...


def serve(server: Server, lines: "Lines") -> None:
    """Answers until the input ends, or `quit`."""
    try:
        while not server.closed and (line := lines.next()) is not None:
            for text in server.answer(line):
                sys.stdout.buffer.write(text.encode())
                sys.stdout.buffer.flush()
    except BrokenPipeError:  # the front end has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Lines:
    """Lines of an open file, read by a thread: one can know of the next before taking it.

    Args:
      longest: bytes of a line; of a longer one a little more is kept, enough to see that it is so.
    """

    def __init__(self, descriptor: int, longest: int) -> None:
        self._longest = longest
        self._lines: deque[bytes | None] = deque()  # None: the end
        self._changed = threading.Condition()
        threading.Thread(target=self._read, args=(descriptor,), daemon=True).start()

    def next(self) -> bytes | None:
        """Returns the next line, None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines)
            line = self._lines[0] if self._lines[0] is None else self._lines.popleft()
            self._changed.notify_all()
            return line

    def wait(self, seconds: float) -> bool:
        """Waits up to so many seconds for a line; returns whether there is one, or the end."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: self._lines, seconds))

    def _read(self, descriptor: int) -> None:
        for line in lines_of(descriptor, self._longest):
            self._put(line)
        self._put(None)

    def _put(self, line: bytes | None) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._lines) < MAX_WAITING)
            self._lines.append(line)
            self._changed.notify_all()
