"""Begin a run, resume it from a checkpoint, or roll back to one after NaN."""

from collections.abc import Callable

import jax
import numpy as np

from selfplay import devices
from selfplay.randomness import RunPurpose
from selfplay.recorder import Recorder
from training import decision_examples, learner, multihost, non_finite, targets
from training.config import RunConfig
from training.context import Context, make_context, open_store
from training.decision_examples import DecisionExamples
from training.devices import local, to_learner
from training.metrics_log import MetricsLog
from training.network import Weights
from training.players import load_weights
from training.progress import Progress, first_horizon
from training.replay import ReplayBuffer
from training.source import LOCAL, Source
from training.stages import save
from training.state import Actor, State
from training.storage import recovery, snapshot, starts
from training.storage.checkpoint import Checkpoint, CheckpointStore, NonFiniteError
from training.storage.run_folder import RunFolder

SHOWN_PROBLEMS = 20


def with_rollback(
    folder: RunFolder,
    config: RunConfig,
    metrics: MetricsLog,
    iterate: Callable[[Context, State], bool],
    source: Source,
    decisions: DecisionExamples,
    first_weights: tuple[RunFolder, int] | None,
) -> bool:
    """Begins or resumes a run and iterates; after NaN or infinity, again from the last save.

    Returns:
      Whether the run is complete.

    Raises:
      ValueError, CheckpointError, NonFiniteError, OSError: as the message says.
    """
    rollbacks, why = 0, "resume"
    while True:
        store = open_store(folder, config)
        try:
            # Resume from the newest checkpoint that is whole, if there is one.
            saved = _last_good(folder, store, metrics)
            if saved is not None:
                progress = snapshot.progress_of(saved)
                if multihost.broadcast([progress.is_complete(config)])[0]:
                    return True
                rollbacks = max(progress.rollbacks, rollbacks)
            metrics.activity("compiling, once a process")
            # Build the programs; a rollback lowers the learning rate.
            context = make_context(folder, config, metrics, store, rollbacks, decisions)
            if saved is None:
                state = _begin_and_save(context, source, first_weights)
            else:
                state = resume(context, source, saved, progress)
            if multihost.is_first():
                device = f"{devices.mesh().size * multihost.parts()} x {devices.kind()}"
                where = state.progress.where()
                starts.note(folder.path, where, device, why if saved else "new")
            # The loop, in run.py.
            return iterate(context, state)
        except NonFiniteError as error:
            # NaN or infinity: go back to the last save, at a lower rate.
            rollbacks, why = rollbacks + 1, "rollback"
            metrics.notice(non_finite.roll_back(error, config, store, rollbacks))
        finally:
            source.close()
            store.close()  # what is being saved is saved, whatever happened


def begin(context: Context, source: Source = LOCAL, weights: Weights | None = None) -> State:
    """Returns the state of a new run, with the given weights or fresh ones."""
    # First, for its clock counts the compilation that follows.
    horizon = first_horizon(context.config, context.work)
    progress = Progress(horizon=horizon, rollbacks=context.rollbacks)
    train = learner.init(context.network, context.config.learner, context.key(RunPurpose.INIT, 0))
    if weights is not None:
        train = learner.with_weights(train, weights)
    train = to_learner(train, context.config.learner.batch)
    # First games, and the actor that plays the first rollout.
    games = context.open_games()
    actor = Actor(devices.copy(local(train.averages)), 0)
    return State(
        train=train,
        in_flight=source.start(context, 0, actor, games),
        replay=_empty_replay(context),
        recorder=_recorder(context),
        progress=progress,
    )


def resume(context: Context, source: Source, saved: Checkpoint, progress: Progress) -> State:
    """Returns the state of a checkpoint; its source repeats the rollout that was in flight.

    Args:
      progress: of the checkpoint; its clock has counted since it was read.
    """
    _notice_decisions(context)
    progress.rollbacks = context.rollbacks
    if changed := decision_examples.changes(context.decision_examples, saved.counters):
        context.metrics.notice(changed)
    # Files that were written after the save are moved aside.
    oldest = saved.counters["replay_oldest_kept"]
    if multihost.is_first():
        for notice in context.folder.discard_after(oldest, saved.logs, saved.chunks):
            context.metrics.notice(notice)
    replay = _restored_replay(context, saved, oldest)
    # The shapes of a fresh state tell how to unflatten the saved one.
    shapes = jax.eval_shape(
        lambda key: learner.init(context.network, context.config.learner, key),
        context.key(RunPurpose.INIT, 0),
    )
    # Of several processes, each takes the games of its own environments.
    own = saved._replace(games=_own_games(context, saved.games))
    # The games as they were before the rollout in flight, and the weights that play it.
    held = snapshot.unpack(own, shapes, context.open_games(), context.config.learner.batch)
    return State(
        train=held.train,
        in_flight=source.start(context, progress.iteration, held.actor, held.games),
        replay=replay,
        recorder=_recorder(context, held.pending),
        progress=progress,
        line=held.line,
    )


def _last_good(folder: RunFolder, store: CheckpointStore, metrics: MetricsLog) -> Checkpoint | None:
    """Returns the checkpoint to go on from: of several processes, the one that the first chose."""
    if not multihost.is_first():
        step = int(multihost.broadcast([0.0])[0])
        return None if step < 0 else store.load(step)
    saved = recovery.last_good(folder, store, metrics.notice)
    multihost.broadcast([-1 if saved is None else saved.step])
    return saved


def _begin_and_save(
    context: Context, source: Source, first_weights: tuple[RunFolder, int] | None
) -> State:
    """Returns the state of a new run, whose first save comes before all else that it writes."""
    _notice_decisions(context)
    if multihost.is_first():
        context.folder.check_unbegun()
    weights = load_weights(*first_weights, context.network) if first_weights else None
    state = begin(context, source, weights)
    save(context, state)
    context.store.wait()  # what comes later is told from what was there before the run
    return state


def _empty_replay(context: Context) -> ReplayBuffer:
    """Returns the run's replay."""
    forms = targets.forms(context.game, context.targets)
    return ReplayBuffer(context.config.replay, forms, multihost.parts())


def _restored_replay(context: Context, saved: Checkpoint, oldest: int) -> ReplayBuffer:
    """Returns the replay as a checkpoint's chunks have it."""
    environments = context.config.self_play.batch
    replay = _empty_replay(context)
    replay.restore(
        context.store.replay_folder,
        int(saved.counters["examples"]),
        context.folder.run_id(),
        oldest,
        lambda game_id: multihost.owned(game_id, environments),
    )
    replay.is_ready = not multihost.any_process(not len(replay))
    return replay


def _own_games(context: Context, games: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns this process's part of a checkpoint's games and of their plies so far."""
    if multihost.parts() == 1:
        return games
    environments = context.config.self_play.batch
    pending = games.get("pending/game_id")
    mine = None if pending is None else multihost.owned(pending, environments)
    return {
        name: leaf[mine]
        if name.startswith("pending/")
        else np.split(leaf, multihost.parts())[multihost.part()]
        for name, leaf in games.items()
    }


def _recorder(context: Context, pending: dict[str, np.ndarray] | None = None) -> Recorder:
    """The recorder of this process's environments."""
    own = context.own_games.batch
    return Recorder(pending, multihost.part() * own, context.config.self_play.batch)


def _notice_decisions(context: Context) -> None:
    decided = context.decision_examples
    if decided.whose:
        file = context.config.overseer.decisions
        context.metrics.notice(f"decisions that are learned from, of {file}: {decided.whose}")
    if decided.unlike and context.symmetries > 1:
        context.metrics.notice(decided.unlike)
    for problem in decided.problems[:SHOWN_PROBLEMS]:
        context.metrics.notice(f"decision left out: {problem}")
