"""The end of a log that grows: its whole lines since the last look, for the cost of these bytes."""

import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

from selfplay.files import json_lines
from training.storage.log import Log

CHUNK = 4 << 20  # bytes that are read at once
MARK = 1 << 16  # bytes of a line that are compared at most
MAX_BYTES = 1 << 30  # of a log, all parts together


class Line(NamedTuple):
    """A whole line of a log."""

    end: int  # bytes of the log up to its end, all parts together
    place: str  # `FILE, line N`, for messages
    raw: bytes


class _Part(NamedTuple):
    path: pathlib.Path
    identity: tuple[int, int]  # device and inode, which a rename leaves as they are
    size: int  # bytes


class Tail:
    """A place in a log. Older parts count too, so that a part that is full changes no offset."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._known: list[tuple[int, int]] = []  # the parts that were read, oldest first
        self._number = 0  # lines read of the newest of these
        # The last line: a log may be cut and grow again, by lines of other seconds but alike else.
        self._mark = b""
        self.offset = 0  # bytes of all parts that were read

    def is_changed(self) -> bool:
        """Whether what was read is no longer there: cut by a resume, removed, or another run's."""
        return self._before(self._parts()) != self._mark

    def lines(self) -> Iterator[Line]:
        """Yields the whole lines since the last call; one that is being written is left.

        Raises:
          ValueError: the log is too large to be one of ours.
        """
        parts, start = self._parts(), 0
        if sum(part.size for part in parts) > MAX_BYTES:
            raise ValueError(f"{self._log.path} has more than {MAX_BYTES:,} bytes")
        for part in parts:
            end = start + part.size
            if part.identity not in self._known:
                self._known.append(part.identity)
                self._number = 0
            if end > self.offset:
                yield from self._of_part(part, start, part is parts[-1])
            start = end

    def _of_part(self, part: _Part, start: int, growing: bool) -> Iterator[Line]:
        rest = b""
        with part.path.open("rb") as file:
            status = os.fstat(file.fileno())
            if (status.st_dev, status.st_ino) != part.identity:
                return  # renamed a moment ago: the next call finds it
            file.seek(self.offset - start)
            left = part.size - (self.offset - start)
            while left > 0 and (content := file.read(min(CHUNK, left))):
                left -= len(content)
                *whole, rest = (rest + content).split(b"\n")
                for raw in whole:
                    yield self._line(part.path, raw + b"\n")
                if len(rest) > json_lines.MAX_LINE:  # a part of no line of ours, told as damaged
                    yield self._line(part.path, rest)
                    rest = b""
        if rest and not growing:
            yield self._line(part.path, rest)

    def _line(self, path: pathlib.Path, raw: bytes) -> Line:
        self._number += 1
        self.offset += len(raw)
        self._mark = raw[-MARK:]
        return Line(self.offset, f"{path}, line {self._number}", raw)

    def _before(self, parts: list[_Part]) -> bytes:
        """Returns the bytes that now lie before the offset, as many as were kept."""
        found, start, wanted = b"", 0, self.offset - len(self._mark)
        for part in parts:
            if wanted < start + part.size and start < self.offset:
                with part.path.open("rb") as file:
                    first = max(wanted - start, 0)
                    file.seek(first)
                    found += file.read(min(self.offset - start, part.size) - first)
            start += part.size
        return found

    def _parts(self) -> list[_Part]:
        parts = []
        for path in self._log.parts():
            try:
                status = path.stat()
            except FileNotFoundError:  # renamed or removed a moment ago
                continue
            parts.append(_Part(path, (status.st_dev, status.st_ino), status.st_size))
        return parts


def text_of(line: Line) -> str:
    """Returns a line as text; raises ValueError if it is none, or too long."""
    if len(line.raw) > json_lines.MAX_LINE:
        raise ValueError(f"{line.place}: longer than {json_lines.MAX_LINE:,} bytes")
    try:
        return line.raw.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{line.place}: not text: {error}") from None
