"""What the hosts of a run tell each other, by way of rank 0: small words, and bytes.

The words are in order: every rank comes to the same `share` with its own entry, and gets those of
all. The bytes go from one rank to another, also from a thread beside the loop. Nothing here runs on
a device: gradients alone do, inside the training step.
"""

import concurrent.futures
import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from training.hosts.store import DeadlineError, Store

MAX_PART = 1 << 22  # bytes of one message to the store
PATIENCE = 24 * 3600.0  # seconds in which another rank may evaluate; who is gone is noticed sooner
AT = "at"


class AnewError(RuntimeError):
    """Rank 0 has gone back to the last save, and so must this rank; holds what rank 0 says."""

    def __init__(self, start: dict[str, Any]) -> None:
        super().__init__("rank 0 begins anew")
        self.start = start


class AbsentError(RuntimeError):
    """Ranks did not come in time; the message names them."""


class Peers(Protocol):
    """The ranks of a run, as one of them sees them."""

    rank: int
    count: int

    def share(self, at: str, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Returns the entries of all ranks, in their order; each gives its own, as JSON.

        Args:
          at: names the place in the loop, at which all ranks must be.

        Raises:
          AnewError: rank 0 begins anew.
        """

    def now(self) -> int:
        """Returns a number that is the same on all ranks at one place in the loop, and later."""

    def send(self, rank: int, name: str, make: Callable[[], bytes]) -> None:
        """Makes bytes for a rank, beside the loop, under a name that is used once."""

    def settle(self) -> None:
        """Waits until all that was to be sent is sent."""

    def receive(self, rank: int, name: str) -> bytes:
        """Waits for the bytes that a rank has sent to this one."""


class Alone:
    """One host is the case of one: it asks itself."""

    rank, count = 0, 1

    def share(self, at: str, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Returns our own entry."""
        del at
        return [dict(entry)]

    def now(self) -> int:
        """Returns a number."""
        return 0

    def settle(self) -> None:
        """Nothing was sent."""

    def send(self, rank: int, name: str, make: Callable[[], bytes]) -> None:
        """There is nobody."""
        raise AssertionError(f"{name} for rank {rank} of 1")

    def receive(self, rank: int, name: str) -> bytes:
        """There is nobody."""
        raise AssertionError(f"{name} of rank {rank} of 1")


ALONE = Alone()
BEGIN = "begin"  # the place where a rank takes the run up, and where all start anew


class Hosts:
    """Ranks that meet in a store which all of them reach."""

    def __init__(self, store: Store, rank: int, count: int) -> None:
        self.rank, self.count = rank, count
        self._store, self._number = store, 0
        self._sent: list[str] = []  # keys of the last two words
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "hosts")
        self._sending: list[concurrent.futures.Future[None]] = []

    def share(self, at: str, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
        """See `Peers`."""
        return self._share(at, entry, PATIENCE)

    def meet(self, at: str, seconds: float) -> None:
        """Waits until every rank is here.

        Raises:
          AbsentError: some are not, after so many seconds; says which.
        """
        self._share(at, {}, seconds)

    def _share(self, at: str, entry: Mapping[str, Any], seconds: float) -> list[dict[str, Any]]:
        number, self._number = self._number, self._number + 1
        own = json.dumps({**entry, AT: at})
        if self.rank == 0:
            entries = [own, *self._of_others(number, at, seconds)]
            self._put(f"words/{number}/all", json.dumps(entries))
        else:
            self._put(f"words/{number}/{self.rank}", own)
            # Rank 0 waits as long for the others, and says whom it lacks.
            patience = 2 * seconds + self.count
            entries = json.loads(self._store.get(f"words/{number}/all", patience))
        read = [json.loads(text) for text in entries]
        if "absent" in read[0]:
            raise AbsentError(read[0]["absent"])
        if read[0][AT] != at:
            if read[0][AT] == BEGIN:
                raise AnewError(read[0])
            raise AssertionError(f"rank 0 is at {read[0][AT]!r}, and rank {self.rank} at {at!r}")
        return read

    def _of_others(self, number: int, at: str, seconds: float) -> list[str]:
        entries: list[str] = []
        absent: list[int] = []
        for rank in range(1, self.count):
            try:
                # Of the first that is absent we have waited for the others, too.
                word = self._store.get(f"words/{number}/{rank}", 1 if absent else seconds)
                entries.append(word.decode())
            except DeadlineError:
                absent.append(rank)
        if absent:
            names = " and ".join(f"rank {rank}" for rank in absent)
            text = f"{names} of {self.count} did not come to {at} within {seconds:.0f} s"
            self._put(f"words/{number}/all", json.dumps([json.dumps({"absent": text})]))
            raise AbsentError(text)
        return entries

    def _put(self, key: str, text: str) -> None:
        """Writes a word, and erases the one before the last, which all have read."""
        self._store.put(key, text.encode())
        self._sent.append(key)
        if len(self._sent) > 2:
            self._store.erase(self._sent.pop(0))

    def now(self) -> int:
        """See `Peers`."""
        return self._number

    def send(self, rank: int, name: str, make: Callable[[], bytes]) -> None:
        """See `Peers`. Raises what an earlier one met."""
        self._sending = [sent for sent in self._sending if not _is_done(sent)]
        self._sending.append(self._thread.submit(self._send, rank, name, make))

    def settle(self) -> None:
        """See `Peers`. Raises what one of them met."""
        while self._sending:
            self._sending.pop(0).result()

    def _send(self, rank: int, name: str, make: Callable[[], bytes]) -> None:
        """Writes bytes in parts: the store takes no more at once."""
        content, key = make(), f"bytes/{self.rank}/{rank}/{name}"
        parts = range(0, max(len(content), 1), MAX_PART)
        for number, first in enumerate(parts):
            self._store.put(f"{key}/{number}", content[first : first + MAX_PART])
        self._store.put(f"{key}/parts", str(len(parts)).encode())

    def receive(self, rank: int, name: str) -> bytes:
        """See `Peers`."""
        key = f"bytes/{rank}/{self.rank}/{name}"
        count = int(self._take(f"{key}/parts"))
        return b"".join(self._take(f"{key}/{number}") for number in range(count))

    def _take(self, key: str) -> bytes:
        content = self._store.get(key, PATIENCE)
        self._store.erase(key)
        return content


def _is_done(sent: concurrent.futures.Future[None]) -> bool:
    if sent.done():
        sent.result()
    return sent.done()


def told(peers: Peers, at: str, decide: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Returns what rank 0 decides; the others wait for it."""
    return peers.share(at, decide() if peers.rank == 0 else {})[0]


def any_of(peers: Peers, at: str, own: bool) -> bool:
    """Returns whether it is so on any rank."""
    return any(entry["is"] for entry in peers.share(at, {"is": own}))
