"""The loop: A <- Distill(Amplify(A)), with its saving and measuring.

The accelerator does not wait for the host: the next self-play call is dispatched before the last
one's plies are unpacked, and training steps queue behind it. So the weights that play are one
iteration behind those that learn, and a checkpoint holds, beside the training state, the weights
that the call in flight plays with and the games from before it: a resumed run repeats that call.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import games
from games.conformance import require_form
from selfplay import devices, row
from selfplay.randomness import RunPurpose
from selfplay.recorder import Recorder
from selfplay.row import Sample
from selfplay.self_play import SelfPlayState
from training import learner, non_finite
from training.config import RunConfig
from training.context import Context, make_context, open_store
from training.devices import to_learner
from training.evaluation import gate, in_run
from training.evaluation.fixed_point import FixedPointMonitor
from training.evaluation.in_run import Evaluated
from training.losses import minibatch
from training.metrics_log import MetricsLog, OnMetrics
from training.network import Weights
from training.oversight import decision_rows
from training.players import load_weights, playable
from training.progress import Progress, first_horizon
from training.replay import ReplayBuffer
from training.state import Behaviour, InFlight, State
from training.storage import recovery, snapshot
from training.storage.checkpoint import Checkpoint, NonFiniteError
from training.storage.run_folder import RunFolder

SHOWN_PROBLEMS = 20
NO_HORIZON = 1e9  # steps; the learning rate stays on its plateau

# Parts of the loop, which a recording by jax's profiler shows by these names.
STAGES = ("amplify", "record", "distil", "evaluate", "save")


def _stage(function: Callable[..., Any]) -> Callable[..., Any]:
    return jax.profiler.annotate_function(function, name=function.__name__)


def train_run(
    path: str | os.PathLike[str],
    config: RunConfig,
    on_metrics: OnMetrics = lambda line: None,
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Makes a run in a folder, or goes on with the one that is there, and trains to its limits.

    The command `selfplay train` does the same, with flags, a progress bar and Ctrl-C.

    Args:
      path: the run's folder; it may be absent or empty, or hold a run of the same settings.
      config: `training.preset("quick", "connect_four")`, changed by `dataclasses.replace`; of a run
        that goes on, `iterations`, `minutes` and `checkpoint` may differ from before.
      on_metrics: called with each line of metrics.jsonl, and with
        `{"kind": "notice", "text": ...}`.
      stop: asked between iterations; true: save and return.

    Returns:
      Whether the run reached its limits. If not, the same call goes on.

    Raises:
      ValueError: the settings cannot work, other things lie in the folder, or a run of others.
      CheckpointError: another process holds the run, or no checkpoint can be read.
      NonFiniteError: NaN or infinity came up.
      OSError: the disk is full, or the like; nothing that was saved is lost.
    """
    config.check()
    folder = RunFolder(path)
    if not folder.exists():
        folder.check_free()
        require_form(games.load(config.game), config.game)
    with folder.lock():
        if folder.exists():
            folder.check_same(config)
            folder.write_config(config)
        else:
            folder.create(config)
        return train(folder, config, on_metrics, stop)


def train(
    folder: RunFolder,
    config: RunConfig,
    on_metrics: OnMetrics,
    stop: Callable[[], bool],
    source: tuple[RunFolder, int] | None = None,
) -> bool:
    """Trains until the run's limits, or until `stop()`; saves either way.

    Args:
      folder: a run folder that exists and whose lock is held; one without a checkpoint begins,
        another goes on.
      on_metrics: called with each line of metrics.jsonl, and with
        `{"kind": "notice", "text": ...}`.
      source: a run and step whose weights a new run begins with.

    Returns:
      Whether the run reached its limits.

    Raises:
      ValueError, CheckpointError, NonFiniteError, OSError: as the message says.
    """
    metrics, rollbacks = MetricsLog(folder, on_metrics), 0
    while True:
        store = open_store(folder, config)
        try:
            saved = recovery.last_good(folder, store, metrics.notice)
            if saved is not None:
                progress = snapshot.progress_of(saved)
                if progress.finished(config) and not saved.logs.get("line"):
                    return True
                rollbacks = max(progress.rollbacks, rollbacks)
            context = make_context(folder, config, metrics, store, rollbacks)
            state = resume(context, saved) if saved else begin_and_save(context, source)
            return _loop(context, state, stop)
        except NonFiniteError as error:
            rollbacks += 1
            metrics.notice(non_finite.roll_back(error, config, store, rollbacks))
        finally:
            store.close()  # what is being saved is saved, whatever happened


def _loop(context: Context, state: State, stop: Callable[[], bool]) -> bool:
    """Goes round until the limits, `stop()`, or a number that is not finite; see `train`."""
    config, progress = context.config, state.progress
    monitor = FixedPointMonitor(context) if config.evaluation.gap_positions else None
    ended, saved_at = progress.finished(config), time.monotonic()
    while not ended and not stop():
        began = time.monotonic()
        chosen = gate.decide(context, state, _candidate(state))
        if chosen.line is not None:
            context.metrics.write(chosen.line)
        following = amplify(
            context, progress.iteration + 1, chosen.behaviour, state.in_flight.after
        )
        monitors = record(context, state)
        losses = distil(context, state)
        state.in_flight = following
        progress.iteration += 1
        if not config.until_fixed_point:  # which lowers the rate itself
            progress.fix_horizon(60 * config.minutes)
        report(context, state, monitors, losses)
        progress.iteration_seconds = time.monotonic() - began
        ended, must_save = progress.finished(config), False
        if in_run.is_due(config, progress, ended):
            progress.evaluations += 1
            must_save = _apply(context, state, evaluate(context, state, monitor, ended))
            ended = ended or progress.finished(config)
        if must_save or time.monotonic() - saved_at >= config.checkpoint.every_seconds:
            save(context, state)
            saved_at = time.monotonic()
    write_pending(context, state)
    save(context, state)
    context.store.wait()
    return ended


# ---- the stages of the loop -------------------------------------------------------------------


@_stage
def amplify(context: Context, index: int, behaviour: Behaviour, before: SelfPlayState) -> InFlight:
    """Dispatches self-play call `index`; returns at once."""
    variables = playable(context.network, behaviour.weights)
    after, trajectory = context.play(variables, before, context.key(RunPurpose.PLAY, index))
    return InFlight(behaviour, before, after, trajectory)


@_stage
def record(context: Context, state: State) -> dict[str, Any]:
    """Waits for the plies of the call in flight; finished games go to the replay, one to disk.

    Returns:
      Entries for metrics.jsonl.
    """
    config, progress = context.config, state.progress
    trajectory = jax.device_get(state.in_flight.trajectory)
    try:
        non_finite.check_plies(config.game, config.amplify, trajectory)
    except NonFiniteError:
        write_pending(context, state)  # knows the step at which it began
        raise
    samples, finished = state.recorder.add(trajectory, state.in_flight.behaviour.step)
    state.replay.add(samples)
    progress.games += len(finished)
    progress.positions += trajectory.ply.size
    for game in finished[:1]:
        context.metrics.write_game(game, config.game, progress.iteration + 1)
    return {
        "kl": float(trajectory.kl.mean()),
        "entropy": float(trajectory.entropy.mean()),
        "new_games": len(finished),
        "new_rows": len(samples.ply),
        "game_plies": float(np.mean([len(game.moves) for game in finished] or [0])),
        "value_error": float(np.square(samples.raw_value - samples.outcome).mean())
        if len(samples.ply)
        else None,
    }


@_stage
def distil(context: Context, state: State) -> list[dict[str, jax.Array]]:
    """Dispatches the training steps that the replay allows; returns the losses of each."""
    progress = state.progress
    due = state.replay.steps_allowed(context.config.learner.batch) - progress.step
    horizon = jnp.float32(progress.horizon or NO_HORIZON)
    games_policy = decision_rows.games_policy(context.decision_rows, context.config.overseer)
    losses = []
    for _ in range(due):
        batch = minibatch(*draw(context, state, progress.step), games_policy)
        state.train, measured = context.train_step(state.train, batch, horizon)
        losses.append(measured)
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
    first_row, rows = state.replay.take_unsaved()
    notes = decision_rows.counters(context.decision_rows)
    packed = snapshot.pack(state, context.folder.seal_logs(), notes)
    context.store.wanted = {state.progress.best_step, state.progress.strength_step}
    context.store.save(packed, first_row, rows)


# ---- beginning and going on -------------------------------------------------------------------


def begin(context: Context, weights: Weights | None = None) -> State:
    """Returns the state of a new run, with the given weights or fresh ones, at its first call."""
    train = learner.init(context.network, context.config.learner, context.key(RunPurpose.INIT, 0))
    if weights is not None:
        train = learner.with_weights(train, weights)
    train = to_learner(train)
    games = context.open_games()
    return State(
        train=train,
        in_flight=amplify(context, 0, Behaviour(devices.copy(train.averages), 0), games),
        replay=empty_replay(context),
        recorder=Recorder(),
        progress=Progress(horizon=first_horizon(context.config), rollbacks=context.rollbacks),
    )


def begin_and_save(context: Context, source: tuple[RunFolder, int] | None) -> State:
    """Returns the state of a new run, whose first save comes before all else that it writes."""
    _notice_problems(context)
    context.folder.check_unbegun()
    state = begin(context, load_weights(*source, context.network) if source else None)
    save(context, state)
    context.store.wait()  # what comes later is told from what was there before the run
    return state


def resume(context: Context, saved: Checkpoint) -> State:
    """Returns the state of a checkpoint, and repeats the call that was in flight."""
    _notice_problems(context)
    progress = snapshot.progress_of(saved)
    progress.rollbacks = context.rollbacks
    if changed := decision_rows.changes(context.decision_rows, saved.counters):
        context.metrics.notice(changed)
    oldest = saved.counters["replay_oldest_kept"]
    for notice in context.folder.discard_after(
        progress.iteration, oldest, saved.logs, saved.chunks
    ):
        context.metrics.notice(notice)
    replay = empty_replay(context)
    replay.restore(context.store.replay_folder, saved.counters["rows"], context.folder.run_id())
    shapes = jax.eval_shape(
        lambda key: learner.init(context.network, context.config.learner, key),
        context.key(RunPurpose.INIT, 0),
    )
    held = snapshot.unpack(saved, shapes, context.open_games())
    return State(
        train=held.train,
        in_flight=amplify(context, progress.iteration, held.behaviour, held.games),
        replay=replay,
        recorder=held.recorder,
        progress=progress,
        line=held.line,
    )


def empty_replay(context: Context) -> ReplayBuffer:
    """Returns the run's replay, with the columns of its targets."""
    return ReplayBuffer(context.config.replay, row.target_forms(context.targets, context.game))


def _notice_problems(context: Context) -> None:
    for problem in context.decision_rows.problems[:SHOWN_PROBLEMS]:
        context.metrics.notice(f"decision left out: {problem}")


# ---- small steps ------------------------------------------------------------------------------


def _candidate(state: State) -> Behaviour:
    """Returns copies of the averaged weights: the next training step donates the state's own."""
    return Behaviour(devices.copy(state.train.averages), state.progress.step)


def draw(
    context: Context, state: State, step: int, total: int | None = None
) -> tuple[Sample, np.ndarray]:
    """Returns the rows of a training step, and the symmetry that each is shown through.

    Args:
      total: draw as when the replay held so many rows.
    """
    settings = context.config.learner
    rng = np.random.default_rng([context.config.seed, RunPurpose.SAMPLE, step])
    rows = state.replay.sample(rng, settings.batch, total)
    # The first symmetry is the identity.
    count = len(context.game.symmetries()) if settings.augment else 1
    symmetry = rng.integers(0, count, len(rows.ply), np.int32)
    overseer = context.config.overseer
    return decision_rows.mix(context.decision_rows, overseer, rows, symmetry, rng)


def _apply(context: Context, state: State, result: Evaluated) -> bool:
    """Applies what an evaluation decided, and writes its line.

    Returns:
      Whether these weights must be saved: as the best so far, or as those whose search the next
      network without one will meet.
    """
    progress, decided = state.progress, result.decided
    is_best = progress.best_loss is None or result.entries["loss"] < progress.best_loss
    measured_anew = decided.strength_step not in (None, progress.strength_step)
    if decided.horizon is not None:
        progress.horizon = decided.horizon
    if decided.strength_step is not None:
        progress.strength_step = decided.strength_step
    progress.fixed_point = decided.fixed_point or progress.fixed_point
    progress.evaluation_seconds = result.seconds
    context.metrics.write({"kind": "evaluation", **progress.where(), **result.entries})
    if is_best:
        progress.best_loss, progress.best_step = result.entries["loss"], progress.step
    return is_best or measured_anew


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
        rows, _ = draw(context, state, step, line["rows"])
        non_finite.write_batch(path, rows, state.train)
        raise NonFiniteError(f"NaN or infinity at training step {step}, see {path}")
    for name in losses[0] if losses else ():
        line[name] = float(np.mean([measured[name] for measured in losses]))
    context.metrics.write(line)
