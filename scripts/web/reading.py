"""What the server reads for a page: run folders, records, matches. Nothing here needs jax."""

from typing import Any

import games
from games import registry
from games.catalogue import GAMES
from scripts.web import reading_games, reading_match
from scripts.web.query import Query, Reader
from scripts.web.shelf import Shelf
from selfplay import shipped
from training.report import described, history, listing
from training.report import measured as beside
from training.storage.run_folder import RunFolder


def runs(shelf: Shelf, args: Query) -> dict[str, Any]:
    """Returns all runs, the newest first, all matches by name, and the players shipped with us."""
    known = _shipped()
    return {
        "folders": list(map(str, shelf.roots)),
        "runs": [{"name": str(path), **listing.as_json(path)} for path in shelf.runs()],
        "shipped": [{"name": shipped.PREFIX + name, "game": game} for name, game in known.items()],
        "matches": [{"name": str(path)} for path in shelf.matches()],
    }


def _shipped() -> dict[str, str]:
    """Returns the games of the players shipped with us, by their names."""
    names = shipped.names()
    return {name: registry.canonical(str(shipped.recipe(name)["game"])) for name in names}


def run(shelf: Shelf, args: Query) -> dict[str, Any]:
    """Returns what a run is."""
    return {"name": args.get("run", "")} | described.describe(_folder(shelf, args))


def curves(shelf: Shelf, args: Query) -> dict[str, Any]:
    """Returns all curves of a run."""
    return history.curves(_folder(shelf, args))


def measured(shelf: Shelf, args: Query) -> dict[str, Any]:
    """Returns what a run measured beside its curves, from its newest rows and last evaluation."""
    return beside.measured(_folder(shelf, args))


def _folder(shelf: Shelf, args: Query) -> RunFolder:
    return RunFolder(shelf.run(args.get("run", "")))


def catalogue(shelf: Shelf, args: Query) -> dict[str, Any]:
    """Returns all games by name, first those of players shipped with us, whatever their size.

    Of games that an installed package brings, it is no more than their names. Where a `game` is
    asked for, it comes back as all pages name it, so that equal games have equal texts.
    """
    listed = {
        name: {"about": game.about, "board": list(game.board), "options": game.options}
        for name, game in GAMES.items()
    }
    trained = {game: {"about": f"shipped:{name}"} for name, game in _shipped().items()}
    names = dict.fromkeys([*trained, *games.names()])
    known = [{"name": name, **(listed.get(name) or trained.get(name, {}))} for name in names]
    return {"games": known, "game": registry.canonical(args.get("game", ""))}


def checkpoints(shelf: Shelf, args: Query) -> dict[str, Any]:
    """Returns the game of a run and the steps of its checkpoints, oldest first."""
    folder = _folder(shelf, args)
    steps = folder.steps()
    return {"game": registry.canonical(folder.read_config().game), "steps": steps}


READERS: dict[str, Reader] = {
    "runs": runs,
    "run": run,
    "curves": curves,
    "catalogue": catalogue,
    "checkpoints": checkpoints,
    "measured": measured,
    **reading_games.READERS,
    **reading_match.READERS,
}
