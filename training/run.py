"""The loop: A <- Distill(Amplify(A)), with its saving and measuring.

The accelerator does not wait for the host: the next self-play call is dispatched before the last
one's plies are unpacked, and training steps queue behind it. So the weights that play are one
iteration behind those that learn, and a checkpoint holds, beside the training state, the weights
that the call in flight plays with and the games from before it: a resumed run repeats that call.
"""

import functools
import os
import time
from collections.abc import Callable
from typing import Any

import games
from games.form import require_form
from selfplay import devices
from training import non_finite, shares
from training.config import RunConfig
from training.context import Context, make_context, open_store
from training.devices import local
from training.evaluation import gate, in_run
from training.evaluation.fixed_point import FixedPointMonitor
from training.evaluation.in_run import Evaluated
from training.hosts.peers import ALONE, BEGIN, AnewError, Peers, any_of, told
from training.metrics_log import MetricsLog, OnMetrics, Silent
from training.source import LOCAL, Source
from training.stages import distil, evaluate, report, save, write_pending
from training.start import begin_and_save, resume
from training.state import Behaviour, State
from training.storage import recovery, snapshot, starts
from training.storage.checkpoint import NonFiniteError
from training.storage.run_folder import RunFolder
from training.workers import ledger
from training.workers.recorded import RecordedSource

UNASKED_STEPS = 7  # training steps of several hosts between those at which workers are looked for


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
    peers: Peers = ALONE,
) -> bool:
    """Trains until the run's limits, or until `stop()`; saves either way.

    Of several hosts, this is what rank 0 does; the others `follow`.

    Args:
      folder: a run folder that exists and whose lock is held; one without a checkpoint begins,
        another goes on.
      on_metrics: as for `train_run`.
      first_weights: a run and step whose weights a new run begins with.
      on_activity: called with what begins and takes a while: compiling, evaluating.
      source: of the rows that are learned from.
      peers: the hosts that train together.

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
                    peers.share(BEGIN, {"is_over": True})
                    return True
                rollbacks = max(progress.rollbacks, rollbacks)
            metrics.activity("compiling")
            is_new = saved is None
            peers.share(BEGIN, {"is_over": False, "rollbacks": rollbacks, "is_new": is_new})
            context = make_context(folder, config, metrics, store, rollbacks, peers)
            if saved is None:
                state = begin_and_save(context, source, first_weights)
            else:
                if source is LOCAL and progress.batches:
                    metrics.notice(
                        f"workers have played {progress.batches} batches of this run, and now it "
                        "plays by itself; with --fleet or --workers they go on"
                    )
                taken = ledger.taken_since(store.replay_folder, progress.batches)
                if taken:
                    _check_adoption(source, peers, len(taken))
                    rows_from = RecordedSource(store.replay_folder, taken, source)
                chunks = frozenset(line.chunk for line in taken if line.rows)
                saved = shares.hand_out(peers, saved, config.self_play.batch)
                state = resume(context, rows_from, saved, progress, chunks)
            device = f"{devices.mesh().size * peers.count} x {devices.kind()}"
            starts.note(folder.path, state.progress.where(), device, why if saved else "new")
            ended = _loop(context, state, rows_from, stop)
            return ended
        except NonFiniteError as error:
            rollbacks, why = rollbacks + 1, "rollback"
            metrics.notice(non_finite.roll_back(error, config, store, rollbacks))
        finally:
            rows_from.close(ended)
            store.close()  # what is being saved is saved, whatever happened


def _check_adoption(source: Source, peers: Peers, batches: int) -> None:
    """Raises ValueError where hosts that play themselves would first have to take workers' rows."""
    if source is LOCAL and peers.count > 1:
        raise ValueError(
            f"{batches} batches of workers came after the last save: go on with --fleet or "
            "--workers as before, or once without --hosts, which takes them"
        )


def follow(
    folder: RunFolder,
    config: RunConfig,
    on_metrics: OnMetrics,
    stop: Callable[[], bool],
    peers: Peers,
    source: Source = LOCAL,
) -> bool:
    """Trains as one of several hosts, beside rank 0, which alone reads, writes and measures.

    Args:
      folder: of rank 0, perhaps on another machine: nothing is read or written there.
      config, on_metrics, stop, source: as for `train`; of metrics there are notices alone.

    Returns:
      Whether the run reached its limits.
    """
    metrics = Silent(folder, on_metrics)
    start: dict[str, Any] | None = None
    while True:
        start = start or peers.share(BEGIN, {})[0]
        if start["is_over"]:
            return True
        store = open_store(folder, config)
        try:
            context = make_context(folder, config, metrics, store, start["rollbacks"], peers)
            if start["is_new"]:
                state = begin_and_save(context, source, None)
            else:
                saved = shares.take(peers)
                state = resume(context, source, saved, snapshot.progress_of(saved))
            return _loop(context, state, source, stop)
        except AnewError as error:
            start = error.start
        except NonFiniteError:  # rank 0 meets it, too, and goes back to its last save, or ends
            start = None
        finally:
            store.close()


def _loop(context: Context, state: State, source: Source, stop: Callable[[], bool]) -> bool:
    """Goes round until the limits, `stop()`, or a number that is not finite; see `train`."""
    config, progress, peers = context.config, state.progress, context.peers
    is_first = peers.rank == 0
    measures = is_first and config.evaluation.gap_positions
    monitor = FixedPointMonitor(context) if measures else None
    save_at = time.monotonic() + config.checkpoint.every_seconds
    first = progress.iteration + 1

    def halt() -> bool:
        return stop() or progress.finished(config)

    limits = told(peers, "limits", lambda: {"are_reached": progress.finished(config)})
    ended = limits["are_reached"]
    while not ended and not any_of(peers, "stop", stop()):
        began = time.monotonic()
        behaviour = _behaviour(context, state)
        monitors = source.next(context, state, behaviour, halt)
        if monitors is None:
            ended = not any_of(peers, "why", stop())  # else there are no more rows
            break
        losses = distil(context, state, _is_enough(peers, source))
        progress.iteration += 1
        progress.count(context.work, config.learner.batch)
        if not config.until_fixed_point:  # which lowers the rate itself
            progress.fix_horizon(60 * config.minutes)
        report(context, state, monitors, losses)
        if progress.iteration > first:  # which compiled: the next one will be faster
            progress.iteration_seconds = time.monotonic() - began
        measure = functools.partial(_measure, context, state, monitor, save_at)
        decided = told(peers, "the end of an iteration", measure)
        ended = decided["ended"]
        if not is_first:
            progress.adopt(decided["progress"])
        if decided["save"]:
            save(context, state)
            save_at = time.monotonic() + config.checkpoint.every_seconds
    write_pending(context, state)
    save(context, state)
    context.store.wait()
    peers.settle()
    peers.share("saved", {})
    return ended


def _is_enough(peers: Peers, source: Source) -> Callable[[State], bool]:
    """Returns what is asked before each training step; of several hosts, rank 0 says it for all."""
    if peers.count == 1 or source is LOCAL:
        return source.is_enough
    # Batches that are taken again come at the very steps at which they came first.
    unasked = 0 if isinstance(source, RecordedSource) else UNASKED_STEPS
    left = 0

    def is_enough(state: State) -> bool:
        nonlocal left
        if left:
            left -= 1
            return False
        word = told(peers, "step", lambda: {"is": source.is_enough(state), "unasked": unasked})
        left = word["unasked"]
        return bool(word["is"])

    return is_enough


def _behaviour(context: Context, state: State) -> Behaviour:
    """Returns the weights that are to play from now on, by a match if the run has a gate."""
    candidate, decision = _candidate(state), None

    def decide() -> dict[str, Any]:
        nonlocal decision
        decision = gate.decide(context, state, candidate)
        return {"step": decision.behaviour.step, "evaluations": decision.evaluations}

    decided = told(context.peers, "gate", decide) if context.config.gate else {}
    state.progress.measured += decided.get("evaluations", 0)
    if decision is not None and decision.line is not None:
        context.metrics.write(decision.line)
    is_promoted = decided.get("step", candidate.step) == candidate.step
    return candidate if is_promoted else state.in_flight.behaviour


def _measure(
    context: Context, state: State, monitor: FixedPointMonitor | None, save_at: float
) -> dict[str, Any]:
    """Returns whether the run ends here, whether it is saved now, and its progress.

    Evaluates if that is due. Of several hosts rank 0 alone does so: each has a clock of its own.

    Args:
      save_at: when a save is due, by `time.monotonic`.
    """
    config, progress = context.config, state.progress
    ended, must_save = progress.finished(config), False
    is_early = in_run.is_early(config, progress)
    if in_run.is_due(config, progress, ended) or is_early:
        context.metrics.activity("evaluating at the end" if ended else "evaluating")
        progress.evaluations += 1
        measured = evaluate(context, state, monitor, ended or is_early)
        must_save = _apply(context, state, measured)
        ended = ended or progress.finished(config)
    must_save = must_save or time.monotonic() >= save_at
    return {"ended": ended, "save": must_save, "progress": progress.counters()}


def _candidate(state: State) -> Behaviour:
    """Returns copies of the averaged weights: the next training step donates the state's own."""
    return Behaviour(devices.copy(local(state.train.averages)), state.progress.step)


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
