"""The stages of the training loop, from self-play to save: functions of a context and a state."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from selfplay import example
from selfplay.example import Layout, Sample
from selfplay.randomness import RunPurpose
from selfplay.self_play import SelfPlayState
from training import calls, decision_examples, multihost, non_finite
from training.calls import PlayedCall
from training.context import Context
from training.devices import split_examples, steps_a_dispatch, wait_for_all_but_last
from training.losses import Batches, policy_weight
from training.players import playable
from training.state import Actor, InFlight, State
from training.storage import snapshot
from training.storage.checkpoint import NonFiniteError
from training.storage.manifest import by_step

# The losses of a dispatch: of how many steps, and float32[K] of which these are the first.
StepLosses = tuple[int, dict[str, Any]]
NO_HORIZON = 1e9  # steps; the learning rate stays on its plateau
# Parts of the loop, which a recording by jax's profiler shows by these names.
STAGES = ("amplify", "record", "distil", "evaluate", "save")


def stage(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a part of the loop under its name in jax's profiler."""
    return jax.profiler.annotate_function(function, name=function.__name__)


@stage
def amplify(context: Context, index: int, actor: Actor, before: SelfPlayState) -> InFlight:
    """Dispatches self-play rollout `index`; returns at once."""
    # The network is folded for play: batch norm goes into the convolutions.
    variables = playable(context.network, actor.weights)
    # The key of a rollout depends on its number alone: a resume plays it again.
    given = variables, before, context.key(RunPurpose.PLAY, index)
    first = (multihost.first_device(),) if multihost.first_device() else ()
    after, trajectory = context.play(*given, *first)
    return InFlight(actor, before, after, trajectory)


@stage
def record(context: Context, state: State) -> dict[str, Any]:
    """Waits for the plies of the rollout in flight; finished games go to the replay, some to disk.

    Returns:
      Entries for metrics.jsonl.
    """
    config, flight = context.config, state.in_flight
    assert flight.trajectory is not None
    # Draws which games are written to disk.
    rng = np.random.default_rng([config.seed, RunPurpose.RECORD, state.progress.iteration + 1])
    learned = context.game, context.targets
    call, problem = None, ""
    try:
        call = calls.unpack(
            config, *learned, state.recorder, flight.trajectory, flight.actor.step, rng
        )
    except NonFiniteError as error:
        problem = str(error)
    return take(context, state, call, problem)


def take(
    context: Context, state: State, call: PlayedCall | None, problem: str = ""
) -> dict[str, Any]:
    """Gives the replay the examples of a rollout, and counts it; some of its games go to disk.

    Args:
      call: None where the network that played gives NaN or infinity, as `problem` says.

    Returns:
      Entries for metrics.jsonl, of the rollouts of all processes.

    Raises:
      NonFiniteError: the network does, on this process or another.
    """
    progress, held = state.progress, len(state.replay)
    # The counts of all processes, before anything is trained: as many steps are due everywhere.
    told = multihost.all_gather(calls.counted(call, held))
    # NaN on one host stops all of them at the same iteration.
    failed, _, games, plies, *sums = told.sum(axis=0).tolist()
    if call is None or failed:
        write_pending(context, state)  # knows the step at which it began
        raise NonFiniteError(problem or "the network gives NaN or infinity on another host")
    total = int(sums[-1])
    # Finished games enter the replay.
    state.replay.add(call.examples, total)
    state.replay.is_ready = bool((told[:, 1] > 0).all())
    progress.games += int(games)
    progress.positions += int(plies)
    for game in call.watched:
        context.metrics.write_game(game, context.config.game, progress.iteration + 1)
    return call.monitors if len(told) == 1 else calls.joined(sums, int(games))


@stage
def distil(
    context: Context, state: State, should_yield: Callable[[State], bool]
) -> list[StepLosses]:
    """Dispatches the training steps that the replay allows; returns their losses.

    Args:
      should_yield: asked before each dispatch: whether to leave it and those after it for later.
    """
    progress = state.progress
    learner = context.config.learner
    # As many steps as the replay ratio allows for the examples so far.
    due = state.replay.steps_allowed(learner.batch) - progress.skipped - progress.step
    due = min(due, learner.steps_per_iteration or due)
    # Until the horizon is known, the rate does not fall.
    horizon = np.float32(progress.horizon or NO_HORIZON)
    weights = decision_examples.policy_of_games(context.decision_examples, context.config.overseer)
    losses: list[StepLosses] = []
    while due > 0 and not should_yield(state):
        count = min(due, steps_a_dispatch())
        # Minibatches from the window, an overseer's decisions among them.
        batches, layout = minibatches(context, state, count, weights)
        state.train, measured = context.train_steps(
            state.train, batches, horizon, np.int32(count), layout=layout
        )
        losses.append((count, measured))
        # Little ahead of the device, so that memory stays bounded.
        wait_for_all_but_last(losses)
        progress.step += count
        due -= count
    return losses


@stage
def minibatches(
    context: Context, state: State, count: int, weights: tuple[float, float]
) -> tuple[Batches, Layout]:
    """Returns the minibatches of the next `count` training steps, on the devices; one transfer."""
    first, layout = state.progress.step, state.replay.layout
    assert layout is not None
    drawn = [draw(context, state, step) for step in range(first, first + count)]
    # As many as fit, whatever is due: for each number the program would be compiled again.
    drawn += drawn[-1:] * (steps_a_dispatch() - count)
    batches = Batches(
        rows=np.stack([rows.view(np.uint8).reshape(len(rows), -1) for rows, _ in drawn]),
        symmetry=np.stack([symmetry for _, symmetry in drawn]),
        policy_weight=np.stack([policy_weight(_sample(r, layout), *weights) for r, _ in drawn]),
    )
    return split_examples(batches, axis=1), layout


def _sample(rows: np.ndarray, layout: Layout) -> Sample:
    return example.nested(Sample, example.columns_of(rows, layout))


@stage
def save(context: Context, state: State) -> None:
    """Starts writing a checkpoint whose resume repeats the rollout in flight; no device waits."""
    # Examples since the last save become a chunk of their own.
    before, examples = state.replay.take_unsaved()
    unsaved = multihost.all_gather([sum(len(part.ply) for part in examples)])[:, 0]
    first_example = before + int(unsaved[: multihost.part()].sum())
    notes = decision_examples.counters(context.decision_examples)
    seals = context.folder.seal_logs() if multihost.is_first() else {}
    # Copy to the host now; write in the background.
    packed = snapshot.pack(state, seals, notes)
    progress = state.progress
    context.store.wanted = {progress.best_step, progress.strength_step, *progress.rungs[-1:]}
    context.store.save(packed, first_example, examples)


@stage
def draw(
    context: Context, state: State, step: int, total: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the examples of a training step, as rows, and the symmetry each is shown through.

    Args:
      total: draw as when the replay held so many examples.
    """
    batch = context.config.learner.batch // multihost.parts()
    # A step's minibatch depends on the step alone, so that a resume draws the same.
    seed = [context.config.seed, RunPurpose.SAMPLE, step, *multihost.seed()]
    rng = np.random.default_rng(seed)
    rows = state.replay.sample(rng, batch, total)
    symmetry = rng.integers(0, context.symmetries, len(rows), np.int32)
    overseer = context.config.overseer
    decision_examples.mix(context.decision_examples, overseer, rows, symmetry, rng)
    return rows, symmetry


def report(
    context: Context,
    state: State,
    monitors: dict[str, Any],
    losses: list[StepLosses],
) -> None:
    """Writes the last iteration's line, and keeps this one's until its losses are computed."""
    write_pending(context, state)
    state.line = {
        "kind": "iteration",
        **state.progress.where(),
        **monitors,
        "examples": state.replay.total,
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
    # The one place where the host waits for training, an iteration late.
    losses = by_step(line.pop("losses"))
    bad = non_finite.first_bad(losses)
    if bad is not None:
        step = line["step"] - len(losses) + bad
        path = context.folder.path / f"nan-{step}.npz"
        if multihost.is_first():
            rows, _ = draw(context, state, step, line["examples"])
            assert state.replay.layout is not None
            non_finite.write_batch(path, _sample(rows, state.replay.layout), state.train)
        raise NonFiniteError(f"NaN or infinity at training step {step}, see {path}")
    for name in losses[0] if losses else ():
        line[name] = float(np.mean([measured[name] for measured in losses]))
    context.metrics.write(line)
