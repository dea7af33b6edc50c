"""The loop: A <- Distill(Amplify(A)), with its saving and measuring.

The accelerator does not wait for the host: the next self-play call is dispatched before the last
one's plies are unpacked, and training steps queue behind it. So the weights that play are one
iteration behind those that learn, and a checkpoint holds, beside the training state, the weights
that the call in flight plays with and the games from before it: a resumed run repeats that call.
"""

import os
import time
from collections.abc import Callable

import games
from games.conformance import require_form
from selfplay import devices
from training import non_finite
from training.config import RunConfig
from training.context import Context, make_context, open_store
from training.evaluation import gate, in_run
from training.evaluation.fixed_point import FixedPointMonitor
from training.evaluation.in_run import Evaluated
from training.metrics_log import MetricsLog, OnMetrics
from training.source import LOCAL, Source
from training.stages import distil, evaluate, report, save, write_pending
from training.start import begin_and_save, resume
from training.state import Behaviour, State
from training.storage import recovery, snapshot, starts
from training.storage.checkpoint import NonFiniteError
from training.storage.run_folder import RunFolder
from training.workers import ledger
from training.workers.recorded import RecordedSource


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
        that goes on, `iterations`, `minutes`, `flops` and `checkpoint` may differ from before.
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

    Example:
      >>> import dataclasses, training
      >>> from selfplay.config import SelfPlayConfig
      >>> from training.settings import EvaluationConfig
      >>> config = dataclasses.replace(
      ...     training.preset("quick", "tic_tac_toe"),
      ...     minutes=0.0,
      ...     iterations=1,
      ...     self_play=SelfPlayConfig(batch=16),
      ...     evaluation=EvaluationConfig(every=0),  # nothing is measured
      ... )
      >>> training.train_run(folder, config)
      True
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
    first_weights: tuple[RunFolder, int] | None = None,
    on_activity: Callable[[str], None] = lambda text: None,
    source: Source = LOCAL,
) -> bool:
    """Trains until the run's limits, or until `stop()`; saves either way.

    Args:
      folder: a run folder that exists and whose lock is held; one without a checkpoint begins,
        another goes on.
      on_metrics: as for `train_run`.
      first_weights: a run and step whose weights a new run begins with.
      on_activity: called with what begins and takes a while: compiling, evaluating.
      source: of the rows that are learned from.

    Returns:
      Whether the run reached its limits.

    Raises:
      ValueError, CheckpointError, NonFiniteError, OSError: as the message says.
    """
    metrics, rollbacks, why = MetricsLog(folder, on_metrics, on_activity), 0, "resume"
    while True:
        store, rows_from, ended = open_store(folder, config), source, False
        try:
            saved = recovery.last_good(folder, store, metrics.notice)
            if saved is not None:
                progress = snapshot.progress_of(saved)
                if progress.finished(config) and not saved.logs.get("line"):
                    return True
                rollbacks = max(progress.rollbacks, rollbacks)
            metrics.activity("compiling")
            context = make_context(folder, config, metrics, store, rollbacks)
            if saved is None:
                state = begin_and_save(context, source, first_weights)
            else:
                if source is LOCAL and progress.batches:
                    metrics.notice(
                        f"workers have played {progress.batches} batches of this run, and now it "
                        "plays by itself; with --fleet or --workers they go on"
                    )
                taken = ledger.taken_since(store.replay_folder, progress.batches)
                rows_from = RecordedSource(store.replay_folder, taken, source)
                chunks = frozenset(line.chunk for line in taken if line.rows)
                state = resume(context, rows_from, saved, progress, chunks)
            device = f"{devices.mesh().size} x {devices.kind()}"
            starts.note(folder.path, state.progress.where(), device, why if saved else "new")
            ended = _loop(context, state, rows_from, stop)
            return ended
        except NonFiniteError as error:
            rollbacks, why = rollbacks + 1, "rollback"
            metrics.notice(non_finite.roll_back(error, config, store, rollbacks))
        finally:
            rows_from.close(ended)
            store.close()  # what is being saved is saved, whatever happened


def _loop(context: Context, state: State, source: Source, stop: Callable[[], bool]) -> bool:
    """Goes round until the limits, `stop()`, or a number that is not finite; see `train`."""
    config, progress = context.config, state.progress
    monitor = FixedPointMonitor(context) if config.evaluation.gap_positions else None
    ended, saved_at = progress.finished(config), time.monotonic()
    first = progress.iteration + 1

    def halt() -> bool:
        return stop() or progress.finished(config)

    while not ended and not stop():
        began = time.monotonic()
        chosen = gate.decide(context, state, _candidate(state))
        progress.measured += chosen.evaluations
        if chosen.line is not None:
            context.metrics.write(chosen.line)
        monitors = source.next(context, state, chosen.behaviour, halt)
        if monitors is None:
            ended = not stop()  # else there are no more rows
            break
        losses = distil(context, state, source.is_enough)
        progress.iteration += 1
        progress.count(context.work, config.learner.batch)
        if not config.until_fixed_point:  # which lowers the rate itself
            progress.fix_horizon(60 * config.minutes)
        report(context, state, monitors, losses)
        if progress.iteration > first:  # which compiled: the next one will be faster
            progress.iteration_seconds = time.monotonic() - began
        ended, must_save = progress.finished(config), False
        is_early = in_run.is_early(config, progress)
        if in_run.is_due(config, progress, ended) or is_early:
            context.metrics.activity("evaluating at the end" if ended else "evaluating")
            progress.evaluations += 1
            measured = evaluate(context, state, monitor, ended or is_early)
            must_save = _apply(context, state, measured)
            ended = ended or progress.finished(config)
        if must_save or time.monotonic() - saved_at >= config.checkpoint.every_seconds:
            save(context, state)
            saved_at = time.monotonic()
    write_pending(context, state)
    save(context, state)
    context.store.wait()
    return ended


def _candidate(state: State) -> Behaviour:
    """Returns copies of the averaged weights: the next training step donates the state's own."""
    return Behaviour(devices.copy(state.train.averages), state.progress.step)


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
