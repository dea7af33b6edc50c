"""Rows that were taken from workers before, again, in the order of the ledger.

The learner's part is a function of that order: the same rows at the same training steps give the
same weights, bit by bit. So a process that is killed after its last save loses nothing that workers
had sent, and a run can be learned again as a whole.
"""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from selfplay import row
from selfplay.files import npz
from selfplay.self_play import SelfPlayState
from training.calls import PlayedCall
from training.context import Context
from training.source import Source
from training.stages import take
from training.state import Behaviour, InFlight, State
from training.storage.manifest import DamagedError, sha256
from training.workers import batch
from training.workers.batch import Header
from training.workers.ledger import Taken
from training.workers.pace import pass_over


class RecordedSource:
    """Batches that were taken, and then another source."""

    def __init__(self, folder: pathlib.Path, taken: Sequence[Taken], following: Source) -> None:
        """Reads from the replay folder `folder`."""
        self._folder, self._left = folder, list(reversed(taken))
        self._following = following
        self._is_begun = False

    def start(
        self, context: Context, index: int, behaviour: Behaviour, games: SelfPlayState
    ) -> InFlight:
        """The games of the run itself wait until all batches are taken."""
        if not self._left:
            self._is_begun = True
            return self._following.start(context, index, behaviour, games)
        return InFlight(behaviour, games, games, None)

    def next(
        self, context: Context, state: State, behaviour: Behaviour, stop: Callable[[], bool]
    ) -> dict[str, Any] | None:
        """Takes the next batch from the disk."""
        if self._left:
            state.in_flight = state.in_flight._replace(behaviour=behaviour)
            return take_again(self._folder, self._left.pop(), context, state)
        if not self._is_begun:
            self._is_begun = True
            games = state.in_flight.before
            state.in_flight = self._following.start(
                context, state.progress.iteration, behaviour, games
            )
        return self._following.next(context, state, behaviour, stop)

    def is_enough(self, state: State) -> bool:
        """Whether the next batch came at this step, when it was taken first."""
        if self._left:
            return state.progress.step >= self._left[-1].step
        return self._is_begun and self._following.is_enough(state)

    def close(self, finished: bool) -> None:
        """Closes the source that follows, if it has begun."""
        if self._is_begun:
            self._following.close(finished)


def take_again(
    folder: pathlib.Path, line: Taken, context: Context, state: State, is_saved: bool = True
) -> dict[str, Any]:
    """Takes a batch from a replay folder as it was taken first; returns entries for metrics.jsonl.

    Args:
      is_saved: the run's own folder it is.

    Raises:
      DamagedError: it is not there, or the run does not stand where it stood then.
    """
    progress = state.progress
    if (line.first, line.step) != (state.replay.total, progress.step):
        raise DamagedError(
            f"the ledger says that batch {line.key} was taken at row {line.first} and step "
            f"{line.step}; the run is at row {state.replay.total} and step {progress.step}"
        )
    progress.horizon = line.horizon
    progress.batches += 1
    monitors = take(context, state, _read(folder, context, line), is_saved=is_saved)
    if line.rows and is_saved:
        context.store.add_chunk(line.chunk, line.sha256)
    pass_over(context, state)
    return monitors


def _read(folder: pathlib.Path, context: Context, line: Taken) -> PlayedCall:
    if not line.rows:
        return batch.without_rows(context.game, context.targets, line.plies)
    path = folder / line.chunk
    if not path.exists() or sha256(path) != line.sha256:
        raise DamagedError(f"{path} is missing or damaged: put it back from a copy")
    columns = npz.read(path)
    header = batch.parse_header(columns.pop(batch.HEADER, None))
    names = batch.forms(context.game, context.targets)
    return batch.played(row.nested(row.Sample, {n: columns[n] for n in names}), header)


def header_of(path: pathlib.Path) -> Header:
    """Returns the header of a batch on the disk. Raises DamagedError or BatchError: it has none."""
    if not path.exists():
        raise DamagedError(f"{path} is missing: put it back from a copy")
    return batch.parse_header(npz.read(path).pop(batch.HEADER, None))
