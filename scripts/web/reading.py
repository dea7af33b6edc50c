"""What the server reads for a page: run folders, records, matches. Nothing here needs jax."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import games
from games.catalogue import GAMES
from scripts.web.shelf import Shelf
from selfplay.files import durable
from training.storage.run_folder import RunFolder

Reader: TypeAlias = Callable[[Shelf, Mapping[str, str]], dict[str, Any]]


def runs(shelf: Shelf, args: Mapping[str, str]) -> dict[str, Any]:
    """Returns all runs and matches, the newest first."""
    return {
        "runs": [{"name": str(path)} for path in shelf.runs()],
        "matches": [{"name": str(path)} for path in shelf.matches()],
    }


def catalogue(shelf: Shelf, args: Mapping[str, str]) -> dict[str, Any]:
    """Returns all games by name; of those that an installed package brings, no more than that."""
    listed = {
        name: {"about": game.about, "board": list(game.board), "options": game.options}
        for name, game in GAMES.items()
    }
    return {"games": [{"name": name, **listed.get(name, {})} for name in games.names()]}


def checkpoints(shelf: Shelf, args: Mapping[str, str]) -> dict[str, Any]:
    """Returns the game of a run and the steps of its checkpoints, oldest first."""
    folder = RunFolder(shelf.run(args.get("run", "")))
    names = durable.names_in(folder.path / "checkpoints")
    steps = sorted(int(name) for name in names if name.isascii() and name.isdecimal())
    return {"game": folder.read_config().game, "steps": steps}


READERS: dict[str, Reader] = {"runs": runs, "catalogue": catalogue, "checkpoints": checkpoints}
