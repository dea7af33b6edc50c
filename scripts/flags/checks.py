"""Mistakes seen at first sight, told before anything heavy is imported."""

import os
from collections.abc import Sequence

from games import registry
from games.consent import ENGINES
from selfplay import player_spec, shipped
from training.storage.run_folder import RunFolder


def game(spec: str) -> None:
    """Raises ValueError for the name of a game that nobody knows; an empty one is left out."""
    if spec:
        registry.check_name(spec)


def players(specs: Sequence[str], game: str) -> str:
    """Returns the game that players play: `game` if it is given, else that of the first run.

    Raises:
      ValueError: there are no such players, they play different games, or none is known.
    """
    for spec in specs:
        player_spec.check(spec)
    for spec in specs:
        if found := player_spec.run_of(spec):
            step(spec, *found)
            config = RunFolder(found[0]).read_config()
            own, game = config.game, game or config.game
            if registry.are_other_games(own, game, config.network.may_fit_any_size()):
                raise ValueError(f"player {spec!r} plays {own}, not {game}")
    if specs and not game:
        raise player_spec.needs_game(specs[0])
    return game


def step(spec: str, folder: str, wanted: int | None) -> None:
    """Raises ValueError if a run has not saved the step that is wanted of it."""
    saved = RunFolder(folder).steps()
    if wanted is not None and wanted not in saved:
        known = ", ".join(map(str, saved)) or "none"
        raise ValueError(f"{spec}: there is no checkpoint of step {wanted}; there are {known}")


def run(path: str, shipped_too: bool = False) -> None:
    """Raises ValueError if there is no run folder R, nor that of R@STEP.

    Args:
      shipped_too: whether `shipped:NAME` will do, which has weights but no history.
    """
    if shipped.is_name(path):
        if not shipped_too:
            raise ValueError(
                f"{path} is a player, not a run: it has no games, metrics or replay to look at"
            )
    elif not os.path.exists(path) and not os.path.isdir(path.rpartition("@")[0]):
        raise player_spec.no_such_run(path)
    if found := player_spec.run_of(path):
        step(path, *found)


def workers(number: int, players: Sequence[str] = ()) -> None:
    """Raises ValueError for a number of processes that cannot be, and for engines."""
    if number < 0:
        raise ValueError(f"--workers must be at least 0, got {number}")
    engines = [spec for spec in players if spec.startswith(ENGINES)]
    if number and engines:
        raise ValueError(
            f"--workers is not for engines, got {engines[0]}: an engine may choose at random or "
            "remember earlier games, so games played apart would differ"
        )
