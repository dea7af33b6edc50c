"""The queue of the analysis engine: the positions of highest priority first, in bounded memory."""

import heapq
import itertools
import threading
from collections.abc import Callable
from typing import Any

from selfplay.analyse.query import Query

MAX_POSITIONS = 1 << 16
MAX_BYTES = 64 << 20  # of the lines that asked for them; in memory they take some times as much


class Task:
    """A position to search: one of a query, or one further down its principal variation."""

    def __init__(self, query: Query, turn: int, order: int, size: int) -> None:
        self.query, self.turn, self.order, self.size = query, turn, order, size
        self.variation: list[int] = []  # the principal one, as far as it was searched
        self.response: dict[str, Any] = {}  # what is known already
        self.is_terminated = self.is_queued = False

    def __lt__(self, other: "Task") -> bool:
        return (-self.query.priority, self.order) < (-other.query.priority, other.order)


class Waiting:
    """A queue between the thread that reads and the one that searches."""

    def __init__(self) -> None:
        self._heaps: dict[int, list[Task]] = {}  # by visits
        self._open: dict[int, Task] = {}  # tasks without a final response, by order
        self._orders = itertools.count()
        self._bytes = 0
        self._closed = False
        self._changed = threading.Condition()

    def put(self, query: Query, size: int) -> None:
        """Adds a query, whose line has `size` bytes; waits while there is no room for it."""
        count = len(query.turns)
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._has_room(count, size))
            for turn in query.turns:
                task = Task(query, turn, next(self._orders), -(-size // count))
                self._open[task.order] = task
                self._bytes += task.size
                self._push(task)

    def put_back(self, task: Task) -> bool:
        """Queues a task that was taken, to be searched further; False if it was terminated."""
        with self._changed:
            if not task.is_terminated:
                self._push(task)
            return not task.is_terminated

    def take(self, count: int, wait: bool = True) -> list[Task]:
        """Returns the foremost tasks, up to `count`, all of the same number of visits.

        None where the queue is closed, and, unless it is to `wait`, where it is empty.
        """
        with self._changed:
            while True:
                taken = self._take_some(count)
                if taken or self._closed or not wait:
                    return taken
                self._changed.wait()

    def finish(self, task: Task) -> None:
        """Says that a task has its final response."""
        with self._changed:
            del self._open[task.order]
            self._bytes -= task.size
            self._changed.notify_all()

    def terminate(self, concerns: Callable[[Task], bool]) -> list[Task]:
        """Terminates tasks; returns those that nobody has taken: the caller finishes them."""
        with self._changed:
            found = [task for task in self._open.values() if concerns(task)]
            queued = [task for task in found if task.is_queued]
            for task in found:
                task.is_terminated, task.is_queued = True, False
            return queued

    def close(self) -> None:
        """Nothing more will be put."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _has_room(self, count: int, size: int) -> bool:
        fits = len(self._open) + count <= MAX_POSITIONS
        return not self._open or (fits and self._bytes + size <= MAX_BYTES)

    def _push(self, task: Task) -> None:
        task.is_queued = True
        heapq.heappush(self._heaps.setdefault(task.query.visits, []), task)
        self._changed.notify_all()

    def _take_some(self, count: int) -> list[Task]:
        heaps = [heap for heap in self._heaps.values() if self._has_some(heap)]
        if not heaps:
            return []
        foremost = min(heaps, key=lambda heap: heap[0])
        taken: list[Task] = []
        while len(taken) < count and self._has_some(foremost):
            task = heapq.heappop(foremost)
            task.is_queued = False
            taken.append(task)
        return taken

    def _has_some(self, heap: list[Task]) -> bool:
        """Drops terminated tasks from the front of a heap; whether one is left."""
        while heap and not heap[0].is_queued:
            heapq.heappop(heap)
        return bool(heap)
