"""Board games as pure functions, and how to find one by name.

>>> load("tic_tac_toe").num_actions
9
"""

import functools
import importlib
import importlib.metadata
import inspect
import os
import sys
import traceback
from types import ModuleType
from typing import Any

from games.game import Game, State, Symmetry

__all__ = [
    "Game",
    "State",
    "Symmetry",
    "import_plug_in",
    "load",
    "names",
    "names_a_module",
    "shadowed",
]

BUILT_IN = {
    "breakthrough": "games.breakthrough:Breakthrough",
    "connect_four": "games.connect_four:ConnectFour",
    "dots_and_boxes": "games.dots_and_boxes:DotsAndBoxes",
    "go": "games.go:Go",
    "gomoku": "games.gomoku:Gomoku",
    "hex": "games.hex:Hex",
    "othello": "games.othello:Othello",
    "tic_tac_toe": "games.tic_tac_toe:TicTacToe",
}
PGX = "pgx:"
ENTRY_POINTS = "selfplay.games"
# What every game has and no option may set, even where a plug-in made it a dataclass field.
NOT_OPTIONS = {"num_actions", "observation_shape", "max_plies", "misere"}


def names() -> tuple[str, ...]:
    """Returns the names that `load` knows: our games, then those of installed plug-in packages."""
    plugged = {point.name for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}
    return (*sorted(BUILT_IN), *sorted(plugged - set(BUILT_IN)))


def load(spec: str) -> Game[Any]:
    """Returns the game that `spec` names.

    Args:
      spec: `NAME`, `package.module:Class` (looked up on the import path, the current folder last)
        or `pgx:NAME` (one of pgx's games); options follow, as in `my_pkg.my_game:MyGame:size=5`.

    Raises:
      ValueError: no such game, class or option, or a value that the game refuses.
    """
    target, options = _split(spec)
    if target.startswith(PGX):
        adapter = _find_class("games.pgx_adapter:PgxGame", spec)
        return _construct(functools.partial(adapter, target.removeprefix(PGX)), options, spec)
    if target in BUILT_IN:
        target = BUILT_IN[target]
    elif ":" not in target:
        target = _entry_point(target)
    return _construct(_find_class(target, spec), options, spec)


def names_a_module(spec: str) -> bool:
    """Returns whether `load` would import a module of the spec's choice, as a file's must not."""
    target, _ = _split(spec)
    return ":" in target and not target.startswith(PGX)


def import_plug_in(module_name: str, what: str) -> ModuleType:
    """Returns a module, looked for in the current folder last.

    Last, so that a plug-in in that folder does not shadow a library.

    Raises:
      ValueError: there is none of that name; `what` begins the message.
    """
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise ValueError(_broken(module_name, what, error)) from error
        raise ValueError(f"{what}: there is no module {module_name!r}") from None
    except Exception as error:
        if not module_name or module_name.startswith("."):
            raise ValueError(f"{what}: {module_name!r} is not a module's name") from None
        raise ValueError(_broken(module_name, what, error)) from error


def _broken(module_name: str, what: str, error: Exception) -> str:
    """Returns where and why the import of a module that is there failed."""
    if isinstance(error, SyntaxError):
        place = f"{error.filename}, line {error.lineno}"
    else:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{frame.filename}, line {frame.lineno}"
    return (
        f"{what}: module {module_name!r} cannot be imported: {type(error).__name__}: {error} "
        f"({place})"
    )


def _split(spec: str) -> tuple[str, dict[str, str]]:
    head, colon, tail = spec.rpartition(":")
    if not colon or "=" not in tail:
        return spec, {}
    options: dict[str, str] = {}
    for item in tail.split(","):
        name, equals, value = item.partition("=")
        if not (name and equals and value):
            raise ValueError(f"game {spec!r}: option {item!r} is not of the form key=value")
        if name in options:
            raise ValueError(f"game {spec!r}: option {name!r} is given twice")
        options[name] = value
    return head, options


def shadowed() -> dict[str, str]:
    """Returns name and `module:Class` of installed games that have the name of one of ours.

    `load` gives ours, so that installing a package never changes what a known name means.
    """
    points = importlib.metadata.entry_points(group=ENTRY_POINTS)
    return {point.name: point.value for point in points if point.name in BUILT_IN}


def _entry_point(name: str) -> str:
    points = importlib.metadata.entry_points(group=ENTRY_POINTS, name=name)
    targets = sorted({point.value for point in points})
    if len(targets) > 1:
        raise ValueError(
            f"several installed packages have a game {name!r}; name one: {', '.join(targets)}"
        )
    if targets:
        return targets[0]
    raise ValueError(
        f"unknown game {name!r}; known: {', '.join(names())}; "
        "or give package.module:Class for a game of your own"
    )


def _find_class(target: str, spec: str) -> Any:
    module_name, _, class_name = target.partition(":")
    module = import_plug_in(module_name, f"game {spec!r}")
    # A class, not just anything that can be called: a spec may come from somebody else's file.
    if not inspect.isclass(getattr(module, class_name, None)):
        found = ", ".join(
            name
            for name, value in vars(module).items()
            if inspect.isclass(value) and hasattr(value, "step")
        )
        raise ValueError(
            f"game {spec!r}: module {module_name!r} has no class {class_name!r}; "
            f"games in it: {found or 'none'}"
        )
    return getattr(module, class_name)


def _construct(cls: Any, options: dict[str, str], spec: str) -> Game[Any]:
    known = {
        name: parameter.default
        for name, parameter in inspect.signature(cls).parameters.items()
        if name not in NOT_OPTIONS and isinstance(parameter.default, bool | int | float | str)
    }
    values = {}
    for name, text in options.items():
        if name not in known:
            raise ValueError(
                f"game {spec!r}: unknown option {name!r}; known: {', '.join(known) or 'none'}"
            )
        values[name] = _parse(text, known[name], f"game {spec!r}: option {name}")
    try:
        game: Game[Any] = cls(**values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"game {spec!r}: {error}") from error
    return game


def _parse(text: str, default: bool | int | float | str, what: str) -> bool | int | float | str:
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{what} must be true or false, got {text!r}")
        return text.lower() == "true"
    try:
        return type(default)(text)
    except ValueError:
        kind = {int: "a whole number", float: "a number"}[type(default)]
        raise ValueError(f"{what} must be {kind}, got {text!r}") from None
