"""The state of a run as a checkpoint, and back."""

from typing import Any, NamedTuple

import numpy as np

from selfplay import devices
from selfplay.self_play import SelfPlayState
from training.devices import local, to_learner
from training.learner import TrainState
from training.network import Weights
from training.progress import Progress
from training.state import Actor, State
from training.storage.checkpoint import Checkpoint
from training.storage.leaves import flatten, under, unflatten
from training.storage.manifest import ACTOR, ACTOR_STEP, CheckpointError


class Unpacked(NamedTuple):
    """A state as a checkpoint holds it: without progress and replay examples, which lie in chunks.

    The call in flight is not held. Its actor weights and the games before it repeat it.
    """

    train: TrainState
    actor: Actor
    games: SelfPlayState
    pending: dict[str, np.ndarray] | None  # plies of these games
    line: dict[str, Any] | None


def pack(state: State, seals: dict[str, Any], notes: dict[str, Any]) -> Checkpoint:
    """Returns the state by named arrays; copies what the next training step would donate.

    Args:
      seals: of the logs, as `RunFolder.seal_logs` returned them.
      notes: counters beside those of the progress and the replay.
    """
    actor, replay = state.in_flight.actor, state.replay
    line = dict(state.line or {})
    counters = state.progress.counters() | {
        "examples": replay.total,
        "replay_oldest_kept": replay.oldest_kept(),
        ACTOR_STEP: actor.step,
    }
    return Checkpoint(
        step=state.progress.step,
        train_state=flatten(
            {"state": devices.copy(local(state.train)), ACTOR: tuple(actor.weights)}
        ),
        games=flatten({"games": state.in_flight.before, "pending": state.recorder.pending or {}}),
        counters=counters | notes,
        logs=seals | {"losses": line.pop("losses", []), "line": line},
    )


def unpack(
    saved: Checkpoint, train: TrainState, games: SelfPlayState, learner_examples: int
) -> Unpacked:
    """Returns what a checkpoint holds, on this process's devices.

    Args:
      train, games: of the structure to fill; arrays or shapes.
      learner_examples: of a training step.

    Raises:
      CheckpointError: the checkpoint is of another structure.
    """
    losses = [
        (1, {name: np.array([value], np.float32) for name, value in measured.items()})
        for measured in saved.logs["losses"]
    ]
    line = saved.logs["line"]
    averages = tuple(train.averages)
    weights = unflatten(averages, under(ACTOR, saved.train_state))
    return Unpacked(
        train=to_learner(unflatten(train, under("state", saved.train_state)), learner_examples),
        actor=Actor(
            Weights(*local(to_learner(weights, learner_examples))), saved.counters[ACTOR_STEP]
        ),
        games=devices.split_envs(unflatten(games, under("games", saved.games))),
        pending=under("pending", saved.games) or None,
        line=line | {"losses": losses} if line else None,
    )


def progress_of(saved: Checkpoint) -> Progress:
    """Returns the progress of a checkpoint. Raises CheckpointError if a counter is no number."""
    try:
        return Progress.of(saved.counters)
    except ValueError as error:
        raise CheckpointError(str(error)) from None
