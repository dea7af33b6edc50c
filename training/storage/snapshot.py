"""All that a run holds in memory, as a checkpoint and back."""

from typing import Any, NamedTuple

import numpy as np

from selfplay import devices
from selfplay.self_play import SelfPlayState
from training.devices import to_learner
from training.learner import TrainState
from training.storage.checkpoint import Checkpoint, flatten, unflatten


class Snapshot(NamedTuple):
    """A run between two iterations; with its replay rows, enough to go on bit by bit."""

    state: TrainState
    acting: tuple[Any, Any]  # (params, batch_stats) that the call in flight plays with
    games: SelfPlayState  # from before that call
    pending: dict[str, np.ndarray] | None  # plies of unfinished games
    counters: dict[str, Any]
    line: dict[str, Any] | None  # of the metrics, not in their log yet; its `losses` may be arrays


def pack(snapshot: Snapshot, step: int, seals: dict[str, Any]) -> Checkpoint:
    """Returns the snapshot by named arrays; copies what the next training step would donate."""
    state = devices.copy(snapshot.state)
    line = dict(snapshot.line or {})
    return Checkpoint(
        step=step,
        train_state=flatten({"state": state, "acting": snapshot.acting}),
        games=flatten({"games": snapshot.games, "pending": snapshot.pending or {}}),
        counters=snapshot.counters,
        logs=seals | {"losses": line.pop("losses", []), "line": line},
    )


def unpack(saved: Checkpoint, state: TrainState, games: SelfPlayState) -> Snapshot:
    """Returns the snapshot on this process's devices.

    Args:
      state, games: of the structure to fill; arrays or shapes.

    Raises:
      CheckpointError: the checkpoint is of another structure.
    """
    acting = (state.average_params, state.average_batch_stats)
    losses = [
        {name: np.float32(value) for name, value in measured.items()}
        for measured in saved.logs.get("losses", [])
    ]
    line = saved.logs.get("line")
    return Snapshot(
        state=to_learner(unflatten(state, under("state", saved.train_state))),
        acting=to_learner(unflatten(acting, under("acting", saved.train_state))),
        games=devices.split_lanes(unflatten(games, under("games", saved.games))),
        pending=under("pending", saved.games) or None,
        counters=saved.counters,
        line=line | {"losses": losses} if line else None,
    )


def under(prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """Returns the arrays whose name begins with `prefix/`, by the rest of their name."""
    start = f"{prefix}/"
    return {name[len(start) :]: leaf for name, leaf in arrays.items() if name.startswith(start)}
