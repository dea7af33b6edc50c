"""Batches, read ahead in threads: most of that work does not hold Python's lock."""

from concurrent.futures import Future, ThreadPoolExecutor

from training.workers import batch
from training.workers.batch import Batch, Expected, Key


class Reader:
    """Reads some batches while the learner does other things."""

    def __init__(self, count: int) -> None:
        """Reads up to `count` batches at the same time."""
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="batch")
        self._count = count
        self._begun: dict[Key, Future[Batch]] = {}  # first begun first

    def begin(self, content: bytes, sha256: str, expected: Expected) -> None:
        """Begins to read a batch, if that was not begun; forgets one whose turn never came."""
        known = self._begun.pop(expected.key, None)
        new = known or self._pool.submit(batch.read, content, sha256, expected)
        self._begun[expected.key] = new  # the last that is forgotten
        for key in list(self._begun)[: -2 * self._count]:
            del self._begun[key]

    def result(self, key: Key) -> Batch:
        """Returns a batch that was begun.

        Raises:
          BatchError: it is refused; says why.
        """
        return self._begun.pop(key).result()

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(cancel_futures=True)
