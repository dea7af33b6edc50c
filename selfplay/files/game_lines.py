"""Game records as JSON lines: their fields, without the rules of their games. Needs no jax."""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from selfplay.files import json_lines

FORMS = {
    "game": "a game's spec",
    "moves": "a list of action numbers",
    "returns": "two numbers, by seat",
    "players": "two names, by seat",
}
MOST_NESTED = 50  # levels; what reads and writes JSON may go no deeper than some hundred
ENDINGS = ("resignation", "time", "forfeit", "agreement")  # what `ended_by` may be


@dataclasses.dataclass(frozen=True)
class GameRecord:
    """One finished game."""

    game: str  # its spec, for `games.load`
    moves: tuple[int, ...]  # action numbers, from the opening position
    returns: tuple[float, float]  # by seat
    players: tuple[str, str]  # by seat
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)  # further keys of the line

    @property
    def ended_by(self) -> str:
        """Why the result is not the rules' own; empty if it is."""
        given = self.extra.get("ended_by")
        return given if isinstance(given, str) else ""


def in_words(record: GameRecord) -> str:
    """Returns a game's result as a clause: who won, and how if not by the rules."""
    first, second = record.returns
    how = f" by {record.ended_by}" if record.ended_by else ""
    return "drawn" + how if first == second else f"seat {int(second > first)} won{how}"


def fields_of(record: GameRecord) -> dict[str, Any]:
    """Returns the keys and values of a record's line."""
    return {
        "game": record.game,
        "moves": list(record.moves),
        "returns": list(record.returns),
        "players": list(record.players),
        **record.extra,
    }


def to_line(fields: Mapping[str, Any]) -> str:
    """Returns the line of a record's keys and values."""
    return json.dumps(fields) + "\n"


def read_fields(line: bytes | str) -> dict[str, Any] | str:
    """Returns the JSON object of a line, or what is wrong with it.

    Numbers that no JSON has, NaN and infinities, are wrong: who writes JSON must not pass them on.
    """
    if len(line) > json_lines.MAX_LINE:
        return f"longer than {json_lines.MAX_LINE:,} bytes"
    try:
        text = line if isinstance(line, str) else line.decode(errors="replace")
        fields = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:  # also numbers, or nesting, beyond all bounds
        return f"not JSON: {error}"
    if text.count("[") + text.count("{") > MOST_NESTED and _depth(fields) > MOST_NESTED:
        return f"nested more than {MOST_NESTED} levels deep"
    if not isinstance(fields, dict):
        return f"a record is a JSON object, got {line.strip()[:40]!r}"
    return fields


def _depth(value: Any) -> int:
    """Returns how deep a JSON value is nested."""
    depth, level = 0, [value]
    while level := [part for part in level if isinstance(part, dict | list)]:
        depth += 1
        level = [
            one for part in level for one in (part.values() if isinstance(part, dict) else part)
        ]
    return depth


def parse(fields: Mapping[str, Any]) -> GameRecord | str:
    """Returns the record of such fields, or what is wrong with them."""
    return problem(fields) or GameRecord(
        game=fields["game"],
        moves=tuple(fields["moves"]),
        returns=(float(fields["returns"][0]), float(fields["returns"][1])),
        players=(fields["players"][0], fields["players"][1]),
        extra={key: value for key, value in fields.items() if key not in _WANTED},
    )


def read_line(line: bytes | str) -> GameRecord | str:
    """Returns the record of a line, or what is wrong with it."""
    fields = read_fields(line)
    return fields if isinstance(fields, str) else parse(fields)


def problem(fields: Mapping[str, Any]) -> str:
    """Returns what is wrong with the fields of a record; empty if nothing is."""
    for key, holds in _WANTED.items():
        if key not in fields or not holds(fields[key]):
            return f"{key!r} must be {FORMS[key]}, got {repr(fields.get(key))[:80]}"
    return ""


def _is_pair(value: Any, holds: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(holds, value))


_WANTED: dict[str, Callable[[Any], bool]] = {
    "game": lambda value: isinstance(value, str),
    "moves": lambda value: isinstance(value, list) and {*map(type, value)} <= {int},
    "returns": lambda value: _is_pair(value, json_lines.is_number),
    "players": lambda value: _is_pair(value, lambda name: isinstance(name, str)),
}


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _no_number(text[:40])
    return value


_DECODER = json.JSONDecoder(parse_constant=_no_number, parse_float=_finite)
