"""The stages of the loop, as functions of the context of a run and its state."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from selfplay.randomness import RunPurpose
from selfplay.row import Sample
from selfplay.self_play import SelfPlayState
from training import calls, non_finite, shares
from training.calls import PlayedCall
from training.context import Context
from training.devices import wait_for_all_but_last
from training.evaluation import in_run
from training.evaluation.fixed_point import FixedPointMonitor
from training.evaluation.in_run import Evaluated
from training.losses import minibatch
from training.oversight import decision_rows
from training.players import playable
from training.state import Behaviour, InFlight, State
from training.storage import snapshot
from training.storage.checkpoint import NonFiniteError

NO_HORIZON = 1e9  # steps; the learning rate stays on its plateau
# Parts of the loop, which a recording by jax's profiler shows by these names.
STAGES = ("amplify", "record", "distil", "evaluate", "save")


def _stage(function: Callable[..., Any]) -> Callable[..., Any]:
    return jax.profiler.annotate_function(function, name=function.__name__)


@_stage
def amplify(context: Context, index: int, behaviour: Behaviour, before: SelfPlayState) -> InFlight:
    """Dispatches self-play call `index`; returns at once."""
    variables = playable(context.network, behaviour.weights)
    given = variables, before, context.key(RunPurpose.PLAY, index)
    first = (context.first_device,) if context.first_device else ()
    after, trajectory = context.play(*given, *first)
    return InFlight(behaviour, before, after, trajectory)


@_stage
def record(context: Context, state: State) -> dict[str, Any]:
    """Waits for the plies of the call in flight; finished games go to the replay, some to disk.

    Returns:
      Entries for metrics.jsonl.
    """
    config, flight = context.config, state.in_flight
    assert flight.trajectory is not None
    rng = np.random.default_rng([config.seed, RunPurpose.RECORD, state.progress.iteration + 1])
    learned = context.game, context.targets
    call, problem = None, ""
    try:
        call = calls.unpack(
            config, *learned, state.recorder, flight.trajectory, flight.behaviour.step, rng
        )
    except NonFiniteError as error:
        problem = str(error)
    of_all = context.peers.share("record", calls.counted(call, problem))
    for told in filter(None, (told["problem"] for told in of_all)):
        write_pending(context, state)  # knows the step at which it began
        raise NonFiniteError(told)
    assert call is not None
    return take(context, state, call, of_all)


def take(
    context: Context,
    state: State,
    call: PlayedCall,
    of_all: list[dict[str, Any]] | None = None,
    is_saved: bool = False,
) -> dict[str, Any]:
    """Gives the replay the rows of a call, and counts it; some of its games go to disk.

    Args:
      of_all: what each host says of its own call, as `calls.counted` makes it; None for a call
        of a worker, whose rows go to all hosts.
      is_saved: a chunk holds the rows already.

    Returns:
      Entries for metrics.jsonl.
    """
    progress, rows = state.progress, call.rows
    if of_all is None:
        of_all = [calls.counted(call)]
        counts = [len(rows.ply)]
        if context.peers.count > 1:
            rows, counts = shares.spread(context, rows, of_all[0])
    else:
        counts = [told["rows"] for told in of_all]
    state.replay.add(rows, is_saved, counts)
    progress.games += sum(told["games"] for told in of_all)
    progress.positions += sum(told["plies"] for told in of_all)
    for game in call.watched:
        context.metrics.write_game(game, context.config.game, progress.iteration + 1)
    return calls.joined([told["monitors"] for told in of_all])


@_stage
def distil(
    context: Context, state: State, is_enough: Callable[[State], bool]
) -> list[dict[str, jax.Array]]:
    """Dispatches the training steps that the replay allows; returns the losses of each.

    Args:
      is_enough: asked before each step: whether to leave it and those after it for later.
    """
    progress = state.progress
    learner = context.config.learner
    due = state.replay.steps_allowed(learner.batch) - progress.passed - progress.step
    due = min(due, learner.steps_per_iteration or due)
    horizon = np.float32(progress.horizon or NO_HORIZON)
    weights = decision_rows.policy_of_games(context.decision_rows, context.config.overseer)
    losses = []
    for _ in range(due):
        if is_enough(state):
            break
        batch = minibatch(*draw(context, state, progress.step), *weights)
        state.train, measured = context.train_step(state.train, batch, horizon)
        losses.append(measured)
        wait_for_all_but_last(losses)
        progress.step += 1
    return losses


@_stage
def evaluate(
    context: Context, state: State, monitor: FixedPointMonitor | None, last: bool
) -> Evaluated:
    """Measures the averaged weights; `last`: the run ends here."""
    return in_run.evaluate(context, state, monitor, last)


@_stage
def save(context: Context, state: State) -> None:
    """Starts writing a checkpoint whose resume repeats the call in flight; the device goes on."""
    if context.peers.rank:
        shares.give(context, state)
        return
    join = shares.collect(context, state)
    # Of several hosts these are in what is joined, with the others'.
    first_row, rows = state.replay.take_unsaved()
    notes = decision_rows.counters(context.decision_rows)
    packed = snapshot.pack(state, context.folder.seal_logs(), notes)
    progress = state.progress
    context.store.wanted = {progress.best_step, progress.strength_step, *progress.rungs[-1:]}
    context.store.save(packed, first_row, rows, join)


def draw(
    context: Context, state: State, step: int, total: int | None = None
) -> tuple[Sample, np.ndarray]:
    """Returns the rows of a training step, and the symmetry that each is shown through.

    Args:
      total: draw as when the replay held so many rows.
    """
    peers, batch = context.peers, context.config.learner.batch
    own = (peers.rank,) if peers.count > 1 else ()
    rng = np.random.default_rng([context.config.seed, RunPurpose.SAMPLE, step, *own])
    rows = state.replay.sample(rng, batch // peers.count, total)
    symmetry = rng.integers(0, context.symmetries, len(rows.ply), np.int32)
    overseer = context.config.overseer
    return decision_rows.mix(context.decision_rows, overseer, rows, symmetry, rng)


def report(
    context: Context,
    state: State,
    monitors: dict[str, Any],
    losses: list[dict[str, jax.Array]],
) -> None:
    """Writes the last iteration's line, and keeps this one's until its losses are computed."""
    write_pending(context, state)
    state.line = {
        "kind": "iteration",
        **state.progress.where(),
        **monitors,
        "rows": state.replay.total,
        "window": state.replay.window() if state.replay.total else 0,
        "losses": losses,
    }


def write_pending(context: Context, state: State) -> None:
    """Writes the pending line, waiting for its losses.

    Raises:
      NonFiniteError: they are not all finite; the minibatch is then in a file, for inspection.
    """
    if state.line is None:
        return
    line, state.line = state.line, None
    losses = jax.device_get(line.pop("losses"))
    bad = non_finite.first_bad(losses)
    if bad is not None:
        step = line["step"] - len(losses) + bad
        path = context.folder.path / f"nan-{step}.npz"
        if context.peers.rank == 0:
            rows, _ = draw(context, state, step, line["rows"])
            non_finite.write_batch(path, rows, state.train)
        raise NonFiniteError(f"NaN or infinity at training step {step}, see {path}")
    for name in losses[0] if losses else ():
        line[name] = float(np.mean([measured[name] for measured in losses]))
    context.metrics.write(line)
