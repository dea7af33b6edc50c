"""Ratings that a run takes of itself as it goes: its present weights among its checkpoints."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

from games.game import Game
from selfplay.arena.ladder import ROUND, Ladder
from selfplay.players import random_player
from selfplay.rating import bradley_terry
from training.config import RunConfig
from training.network import Network
from training.players import checkpoint_steps, load_player, make_player
from training.storage.run_folder import RunFolder

FOLDER = "ladder"  # in the run's: the store that `selfplay ladder R --store R/ladder` reads
MOST_CHECKPOINTS = 8  # so many, evenly spread, beside the newest


def rate(
    folder: RunFolder,
    config: RunConfig,
    game: Game[Any],
    network: Network,
    variables: Any,
    step: int,
    tell: Callable[[str], None] = lambda notice: None,
) -> dict[str, Any]:
    """Plays `evaluation.ladder_games` games, the most telling ones; returns the rating of `step`.

    The players are `random`, which is rated 0, checkpoints of the run, and folded `variables`.

    Args:
      tell: called with a sentence if lines of the store are damaged, which do not count.
    """
    settings = config.evaluation
    count, path = settings.simulations, os.path.normpath(folder.path)
    name = f"{path}@{{}}:simulations={count}"
    earlier = [known for known in checkpoint_steps(folder.path) if known < step]
    chosen = earlier[:: -(-len(earlier) // MOST_CHECKPOINTS) or 1]
    players = [random_player(game)]
    for known in sorted({*chosen, *earlier[-1:]}):
        saved = load_player(path, count, known)
        players.append(dataclasses.replace(saved, name=name.format(known)))
    players.append(make_player(name.format(step), game, network, variables, config.search, count))
    store = folder.path / FOLDER
    store.mkdir(exist_ok=True)
    damaged: list[str] = []
    ladder = Ladder(
        store / "games.jsonl",
        config.game,
        game,
        players,
        config.seed,
        home=folder.path,
        damaged=damaged.append,
    )
    if damaged:
        tell(f"{len(damaged)} games of the ladder do not count: {damaged[0]}")
    for played in range(0, settings.ladder_games, ROUND):
        pairing = ladder.next_pairing()
        if pairing is not None:
            ladder.play(*pairing, min(ROUND, settings.ladder_games - played))
    ratings = ladder.ratings()
    interval = bradley_terry.intervals(ratings, ladder.tally())[-1]
    return {"elo": float(ratings.elo[-1]), "interval": interval.tolist(), "games": ladder.games}
