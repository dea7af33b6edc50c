"""A line of the analysis engine's input: a request or a command, or what is wrong with it."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from games.spelling import did_you_mean
from selfplay.files import json_lines

MAX_LINE = 1 << 16  # bytes
MAX_ID = 200  # characters
MAX_PRIORITY = 10**9
QUOTED = 60  # characters of a wrong value in a message
PARTS = ("policy", "prior", "visits", "q", "principal_variation")  # what a request may include
USUAL_PARTS = PARTS[:-1]  # the last one costs further searches
COMMANDS = ("cancel", "cancel_all", "query_version")
OF_REQUEST = ("id", "moves", "turns", "simulations", "priority", "include")
OF_COMMAND = {
    "cancel": ("id", "action", "target"),
    "cancel_all": ("id", "action"),
    "query_version": ("id", "action"),
}
OTHER_NAMES = {  # KataGo's, and what comes to mind
    **{"analyzeTurns": "turns", "maxVisits": "simulations", "sims": "simulations"},
    **{"terminate": "cancel", "terminate_all": "cancel_all", "terminateId": "target"},
    **{"pv": "principal_variation", "weights": "policy", "includePolicy": "include"},
}


class RequestError(ValueError):
    """A line that cannot be answered."""

    def __init__(self, message: str, field: str | None = None, id: str | None = None) -> None:
        super().__init__(message)
        self.field, self.id = field, id


class Limits(NamedTuple):
    """What a request gets that does not say, and may ask for."""

    simulations: int
    most_simulations: int


@dataclasses.dataclass(frozen=True)
class Request:
    """Positions of one line of play, to be analysed."""

    id: str
    moves: tuple[str | int, ...]  # in the game's notation, or numbers of actions
    turns: tuple[int, ...]  # the positions, by the number of moves before them
    simulations: int
    priority: int  # the higher, the sooner
    include: tuple[str, ...]


class Command(NamedTuple):
    """Something to do at once."""

    id: str
    action: str  # one of `COMMANDS`
    target: str  # the id of the request to cancel; empty for other commands


def read(line: bytes, limits: Limits) -> Request | Command:
    """Returns what a line asks for.

    Raises:
      RequestError: says what is wrong, in which field, and of which id, as far as these are known.
    """
    fields = _object(line)
    own_id = fields.get("id")
    if not (isinstance(own_id, str) and 0 < len(own_id) <= MAX_ID):
        raise _wrong("id", f"text of 1 to {MAX_ID} characters", fields, "id")
    try:
        return _command(fields) if "action" in fields else _request(fields, limits)
    except RequestError as error:
        error.id = own_id
        raise


def _object(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE:
        raise RequestError(f"the line is longer than {MAX_LINE:,} bytes: ask in several requests")
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise RequestError(f"the line is not UTF-8: {error}") from None
    try:
        value = json_lines.parse(text, "the line", once=True)
    except ValueError as error:
        raise RequestError(f"{error}; a request is one JSON object on a line") from None
    if not isinstance(value, dict):
        raise RequestError(f"a request is a JSON object, got {_quoted(value)}")
    return value


def _request(fields: Mapping[str, Any], limits: Limits) -> Request:
    _check_names(fields, OF_REQUEST, "a request")
    moves = _list(fields, "moves", "moves as text, or numbers of actions", _is_move)
    return Request(
        id=fields["id"],
        moves=moves,
        turns=_turns(fields, len(moves)),
        simulations=_simulations(fields, limits),
        priority=_whole(fields, "priority", -MAX_PRIORITY, MAX_PRIORITY, 0),
        include=_include(fields),
    )


def _command(fields: Mapping[str, Any]) -> Command:
    action = fields["action"]
    if action not in COMMANDS:
        meant = did_you_mean(_quoted(action), COMMANDS, OTHER_NAMES)
        raise _wrong("action", f"one of {', '.join(COMMANDS)}", fields, "action", meant)
    _check_names(fields, OF_COMMAND[action], f"the action {action}")
    target = fields.get("target", "")
    if action == "cancel" and not (isinstance(target, str) and target):
        raise _wrong("target", "the id of a request", fields, "target")
    return Command(fields["id"], action, target)


def _check_names(fields: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    for name in fields:
        if name not in known:
            short = name[:QUOTED]
            meant = did_you_mean(short, known, OTHER_NAMES)
            raise RequestError(
                f"{what} has no field {json.dumps(short)}{meant}; it has {', '.join(known)}", short
            )


def _turns(fields: Mapping[str, Any], plies: int) -> tuple[int, ...]:
    if "turns" not in fields:
        return (plies,)

    def is_turn(value: Any) -> bool:
        return type(value) is int and 0 <= value <= plies

    form = f"whole numbers from 0 to {plies}, the number of moves"
    turns = _list(fields, "turns", form, is_turn)
    if not turns or len(set(turns)) < len(turns):
        raise _wrong("turns", f"a list of {form}, each once and at least one", fields, "turns")
    return turns


def _simulations(fields: Mapping[str, Any], limits: Limits) -> int:
    return _whole(fields, "simulations", 0, limits.most_simulations, limits.simulations)


def _include(fields: Mapping[str, Any]) -> tuple[str, ...]:
    if "include" not in fields:
        return USUAL_PARTS
    parts = _list(fields, "include", "text", lambda value: isinstance(value, str))
    for part in parts:
        if part not in PARTS:
            meant = did_you_mean(part[:QUOTED], PARTS, OTHER_NAMES)
            raise RequestError(
                f"include has no {_quoted(part)}{meant}; it may have {', '.join(PARTS)}", "include"
            )
    return parts


def _is_move(value: Any) -> bool:
    return isinstance(value, str) or type(value) is int


def _list(
    fields: Mapping[str, Any], name: str, form: str, fits: Callable[[Any], bool]
) -> tuple[Any, ...]:
    value = fields.get(name, [])
    if not isinstance(value, list):
        raise _wrong(name, f"a list of {form}", fields, name)
    for number, one in enumerate(value, start=1):
        if not fits(one):
            raise RequestError(f"{name} must be {form}; number {number} is {_quoted(one)}", name)
    return tuple(value)


def _whole(fields: Mapping[str, Any], name: str, least: int, most: int, otherwise: int) -> int:
    value = fields.get(name, otherwise)
    if type(value) is not int or not least <= value <= most:
        raise _wrong(name, f"a whole number from {least:,} to {most:,}", fields, name)
    return value


def _wrong(
    what: str, form: str, fields: Mapping[str, Any], name: str, meant: str = ""
) -> RequestError:
    got = _quoted(fields[name]) if name in fields else "none"
    return RequestError(f"{what} must be {form}, got {got}{meant}", name)


def _quoted(value: Any) -> str:
    """Returns a value of JSON as it was written, if it is short."""
    try:
        text = json.dumps(value)
    except RecursionError:
        return "something nested deeply"
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}..."
