"""The measurements that a run takes while it trains."""

import time
from typing import Any, NamedTuple

from games.game import Game
from selfplay.arena import play_match
from selfplay.perfect import mistakes
from selfplay.players import random_player
from training.config import RunConfig
from training.context import Context
from training.evaluation import ladder
from training.evaluation.fixed_point import Decided, FixedPointMonitor
from training.network import Network
from training.players import make_player, playable
from training.progress import Progress
from training.state import State


class Evaluated(NamedTuple):
    """What an evaluation measured, and what follows from it."""

    entries: dict[str, Any]  # of its line in metrics.jsonl
    decided: Decided
    seconds: float


def is_due(config: RunConfig, progress: Progress, ended: bool) -> bool:
    """Whether the run measures itself after this iteration."""
    every = config.evaluation.every
    return bool(every) and (ended or progress.iteration % every == 0)


def evaluate(
    context: Context, state: State, monitor: FixedPointMonitor | None, last: bool
) -> Evaluated:
    """Measures the averaged weights of a run; changes nothing in it.

    Args:
      monitor: of the way to the fixed point, if that is measured.
      last: whether the run ends here.
    """
    began = time.monotonic()
    config, game, network = context.config, context.game, context.network
    variables = playable(network, state.train.averages)
    entries = evaluate_run(config, game, network, variables, config.seed)
    if config.evaluation.ladder_games:
        context.store.wait()  # or its retention could remove a checkpoint that is to play
        known = context.folder, config, game, network
        step, notice = state.progress.step, context.metrics.notice
        entries["ladder"] = ladder.rate(*known, variables, step, notice)
    decided = Decided()
    if monitor is not None:
        measured, decided = monitor.measure(variables, state.progress, last)
        entries |= measured
    return Evaluated(entries, decided, time.monotonic() - began)


def evaluate_run(
    config: RunConfig, game: Game[Any], network: Network, variables: Any, seed: int
) -> dict[str, Any]:
    """Measures folded weights: mistakes against perfect play, else a match against random.

    Returns:
      Entries for metrics.jsonl. `loss` is what the best checkpoint has least of: the search's mean
      mistake rate, or 1 - its score.
    """
    settings = config.evaluation

    def player(simulations: int) -> Any:
        return make_player("run", game, network, variables, config.search, simulations)

    if mistakes.has_oracle(config.game):
        sets = mistakes.load_positions(config.game)
        rates = {
            name: mistakes.measure(
                player(0),
                {settings.simulations: player(settings.simulations)},
                mistakes.first(chosen, settings.positions),
            )
            for name, chosen in sets.items()
        }
        searched = [rate["search"] for rate in rates.values()]
        return {"perfect": rates, "loss": sum(searched) / len(searched)}
    result = play_match(
        player(settings.simulations), random_player(game), game, settings.games, seed
    )
    against = {"games": result.games, "score": result.score, "interval": list(result.interval)}
    return {"random": against, "loss": 1 - result.score}
