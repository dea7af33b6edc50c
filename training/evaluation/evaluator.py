"""The evaluator of a run: the gate, the measurements while it trains, and the fixed point."""

import time
from collections.abc import Callable

from selfplay.players import answering
from training import multihost, stages
from training.context import Context
from training.evaluation import budget, gate, in_run
from training.evaluation.fixed_point import FixedPointMonitor
from training.evaluation.in_run import Evaluated
from training.evaluator import Decision, Stop, StoppedError
from training.progress import MEASURED_SHARE
from training.state import Actor, State


class OutOfTimeError(Exception):
    """An evaluation took all the time that measuring may take: it is given up."""


class RunEvaluator:
    """Evaluates when the settings say so; applies what follows to the run's progress."""

    def __init__(self, context: Context) -> None:
        """Makes the positions on which the fixed point is measured."""
        measures = context.config.evaluation.gap_positions and multihost.is_first()
        self._monitor = FixedPointMonitor(context) if measures else None

    def choose_actor(self, context: Context, state: State, candidate: Actor, stop: Stop) -> Actor:
        """Returns the weights that play from now on, by a match if the run has a gate."""
        with answering(_stopping(stop), budget.batch_of(context.config)):
            decided = gate.decide(context, state, candidate)
        state.progress.measured += decided.evaluations
        if decided.line is not None:
            context.metrics.write(decided.line)
        return decided.actor

    def after_iteration(self, context: Context, state: State, stop: Stop) -> Decision:
        """Measures the averaged weights if that is due and there is time for it."""
        config, progress = context.config, state.progress
        ended, must_save = progress.finished(config), False
        is_early = in_run.is_early(config, progress)
        if in_run.is_due(config, progress, ended) or is_early:
            if why_not := in_run.lacks_time(config, progress, ended):
                progress.evaluated = progress.iteration
                if ended or is_early:  # one by turn may be left out without a word
                    context.metrics.notice(why_not)
                return Decision(ended)
            if multihost.parts() == 1:  # else NaN would end this process alone
                stages.write_pending(context, state)  # so that lines are in order
            context.metrics.activity("evaluating at the end" if ended else "evaluating")
            # Bounded by minutes, the first is whole: it tells what the last will take.
            whole = ended or is_early or (config.minutes and not progress.evaluations)
            must_save = self._evaluate(context, state, bool(whole), stop)
            progress.evaluated = progress.iteration
            ended = ended or progress.finished(config)
        return Decision(ended, must_save)

    def _evaluate(self, context: Context, state: State, last: bool, stop: Stop) -> bool:
        """Measures, within what is left of the time for it; returns whether to save."""
        progress, began = state.progress, time.monotonic()
        most = progress.measuring_left(context.config)
        stopping = _stopping(stop)

        def check() -> None:
            stopping()
            if time.monotonic() - began > most:
                raise OutOfTimeError

        evaluate = stages.stage(in_run.evaluate)
        try:
            with answering(check, budget.batch_of(context.config)):
                measured: Evaluated = evaluate(context, state, self._monitor, last)
        except OutOfTimeError:
            context.metrics.notice(
                f"an evaluation was given up after {most:.0f} s: measuring may take "
                f"{MEASURED_SHARE:.0%} of --minutes"
            )
            return False
        finally:
            progress.seconds_measured += time.monotonic() - began
        return _apply(context, state, measured, last)


def _stopping(stop: Stop) -> Callable[[], None]:
    """Returns what raises StoppedError once the run was told to stop."""

    def check() -> None:
        if stop():
            raise StoppedError

    return check


def _apply(context: Context, state: State, result: Evaluated, whole: bool) -> bool:
    """Applies what an evaluation decided, and writes its line.

    Args:
      whole: all was measured, as at the end of a run: what its end takes is known by this one.

    Returns:
      Whether these weights must be saved: as the best so far, as those that the next ones will be
      rated by, or as those whose search the next network without one will meet.
    """
    progress, decided = state.progress, result.decided
    is_best = in_run.is_best(progress, result)
    measured_anew = decided.strength_step not in (None, progress.strength_step)
    if decided.horizon is not None:
        progress.horizon = decided.horizon
    if decided.strength_step is not None:
        progress.strength_step = decided.strength_step
    progress.fixed_point = decided.fixed_point or progress.fixed_point
    progress.evaluations += 1
    config, work = context.config, context.work
    seconds = in_run.next_seconds(config, work, progress, result)
    progress.evaluation_seconds = seconds if whole else max(progress.evaluation_seconds, seconds)
    progress.measured += result.evaluations
    progress.rated += result.rated
    progress.count(work, config.learner.batch)
    context.metrics.write({"kind": "evaluation", **progress.where(), **result.entries})
    if is_best:
        progress.best_loss, progress.best_step = result.entries["loss"], progress.step
    is_rung = result.rating is not None and result.rating.is_rung
    if is_rung:
        progress.rungs.append(progress.step)
    return is_best or is_rung or measured_anew
