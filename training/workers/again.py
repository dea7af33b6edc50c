"""A run with workers, learned again: the same batches at the same steps give the same weights.

`selfplay train --replay-of R` proves that what R has learned follows from what it has on the disk.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from selfplay import devices
from selfplay.self_play import SelfPlayState
from training.context import Context
from training.state import Behaviour, InFlight, State
from training.storage.checkpoint import CheckpointStore
from training.storage.leaves import flatten
from training.storage.manifest import CheckpointError
from training.storage.run_folder import RunFolder
from training.workers import ledger
from training.workers.recorded import take_again


class AgainSource:
    """The batches of another run, in its order; compares with its checkpoints on the way."""

    def __init__(self, run: RunFolder) -> None:
        """Looks whether all is there.

        Raises:
          ValueError: it is not; says what is missing.
        """
        self._store = CheckpointStore(run.path)
        taken = ledger.read(self._store.replay_folder).taken
        _check_whole(run, self._store, taken)
        self.batches = len(taken)
        self._left = list(reversed(taken))
        self._saves = _saves(self._store)
        self.equal: list[int] = []  # steps at which all weights were those of the other run
        self.different: list[int] = []

    def start(
        self, context: Context, index: int, behaviour: Behaviour, games: SelfPlayState
    ) -> InFlight:
        """Begins before the first batch."""
        return InFlight(behaviour, games, games, None)

    def next(
        self, context: Context, state: State, behaviour: Behaviour, stop: Callable[[], bool]
    ) -> dict[str, Any] | None:
        """Takes the next batch; None after the last."""
        self._compare(state)
        if not self._left or stop():
            return None
        state.in_flight = state.in_flight._replace(behaviour=behaviour)
        folder = self._store.replay_folder
        return take_again(folder, self._left.pop(), context, state, is_saved=False)

    def is_enough(self, state: State) -> bool:
        """Whether the other run took its next batch at this step, or ended here."""
        step = state.progress.step
        if self._left:
            return step >= self._left[-1].step
        return step >= max(self._saves.values(), default=0)

    def close(self, finished: bool) -> None:
        """Lets go of the other run."""
        self._store.close()

    def _compare(self, state: State) -> None:
        """Compares the weights with a checkpoint of the other run, if it has one of this moment."""
        progress = state.progress
        if self._saves.get(progress.batches) != progress.step:
            return
        saved = self._store.load(progress.step, with_replay=False).train_state
        own = flatten({"state": devices.copy(state.train)})
        same = all(np.array_equal(np.asarray(leaf), saved[name]) for name, leaf in own.items())
        (self.equal if same else self.different).append(progress.step)


def _check_whole(run: RunFolder, store: CheckpointStore, taken: list[ledger.Taken]) -> None:
    """Raises ValueError unless a run's batches are all there from its first row on."""
    if not taken:
        raise ValueError(f"{run.path} took nothing from workers: there is no order to repeat")
    ledger.check_order(taken)
    if taken[0].first:
        raise ValueError(
            f"{run.path} played its first {taken[0].first} rows alone: only a run whose workers "
            "played from its beginning can be learned again"
        )
    newest = store.load(store.steps()[-1], with_replay=False)
    if newest.counters.get("rollbacks"):
        raise ValueError(f"{run.path} went back to lower rates after NaN: that is not repeated")
    chunks = [store.replay_folder / line.chunk for line in taken if line.rows]
    gone = [chunk.name for chunk in chunks if not chunk.exists()]
    if gone:
        raise ValueError(
            f"{run.path} has no longer all of its rows ({len(gone)} files, the first {gone[0]}): "
            "with --replay.keep all it would have kept them"
        )


def _saves(store: CheckpointStore) -> dict[int, int]:
    """Returns the step of each checkpoint by the number of batches that were taken before it."""
    saves = {}
    for step in store.steps():
        try:
            saves[store.load(step, with_replay=False).counters.get("batches", 0)] = step
        except CheckpointError:
            continue  # a damaged one proves nothing
    return saves
