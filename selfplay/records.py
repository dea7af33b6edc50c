"""Game records, one JSON line each: written, read back and checked by replaying, shown as text.

A line is `{"game": SPEC, "moves": [...], "returns": [r0, r1], "players": [a, b], ...}`: the moves
are action numbers from the opening position, the returns are by seat, and so are the players. Other
keys are kept as they are. With the key "end" the game stopped before the rules ended it: one side
resigned or failed, as its text says.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np

import games
from games.game import Game
from selfplay import positions
from selfplay.match_result import MatchResult

FORMS = {
    "game": "a game's spec",
    "moves": "a list of action numbers",
    "returns": "two numbers, by seat",
    "players": "two names, by seat",
}


@dataclasses.dataclass(frozen=True)
class GameRecord:
    """One finished game."""

    game: str  # its spec, for `games.load`
    moves: tuple[int, ...]  # action numbers, from the opening position
    returns: tuple[float, float]  # by seat
    players: tuple[str, str]  # by seat
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)  # further keys of the line


def match_records(result: MatchResult, spec: str, **extra: Any) -> list[GameRecord]:
    """Returns the games of a match; `extra` goes into each."""
    found = []
    for played, seat in zip(result.played, result.first_seat, strict=True):
        players = result.players if seat == 0 else (result.players[1], result.players[0])
        end = {"end": played.end} if played.end else {}
        found.append(GameRecord(spec, played.moves, played.returns, players, {**extra, **end}))
    return found


def write_records(path: str | os.PathLike[str], records: Iterable[GameRecord]) -> None:
    """Writes a new file, replacing an old one."""
    pathlib.Path(path).write_text(_lines(records), encoding="utf-8")


def append_records(path: str | os.PathLike[str], records: Iterable[GameRecord]) -> None:
    """Adds to the end of a file, which need not exist."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(_lines(records))


def read_records(path: str | os.PathLike[str]) -> list[GameRecord]:
    """Returns the games of a file, each replayed by its game's rules.

    Raises:
      ValueError: a line is not such a game; the message names file, line and, if it is at fault,
        the move.
    """
    records, places = [], []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                place = f"{path}, line {number}"
                records.append(_parse(line, place))
                places.append(place)
    for spec in dict.fromkeys(record.game for record in records):
        chosen = [i for i, record in enumerate(records) if record.game == spec]
        try:
            game = games.load(spec)
        except ValueError as error:
            raise ValueError(f"{places[chosen[0]]}: {error}") from None
        _check(game, [records[i] for i in chosen], [places[i] for i in chosen])
    return records


def render_record(record: GameRecord) -> str:
    """Returns the game as text: players, each move with the position after it, the result."""
    game = games.load(record.game)
    state = positions.opening_position(game)
    parts = [f"{record.game}: {record.players[0]} - {record.players[1]}", game.render(state)]
    for ply, action in enumerate(record.moves):
        seat = int(state.to_play)
        move = game.action_to_string(state, action)
        state = positions.step(game, state, np.int32(action))
        parts.append(
            f"{ply + 1}. {record.players[seat]} (seat {seat}): {move}\n{game.render(state)}"
        )
    parts.append(f"result by seat: {record.returns[0]:g} {record.returns[1]:g}")
    return "\n\n".join(parts)


def _lines(records: Iterable[GameRecord]) -> str:
    return "".join(
        json.dumps(
            {
                "game": record.game,
                "moves": list(record.moves),
                "returns": list(record.returns),
                "players": list(record.players),
                **record.extra,
            }
        )
        + "\n"
        for record in records
    )


def _parse(line: str, place: str) -> GameRecord:
    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}: not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise ValueError(f"{place}: a record is a JSON object, got {line.strip()[:40]!r}")
    wanted = {
        "game": lambda value: isinstance(value, str),
        "moves": lambda value: isinstance(value, list) and all(type(a) is int for a in value),
        "returns": lambda value: _is_pair(value, (int, float)),
        "players": lambda value: _is_pair(value, str),
    }
    for key, holds in wanted.items():
        if key not in fields or not holds(fields[key]):
            raise ValueError(f"{place}: {key!r} must be {FORMS[key]}, got {fields.get(key)!r}")
    return GameRecord(
        game=fields["game"],
        moves=tuple(fields["moves"]),
        returns=(float(fields["returns"][0]), float(fields["returns"][1])),
        players=(fields["players"][0], fields["players"][1]),
        extra={key: value for key, value in fields.items() if key not in wanted},
    )


def _is_pair(value: Any, kind: type | tuple[type, ...]) -> bool:
    if not (isinstance(value, list) and len(value) == 2):
        return False
    return all(isinstance(item, kind) and not isinstance(item, bool) for item in value)


def _check(game: Game[Any], records: list[GameRecord], places: list[str]) -> None:
    """Raises ValueError unless the rules allow each record's moves and agree on its result."""
    replayed = positions.replay(game, [record.moves for record in records])
    ended = np.asarray(replayed.states.terminated)
    for i, (record, place) in enumerate(zip(records, places, strict=True)):
        legal = int(replayed.legal_plies[i])
        if legal < len(record.moves):
            raise ValueError(f"{place}: move {legal + 1}, action {record.moves[legal]}, is illegal")
        if "end" in record.extra:
            continue
        if not ended[i]:
            raise ValueError(f"{place}: the game is not over after its {legal} moves")
        returns = tuple(replayed.returns[i].tolist())
        if returns != record.returns:
            raise ValueError(
                f"{place}: the result is {list(record.returns)}, by the rules {list(returns)}"
            )
