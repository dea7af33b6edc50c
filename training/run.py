"""The training loop: A <- Distill(Amplify(A)), that is self-play, replay, train, evaluate, save.

The accelerator does not wait for the host: the next self-play rollout is dispatched before the last
one's plies are unpacked, and training steps queue behind it. So the weights that act are one
iteration behind those that learn, and a checkpoint holds, beside the training state, the weights
that the rollout in flight plays with and the games from before it: a resumed run repeats it.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from selfplay import devices
from training import multihost, start
from training.config import RunConfig
from training.context import Context
from training.decision_examples import NOTHING, DecisionExamples
from training.devices import local
from training.evaluator import Evaluator, MakeEvaluator, NoEvaluation
from training.metrics_log import MetricsLog
from training.source import LOCAL, Source
from training.stages import distil, report, save, write_pending
from training.state import Actor, State
from training.storage.run_folder import RunFolder


class Agreed(NamedTuple):
    """What all processes do after an iteration."""

    stopped: bool  # one of them was told to stop
    ended: bool  # the run is complete
    save: bool


def train(
    folder: RunFolder,
    config: RunConfig,
    metrics: MetricsLog,
    stop: Callable[[], bool],
    make_evaluator: MakeEvaluator = NoEvaluation,
    source: Source = LOCAL,
    decision_examples: DecisionExamples = NOTHING,
    first_weights: tuple[RunFolder, int] | None = None,
) -> bool:
    """Trains until the run's limits, or until `stop()`; saves either way.

    Args:
      folder: a run folder that exists and whose lock is held; one without a checkpoint begins,
        another goes on.
      stop: asked once an iteration; true: save and return.
      make_evaluator: of what measures the run, and decides by it.
      source: of the examples.
      decision_examples: an overseer's decisions, to learn from beside the games.
      first_weights: a run and step whose weights a new run begins with.

    Returns:
      Whether the run is complete.

    Raises:
      ValueError, CheckpointError, NonFiniteError, OSError: as the message says.
    """

    def iterate(context: Context, state: State) -> bool:
        return _iterate(context, state, source, make_evaluator(context), stop)

    given = source, decision_examples, first_weights
    return start.with_rollback(folder, config, metrics, iterate, *given)


def _iterate(
    context: Context, state: State, source: Source, evaluator: Evaluator, stop: Callable[[], bool]
) -> bool:
    """Runs iterations until a limit, `stop()`, or NaN or infinity; returns whether a limit came."""
    config, progress = context.config, state.progress
    save_at = time.monotonic() + config.checkpoint.every_seconds
    first = progress.iteration + 1

    def halt() -> bool:
        return stop() or progress.finished(config)

    agreed = _agree(state, stop(), progress.finished(config))
    while not (agreed.ended or agreed.stopped):
        began = time.monotonic()
        actor = _choose_actor(context, state, evaluator)
        # Amplify: self-play by tree search, whose finished games go to the replay buffer.
        monitors = source.next(context, state, actor, halt)
        if monitors is None:  # it was told to stop while it waited for workers
            agreed = agreed._replace(ended=not stop())
            break
        # Distill: training steps on minibatches of the replay buffer.
        losses = distil(context, state, source.should_yield)
        progress.iteration += 1
        progress.count(context.work, config.learner.batch)
        if not config.until_fixed_point:  # which lowers the rate itself
            progress.fix_horizon(60 * config.minutes)
        report(context, state, monitors, losses)
        if progress.iteration > first:  # which compiled: the next one will be faster
            progress.iteration_seconds = time.monotonic() - began
        # Evaluate, where that is due, and save.
        agreed = _after_iteration(context, state, evaluator, stop, save_at)
        if agreed.save and not agreed.stopped:
            save(context, state)
            save_at = time.monotonic() + config.checkpoint.every_seconds
    write_pending(context, state)
    save(context, state)
    context.store.wait()
    return agreed.ended


def _choose_actor(context: Context, state: State, evaluator: Evaluator) -> Actor:
    """Returns the weights that play from now on: the averaged ones, unless a gate holds them back.

    They are copied: the next training step donates the state's own.
    """
    candidate = Actor(devices.copy(local(state.train.averages)), state.progress.step)
    if not context.config.gate:
        return candidate
    chosen = candidate
    if multihost.is_first():
        chosen = evaluator.choose_actor(context, state, candidate)
    is_promoted = multihost.broadcast([chosen.step])[0] == candidate.step
    return candidate if is_promoted else state.in_flight.actor


def _after_iteration(
    context: Context, state: State, evaluator: Evaluator, stop: Callable[[], bool], save_at: float
) -> Agreed:
    """Evaluates if that is due, and agrees on what follows. The first process alone has a clock."""
    if not multihost.is_first():
        return _agree(state, stop(), ended=False)
    decision = evaluator.after_iteration(context, state)
    must_save = decision.save or time.monotonic() >= save_at
    return _agree(state, stop(), decision.ended, must_save)


def _agree(state: State, stopped: bool, ended: bool, save: bool = False) -> Agreed:
    """Exchanges what each process knows: any may be told to stop, the first decides the rest."""
    told = multihost.all_gather([stopped, ended, save, state.progress.horizon])
    _, ended, save, horizon = told[0].tolist()
    if not multihost.is_first():
        state.progress.horizon = horizon  # a measurement, or the clock, may have fixed it
    return Agreed(bool(told[:, 0].any()), bool(ended), bool(save))
