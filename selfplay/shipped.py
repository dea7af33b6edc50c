"""Trained players that come with the package: `shipped:NAME`.

Each is a run's folder that holds its settings, one checkpoint and `recipe.json`, which says how it
was made; `python -m scripts.developer.ship_player` makes such a folder from a run. The rest of the
code reads it as it reads any run, but nothing writes there. How strong they are:
docs/players.md. Nothing here needs jax.
"""

import os
import pathlib
from typing import TYPE_CHECKING, Any

from games import consent, registry
from games.spelling import did_you_mean
from selfplay.files import json_lines

if TYPE_CHECKING:
    from games.game import Game

PREFIX = consent.SHIPPED
FOLDER = pathlib.Path(__file__).with_suffix("")  # data alone, beside this file
RECIPE = "recipe.json"


def names() -> list[str]:
    """Returns the names of the players that come with the package, in order.

    Example:
      >>> from selfplay import shipped
      >>> "connect_four" in shipped.names()
      True
    """
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{RECIPE}"))


def is_name(text: str) -> bool:
    """Whether a text names one of these, rightly or not."""
    return text.startswith(PREFIX)


def folder_of(text: str) -> str:
    """Returns the folder of `shipped:NAME`; of any other text, that text.

    Raises:
      ValueError: there is no such player; says which there are.
    """
    if not is_name(text):
        return text
    name = text.removeprefix(PREFIX)
    if name not in names():
        largest = {str(recipe(one)["game"]).partition(":")[0]: one for one in names()}
        raise ValueError(
            f"player {text!r}: none of that name comes with selfplay"
            f"{did_you_mean(name, names(), largest)}; there are {', '.join(names())}"
        )
    return str(FOLDER / name)


def name_of(folder: str | os.PathLike[str]) -> str:
    """The name of a run: `shipped:NAME`, or its folder."""
    path = pathlib.Path(folder)
    return PREFIX + path.name if path.parent == FOLDER else os.path.normpath(path)


def recipe(name: str) -> dict[str, object]:
    """Returns how a player was made, and of which game it is."""
    file = FOLDER / name / RECIPE
    content = json_lines.read_object(file)
    if not isinstance(content.get("game"), str):
        raise _damaged(file, "it names no game")
    return content


def of_game(spec: str) -> list[str]:
    """Returns the players of a game: that of these very options first, then those of the largest.

    Args:
      spec: as in `hex:size=5`.

    Raises:
      ValueError: there is no such game.
    """
    wanted = registry.load(spec)
    games = {name: _game_of(name) for name in names()}
    same = [name for name, game in games.items() if type(game) is type(wanted)]
    return sorted(same, key=lambda name: (games[name] != wanted, -games[name].num_actions))


def _game_of(name: str) -> "Game[Any]":
    try:
        return registry.load(str(recipe(name)["game"]))
    except ValueError as error:
        raise _damaged(FOLDER / name / RECIPE, str(error)) from None


def _damaged(file: pathlib.Path, what: str) -> ValueError:
    return ValueError(f"{file} is damaged: {what}; it comes with selfplay: install it again")
