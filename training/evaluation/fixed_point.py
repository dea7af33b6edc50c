"""The fixed point of `A <- Distill(Amplify(A))`: how near a run is, and when it is there.

Measured at each evaluation: the amplification gap (`selfplay.amplify.gap`) on three sets of
positions, what A's own moves lose there when search is made to look at them, and what a move costs;
at some of them and at the last, by matches: the strength of Amplify(A) over A at several budgets,
and the distillation gap, how A without search fares against Amplify(A') of the A' measured before.

`--until-fixed-point` trains until the gap is flat: over the last `WINDOW` evaluations the means of
its three thirds differ by no more than noise, or by next to nothing. Evaluations in the warm-up of
the learning rate do not count, and of those that follow each other faster than the replay is
renewed, which show noise and no trend, only some do. A plateau at a high learning rate may be that
rate's noise, so at the first one the rate is brought down; a plateau at the low rate is the end.
"""

import functools
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from selfplay.amplify import gap
from selfplay.amplify.gap import Positions
from selfplay.amplify.slot import Amplifier
from selfplay.arena import MatchResult, play_match
from selfplay.files import json_objects
from selfplay.players import Player, policy_player
from selfplay.randomness import RunPurpose
from training import flops, metrics
from training.context import Context
from training.evaluation import budget, strength
from training.metrics import FixedPoint
from training.players import load_amplifier, load_weights, make_player, playable
from training.progress import Progress

WINDOW = 9  # evaluations, a multiple of 3
# The means of three thirds of nothing but noise lie within 3.5 standard errors of each other in
# 96% of cases (the studentized range of three).
SPREAD = 3.5
TINY = 1e-3  # nats: a gap that falls ever more slowly would else go on falling for ever
UNHELD = 0.25  # share of moves that an amplifier without values changes, if A does not follow it
LOWER_RATE_BY = 1.5  # the rate has fallen when the run has taken this many times the steps so far

Stage = Literal["moving", "flat", "settled", "stuck"]


class Point(NamedTuple):
    """One evaluation of a run's way to the fixed point."""

    step: int
    fresh: float  # the gap's KL on positions from A's own games
    probe: float  # and on the probe set
    # Share of A's own moves that lose much, as Amplify(A) sees it: in games against random moves
    # or against itself, whichever is more.
    blunders: float
    own: float  # KL on positions of A against A


class Decided(NamedTuple):
    """What a measurement changes in the run, where it changes anything; the loop applies it."""

    horizon: float | None = None  # the step at which the learning rate is to have fallen
    strength_step: int | None = None  # of the weights whose strength was measured
    fixed_point: str = ""  # why the run ends here


class Measured(NamedTuple):
    """A measurement, and what follows from it."""

    entries: dict[str, Any]  # of the evaluation's line
    decided: Decided
    evaluations: int  # of networks, that it took


class FixedPointMonitor:
    """What measures how near one run is; holds what is the same at each evaluation."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.amplifier: Amplifier = load_amplifier(context.config, context.game, noise=False)
        self._probe: Positions | None = None  # the same for the whole run

    def measure(self, variables: Any, progress: Progress, last: bool) -> Measured:
        """Measures A.

        Args:
          variables: A's weights as they play.
          progress: of the run, which is not changed.
          last: whether the run ends here.
        """
        game, config = self.context.game, self.context.config
        settings = config.evaluation
        network_only = policy_player("A", game, self.context.network.evaluate, variables)
        amplified = self.amplifier.as_player(game, variables)
        result, per_move, spent = self._gaps(network_only, amplified, progress)
        point = _point(progress.step, json_objects.read(FixedPoint, result))
        warmup, history = config.learner.warmup_steps, [*self._history, point]
        result["stage"] = stage(history, progress.horizon, self._spacing, warmup)
        decided = self._decide(result, progress) if config.until_fixed_point else Decided()
        by_turn = (progress.evaluations + 1) % settings.strength_every == 0
        if settings.strength_games and (last or by_turn or decided.fixed_point):
            matches, cost = self._strength(network_only, amplified, progress)
            result, spent = result | matches, spent + cost
            decided = decided._replace(strength_step=progress.step)
        if decided.fixed_point:
            measured = json_objects.read(FixedPoint, result)
            result["verdict"] = verdict(measured, settings.simulations, config.amplify)
            decided = decided._replace(fixed_point=result["verdict"])
        self._history.append(point)  # at the end: an evaluation that is left early does not count
        return Measured({"fixed_point": result, "seconds_per_move": per_move}, decided, spent)

    def _gaps(
        self, network_only: Player, amplified: Player, progress: Progress
    ) -> tuple[dict[str, Any], dict[str, float], int]:
        """Returns the gap by set, the seconds of a move, and the network evaluations taken."""
        game, config = self.context.game, self.context.config
        count, variables = config.evaluation.gap_positions, network_only.variables

        def seed(purpose: RunPurpose) -> np.random.SeedSequence:
            return np.random.SeedSequence([config.seed, purpose, progress.iteration])

        fresh, act = seed(RunPurpose.FRESH), network_only.act
        if self._probe is None:
            probe = np.random.SeedSequence([config.seed, RunPurpose.PROBE])
            self._probe = gap.reach(game, act, variables, probe, count, seats=0)
        sets = {
            "own": gap.reach(game, act, variables, seed(RunPurpose.OWN), count, seats=2),
            "fresh": gap.reach(game, act, variables, fresh, count, only_own=True),
            "probe": self._probe,
        }
        key = jax.random.key(int(fresh.generate_state(1)[0]))
        spent = 2 * gap.games_for(game, count) * min(game.max_plies, gap.MAX_PLIES)
        gaps, seconds = {}, {}
        # The last set's calls are timed: the first one's may have had to compile.
        for name, where in sets.items():
            moved, seconds["amplified"] = gap.measure(amplified, where, key)
            _, seconds["policy"] = gap.measure(network_only, where, key)
            gaps[name] = gap.summary(moved, where.ply)
            spent += moved.asked * self.context.work.decision + count
        return gaps, {name: time / count for name, time in seconds.items()}, spent

    @property
    def _spacing(self) -> float:
        """Steps between evaluations that count: in a window all replay examples are new."""
        replay, batch = self.context.config.replay, self.context.config.learner.batch
        return replay.capacity * replay.samples_per_example / batch / (WINDOW - 1)

    @functools.cached_property
    def _history(self) -> list[Point]:
        """The evaluations so far: read once, for a log of days is long, then added to."""
        damaged: list[str] = []
        lines = self.context.folder.read_metrics(damaged.append)
        if damaged:
            self.context.metrics.notice(
                f"the way to the fixed point is seen without {len(damaged)} damaged lines: "
                f"{damaged[0]}"
            )
        return [
            _point(line.step, measured)
            for line in metrics.history(lines).evaluations
            if (measured := line.fixed_point) is not None
        ]

    def _decide(self, result: dict[str, Any], progress: Progress) -> Decided:
        """Lowers the rate at the first plateau; ends the run at the one that follows."""
        if result["stage"] == "flat":
            horizon = LOWER_RATE_BY * progress.step
            self.context.metrics.notice(
                f"the amplification gap no longer falls (fresh {result['fresh']['kl']:.3f} nats): "
                f"the learning rate falls until step {horizon:.0f}, to see if that helps"
            )
            return Decided(horizon=horizon)
        if result["stage"] in ("settled", "stuck"):
            return Decided(fixed_point=result["stage"])
        return Decided()

    def _strength(
        self, network_only: Player, amplified: Player, progress: Progress
    ) -> tuple[dict[str, Any], int]:
        """Returns the matches of Amplify(A) and of the A measured before against A, and their cost.

        That is in network evaluations.
        """
        context, config = self.context, self.context.config
        seed = np.random.SeedSequence([config.seed, RunPurpose.STRENGTH, progress.iteration])
        number = int(seed.generate_state(1)[0])

        spent = 0

        def match(amplifies: Player, evaluations: int, swapped: bool = False) -> MatchResult:
            nonlocal spent
            pair = (network_only, amplifies) if swapped else (amplifies, network_only)
            games = config.evaluation.strength_games
            result = play_match(*pair, context.game, games, number)
            spent += budget.of_match(result, evaluations, 1)
            return result

        def each(name: int | str) -> int:
            if isinstance(name, str):
                return context.work.decision
            return flops.evaluations_of_search(config.search, context.game, name)

        matches = {
            str(name): strength.of(match(player, each(name)))
            for name, player in self._budgets(network_only.variables, amplified).items()
        }
        result: dict[str, Any] = {"strength": matches}
        before = progress.strength_step
        # For the save of `before`: what is measured must not depend on speed.
        context.store.wait()
        if before in context.store.steps() and before != progress.step:
            weights = load_weights(context.folder, before, context.network)
            old = playable(context.network, weights)
            teacher = self.amplifier.as_player(context.game, old)
            against = match(teacher, context.work.decision, swapped=True)
            result["distilled"] = {"amplified_step": before, **strength.of(against)}
        return result, spent

    def _budgets(self, variables: Any, amplified: Player) -> dict[int | str, Player]:
        """Returns Amplify(A) as in self-play and, where it is a search, as in evaluations."""
        game, config = self.context.game, self.context.config
        if config.amplify != "search":
            return {config.amplify: amplified}
        most = config.evaluation.simulations
        known = "A", game, self.context.network, variables, config.search
        players = {config.search.simulations: amplified, most: make_player(*known, most)}
        return dict(sorted(players.items()))


def _point(step: int, measured: FixedPoint) -> Point:
    own, fresh, probe = measured.own, measured.fresh, measured.probe
    return Point(step, fresh.kl, probe.kl, measured.blunders, own.kl)


def stage(history: list[Point], lowered: float, spacing: float = 1.0, warmup: int = 0) -> Stage:
    """Returns where a run is, from all its evaluations.

    Args:
      lowered: the step from which the learning rate is at its lowest; 0 if that is not fixed yet.
      spacing: least steps between evaluations that count; one of an untrained network never does.
      warmup: steps in which the learning rate rises; evaluations before its end do not count.

    Returns:
      `moving`; `flat`: at a plateau, the rate not lowered yet; at a plateau of the lowest rate,
      `settled` if Amplify(A) saw no blunder in it, `stuck` if it saw some for two windows.
    """
    begin = max(lowered, warmup, 1)
    after = _spaced([point for point in history if point.step >= begin], spacing)
    if not lowered:
        return "flat" if _is_flat(after) else "moving"
    if not _is_flat(after):
        return "moving"
    if not any(point.blunders for point in after[-WINDOW:]):
        return "settled"
    return "stuck" if len(after) >= 2 * WINDOW else "moving"


def _spaced(history: list[Point], spacing: float) -> list[Point]:
    kept: list[Point] = []
    for point in history:
        if not kept or point.step >= kept[-1].step + max(spacing, 1.0):
            kept.append(point)
    return kept


def _is_flat(history: list[Point]) -> bool:
    if len(history) < WINDOW:
        return False
    window = history[-WINDOW:]
    columns = [[getattr(point, name) for point in window] for name in ("fresh", "probe", "own")]
    return all(map(is_flat, columns))


def is_flat(series: list[float]) -> bool:
    """Whether `WINDOW` gaps, in nats, show nothing but noise, or differ by next to nothing.

    The noise is that of successive differences (von Neumann 1941), which a trend hardly widens.
    """
    values = np.asarray(series, float)
    deviation = np.sqrt(np.square(np.diff(values)).mean() / 2)
    means = values.reshape(3, -1).mean(axis=1)
    noise = SPREAD * deviation / np.sqrt(len(values) / 3)
    return bool(np.ptp(means) <= max(noise, TINY))


def verdict(measured: FixedPoint, simulations: int, amplify: str = "search") -> str:
    """Returns in a sentence why a run that ended at a plateau is there.

    Args:
      measured: of the last evaluation.
      simulations: of a search that amplifies.
      amplify: what does.
    """
    match, fresh, blunders = measured.strongest, measured.fresh, measured.blunders
    what = metrics.amplified(amplify)
    # Who names a move and values none sees no blunder in any other.
    unseen = fresh.regret == 0 and fresh.changed > UNHELD
    share, name = (fresh.changed, "changed") if unseen else (blunders, "blunders")
    facts = f"gap {fresh.kl:.3f} nats, {share:.1%} of the network's own moves are {name}"
    facts += f", {match.in_words(amplify)}" if match else ""
    if blunders or unseen or (match and match.interval[0] > 0.5):
        advice = "a larger network, a lower rate or a larger replay may"
        if amplify != "search":
            advice += ", or --learner.no-augment if it decides otherwise where boards are alike"
        return f"fixed point: the network cannot hold what {what} finds; {advice} ({facts})"
    if match and match.is_weaker:
        return f"fixed point: {what} is weaker than the network and teaches it nothing ({facts})"
    more = f"; more than {simulations} simulations may" if amplify == "search" else ""
    return f"fixed point: {what} adds nothing more{more} ({facts})"
