"""What a question to the worker is: its arguments, how it tells, and what an error answers."""

import dataclasses
import math
import os
import pathlib
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np

import games
from games import plug_in
from scripts.web.ops.permission import ConsentError
from training.storage.manifest import CheckpointError

GLANCE_S = 0.1  # between two looks whether a search is over
OFTEN_S = 0.2  # between two notes, of those that may come often
ROOT = str(pathlib.Path(games.__file__).parent.parent)
LAYERS = ("games", "mcts", "selfplay", "training", "scripts")
Args: TypeAlias = Mapping[str, Any]


class Cancelled(BaseException):
    """The page that asked has gone. No `except Exception` on the way takes it for a failure."""


class Tell:
    """How a question under way talks to the page; each call raises Cancelled if it has gone."""

    def __init__(
        self,
        say: Callable[[dict[str, Any]], None],
        is_cancelled: Callable[[], bool],
        is_searching: Callable[[], bool] = lambda: False,
    ) -> None:
        """Takes where lines go, whether the page has gone, and whether anybody's search runs."""
        self._say, self._is_cancelled, self._is_searching = say, is_cancelled, is_searching
        self._noted = -math.inf

    def check(self) -> None:
        """Raises Cancelled if nobody waits any more."""
        if self._is_cancelled():
            raise Cancelled

    def give_way(self) -> None:
        """Waits while a person waits for a search, which takes the same cores."""
        self.check()
        while self._is_searching():
            time.sleep(GLANCE_S)
            self.check()

    def note(self, text: str) -> None:
        """Says what is under way."""
        self.check()
        self._say({"note": text})

    def often(self, text: str) -> None:
        """Says what is under way, unless something was said just now."""
        self.check()
        if time.monotonic() - self._noted >= OFTEN_S:
            self._noted = time.monotonic()
            self._say({"note": text})

    def part(self, result: dict[str, Any]) -> None:
        """Hands over an intermediate result."""
        self.check()
        self._say({"part": result})


@dataclasses.dataclass(frozen=True)
class Op:
    """One kind of question: `run(args, tell)` returns what JSON takes."""

    run: Callable[[Args, Tell], dict[str, Any]]
    lane: Literal["quick", "search", "long"]


def refusal(error: Exception) -> dict[str, Any] | None:
    """Returns what to answer to an error that a page, a file or a game may cause; else None."""
    if isinstance(error, ConsentError):
        return {"error": str(error), "consent": str(error.code)}
    if isinstance(error, RecursionError):
        return {"error": "this is nested too deeply"}
    if isinstance(error, ValueError | OSError | CheckpointError):
        return {"error": str(error)}
    if _is_outside(error):
        return {"error": f"code that is no part of selfplay failed: {plug_in.described(error)}"}
    return None


def _is_outside(error: Exception) -> bool:
    """Whether a game, player or loss of somebody's own is on the way to an error."""
    ours = tuple(os.path.join(ROOT, layer) + os.sep for layer in LAYERS)
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    return any(not (plug_in.installed(file) or file.startswith(ours)) for file in files)


def finite(value: Any) -> Any:
    """Returns what JSON takes: None for numbers that are none, lists for tuples and arrays."""
    if isinstance(value, Mapping):
        return {str(key): finite(part) for key, part in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return finite(value.tolist())
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def text(args: Args, name: str) -> str:
    """Returns an argument that must be a text."""
    value = args.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name!r} must be a text, got {str(value)[:40]!r}")
    return value


def number(args: Args, name: str, default: int, low: int, high: int) -> int:
    """Returns an argument that must be a whole number within bounds."""
    value = args.get(name, default)
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name!r} must be a whole number from {low} to {high}, got {value!r}")
    return value


def decimal(args: Args, name: str, default: float, low: float, high: float) -> float:
    """Returns an argument that must be a number within bounds."""
    value = args.get(name, default)
    if type(value) not in (int, float) or not low <= value <= high:
        raise ValueError(f"{name!r} must be a number from {low:g} to {high:g}, got {value!r}")
    return float(value)
