"""The measurements that a run takes while it trains."""

import time
from typing import Any, NamedTuple

from games.game import Game
from selfplay.arena import MatchResult, play_match
from selfplay.arena.ladder import ROUND
from selfplay.arena.openings import default_plies
from selfplay.perfect import mistakes
from selfplay.players import random_player
from training import flops
from training.config import RunConfig
from training.context import Context
from training.devices import local
from training.evaluation import budget, ladder
from training.evaluation.fixed_point import Decided, FixedPointMonitor
from training.evaluation.ladder import Rated
from training.flops import Work
from training.network import Network
from training.players import make_player, playable
from training.progress import MEASURED_SHARE, Progress
from training.settings import BY_BUDGET
from training.state import State

MOST_GAMES = 8 * ROUND  # of a rating by budget, which more would hardly sharpen
EARLY = 0.4  # of the minutes: by then a run has measured itself
PROGRAMS = 2.0  # what a whole evaluation compiles, in compilations of self-play: 1.4 to 2.1


class Evaluated(NamedTuple):
    """What an evaluation measured, and what follows from it."""

    entries: dict[str, Any]  # of its line in metrics.jsonl
    decided: Decided
    seconds: float
    evaluations: int  # of networks, that it took
    rated: int  # of which, for its rating
    rating: Rated | None  # in its own ladder, if it was rated


class Played(NamedTuple):
    """How well weights play."""

    entries: dict[str, Any]  # of an evaluation's line
    evaluations: int  # of networks
    match: MatchResult | None = None  # against random, if there was one


def is_due(config: RunConfig, progress: Progress, ended: bool) -> bool:
    """Whether the run measures itself after this iteration, and has not yet."""
    every = config.evaluation.every
    by_turn = bool(every) and (ended or progress.iteration % every == 0)
    return by_turn and progress.evaluated < progress.iteration


def lacks_time(config: RunConfig, progress: Progress, last: bool) -> str:
    """Returns why there is no time to measure now, as a sentence; empty if there is.

    What the first evaluation takes is not known: most of it is compilation, and the time to the end
    of the first iteration tells about how much.

    Args:
      last: whether the run ends here; else as much again must be left for its end.
    """
    left = progress.measuring_left(config)
    if progress.evaluations:
        needed = progress.evaluation_seconds * (1 if last else 2)
    else:
        needed = PROGRAMS * progress.compile_seconds
    if needed <= left:
        return ""
    return (
        f"not measured at step {progress.step}: that would take some {needed:.0f} s, and of the "
        f"{MEASURED_SHARE:.0%} of --minutes for it {max(left, 0.0):.0f} s are left"
    )


def is_early(config: RunConfig, progress: Progress) -> bool:
    """Whether a run bounded by minutes measures itself before its turn.

    The first time compiles, which nothing tells beforehand. Done now, what the measurement at the
    end takes is known, and can be kept free within the limit.
    """
    by_now = progress.elapsed() >= EARLY * 60 * config.minutes
    return bool(config.evaluation.every and config.minutes and not progress.evaluated and by_now)


def next_seconds(config: RunConfig, work: Work, progress: Progress, last: Evaluated) -> float:
    """Returns how long the next evaluation may take: as the last one, but that the first compiles.

    Of the first one, the network evaluations are counted, at the speed of the run so far.
    """
    if progress.evaluations > 1:
        return last.seconds
    computed = max(budget.of_learning(config, work, progress), 1)
    seconds = max(progress.elapsed() - last.seconds, 0.0)
    return min(last.seconds, last.evaluations * seconds / computed)


def is_best(progress: Progress, result: Evaluated) -> bool:
    """Whether the weights just measured are the run's best; of equals, the newest are.

    By mistakes where perfect play is known, of whole games. Elsewhere by rating; in a run that has
    none yet, by the score against random.
    """
    by_mistakes = "random" not in result.entries
    if result.rating is not None and not by_mistakes:
        return result.rating.is_best
    if progress.rated and not by_mistakes:
        return False  # it has been rated, but not now: there was no budget for games
    return progress.best_loss is None or bool(result.entries["loss"] <= progress.best_loss)


def evaluate(
    context: Context, state: State, monitor: FixedPointMonitor | None, last: bool
) -> Evaluated:
    """Measures the averaged weights of a run; changes nothing in it.

    Args:
      monitor: of the way to the fixed point, if that is measured.
      last: whether all is measured, as where the run ends.
    """
    began = time.monotonic()
    config, progress = context.config, state.progress
    variables = playable(context.network, local(state.train.averages))
    played = evaluate_run(config, context.game, context.network, variables, config.seed)
    entries, spent = played.entries, played.evaluations
    decided = Decided()
    if monitor is not None:
        measured = monitor.measure(variables, progress, last)
        entries |= measured.entries
        decided, spent = measured.decided, spent + measured.evaluations
    games, each = _ladder_games(context, progress, played, spent)
    rating = None
    if games:
        context.store.wait()  # or its retention could remove a checkpoint that is to play
        known = context.folder, config, context.game, context.network
        notice = context.metrics.notice
        rating = ladder.rate(*known, variables, progress, games, played.match, notice)
        entries["ladder"] = rating.entry
    entries["simulations"] = config.evaluation.simulations
    if rating or played.match or "strength" in entries.get("fixed_point", {}):
        entries["opening_plies"] = default_plies(context.game)
    counted = progress.measured + spent + games * each
    entries["share"] = counted / (counted + budget.of_learning(config, context.work, progress))
    seconds = time.monotonic() - began
    return Evaluated(entries, decided, seconds, spent + games * each, games * each, rating)


def is_rated_by_budget(config: RunConfig) -> bool:
    """Whether a run rates itself with as many games as its budget allows."""
    by_budget = config.evaluation.ladder_games == BY_BUDGET
    return by_budget and not mistakes.has_oracle(config.game)


def _ladder_games(
    context: Context, progress: Progress, played: Played, spent: int
) -> tuple[int, int]:
    """Returns how many games to rate a run by now, and the network evaluations that each takes.

    Args:
      spent: network evaluations of this evaluation so far.
    """
    config, settings = context.config, context.config.evaluation
    plies = context.game.max_plies
    if played.match is not None:
        plies = max(map(len, played.match.moves))
    each = plies * flops.evaluations_of_search(config.search, context.game, settings.simulations)
    if settings.ladder_games != BY_BUDGET:
        return settings.ladder_games, each
    if not is_rated_by_budget(config) or not progress.step:
        return 0, each
    measured = progress.measured + spent
    left = int(min(budget.left(config, context.work, progress, measured) // each, MOST_GAMES))
    return left // ROUND * ROUND, each


def evaluate_run(
    config: RunConfig, game: Game[Any], network: Network, variables: Any, seed: int
) -> Played:
    """Measures folded weights: mistakes against perfect play, else a match against random.

    Of a game whose endings alone are solved, it takes both. `loss` among the entries is what the
    best checkpoint has least of, unless the run is rated: the search's mean mistake rate, of whole
    games, or 1 - its score.
    """
    settings = config.evaluation
    each = flops.evaluations_of_search(config.search, game, settings.simulations)

    def player(simulations: int) -> Any:
        return make_player("run", game, network, variables, config.search, simulations)

    def measured() -> tuple[dict[str, Any], int]:
        """Returns the mistake rates of every set, and the network evaluations that they took."""
        rates = {
            name: mistakes.measure(
                player(0),
                {settings.simulations: player(settings.simulations)},
                mistakes.first(chosen, settings.positions),
            )
            for name, chosen in mistakes.load_positions(config.game).items()
        }
        return rates, sum(rate["positions"] for rate in rates.values()) * (each + 1)

    if mistakes.has_oracle(config.game):
        rates, spent = measured()
        searched = [rate["search"] for rate in rates.values()]
        return Played({"perfect": rates, "loss": sum(searched) / len(searched)}, spent)
    games = min(settings.games, ROUND) if is_rated_by_budget(config) else settings.games
    result = play_match(player(settings.simulations), random_player(game), game, games, seed)
    against = {"games": result.games, "score": result.score, "interval": list(result.interval)}
    entries: dict[str, Any] = {"random": against, "loss": 1 - result.score}
    spent = budget.of_match(result, each, 0)
    if mistakes.has_endings(config.game):  # told beside: endings alone are not strength
        entries["perfect"], of_endings = measured()
        spent += of_endings
    return Played(entries, spent, result)
