"""Ratings that a run takes of itself as it goes: its present weights against its past.

The present weights meet the random player, which is rated 0, the first weights, the best so far,
and the last *rung*: a rung is the first to have been rated `RUNG` Elo above the rung before it. A
rung that has been succeeded plays no more, but its games count: they tie the present to the
beginning, over steps that games can measure. Who plays depends on nothing but the run's own course,
so that a resumed run is rated as one that was not stopped.
"""

import dataclasses
import os
from collections.abc import Callable
from typing import Any, NamedTuple

from games.game import Game
from selfplay.arena.ladder import OWN, ROUND, Ladder
from selfplay.arena.result import MatchResult
from selfplay.players import Player, random_player
from selfplay.rating import bradley_terry
from selfplay.rating.bradley_terry import Ratings
from training.config import RunConfig
from training.evaluation import budget
from training.network import Network
from training.players import checkpoint_steps, load_player, make_player
from training.progress import Progress
from training.storage.run_folder import RunFolder

FOLDER = "ladder"  # in the run's: the store that `selfplay arena --ladder R --store R/ladder` reads
RUNG = 100.0  # Elo


class Rated(NamedTuple):
    """A rating, and what follows from it."""

    entry: dict[str, Any]  # of the evaluation's line
    is_best: bool  # at least as strong as the best so far
    is_rung: bool


def rate(
    folder: RunFolder,
    config: RunConfig,
    game: Game[Any],
    network: Network,
    variables: Any,
    progress: Progress,
    games: int,
    against_random: MatchResult | None = None,
    tell: Callable[[str], None] = lambda notice: None,
) -> Rated:
    """Plays `games` games of folded `variables`, each against whom they tell most; rates them.

    Args:
      progress: whose step they are of.
      against_random: a match of theirs, which then counts too.
      tell: called with a sentence if lines of the store are damaged, which do not count.
    """
    name = f"{os.path.normpath(folder.path)}@{{}}:simulations={config.evaluation.simulations}"
    steps = _opponents(folder, progress)
    players = [random_player(game), *(_load(folder, config, name, step) for step in steps)]
    count = config.evaluation.simulations
    own = make_player(name.format(progress.step), game, network, variables, config.search, count)
    players.append(own)
    ladder = _ladder(folder, config, game, players, progress, tell)
    now = len(players) - 1
    if against_random is not None and not ladder.records[now]:
        ladder.add(against_random, now, 0)
    # Games that a killed process has played are there, and are not played again.
    games += against_random.games if against_random is not None else 0
    per_round = max(2 * budget.batch_of(config), ROUND)  # as many as are played side by side
    while ladder.records[now] < games:
        pairing = ladder.next_pairing(now)
        if pairing is None:
            break
        ladder.play(*pairing, min(per_round, games - ladder.records[now]))
    ratings = ladder.ratings()
    interval = bradley_terry.intervals(ratings, ladder.tally(), [now])[now]
    entry = {
        "elo": float(ratings.elo[now]),
        "interval": interval.tolist(),
        "games": ladder.games,
    }
    rung = [0, *progress.rungs][-1]
    places = {step: 1 + place for place, step in enumerate(steps)}
    is_rung = rung in places and ratings.elo[now] - ratings.elo[places[rung]] >= RUNG
    best = places.get(progress.best_step)
    if best is None:
        return Rated(entry, True, bool(is_rung))
    entry |= _compared(ratings, now, best) | {"best_step": progress.best_step}
    return Rated(entry, entry["over_best"] >= 0, bool(is_rung))


def _opponents(folder: RunFolder, progress: Progress) -> list[int]:
    """Returns the steps of the earlier weights that play, rising."""
    wanted = {0, progress.best_step, *progress.rungs[-1:]}
    return [
        step for step in checkpoint_steps(folder.path) if step in wanted and step < progress.step
    ]


def _load(folder: RunFolder, config: RunConfig, name: str, step: int) -> Player:
    path = os.path.normpath(folder.path)
    saved = load_player(path, config.evaluation.simulations, step)
    return dataclasses.replace(saved, name=name.format(step))


def _ladder(
    folder: RunFolder,
    config: RunConfig,
    game: Game[Any],
    players: list[Player],
    progress: Progress,
    tell: Callable[[str], None],
) -> Ladder:
    """Returns the run's ladder of these players and of the rungs that play no more."""
    present = {player.name.rpartition("@")[2] for player in players}
    simulations = config.evaluation.simulations
    past = [f"{step}:simulations={simulations}" for step in progress.rungs]
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
        absent=[f"{OWN}@{rest}" for rest in past if rest not in present],
    )
    if damaged:
        tell(f"{len(damaged)} games of the ladder do not count: {damaged[0]}")
    return ladder


def _compared(ratings: Ratings, one: int, other: int) -> dict[str, float]:
    return {
        "over_best": float(ratings.elo[one] - ratings.elo[other]),
        "over_best_error": bradley_terry.difference_error(ratings, one, other),
    }
