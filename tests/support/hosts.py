"""Several hosts in one process: a store whose ranks are threads."""

import threading
from collections.abc import Callable
from typing import Any

from training.hosts.peers import Hosts
from training.hosts.store import DeadlineError


class Memory:
    """A `training.hosts.store.Store` that refuses a key twice, as jax's does."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self._changed = threading.Condition()

    def put(self, key: str, content: bytes) -> None:
        """Writes a key that is not there."""
        with self._changed:
            assert key not in self.content, key
            self.content[key] = content
            self._changed.notify_all()

    def get(self, key: str, seconds: float) -> bytes:
        """Waits for a key."""
        with self._changed:
            if not self._changed.wait_for(lambda: key in self.content, min(seconds, 30.0)):
                raise DeadlineError(key)
            return self.content[key]

    def erase(self, key: str) -> None:
        """Erases a key."""
        with self._changed:
            del self.content[key]


def together(count: int, do: Callable[[Hosts], Any], store: Memory | None = None) -> list[Any]:
    """Returns what each of `count` ranks returns or raises, all at the same time."""
    store = store or Memory()
    return at_once(count, lambda rank: do(Hosts(store, rank, count)))


def at_once(count: int, do: Callable[[int], Any]) -> list[Any]:
    """Returns what `do` of each number returns or raises, each in a thread."""
    results: list[Any] = [None] * count

    def run(rank: int) -> None:
        try:
            results[rank] = do(rank)
        except Exception as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
        assert not thread.is_alive(), "a rank waits for ever"
    return results
