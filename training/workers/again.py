"""A run with workers, learned again: the same batches at the same steps give the same weights.

`selfplay train --replay-of R` proves that what R has learned follows from what it has on the disk.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from selfplay import devices
from selfplay.files import npz
from selfplay.self_play import SelfPlayState
from training.context import Context
from training.network import Weights
from training.state import Behaviour, InFlight, State
from training.storage.checkpoint import CheckpointStore
from training.storage.leaves import flatten
from training.storage.manifest import CheckpointError, DamagedError
from training.storage.run_folder import RunFolder
from training.workers import ledger
from training.workers.audit import Double, difference
from training.workers.batch import Header
from training.workers.ledger import Taken
from training.workers.recorded import header_of, take_again
from training.workers.worker import Version


class AgainSource:
    """The batches of another run, in its order; compares with its checkpoints on the way."""

    def __init__(self, run: RunFolder, plays: bool = False) -> None:
        """Looks whether all is there.

        Args:
          plays: plays each batch again, too.

        Raises:
          ValueError: it is not; says what is missing.
        """
        self._store = CheckpointStore(run.path)
        taken = ledger.read(self._store.replay_folder).taken
        _check_whole(run, self._store, taken)
        self.batches = len(taken)
        self._left = list(reversed(taken))
        self._saves = _saves(self._store)
        self._player = Player(run, self._store, taken) if plays else None
        self.equal: list[int] = []  # steps at which all weights were those of the other run
        self.different: list[int] = []

    @property
    def learned(self) -> int:
        """How many batches were taken again."""
        return self.batches - len(self._left)

    @property
    def newest(self) -> int:
        """The step of the other run's newest checkpoint: what it has come to."""
        return max(self._saves.values(), default=0)

    @property
    def played(self) -> int:
        """How many batches were played again, all with the same rows."""
        return self._player.played if self._player else 0

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
        line, folder = self._left.pop(), self._store.replay_folder
        monitors = take_again(folder, line, context, state, is_saved=False)
        if self._player:
            context.metrics.activity("playing batches again")
            self._player.play(line, behaviour)
        return monitors

    def is_enough(self, state: State) -> bool:
        """Whether the other run took its next batch at this step, or ended here."""
        step = state.progress.step
        if self._left:
            return step >= self._left[-1].step
        return step >= self.newest

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


class Player:
    """Plays all batches of a run again, with the weights that learning them again gives."""

    def __init__(self, run: RunFolder, store: CheckpointStore, taken: list[Taken]) -> None:
        """Looks whether that can be done.

        Raises:
          ValueError: it cannot; says why.
        """
        if any(line.weights_step < 0 for line in taken):
            raise ValueError(
                f"{run.path} did not note which weights played: it is too old for that"
            )
        self._folder, self.played = store.replay_folder, 0
        self._double = Double(run.read_config(), run.run_id())
        # By incarnation; of one that never gave rows there is nothing to compare.
        self._devices: dict[int, int] = {}
        for line in taken:
            if line.rows and line.incarnation not in self._devices:
                header = header_of(self._folder / line.chunk)
                _check_devices(line, header)
                self._devices[line.incarnation] = header.devices
        self._last = {line.weights_step: place for place, line in enumerate(taken)}
        self._place = 0
        self._weights: dict[int, Weights] = {}  # by step, those that are needed yet
        self._lanes: dict[int, dict[str, np.ndarray]] = {}  # by incarnation

    def play(self, line: Taken, behaviour: Behaviour) -> None:
        """Plays a batch again, the next of its worker; `behaviour` would play from now on.

        Raises:
          DamagedError: its rows are others.
        """
        if behaviour.step in self._last:
            self._weights.setdefault(behaviour.step, jax.device_get(behaviour.weights))
        if line.incarnation in self._devices:
            if line.weights_step not in self._weights:
                raise DamagedError(
                    f"batch {line.key} says that weights of step {line.weights_step} played it, "
                    "and none were published then"
                )
            version = Version(line.version, line.weights_step, self._weights[line.weights_step])
            count, before = self._devices[line.incarnation], self._lanes.get(line.incarnation, {})
            content, self._lanes[line.incarnation] = self._double.play(
                line.key, count, version, before
            )
            if why := self._unlike(line, content):
                raise DamagedError(f"batch {line.key}, played again: {why}")
            self.played += 1
        self._place += 1
        self._weights = {
            step: weights
            for step, weights in self._weights.items()
            if self._last[step] >= self._place
        }

    def _unlike(self, line: Taken, again: bytes) -> str:
        """Returns in what a batch that was played again differs, empty if in nothing."""
        if line.rows:
            return difference((self._folder / line.chunk).read_bytes(), again)
        rows = len(npz.parse(again, npz.largest())["ply"])
        return f"{rows} rows instead of none" if rows else ""


def _check_devices(line: Taken, header: Header) -> None:
    """Raises ValueError if a worker had other devices than there are here."""
    own, count = devices.kind(), devices.mesh().size
    if header.device_kind != own or header.devices > count:
        raise ValueError(
            f"incarnation {line.incarnation} played on {header.devices} x {header.device_kind}; "
            f"here are {count} x {own}, on which its games cannot be played again"
        )


def _check_whole(run: RunFolder, store: CheckpointStore, taken: list[Taken]) -> None:
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
