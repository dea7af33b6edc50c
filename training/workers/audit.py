"""Audits: batches of workers, played again; the same numbers must give the same games.

They find what no look at a batch can: a processor or a driver that computes otherwise, a memory
that forgets, a worker that does not play what it says.
"""

from collections.abc import Callable

import jax
import numpy as np

from selfplay import devices
from selfplay.files import npz
from training.config import RunConfig
from training.storage.manifest import CheckpointError
from training.workers import batch, identity
from training.workers.batch import HEADER, LANES, BatchError, Key
from training.workers.identity import Alike
from training.workers.members import Member
from training.workers.worker import Version, Worker, lanes_as_arrays

MOST_KEPT = 64  # versions whose batches can be played again
MOST_BYTES = 1 << 30  # of these, on the host


class Double:
    """Plays calls of any worker of a run again."""

    def __init__(self, config: RunConfig, run_id: str) -> None:
        """Compiles nothing yet."""
        self._config, self._run_id = config, run_id
        self._workers: dict[int, Worker] = {}  # by number of devices

    def play(
        self, key: Key, count: int, version: Version, lanes: dict[str, np.ndarray]
    ) -> tuple[bytes, dict[str, np.ndarray]]:
        """Returns a batch, and the games after it by name.

        Args:
          count: devices of the worker.
          lanes: the games before the batch; none before the first of an incarnation.

        Raises:
          CheckpointError: the games are of another structure.
        """
        with devices.only(count):
            if count not in self._workers:
                given = self._config, self._run_id, key.slot, key.incarnation
                self._workers[count] = Worker(*given)
            worker = self._workers[count]
            before = worker.lanes_of(lanes) if key.seq else None
            worker.become(key.slot, key.incarnation, key.seq, before)
            return worker.play(version).content, lanes_as_arrays(worker.lanes())


def difference(theirs: bytes, ours: bytes) -> str:
    """Returns in what two batches of the same call differ; empty if in none of their rows."""
    one, other = (npz.parse(content, npz.largest()) for content in (theirs, ours))
    names = {name for name in one.keys() | other.keys() if not name.startswith(LANES)} - {HEADER}
    rows, again = len(one["ply"]), len(other["ply"])
    if rows != again:
        return f"{again} rows instead of {rows}"
    unlike = np.zeros(rows, bool)
    for name in names:
        same = one[name] == other[name]
        unlike |= ~same.all(axis=tuple(range(1, same.ndim)))
    return f"{unlike.sum()} of {rows} rows are others" if unlike.any() else ""


class Auditor:
    """The learner's part: plays again what is due, and refuses what comes out otherwise."""

    def __init__(self, config: RunConfig, run_id: str, notice: Callable[[str], None]) -> None:
        """Knows no weights yet."""
        self._every, self._notice, self._game = config.fleet.audit, notice, config.game
        self._double = Double(config, run_id)
        self._versions: dict[int, Version] = {}  # newest last, on the host
        self._ours: Alike | None = None
        self._told: set[str] = set()  # workers whose batches cannot be played again here
        self.done = 0  # batches that came out the same

    def published(self, version: Version) -> None:
        """Keeps weights, which are on the host, that may play what is to be played again."""
        if not self._every:
            return
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(version.weights))
        self._versions[version.number] = version
        for old in list(self._versions)[: -min(MOST_KEPT, max(2, MOST_BYTES // max(size, 1)))]:
            del self._versions[old]

    def check(self, member: Member, read: batch.Batch, content: bytes) -> None:
        """Plays a batch again if it is due.

        Raises:
          BatchError: it comes out otherwise, on CPUs, where equal bits are promised. Elsewhere that
            is said, and no more.
        """
        header = read.header
        due = self._every and header.seq % self._every == 0 and (read.lanes or not header.seq)
        version = self._versions.get(header.version)
        if not due or version is None or not self._is_alike(member):
            return
        try:
            again, _ = self._double.play(header.key, header.devices, version, read.lanes)
        except CheckpointError as error:
            raise BatchError(f"the games before it are no games: {error}") from None
        if not (why := difference(content, again)):
            self.done += 1
            return
        said = f"played again by the learner, {why}"
        if jax.local_devices()[0].platform == "cpu":
            raise BatchError(said)
        self._notice(f"batch {header.seq} of worker {member.name}: {said}")

    def _is_alike(self, member: Member) -> bool:
        """Returns whether we compute what a worker computes; if not, says it once."""
        ours = self._ours = self._ours or identity.alike(self._game)
        hello = member.hello
        count = min(hello.devices, ours.devices)  # we can do with less
        theirs = Alike(hello.code, hello.jax, hello.device, hello.devices, hello.cores)
        if unlike := identity.difference(theirs, ours._replace(devices=count)):
            if member.name not in self._told:
                self._told.add(member.name)
                self._notice(f"worker {member.name} is not audited: {unlike}")
            return False
        return True
