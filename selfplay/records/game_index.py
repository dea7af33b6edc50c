"""A file of game records as columns: what a list, a filter and a tree of openings need of each.

The games themselves stay on the disk, and are read again by their place. Needs no jax.
"""

import array
import os
import threading
from typing import IO, Any, NamedTuple

import numpy as np

from selfplay.files import durable, json_lines
from selfplay.files.game_lines import GameRecord, parse, problem, read_fields

MAX_BYTES = 64 << 20  # of a file's end; what stands before it is left out
PART = 1 << 20  # bytes read at once
MAX_ACTION = 1 << 30  # no game has so many
DRAWN = -1
KEPT = 4  # files whose columns are kept


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

    @property
    def plies(self) -> np.ndarray:
        """int64[N], the moves of each game."""
        return np.diff(self.first)


class Indexes:
    """The indexes of files, of which the last few that were asked for are kept."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: dict[str, tuple[tuple[int, ...], GameIndex]] = {}  # with the file's stamp
        self._lock = threading.Lock()

    def open(self, path: str | os.PathLike[str]) -> "GamesFile":
        """Returns a file of JSON lines, open for reading, with its index.

        A last line that is still being written is left out, and of a large file all but its end. A
        file that has changed is read anew: 16 MiB, the most of a run's log, take a second.

        Raises:
          OSError: it is not there, or no file.
        """
        durable.check_file(path)
        file = open(path, "rb", opener=durable.no_link)  # noqa: SIM115  # `GamesFile` closes it
        try:
            with self._lock:  # two pages would read the same
                return GamesFile(file, self._index(os.path.realpath(path), file))
        except BaseException:
            file.close()
            raise

    def _index(self, name: str, file: IO[bytes]) -> GameIndex:
        status = os.fstat(file.fileno())
        stamp = tuple(
            getattr(status, f"st_{name}") for name in ("dev", "ino", "size", "mtime_ns", "ctime_ns")
        )
        before, index = self._kept.pop(name, (None, None))
        if index is None or before != stamp:
            index = _read(file, _line_at(file, status.st_size - self._max_bytes))
        self._kept[name] = stamp, index
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return index


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


def _read(file: IO[bytes], begin: int) -> GameIndex:
    """Returns the index of a file from a byte on, where a line begins."""
    starts, first, moves = array.array("q"), array.array("q", [0]), array.array("i")
    spec, seats, winner = array.array("i"), array.array("i"), array.array("b")
    specs: dict[str, int] = {}
    names: dict[str, int] = {}
    damaged, damage, end = 0, "", begin
    file.seek(begin)
    while line := file.readline(json_lines.MAX_LINE + 1):
        if line[-1:] != b"\n" and len(line) <= json_lines.MAX_LINE:
            break  # it is being written
        fields = _fields(line) if line.strip() else {}
        if isinstance(fields, str):
            damaged += 1
            damage = damage or f"at byte {end}: {fields}"
        elif fields:
            low, high = fields["returns"]
            starts.append(end)
            spec.append(specs.setdefault(fields["game"], len(specs)))
            seats.extend(names.setdefault(name, len(names)) for name in fields["players"])
            winner.append(DRAWN if low == high else int(high > low))
            moves.extend(fields["moves"])
            first.append(len(moves))
        end += len(line)
    return GameIndex(
        starts=np.array(starts, np.int64),
        spec=np.array(spec, np.int32),
        seats=np.array(seats, np.int32).reshape(-1, 2),
        winner=np.array(winner, np.int8),
        first=np.array(first, np.int64),
        moves=np.array(moves, np.int32),
        specs=tuple(specs),
        names=tuple(names),
        damaged=damaged,
        damage=damage,
        begin=begin,
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
