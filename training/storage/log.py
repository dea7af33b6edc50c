"""A log of JSON lines that grows for days: `NAME.jsonl`, its older parts `NAME-<n>.jsonl`.

A save notes the log's size and sum, and a resume cuts it there: each line is in the log once,
however often the run was killed.
"""

import contextlib
import itertools
import pathlib
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from selfplay.files import durable, json_lines

MAX_BYTES = 16 << 20  # of a part; then another begins


class Log:
    """The parts of one log. Creating the object touches nothing on disk."""

    def __init__(
        self,
        path: pathlib.Path,
        max_bytes: int = MAX_BYTES,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = path  # of the part that grows
        self.max_bytes = max_bytes
        self._check = check  # called before anything is added; it raises if nothing may be
        self._sealed = (0, 0)

    def parts(self) -> list[pathlib.Path]:
        """Returns the files that are there, oldest first."""
        durable.check_file(self.path)
        return self._older() + [self.path] * self.path.exists()

    def size(self) -> int:
        """Returns the bytes of all parts."""
        return sum(path.stat().st_size for path in self.parts())

    def seal(self) -> tuple[int, int]:
        """Returns the bytes of all parts, and their CRC-32."""
        size, known = self.size(), self._sealed
        known = known if known[0] <= size else (0, 0)
        self._sealed = (size, self._sum(size, *known))
        return self._sealed

    def append(self, text: str) -> None:
        """Adds whole lines, readable at once."""
        self._check()
        with durable.writing(self.path):
            if self.path.exists() and self.path.stat().st_size >= self.max_bytes:
                # Not their number: who needs room may have removed old parts.
                older = self._older()
                newest = int(older[-1].stem.rpartition("-")[2]) if older else 0
                self.path.rename(self._part(newest + 1))
            with open(self.path, "a", encoding="utf-8", opener=durable.no_link) as file:
                file.write(text)

    def sync(self) -> None:
        """Waits until the log is on the disk; parts older than the last two already are."""
        if parts := self.parts()[-2:]:
            for path in (*parts, self.path.parent):
                durable.sync(path)

    def read(self, damaged: Callable[[str], None] | None = None) -> list[dict[str, Any]]:
        """Returns the lines; a last one that a kill cut off, or that is being written, is left out.

        Args:
          damaged: called with what is wrong with another line, which then is left out, too;
            without it, that is an error.

        Raises:
          ValueError: another line is damaged; says which, and which entry.
        """
        from training import metrics  # only here: who trains writes lines, and others read them

        lines: list[dict[str, Any]] = []
        for path in self.parts():
            with _telling(damaged):
                for place, line in json_lines.read(path, damaged):
                    if path == self.path and not line.endswith("\n"):
                        break
                    with _telling(damaged):
                        lines.append(metrics.parse(line, place))
        return lines

    def cut(self, size: int, crc: int | None, discarded: Callable[[], pathlib.Path]) -> str:
        """Moves what lies behind the first `size` bytes to the folder that `discarded` makes.

        Returns what is wrong with these, else an empty text: they are not there, do not end with a
        line, or have another sum than `crc`. A part of a line goes too, for the next line would be
        joined to it.
        """
        wanted, size = size, self._whole(size)
        self._sealed = (size, self._sum(size))
        problem = "lines are missing" if size < wanted else ""
        if not problem and crc not in (None, self._sealed[1]):
            problem = "what stands there has changed"
        parts, start = self.parts(), self.size()
        for path in reversed(parts):
            start -= path.stat().st_size
            if start >= size and path.stat().st_size:
                path.rename(discarded() / path.name)
            elif start + path.stat().st_size > size:
                with open(path, "rb+", opener=durable.no_link) as file:
                    file.seek(size - start)
                    with open(discarded() / path.name, "wb") as rest:
                        shutil.copyfileobj(file, rest)
                    file.truncate(size - start)
        if not self.path.exists() and (left := self.parts()):
            left[-1].rename(self.path)  # it was full when what is now cut off was there
        return problem

    def _older(self) -> list[pathlib.Path]:
        """Returns the parts that are full, oldest first."""
        part = re.compile(rf"{re.escape(self.path.stem)}-[0-9]{{6}}\.jsonl")
        names = durable.names_in(self.path.parent)
        older = [self.path.parent / name for name in names if part.fullmatch(name)]
        return sorted(path for path in older if not path.is_symlink())  # none of ours is

    def _sum(self, size: int, start: int = 0, crc: int = 0) -> int:
        """Returns the CRC-32 of the first `size` bytes; `crc` is that of the first `start`."""
        for content in self._contents(start, size):
            crc = zlib.crc32(content, crc)
        return crc

    def _contents(self, start: int, end: int) -> Iterator[bytes]:
        """Yields the bytes from `start` to `end`, part by part."""
        parts = self.parts()
        offsets = itertools.accumulate((path.stat().st_size for path in parts), initial=0)
        for path, first in zip(parts, offsets, strict=False):
            if first < end and first + path.stat().st_size > start:
                with path.open("rb") as file:
                    at = max(start, first)
                    file.seek(at - first)
                    while content := file.read(min(durable.READ_AT_ONCE, end - at)):
                        at += len(content)
                        yield content

    def _whole(self, size: int) -> int:
        """Returns the bytes of the whole lines among the first `size` bytes."""
        start = end = 0
        for path in self.parts():
            if start < size:
                with path.open("rb") as file:
                    held = min(path.stat().st_size, size - start)
                    end = start + durable.end_of_lines(file, held)
            start += path.stat().st_size
        return end

    def _part(self, number: int) -> pathlib.Path:
        return self.path.with_name(f"{self.path.stem}-{number:06d}.jsonl")


@contextlib.contextmanager
def _telling(damaged: Callable[[str], None] | None) -> Iterator[None]:
    """Hands a ValueError of the block on to `damaged`, if there is one."""
    try:
        yield
    except ValueError as error:
        if damaged is None:
            raise
        damaged(str(error))
