"""The JSON fields of a line of KataGo's analysis protocol, each checked as it is taken.

Source: lightvector, KataGo, docs/Analysis_Engine.md, whose words the messages keep where there are
some.
"""

import json
from typing import Any

from selfplay.files import json_lines

MAX_LINE = 1 << 16  # bytes
QUOTED = 60  # characters of a wrong value in a message
PAIRS = 'Must be an array of pairs of the form: ["b" or "w", GTP board vertex]'
SEATS = {"b": 0, "black": 0, "w": 1, "white": 1}


class QueryError(ValueError):
    """A line that cannot be answered."""

    def __init__(self, message: str, field: str | None = None, id: str | None = None) -> None:
        super().__init__(message)
        self.field, self.id = field, id

    def response(self) -> dict[str, str]:
        """The error as the protocol has it."""
        known = {"error": str(self), "field": self.field, "id": self.id}
        return {name: value for name, value in known.items() if value is not None}


def read_object(line: bytes) -> dict[str, Any]:
    """Returns the object in a line. Raises QueryError if there is none."""
    if len(line) > MAX_LINE:
        raise QueryError(f"Request line is longer than {MAX_LINE} bytes: ask in several queries")
    text = line.decode(errors="replace")
    try:
        value = json_lines.parse(text, "request")
    except ValueError as error:
        said = f"{error} - could not parse input line as json request: {text[:QUOTED]}"
        raise QueryError(said) from None
    if not isinstance(value, dict):
        said = f"Request line was valid json but was not an object, ignoring: {quoted(value)}"
        raise QueryError(said)
    return value


class Fields:
    """The fields of one query; each method takes one, and raises QueryError if it is wrong.

    Those of `overrideSettings` are taken by the same methods, where the query has them not itself.
    """

    def __init__(self, fields: dict[str, Any]) -> None:
        self.id: str = fields["id"]
        self.warnings: list[dict[str, str]] = []
        self._left = {name: value for name, value in fields.items() if value is not None}
        settings = self._left.pop("overrideSettings", {})
        if not isinstance(settings, dict):
            raise QueryError("Must be an object", "overrideSettings")
        self._settings = dict(settings)

    def take(self, name: str) -> Any:
        """Any field; None if it is not there."""
        own = self._settings.pop(name, None)
        return self._left.pop(name, own)

    def warn(self, field: str, message: str) -> None:
        """Notes what is ignored; the query proceeds."""
        self.warnings.append({"warning": message, "field": field, "id": self.id})

    def warn_of_the_rest(self) -> None:
        """Notes all fields that were not taken."""
        if self._settings:
            names = ",".join(self._settings)[:QUOTED]
            self.warn("overrideSettings", f"Unknown config params: {names}")
        for name in self._left:
            self.warn(name[:QUOTED], "Unexpected or unused field")

    def whole(self, name: str, least: int, most: int, default: int, message: str = "") -> int:
        """A whole number."""
        if (value := self.take(name)) is None:
            return default
        if not (type(value) is int and least <= value <= most):
            raise QueryError(message or f"Must be an integer from {least} to {most}", name)
        return value

    def flag(self, name: str) -> bool:
        """A boolean, False if it is not there."""
        value = self.take(name)
        if not (value is None or isinstance(value, bool)):
            raise QueryError("Must be a boolean", name)
        return bool(value)

    def moves(self, name: str) -> list[tuple[int, str]]:
        """Pairs of player and location, as seats and texts; none if they are not there."""
        value, found = self.take(name), list[tuple[int, str]]()
        if not (value is None or isinstance(value, list)):
            raise QueryError(PAIRS, name)
        for pair in value or ():
            if not (isinstance(pair, list) and [type(one) for one in pair] == [str, str]):
                raise QueryError(PAIRS, name)
            if (seat := SEATS.get(pair[0].lower())) is None:
                raise QueryError(f"Could not parse player: {pair[0][:QUOTED]}", name)
            found.append((seat, pair[1]))
        return found

    def __contains__(self, name: str) -> bool:
        return name in self._left


def integers(value: Any, field: str, message: str) -> tuple[int, ...] | None:
    """Whole numbers, each once; None for None."""
    if value is None:
        return None
    if not (isinstance(value, list) and all(type(one) is int for one in value)):
        raise QueryError(message, field)
    return tuple(dict.fromkeys(value))


def quoted(value: Any) -> str:
    """Returns a value of JSON as it was written, if it is short."""
    try:
        text = json.dumps(value)
    except RecursionError:
        return "something nested deeply"
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}..."
