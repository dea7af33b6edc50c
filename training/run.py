"""The training loop: A <- Distill(Amplify(A)), that is self-play, replay, train, evaluate, save.

The accelerator does not wait for the host: the next self-play rollout is dispatched before the last
one's plies are unpacked, and training steps queue behind it. So the weights that act are one
iteration behind those that learn, and a checkpoint holds, beside the training state, the weights
that the rollout in flight plays with and the games from before it: a resumed run repeats it.
"""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from selfplay import devices
from training import multihost, start
from training.config import RunConfig
from training.context import Context
from training.decision_examples import NOTHING, DecisionExamples
from training.devices import local
from training.evaluator import Evaluator, MakeEvaluator, NoEvaluation, StoppedError
from training.metrics_log import MetricsLog
from training.source import LOCAL, Source
from training.stages import distil, report, save, write_pending
from training.state import Actor, State
from training.storage.run_folder import RunFolder

STOPPED = -1.0  # in the place of a step


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
      stop: asked once an iteration and while the run is measured; true: save and return.
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

    # What a stop left undone comes first.
    agreed = _after_iteration(context, state, evaluator, stop, math.inf)
    while not (agreed.ended or agreed.stopped):
        if agreed.save:
            save(context, state)
            save_at = time.monotonic() + config.checkpoint.every_seconds
        began = time.monotonic()
        actor = _choose_actor(context, state, evaluator, stop)
        if actor is None:  # it was told to stop in the gate's match
            break
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
        progress.note_iteration(time.monotonic() - began, progress.iteration == first)
        # Evaluate, where that is due, and find out what follows.
        agreed = _after_iteration(context, state, evaluator, stop, save_at)
    write_pending(context, state)
    if agreed.ended:
        # Where no limit is reached there was no time for another iteration.
        progress.ended = progress.reached(config) or {"minutes": config.minutes}
    save(context, state)
    context.store.wait()
    return agreed.ended


def _choose_actor(
    context: Context, state: State, evaluator: Evaluator, stop: Callable[[], bool]
) -> Actor | None:
    """Returns the weights that play from now on: the averaged ones, unless a gate holds them back.

    They are copied: the next training step donates the state's own. None: it was told to stop.
    """
    candidate = Actor(devices.copy(local(state.train.averages)), state.progress.step)
    if not context.config.gate:
        return candidate
    chosen = float(candidate.step)
    if multihost.is_first():
        try:
            chosen = evaluator.choose_actor(context, state, candidate, stop).step
        except StoppedError:
            chosen = STOPPED
    chosen = multihost.broadcast([chosen])[0]
    if chosen == STOPPED:
        return None
    return candidate if chosen == candidate.step else state.in_flight.actor


def _after_iteration(
    context: Context, state: State, evaluator: Evaluator, stop: Callable[[], bool], save_at: float
) -> Agreed:
    """Evaluates if that is due, and agrees on what follows. The first process alone has a clock."""
    if not multihost.is_first():
        return _agree(state, stop(), ended=False)
    try:
        decision = evaluator.after_iteration(context, state, stop)
    except StoppedError:
        return _agree(state, stopped=True, ended=False)
    must_save = decision.save or time.monotonic() >= save_at
    return _agree(state, stop(), decision.ended, must_save)


def _agree(state: State, stopped: bool, ended: bool, save: bool = False) -> Agreed:
    """Exchanges what each process knows: any may be told to stop, the first decides the rest."""
    told = multihost.all_gather([stopped, ended, save, state.progress.horizon])
    _, ended, save, horizon = told[0].tolist()
    if not multihost.is_first():
        state.progress.horizon = horizon  # a measurement, or the clock, may have fixed it
    return Agreed(bool(told[:, 0].any()), bool(ended), bool(save))
