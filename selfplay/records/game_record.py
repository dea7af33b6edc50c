"""Game records: written, read back and checked by replaying, shown as text.

A file holds one JSON line a game, or what other programs read if its name says so: `.sgf` (see
`sgf`), `.pgn` (see `pgn`); gzipped ones are read too. A line is
`{"game": SPEC, "moves": [...], "returns": [r0, r1], "players": [a, b], ...}`: the moves are
action numbers from the opening position, the returns are by seat, and so are the players. Where
the result is not the rules' own, a key `ended_by` says why: `resignation`, `time`, `forfeit` or
`agreement`. Other keys are kept as they are.
"""

import dataclasses
import functools
import gzip
import io
import os
import pathlib
import shlex
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

import games
from games import registry
from games.game import Game, Scoring
from selfplay import positions
from selfplay.files import durable, json_lines
from selfplay.files.game_lines import GameRecord, fields_of, parse, read_fields, to_line
from selfplay.records import pgn, sgf, sgf_dialects

SGF, PGN = ".sgf", ".pgn"
MAX_BYTES = 64 << 20  # of a file, unpacked; what it holds takes a few times as much memory
MAX_PROBLEMS = 1000  # after so many, a file is not what it was taken for
# Games, with their options, of one file: each is compiled anew. That takes 1.4 s for Go on 5x5, 3 s
# on 19x19, 7 to 10 s for chess and shogi of pgx: a line could cost more than all others.
MAX_GAMES = 4
MAX_SPEC = 200  # characters of a game's spec
CHUNK = 128  # games replayed at once


class Scan(NamedTuple):
    """What a file holds, in its order."""

    records: list[GameRecord]
    problems: list[str]  # one for each bad game: file, line or game, move if it is at fault


def check_path(path: str | os.PathLike[str], spec: str) -> None:
    """Raises ValueError or OSError unless the games of `spec` can be written to this file."""
    if not pathlib.Path(path).absolute().parent.is_dir():
        raise ValueError(f"{path}: there is no such folder")
    if os.fspath(path).endswith(".gz"):
        raise ValueError(f"{path}: records are written unpacked: give a name without .gz")
    if check := {SGF: sgf_dialects.written_as, PGN: pgn.check}.get(form_of(path)):
        try:
            check(spec)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    _refuse_link(path)
    durable.check_file(path)
    # Or a match would be played whose games are lost. The old file is replaced, not opened.
    with (
        durable.writing(pathlib.Path(path)),
        tempfile.TemporaryFile(dir=pathlib.Path(path).absolute().parent),
    ):
        pass


def write_records(path: str | os.PathLike[str], records: Iterable[GameRecord]) -> None:
    """Writes a new file, replacing an old one; its name says in which form.

    Raises:
      ValueError: the file is a symbolic link.
      OSError: it cannot be written; an old file is left as it was.
    """
    _refuse_link(path)
    durable.write_whole(pathlib.Path(path), _text(path, records).encode(errors="replace"))


def append_records(path: str | os.PathLike[str], records: Iterable[GameRecord]) -> None:
    """Adds to the end of a file, which need not exist; the games are on disk on return."""
    durable.append(path, _text(path, records))


def read_records(path: str | os.PathLike[str], plug_in: str = "") -> list[GameRecord]:
    """Returns the games of a file, each replayed by its game's rules; see `scan_records`.

    Raises:
      ValueError: a game is not right; the message names the file, the line or the game, and, if it
        is at fault, the move.
    """
    scan = scan_records(path, plug_in)
    if scan.problems:
        more = f" (and {len(scan.problems) - 1} more)" if len(scan.problems) > 1 else ""
        raise ValueError(scan.problems[0] + more)
    return scan.records


def scan_records(path: str | os.PathLike[str], plug_in: str = "", only: str = "") -> Scan:
    """Returns the games of a file that are right, and what is wrong with the others.

    Args:
      path: JSON lines, or what its name says; gzipped or not.
      plug_in: the spec of a game of the form `module:Class` that the file may hold; any other of
        this form is a problem, since reading a file must not run code that the file names.
      only: the spec of a game; one of any other is a problem.

    Raises:
      ValueError: the file is too large, or a folder.
    """
    items: list[tuple[str, GameRecord | str]] = []  # a game's place, and it or what is wrong
    named = _Games(plug_in, only)
    bad = 0
    for place, fields in _read(path):
        item = fields if isinstance(fields, str) else parse(fields)
        if isinstance(item, GameRecord):
            game = named[item.game]
            item = game if isinstance(game, str) else item
        items.append((f"{path}, {place}", item))
        bad += isinstance(item, str)
        if bad == MAX_PROBLEMS:
            items.append((f"{path}", f"reading stopped here, after {bad} bad games"))
            break
    right = {i: item for i, (_, item) in enumerate(items) if isinstance(item, GameRecord)}
    for spec, chosen in _by_game({i: record.game for i, record in right.items()}).items():
        found = ends(named[spec], [right[i].moves for i in chosen])  # type: ignore[arg-type]
        for i, end in zip(chosen, found, strict=True):
            record = _settled(right[i], end) if form_of(path) else right[i]
            items[i] = (items[i][0], objection_at(record, end) or record)
    return Scan(
        [item for _, item in items if isinstance(item, GameRecord)],
        [f"{place}: {item}" for place, item in items if isinstance(item, str)],
    )


def objection(record: GameRecord) -> str:
    """Returns what its game's rules say against a record; empty for nothing.

    Raises:
      ValueError: there is no such game.
    """
    return objection_at(record, end_of(games.load(record.game), record.moves))


def end_of(game: Game[Any], moves: Sequence[int]) -> "End":
    """Returns where the moves of one game lead, move by move: `ends` would compile for it."""
    state, plies = positions.opening_position(game), 0
    for action in moves:
        legal = np.asarray(state.legal_action_mask)
        if not (0 <= action < len(legal) and legal[action]):
            break
        state, plies = positions.step(game, state, np.int32(action)), plies + 1
    first, second = np.asarray(game.returns(state)).tolist()
    lead = float(game.margin(state)) if isinstance(game, Scoring) else None
    return End(plies, bool(state.terminated), (first, second), lead)


def record_pages(record: GameRecord) -> list[str]:
    """Returns the game as text: players, opening position, then each move with what it led to."""
    game = games.load(record.game)
    state = positions.opening_position(game)
    pages = [f"{record.game}: {record.players[0]} - {record.players[1]}", game.render(state)]
    for number, action in enumerate(record.moves, start=1):
        seat = int(state.to_play)
        move = game.action_to_string(state, action)
        state = positions.step(game, state, np.int32(action))
        who = f"{number}. {record.players[seat]} (seat {seat}): {move}"
        pages.append(f"{who}\n{game.render(state)}")
    return pages


def _refuse_link(path: str | os.PathLike[str]) -> None:
    if os.path.islink(path):
        raise ValueError(
            f"{path} is a symbolic link, and records are not written through links: name the file "
            "that it points to"
        )


def form_of(path: str | os.PathLike[str]) -> str:
    """Returns `.sgf` or `.pgn` where a file's name ends so; empty for JSON lines."""
    ending = pathlib.PurePath(os.fspath(path).lower().removesuffix(".gz")).suffix
    return ending if ending in (SGF, PGN) else ""


def _text(path: str | os.PathLike[str], records: Iterable[GameRecord]) -> str:
    lines = [fields_of(record) for record in records]
    if form_of(path) == SGF:
        return "".join(map(sgf.write_game, lines, _leads(lines)))
    if form_of(path) == PGN:
        return "".join(map(pgn.write_game, lines))
    return "".join(map(to_line, lines))


def _leads(lines: list[sgf.Fields]) -> list[float | None]:
    """Returns by how much black leads at the end of each game, None if it stopped early."""
    leads: list[float | None] = [None] * len(lines)
    for spec, chosen in _by_game({i: line["game"] for i, line in enumerate(lines)}).items():
        found = ends(games.load(spec), [lines[i]["moves"] for i in chosen])
        for i, end in zip(chosen, found, strict=True):
            leads[i] = end.lead if end.over and "ended_by" not in lines[i] else None
    return leads


def _read(path: str | os.PathLike[str]) -> Iterator[tuple[str, sgf.Fields | str]]:
    """Yields each game's place and fields, or what is wrong with it."""
    data, damage = _unpacked(path)
    if form_of(path) == SGF:
        yield from sgf.read_games(data.decode("utf-8", errors="replace"))
    elif form_of(path) == PGN:
        yield from pgn.read_games(pgn.decoded(data))
    else:
        for number, line in enumerate(io.BytesIO(data), start=1):
            if line.strip():
                yield f"line {number}", read_fields(line)
    if damage:
        yield "its end", damage


def _unpacked(path: str | os.PathLike[str]) -> tuple[bytes, str]:
    """Returns what a file holds, gzipped or not, and what ended a gzipped one too early."""
    if os.path.isdir(path):
        raise ValueError(f"{path} is a folder: name the files in it")
    if not os.path.exists(path):
        raise FileNotFoundError(f"there is no file of records {os.fspath(path)}")
    damage = ""
    with open(path, "rb") as raw, io.BytesIO() as content:
        packed = raw.peek(2)[:2] == json_lines.GZIP
        file = gzip.GzipFile(fileobj=raw) if packed else raw
        try:
            # By read1: what read had unpacked before it met the damage would be lost.
            while content.tell() <= MAX_BYTES and (part := file.read1(1 << 16)):
                content.write(part)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            damage = f"not a whole gzip file: {error}"
        if content.tell() > MAX_BYTES:
            raise ValueError(f"{path} is larger than {MAX_BYTES >> 20} MiB: split it")
        return content.getvalue(), damage


class _Games(dict[str, Game[Any] | str]):
    """The games that a file names, by spec: each, or what is wrong with it, is looked up once."""

    def __init__(self, plug_in: str, only: str) -> None:
        super().__init__()
        self.plug_in, self.only = plug_in, only
        self.wanted = games.load(only) if only else None

    def __missing__(self, spec: str) -> Game[Any] | str:
        if len(spec) > MAX_SPEC:
            return f"the game {spec[:40]!r}... has a name of more than {MAX_SPEC} characters"
        if len(self) >= MAX_GAMES and spec not in (self.plug_in, self.only):
            return (
                f"a game of {spec}, and the file has named {MAX_GAMES} games before, with their "
                "options: give each game a file of its own"
            )
        if spec != self.plug_in and registry.names_a_module(spec):
            self[spec] = (
                f"the game {spec!r} would import a module of somebody's own: if you trust it, give "
                f"--game {shlex.quote(spec)}"
            )
            return self[spec]
        try:
            game: Game[Any] | str = games.load(spec)
        except ValueError as error:
            game = str(error)
        if self.only and not isinstance(game, str) and game != self.wanted:
            game = f"a game of {spec}, not of {self.only}"
        self[spec] = game
        return game


def _by_game(specs: Mapping[int, str]) -> dict[str, list[int]]:
    """Returns the numbers of the records of each game."""
    numbers: dict[str, list[int]] = {}
    for number, spec in specs.items():
        numbers.setdefault(spec, []).append(number)
    return numbers


def objection_at(record: GameRecord, end: "End") -> str:
    """Returns what speaks against a record whose moves lead to `end`; empty for nothing."""
    if end.plies < len(record.moves):
        return f"move {end.plies + 1}, action {record.moves[end.plies]}, is illegal"
    if record.ended_by:
        fair = record.returns in ((1.0, -1.0), (0.0, 0.0), (-1.0, 1.0))
        return "" if fair else f"{list(record.returns)} is no result of a game"
    if not end.over:
        return f"the game is not over after its {end.plies} moves"
    if end.returns != record.returns:
        return f"the result is {list(record.returns)}, by the rules {list(end.returns)}"
    return ""


def _settled(record: GameRecord, end: "End") -> GameRecord:
    """Returns a record of another program's file, whose players may have stopped before the end."""
    if record.ended_by or end.over or end.plies < len(record.moves):
        return record
    return dataclasses.replace(record, extra={"ended_by": sgf.AGREEMENT, **record.extra})


class End(NamedTuple):
    """Where the moves of a record lead."""

    plies: int  # the moves that the rules allow
    over: bool
    returns: tuple[float, float]
    lead: float | None  # of seat 0, where points decide


def ends(game: Game[Any], moves: Sequence[Sequence[int]]) -> Iterator[End]:
    """Yields the end of each game; plays chunks of one size, so that it compiles once."""
    longest = max(map(len, moves), default=1)
    size = min(CHUNK, 1 << (len(moves) - 1).bit_length())
    for first in range(0, len(moves), size):
        rows = moves[first : first + size]
        replayed = positions.replay(game, [*rows, *[[]] * (size - len(rows))], longest)
        leads: list[float | None] = [None] * len(rows)
        if isinstance(game, Scoring):
            leads = np.asarray(_lead(game, replayed.states)).tolist()
        over = np.asarray(replayed.states.terminated)
        for i in range(len(rows)):
            low, high = replayed.returns[i].tolist()
            yield End(int(replayed.legal_plies[i]), bool(over[i]), (low, high), leads[i])


@functools.partial(jax.jit, static_argnums=0)
def _lead(game: Scoring[Any], states: Any) -> jax.Array:
    return jax.vmap(game.margin)(states)
