"""The evaluator of a run: the gate, the measurements while it trains, and the fixed point."""

from training import multihost, stages
from training.context import Context
from training.evaluation import gate, in_run
from training.evaluation.fixed_point import FixedPointMonitor
from training.evaluation.in_run import Evaluated
from training.evaluator import Decision
from training.state import Actor, State


class RunEvaluator:
    """Evaluates when the settings say so; applies what follows to the run's progress."""

    def __init__(self, context: Context) -> None:
        """Makes the positions on which the fixed point is measured."""
        measures = context.config.evaluation.gap_positions and multihost.is_first()
        self._monitor = FixedPointMonitor(context) if measures else None

    def choose_actor(self, context: Context, state: State, candidate: Actor) -> Actor:
        """Returns the weights that play from now on, by a match if the run has a gate."""
        decided = gate.decide(context, state, candidate)
        state.progress.measured += decided.evaluations
        if decided.line is not None:
            context.metrics.write(decided.line)
        return decided.actor

    def after_iteration(self, context: Context, state: State) -> Decision:
        """Measures the averaged weights if that is due."""
        config, progress = context.config, state.progress
        ended, must_save = progress.finished(config), False
        is_early = in_run.is_early(config, progress)
        if in_run.is_due(config, progress, ended) or is_early:
            context.metrics.activity("evaluating at the end" if ended else "evaluating")
            progress.evaluations += 1
            measured = self._evaluate(context, state, ended or is_early)
            must_save = _apply(context, state, measured)
            ended = ended or progress.finished(config)
        return Decision(ended, must_save)

    def _evaluate(self, context: Context, state: State, last: bool) -> Evaluated:
        evaluate = stages.stage(in_run.evaluate)
        measured: Evaluated = evaluate(context, state, self._monitor, last)
        return measured


def _apply(context: Context, state: State, result: Evaluated) -> bool:
    """Applies what an evaluation decided, and writes its line.

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
    config, work = context.config, context.work
    progress.evaluation_seconds = in_run.next_seconds(config, work, progress, result)
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
