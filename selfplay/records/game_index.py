"""A file of game records as columns: what a list, a filter and a tree of openings need of each.

The games themselves stay on the disk, and are read again by their place. A file that has grown is
read from where it ended; another one in its place is noticed by its sum. Needs no jax.
"""

import array
import os
import threading
import zlib
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import numpy as np

from selfplay.files import durable, json_lines
from selfplay.files.game_lines import GameRecord, parse, problem, read_fields

MAX_BYTES = 64 << 20  # of a file's end; what stands before it is left out
PART = 1 << 20  # bytes read at once
MAX_ACTION = 1 << 30  # no game has so many
DRAWN = -1
KEPT_BYTES = 64 << 20  # of files whose columns are kept; they take about half of that


class GameIndex(NamedTuple):
    """N games of a file, in its order."""

    starts: np.ndarray  # int64[N], where the line of each begins, in bytes
    spec: np.ndarray  # int32[N], its game, by `specs`
    seats: np.ndarray  # int32[N, 2], its players, by `names`
    winner: np.ndarray  # int8[N], a seat, or `DRAWN`
    first: np.ndarray  # int64[N + 1], where the moves of each begin in `moves`
    moves: np.ndarray  # int32[...], of all games
    specs: tuple[str, ...]
    names: tuple[str, ...]
    damaged: int  # lines that hold no game
    damage: str  # what is wrong with the first of those
    begin: int  # bytes of the file before the first line that was read
    end: int  # and before what comes after the last one

    @property
    def plies(self) -> np.ndarray:
        """int64[N], the moves of each game."""
        return np.diff(self.first)


class _Kept(NamedTuple):
    games: GameIndex
    stamp: tuple[int, ...]  # of the file, when it was read
    crc: int  # of the bytes from `begin` to `end`


class Indexes:
    """The indexes of files, of which the last ones that were asked for are kept."""

    def __init__(self, max_bytes: int = MAX_BYTES, kept_bytes: int = KEPT_BYTES) -> None:
        self._max_bytes, self._kept_bytes = max_bytes, kept_bytes
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def open(self, path: str | os.PathLike[str]) -> "GamesFile":
        """Returns a file of JSON lines, open for reading, with its index.

        A last line that is still being written is left out, and of a large file all but its end.

        Raises:
          OSError: it is not there, or no file.
        """
        durable.check_file(path)
        file = open(path, "rb")  # noqa: SIM115  # `GamesFile` closes it
        try:
            with self._lock:  # two pages would read the same
                return GamesFile(file, self._index(os.path.realpath(path), file))
        except BaseException:
            file.close()
            raise

    def _index(self, name: str, file: IO[bytes]) -> GameIndex:
        status = os.fstat(file.fileno())
        stamp = (
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )
        kept = self._kept.pop(name, None)
        if kept is None or kept.stamp != stamp:
            kept = self._read(file, stamp, kept)
        self._kept[name] = kept
        while len(self._kept) > 1 and self._size() > self._kept_bytes:
            del self._kept[next(iter(self._kept))]
        return kept.games

    def _size(self) -> int:
        return sum(kept.games.end - kept.games.begin for kept in self._kept.values())

    def _read(self, file: IO[bytes], stamp: tuple[int, ...], kept: _Kept | None) -> _Kept:
        size = stamp[2]
        if kept is None or not self._has_grown(file, size, stamp, kept):
            begin = _line_at(file, size - self._max_bytes)
            kept = _Kept(_empty(begin), stamp, 0)
        columns = _Columns(kept.games)
        crc = columns.read(file, size, kept.crc)
        return _Kept(columns.index(), stamp, crc)

    def _has_grown(self, file: IO[bytes], size: int, stamp: tuple[int, ...], kept: _Kept) -> bool:
        """Whether a file still has what was read of it, and not too much more."""
        index = kept.games
        if stamp[:2] != kept.stamp[:2] or size < index.end:
            return False
        if size - index.begin > 2 * self._max_bytes:
            return False
        crc = 0
        file.seek(index.begin)
        for part in _parts(file, index.end - index.begin):
            crc = zlib.crc32(part, crc)
        return crc == kept.crc


class GamesFile:
    """An open file of games, and its index."""

    def __init__(self, file: IO[bytes], index: GameIndex) -> None:
        self._file, self.index = file, index

    def __enter__(self) -> "GamesFile":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def at(self, start: int) -> GameRecord:
        """Returns the game whose line begins at a byte.

        Raises:
          ValueError: none begins there.
        """
        size = os.fstat(self._file.fileno()).st_size
        if not 0 <= start < size or _line_at(self._file, start) != start:
            raise ValueError(f"no game begins at byte {start}: the file may have changed")
        self._file.seek(start)
        fields = _fields(self._file.readline(json_lines.MAX_LINE + 1))
        record = fields if isinstance(fields, str) else parse(fields)
        if isinstance(record, str):
            raise ValueError(f"the game at byte {start} is damaged: {record}")
        return record


class _Columns:
    """An index that grows."""

    def __init__(self, index: GameIndex) -> None:
        self._before = index
        self._specs = {name: i for i, name in enumerate(index.specs)}
        self._names = {name: i for i, name in enumerate(index.names)}
        self._starts, self._first = array.array("q"), array.array("q")
        self._spec, self._seats, self._moves = (array.array("i") for _ in range(3))
        self._winner = array.array("b")
        self._damaged, self._damage, self._end = index.damaged, index.damage, index.end

    def read(self, file: IO[bytes], size: int, crc: int) -> int:
        """Adds the whole lines up to `size`; returns the sum of all bytes."""
        file.seek(self._end)
        rest = b""
        for part in _parts(file, size - self._end):
            whole, newline, rest = (rest + part).rpartition(b"\n")
            crc = zlib.crc32(whole + newline, crc)
            for line in whole.split(b"\n") if newline else ():
                self._add(line)
                self._end += len(line) + 1
            if len(rest) > json_lines.MAX_LINE:  # never held whole
                crc = zlib.crc32(rest, crc)
                self._add(rest)
                self._end += len(rest)
                rest = b""
        return crc

    def _add(self, line: bytes) -> None:
        if not line.strip():
            return
        fields = _fields(line)
        if isinstance(fields, str):
            self._damaged += 1
            self._damage = self._damage or f"at byte {self._end}: {fields}"
            return
        first, second = fields["returns"]
        self._starts.append(self._end)
        self._first.append(len(self._moves))
        self._spec.append(self._specs.setdefault(fields["game"], len(self._specs)))
        for name in fields["players"]:
            self._seats.append(self._names.setdefault(name, len(self._names)))
        self._winner.append(DRAWN if first == second else int(second > first))
        self._moves.extend(fields["moves"])

    def index(self) -> GameIndex:
        """Returns what was read, and what was known before."""
        before = self._before
        first = [before.first[:-1], np.array(self._first, np.int64) + len(before.moves)]
        end = [len(before.moves) + len(self._moves)]
        return GameIndex(
            starts=np.concatenate([before.starts, np.array(self._starts, np.int64)]),
            spec=np.concatenate([before.spec, np.array(self._spec, np.int32)]),
            seats=np.concatenate([before.seats, np.array(self._seats, np.int32).reshape(-1, 2)]),
            winner=np.concatenate([before.winner, np.array(self._winner, np.int8)]),
            first=np.concatenate([*first, np.array(end, np.int64)]),
            moves=np.concatenate([before.moves, np.array(self._moves, np.int32)]),
            specs=tuple(self._specs),
            names=tuple(self._names),
            damaged=self._damaged,
            damage=self._damage,
            begin=before.begin,
            end=self._end,
        )


def _fields(line: bytes) -> dict[str, Any] | str:
    """Returns the fields of a record's line, or what is wrong with it."""
    fields = read_fields(line)
    if isinstance(fields, str):
        return fields
    if what := problem(fields):
        return what
    moves = fields["moves"]
    if moves and (min(moves) < 0 or max(moves) >= MAX_ACTION):
        return f"{str(max(moves, key=abs))[:40]} is the number of no action"
    return fields


def _empty(begin: int) -> GameIndex:
    none = np.zeros(0, np.int32)
    return GameIndex(
        starts=none.astype(np.int64),
        spec=none,
        seats=none.reshape(0, 2),
        winner=none.astype(np.int8),
        first=np.zeros(1, np.int64),
        moves=none,
        specs=(),
        names=(),
        damaged=0,
        damage="",
        begin=begin,
        end=begin,
    )


def _parts(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yields the next `size` bytes of a file, or fewer where it ends."""
    while size > 0 and (part := file.read(min(size, PART))):
        size -= len(part)
        yield part


def _line_at(file: IO[bytes], place: int) -> int:
    """Returns where the first line begins that does so at `place` or later."""
    if place <= 0:
        return 0
    file.seek(place - 1)
    while part := file.read(PART):
        end = part.find(b"\n")
        if end >= 0:
            return file.tell() - len(part) + end + 1
    return file.tell()
