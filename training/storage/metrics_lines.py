"""What a line of metrics.jsonl holds, as far as those who read one rely on it.

Entries that are not named here may be anything: a newer version may have added them.
"""

from collections.abc import Callable
from typing import Any

from selfplay.files import json_lines

# Numbers that every line of a kind has.
NUMBERS = {
    "iteration": ("iteration", "step", "seconds", "games", "positions", "rows"),
    "evaluation": ("step", "seconds", "loss"),
    "gate": ("step", "seconds", "score"),
}
# Numbers that an iteration may lack, or have none of.
MEASURED = (
    *("policy_loss", "value_loss", "kl", "entropy", "value_error", "game_plies"),
    *("new_rows", "new_games", "window", "learning_rate"),
)

Check = Callable[[Any, str], None]  # raises ValueError with the entry's path if it is damaged


def parse(text: str, place: str) -> dict[str, Any]:
    """Returns what a line says.

    Args:
      place: of the line, for messages.

    Raises:
      ValueError: it is damaged; says where and which entry.
    """
    line = json_lines.parse(text, place)
    if not (isinstance(line, dict) and isinstance(line.get("kind"), str)):
        raise ValueError(f"{place}: an object with its 'kind', got {text[:40]!r}")
    try:
        _check(line)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    return line


def _check(line: dict[str, Any]) -> None:
    kind = line["kind"]
    _numbers(*NUMBERS.get(kind, ()))(line, "")
    if kind == "iteration":
        for name in MEASURED:
            if line.get(name) is not None:
                _number(line[name], name)
    if kind == "gate":
        _entry(line, "", "interval", _interval)
    if kind == "evaluation":
        if "perfect" not in line:
            _entry(line, "", "random", _random)
        for name, check in EVALUATION.items():
            if name in line:
                check(line[name], name)


def _number(value: Any, path: str) -> None:
    if not json_lines.is_number(value):
        raise ValueError(f"{path!r} must be a number")


def _text(value: Any, path: str) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{path!r} must be text")


def _interval(value: Any, path: str) -> None:
    if not (isinstance(value, list) and len(value) == 2 and all(map(json_lines.is_number, value))):
        raise ValueError(f"{path!r} must be two numbers")


def _object(value: Any, path: str) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{path!r} must be an object")


def _entry(value: dict[str, Any], path: str, name: str, check: Check) -> None:
    """Checks an entry that must be there."""
    check(value.get(name), f"{path}.{name}" if path else name)


def _numbers(*names: str) -> Check:
    """Returns the check of an object that has these numbers."""

    def check(value: Any, path: str) -> None:
        _object(value, path)
        for name in names:
            _entry(value, path, name, _number)

    return check


def _each(one: Check) -> Check:
    """Returns the check of an object whose entries are alike."""

    def check(value: Any, path: str) -> None:
        _object(value, path)
        for name, item in value.items():
            one(item, f"{path}.{name}")

    return check


def _random(value: Any, path: str) -> None:
    _numbers("score")(value, path)
    _entry(value, path, "interval", _interval)


def _ladder(value: Any, path: str) -> None:
    _numbers("elo", "games")(value, path)
    _entry(value, path, "interval", _interval)


def _mistakes(value: Any, path: str) -> None:
    """Checks mistake rates against perfect play; early runs have none by ply."""
    _numbers("raw", "search")(value, path)
    rows = value.get("by_ply", [])
    if not isinstance(rows, list):
        raise ValueError(f"'{path}.by_ply' must be a list")
    for i, row in enumerate(rows):
        place = f"{path}.by_ply.{i}"
        _numbers("ply", "raw")(row, place)
        _entry(row, place, "budgets", _each(_number))
        if row["budgets"].keys() != rows[0]["budgets"].keys():
            raise ValueError(f"'{place}.budgets' must have the same entries as those before")


def _match(value: Any, path: str) -> None:
    _numbers("score", "elo")(value, path)
    for name in ("interval", "elo_interval"):
        _entry(value, path, name, _interval)


def _fixed_point(value: Any, path: str) -> None:
    _object(value, path)
    for name in ("fresh", "probe"):
        _entry(value, path, name, _numbers("kl", "changed", "regret", "blunders"))
    for name, check in {"strength": _each(_match), "distilled": _match, "verdict": _text}.items():
        if name in value:
            check(value[name], f"{path}.{name}")


EVALUATION: dict[str, Check] = {
    "perfect": _each(_mistakes),
    "random": _random,
    "ladder": _ladder,
    "fixed_point": _fixed_point,
}
