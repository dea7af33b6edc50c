"""The start of a process with a run: it begins, or goes on from a checkpoint."""

import jax
import numpy as np

from selfplay import devices, row
from selfplay.randomness import RunPurpose
from selfplay.recorder import Recorder
from training import learner, shares
from training.context import Context
from training.devices import local, to_learner
from training.network import Weights
from training.oversight import decision_rows
from training.players import load_weights
from training.progress import Progress, first_horizon
from training.replay import ReplayBuffer
from training.source import LOCAL, Source
from training.stages import save
from training.state import Behaviour, State
from training.storage import snapshot
from training.storage.checkpoint import Checkpoint
from training.storage.leaves import flatten, unflatten
from training.storage.run_folder import RunFolder

SHOWN_PROBLEMS = 20


def begin(context: Context, source: Source = LOCAL, weights: Weights | None = None) -> State:
    """Returns the state of a new run, with the given weights or fresh ones, at its first call."""
    # First, for its clock counts the compilation that follows.
    horizon = first_horizon(context.config, context.work)
    progress = Progress(horizon=horizon, rollbacks=context.rollbacks)
    train = learner.init(context.network, context.config.learner, context.key(RunPurpose.INIT, 0))
    if weights is not None:
        train = learner.with_weights(train, weights)
    train = to_learner(train, context.config.learner.batch)
    games = context.open_games()
    behaviour = Behaviour(devices.copy(local(train.averages)), 0)
    return State(
        train=train,
        in_flight=source.start(context, 0, behaviour, games),
        replay=empty_replay(context),
        recorder=own_recorder(context),
        progress=progress,
    )


def begin_and_save(
    context: Context, source: Source, first_weights: tuple[RunFolder, int] | None
) -> State:
    """Returns the state of a new run, whose first save comes before all else that it writes."""
    _notice_decisions(context)
    name, peers = "weights", context.peers
    if peers.rank == 0:
        context.folder.check_unbegun()
        weights = load_weights(*first_weights, context.network) if first_weights else None
        shares.send_arrays(peers, name, {} if weights is None else flatten(tuple(weights)))
    else:
        arrays = shares.receive_arrays(peers, name)
        template = jax.eval_shape(context.network.init, jax.random.key(0))
        weights = Weights(*unflatten(tuple(template), arrays)) if arrays else None
    state = begin(context, source, weights)
    save(context, state)
    context.store.wait()  # what comes later is told from what was there before the run
    return state


def resume(
    context: Context,
    source: Source,
    saved: Checkpoint,
    progress: Progress,
    chunks: frozenset[str] = frozenset(),
) -> State:
    """Returns the state of a checkpoint; its source repeats the call that was in flight.

    Args:
      progress: of the checkpoint; its clock has counted since it was read.
      chunks: names of those that were taken from workers after it, and are kept.
    """
    _notice_decisions(context)
    progress.rollbacks = context.rollbacks
    if changed := decision_rows.changes(context.decision_rows, saved.counters):
        context.metrics.notice(changed)
    oldest = saved.counters["replay_oldest_kept"]
    if context.peers.rank == 0:
        for notice in context.folder.discard_after(oldest, saved.logs, saved.chunks | chunks):
            context.metrics.notice(notice)
    replay = empty_replay(context)
    shares.restore(context, replay, saved.counters)
    shapes = jax.eval_shape(
        lambda key: learner.init(context.network, context.config.learner, key),
        context.key(RunPurpose.INIT, 0),
    )
    rows = context.config.learner.batch
    held = snapshot.unpack(saved, shapes, context.open_games(), rows)
    return State(
        train=held.train,
        in_flight=source.start(context, progress.iteration, held.behaviour, held.games),
        replay=replay,
        recorder=own_recorder(context, held.recorder.pending),
        progress=progress,
        line=held.line,
    )


def empty_replay(context: Context) -> ReplayBuffer:
    """Returns the run's replay, with the columns of its targets; of several hosts our share."""
    forms = row.target_forms(context.targets, context.game)
    return ReplayBuffer(context.config.replay, forms, (context.peers.rank, context.peers.count))


def own_recorder(context: Context, pending: dict[str, np.ndarray] | None = None) -> Recorder:
    """Returns what records the games of our lanes."""
    own = context.own.batch
    return Recorder(pending, context.peers.rank * own, context.config.self_play.batch)


def _notice_decisions(context: Context) -> None:
    decided = context.decision_rows
    if decided.whose:
        file = context.config.overseer.decisions
        context.metrics.notice(f"decisions that are learned from, of {file}: {decided.whose}")
    if decided.unlike and context.symmetries > 1:
        context.metrics.notice(decided.unlike)
    for problem in decided.problems[:SHOWN_PROBLEMS]:
        context.metrics.notice(f"decision left out: {problem}")
