"""The loop: A <- Distill(Amplify(A)), with its saving and measuring.

The accelerator does not wait for the host: the next self-play call is dispatched before the last
one's plies are unpacked, and training steps queue behind it. So the weights that play are one
iteration behind those that learn, and a checkpoint holds, beside the training state, the weights
that the call in flight acts with and the games from before it: a resumed run repeats that call.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import games
from games.game import Game
from selfplay import devices, self_play
from selfplay.recorder import Recorder, Sample
from training import learner, losses
from training import non_finite as guard
from training.config import RunConfig
from training.devices import learner_mesh, to_learner
from training.evaluation import fixed_point, gate, ladder
from training.evaluation.in_run import evaluate_run
from training.learner import TrainState
from training.losses import minibatch
from training.metrics_log import MetricsLog, OnMetrics
from training.network import Network
from training.oversight import decision_rows as oversight
from training.players import load_amplifier, load_weights, network_of
from training.progress import Progress, first_horizon
from training.replay import ReplayBuffer
from training.storage import recovery, snapshot
from training.storage.checkpoint import Checkpoint, CheckpointStore, NonFiniteError
from training.storage.run_folder import RunFolder
from training.storage.snapshot import Snapshot

# What randomness is for: every key is fold_in(fold_in(key(seed), purpose), i).
INIT, OPEN, PLAY, SAMPLE = range(4)
SHOWN_PROBLEMS = 20
NO_HORIZON = 1e9  # steps; the learning rate stays on its plateau

# Parts of the loop, which a recording by jax's profiler shows by these names.
STATIONS = ("amplify", "record", "distil", "evaluate", "save")


def _station(method: Callable[..., Any]) -> Callable[..., Any]:
    return jax.profiler.annotate_function(method, name=method.__name__)


class Weights(NamedTuple):
    """Averaged weights that play, and the training step that they are from."""

    params: Any
    batch_stats: Any
    step: int


class Call(NamedTuple):
    """One self-play call, perhaps still running on the device."""

    acting: Weights
    before: self_play.SelfPlayState
    after: self_play.SelfPlayState
    trajectory: self_play.Trajectory


class Run:
    """One run in this process: built from a folder, driven by `train`."""

    def __init__(self, folder: RunFolder, config: RunConfig, watch: OnMetrics) -> None:
        self.folder, self.config, self.journal = folder, config, MetricsLog(folder, watch)
        self.game: Game[Any] = games.load(config.game)
        self.network: Network = network_of(config, self.game)
        self.amplifier = load_amplifier(config, self.game, decisions=str(folder.decisions))
        self.lessons = oversight.load(config.overseer, config.game, self.game)
        self.play = self_play.make_amplified_play(self.game, self.amplifier, config.self_play)
        # The first one is the identity.
        self.symmetries = len(self.game.symmetries()) if config.learner.symmetries else 1
        if config.learner.batch % learner_mesh().size:
            raise ValueError(
                f"learner.batch must be a multiple of the {learner_mesh().size} devices, "
                f"got {config.learner.batch}"
            )
        self.store = CheckpointStore(folder.path, config.checkpoint)
        self.store.sync_logs, self.store.check_held = folder.sync_logs, folder.check_held
        self.replay = ReplayBuffer(config.replay)
        self.recorder = Recorder()
        self.progress = Progress()
        self.started = time.monotonic()
        self.state: TrainState | None = None  # the newest one, for inspection
        self.gauge = fixed_point.Gauge(self) if config.evaluation.gap_positions else None

    def make_train_step(self) -> None:
        """Makes the training step, at the rate that the rollbacks so far have left."""
        settings = self.config.learner
        rate = settings.learning_rate * settings.rollback_rate**self.progress.rollbacks
        settings = dataclasses.replace(settings, learning_rate=rate)
        loss = losses.load(self.config.distil)
        self.train_step = learner.make_train_step(self.network, self.game, settings, loss)

    def key(self, purpose: int, index: int) -> jax.Array:
        """Returns the key of one use of randomness."""
        key = jax.random.fold_in(jax.random.key(self.config.seed), purpose)
        return jax.random.fold_in(key, index)

    def seconds(self) -> float:
        """Returns the run's time so far, over all its processes."""
        return self.progress.seconds + time.monotonic() - self.started

    def finished(self) -> bool:
        """Whether the run has reached its limits, or has no time left for another iteration."""
        limits, progress = self.config, self.progress
        by_iterations = limits.iterations and progress.iteration >= limits.iterations
        needed = progress.iteration_seconds + progress.evaluation_seconds
        by_time = limits.minutes and self.seconds() + needed >= 60 * limits.minutes
        return bool(by_iterations or by_time or progress.fixed_point)

    def folded(self, weights: Weights) -> Any:
        """Returns weights as self-play and evaluation run them, on every device."""
        return devices.replicate(self.network.fold(weights.params, weights.batch_stats))

    # ---- the stations of the loop -------------------------------------------------------------

    @_station
    def amplify(self, index: int, acting: Weights, before: self_play.SelfPlayState) -> Call:
        """Dispatches self-play call `index`; returns at once."""
        after, trajectory = self.play(self.folded(acting), before, self.key(PLAY, index))
        return Call(acting, before, after, trajectory)

    @_station
    def record(self, call: Call) -> dict[str, Any]:
        """Waits for a call's plies; finished games go to the replay and a sample to disk."""
        trajectory = jax.device_get(call.trajectory)
        try:
            guard.check_plies(self.config.game, self.config.amplify, trajectory)
        except NonFiniteError:
            self.write_pending()  # knows the step at which it began
            raise
        samples, finished = self.recorder.add(trajectory, call.acting.step)
        self.replay.add(samples)
        self.progress.games += len(finished)
        self.progress.positions += trajectory.ply.size
        for game in finished[:1]:
            self.journal.write_game(game, self.config.game, self.progress.iteration + 1)
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

    @_station
    def distil(self, state: TrainState) -> tuple[TrainState, list[dict[str, jax.Array]]]:
        """Dispatches the training steps that the replay allows."""
        batch = self.config.learner.batch
        due = self.replay.steps_allowed(batch) - self.progress.step
        horizon = jnp.float32(self.progress.horizon or NO_HORIZON)
        games_policy = oversight.games_policy(self.lessons, self.config.overseer)
        metrics = []
        for _ in range(due):
            part = minibatch(*self.draw(self.progress.step), games_policy)
            state, measured = self.train_step(state, part, horizon)
            metrics.append(measured)
            self.progress.step += 1
        self.state = state
        return state, metrics

    def draw(self, step: int, total: int | None = None) -> tuple[Sample, np.ndarray]:
        """Returns the rows of a training step, and the symmetry that each is shown through.

        Args:
          total: draw as when the replay held so many rows.
        """
        rng = np.random.default_rng([self.config.seed, SAMPLE, step])
        rows = self.replay.sample(rng, self.config.learner.batch, total)
        symmetry = rng.integers(0, self.symmetries, len(rows.ply), np.int32)
        return oversight.mix(self.lessons, self.config.overseer, rows, symmetry, rng)

    def evaluation_due(self, ended: bool) -> bool:
        """Whether the run measures itself after this iteration."""
        every = self.config.evaluation.every
        return bool(every) and (ended or self.progress.iteration % every == 0)

    @_station
    def evaluate(self, state: TrainState, ended: bool) -> bool:
        """Measures the averaged weights; returns whether they must be saved: as the best so far, or
        as those whose search the next network without one will meet."""
        began = time.monotonic()
        self.progress.evaluations += 1
        strength_step = self.progress.strength_step
        variables = self.folded(_averages(state, self.progress.step))
        result = evaluate_run(self.config, self.game, self.network, variables, self.config.seed)
        if self.config.evaluation.ladder_games:
            self.store.wait()  # or its retention could remove a checkpoint that is to play
            known = self.folder, self.config, self.game, self.network
            result["ladder"] = ladder.rate(
                *known, variables, self.progress.step, self.journal.notice
            )
        if self.gauge is not None:
            result |= self.gauge.measure(variables, ended)
        self.progress.evaluation_seconds = time.monotonic() - began
        self.journal.write({"kind": "evaluation", **self.progress.where(self.seconds()), **result})
        best = self.progress.best_loss
        is_best = best is None or result["loss"] < best
        if is_best:
            self.progress.best_loss, self.progress.best_step = result["loss"], self.progress.step
        return is_best or self.progress.strength_step != strength_step

    @_station
    def save(self, state: TrainState, call: Call) -> None:
        """Starts writing a checkpoint whose resume repeats `call`; the device goes on meanwhile."""
        self.progress.seconds, self.started = self.seconds(), time.monotonic()
        first_row, rows = self.replay.take_unsaved()
        counters = dataclasses.asdict(self.progress) | {
            "rows": self.replay.total,
            "replay_oldest_kept": 0
            if self.config.replay.keep == "all"
            else max(0, self.replay.total - self.config.replay.capacity),
            "acting_step": call.acting.step,
            **oversight.counters(self.lessons),
        }
        acting = (call.acting.params, call.acting.batch_stats)
        held = Snapshot(
            state, acting, call.before, self.recorder.pending, counters, self.journal.pending
        )
        self.store.wanted = {self.progress.best_step, self.progress.strength_step}
        packed = snapshot.pack(held, self.progress.step, self.folder.seal_logs())
        self.store.save(packed, first_row, rows)

    # ---- beginning and going on ---------------------------------------------------------------

    def begin(self, weights: tuple[Any, Any] | None) -> tuple[TrainState, Call]:
        """Returns a fresh state, or one with the given weights, and the first call."""
        state = learner.init(self.network, self.config.learner, self.key(INIT, 0))
        if weights is not None:
            state = learner.with_weights(state, *weights)
        state = to_learner(state)
        before = self.open_games()
        self.progress.horizon = first_horizon(self.config)
        return state, self.amplify(0, _averages(state, 0), before)

    def open_games(self) -> self_play.SelfPlayState:
        """Returns the run's first games."""
        history = not self.amplifier.on_device
        return self_play.start(self.game, self.config.self_play, self.key(OPEN, 0), history)

    def resume(self, saved: Checkpoint) -> tuple[TrainState, Call]:
        """Returns the state of a checkpoint and repeats the call that was in flight."""
        counters = saved.counters
        rows, acting_step = counters["rows"], counters["acting_step"]
        if changed := oversight.changes(self.lessons, counters):
            self.journal.notice(changed)
        for notice in self.folder.discard_after(
            self.progress.iteration,
            counters["replay_oldest_kept"],
            saved.logs,
            saved.chunks,
        ):
            self.journal.notice(notice)
        self.replay.restore(self.store.replay_folder, rows, self.folder.run_id())
        shapes = jax.eval_shape(
            lambda key: learner.init(self.network, self.config.learner, key), self.key(INIT, 0)
        )
        held = snapshot.unpack(saved, shapes, self.open_games())
        self.recorder, self.journal.pending = Recorder(held.pending), held.line
        acting = Weights(*held.acting, acting_step)
        return held.state, self.amplify(self.progress.iteration, acting, held.games)

    # ---- what a person sees -------------------------------------------------------------------

    def report(self, monitors: dict[str, Any], losses: list[dict[str, jax.Array]]) -> None:
        """Writes the last iteration's line, and keeps this one's until its losses are computed."""
        self.write_pending()
        self.journal.pending = {
            "kind": "iteration",
            **self.progress.where(self.seconds()),
            **monitors,
            "rows": self.replay.total,
            "window": self.replay.window() if self.replay.total else 0,
            "losses": losses,
        }

    def write_pending(self) -> None:
        """Writes the pending line. Raises NonFiniteError if its losses are not all finite."""
        bad = self.journal.write_pending()
        if bad is not None:
            raise self.blame(*bad)

    def blame(self, step: int, total: int) -> NonFiniteError:
        """Writes the minibatch of a training step, drawn from `total` rows, for inspection."""
        path = self.folder.path / f"nan-{step}.npz"
        rows, _ = self.draw(step, total)
        guard.write_batch(path, rows, self.state)
        return NonFiniteError(f"NaN or infinity at training step {step}, see {path}")


def train(
    folder: RunFolder,
    config: RunConfig,
    watch: OnMetrics,
    stop: Callable[[], bool],
    source: tuple[RunFolder, int] | None = None,
) -> bool:
    """Trains until the run's limits, or until `stop()`; saves either way.

    Args:
      folder: a run folder that exists and whose lock is held; one without a checkpoint begins,
        another goes on.
      watch: called with each line of metrics.jsonl, and with `{"kind": "notice", "text": ...}`.
      source: a run and step whose weights a new run begins with.

    Returns:
      Whether the run reached its limits.

    Raises:
      ValueError, CheckpointError, NonFiniteError, OSError: as the message says.
    """
    rollbacks = 0
    while True:
        run = Run(folder, config, watch)
        try:
            return _train(run, stop, source, rollbacks)
        except NonFiniteError as error:
            rollbacks = run.progress.rollbacks + 1
            run.journal.notice(guard.roll_back(error, config, run.store, rollbacks))
        finally:
            run.store.close()  # what is being saved is saved, whatever happened


def _train(
    run: Run,
    stop: Callable[[], bool],
    source: tuple[RunFolder, int] | None,
    rollbacks: int,
) -> bool:
    """Trains until the limits, `stop()`, or a number that is not finite; see `train`."""
    config = run.config
    saved = recovery.last_good(run.folder, run.store, run.journal.notice)
    if saved is not None:
        run.progress = Progress.of(saved.counters)
        if run.finished() and not saved.logs.get("line"):
            return True
    run.progress.rollbacks = max(run.progress.rollbacks, rollbacks)
    run.make_train_step()
    for problem in run.lessons.problems[:SHOWN_PROBLEMS]:
        run.journal.notice(f"decision left out: {problem}")
    if saved is not None:
        state, call = run.resume(saved)
    else:
        run.folder.check_unbegun()
        state, call = run.begin(load_weights(*source, run.network) if source else None)
        run.save(state, call)
        run.store.wait()  # what comes later is told from what was there before the run
    ended, saved_at = run.finished(), time.monotonic()
    while not ended and not stop():
        began = time.monotonic()
        acting = gate.choose(run, _averages(state, run.progress.step), call.acting)
        following = run.amplify(run.progress.iteration + 1, acting, call.after)
        monitors = run.record(call)
        state, losses = run.distil(state)
        call = following
        run.progress.iteration += 1
        if not config.until_fixed_point:  # which lowers the rate itself
            run.progress.fix_horizon(run.seconds(), 60 * config.minutes)
        run.report(monitors, losses)
        run.progress.iteration_seconds = time.monotonic() - began
        ended = run.finished()
        save = run.evaluation_due(ended) and run.evaluate(state, ended)
        ended = ended or run.finished()
        if save or time.monotonic() - saved_at >= config.checkpoint.every_seconds:
            run.save(state, call)
            saved_at = time.monotonic()
    run.write_pending()
    run.save(state, call)
    run.store.wait()
    return ended


def _averages(state: TrainState, step: int) -> Weights:
    """Returns copies of the averaged weights: the next training step donates the state's own."""
    params, stats = devices.copy((state.average_params, state.average_batch_stats))
    return Weights(params, stats, step)
