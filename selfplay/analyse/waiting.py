"""The positions that wait for the analysis engine: the most urgent first, not more than fit."""

import heapq
import itertools
import threading
from typing import Any

from selfplay.analyse.request import Request, RequestError

MAX_POSITIONS = 1 << 16
MAX_BYTES = 64 << 20  # of the lines that asked for them; in memory they take some times as much


class Running:
    """A request that has not been answered whole."""

    def __init__(self, request: Request, size: int) -> None:
        self.request, self.size = request, size
        self.turns = list(request.turns)  # that have no answer yet
        self.entries = len(self.turns)  # of the queue, or with the device
        self.is_cancelled = False


class Task:
    """A position to search: one of a request, or one further down its principal variation."""

    def __init__(self, running: Running, turn: int, order: int) -> None:
        self.running, self.turn, self.order = running, turn, order
        self.line: list[int] = []  # of the principal variation, so far
        self.answer: dict[str, Any] = {}  # what is known already

    @property
    def request(self) -> Request:
        return self.running.request

    def __lt__(self, other: "Task") -> bool:
        return self._rank() < other._rank()

    def _rank(self) -> tuple[int, int]:
        return -self.request.priority, self.order


class Waiting:
    """A queue between the thread that reads and the one that searches."""

    def __init__(self) -> None:
        self._heaps: dict[int, list[Task]] = {}  # by simulations
        self._running: dict[str, Running] = {}
        self._orders = itertools.count()
        self._positions = self._bytes = 0
        self._closed = False
        self._changed = threading.Condition()

    def put(self, request: Request, size: int) -> None:
        """Adds a request, whose line has `size` bytes; waits while there is no room for it.

        Raises:
          RequestError: one of the same id is not answered yet.
        """
        with self._changed:
            if request.id in self._running:
                raise RequestError("a request of this id is not answered yet", "id", request.id)
            self._changed.wait_for(lambda: self._closed or self._has_room(request, size))
            running = self._running[request.id] = Running(request, size)
            self._positions += running.entries
            self._bytes += size
            for turn in request.turns:
                self._push(Task(running, turn, next(self._orders)))

    def put_back(self, task: Task) -> None:
        """Lets a task that was taken be searched further, before others of its priority."""
        with self._changed:
            self._push(task)

    def take(self, count: int, wait: bool = True) -> list[Task]:
        """Returns the foremost tasks, up to `count`, all of the same number of simulations.

        None where the queue is closed, and, unless it is to `wait`, where it is empty.
        """
        with self._changed:
            while True:
                taken = self._take_some(count)
                if taken or self._closed or not wait:
                    return taken
                self._changed.wait()

    def finish(self, task: Task) -> bool:
        """Says that a task has its answer; False if it was cancelled, and wants none."""
        with self._changed:
            if task.running.is_cancelled:
                self._leave(task)
                return False
            task.running.turns.remove(task.turn)
            if not task.running.turns:
                del self._running[task.request.id]
            self._leave(task)
            return True

    def cancel(self, target: str | None = None) -> list[tuple[str, int]]:
        """Cancels a request, or all; returns id and turn of each position that has no answer."""
        with self._changed:
            targets = list(self._running) if target is None else [target]
            found = [self._running.pop(name) for name in targets if name in self._running]
            for running in found:
                running.is_cancelled = True
            return [(running.request.id, turn) for running in found for turn in running.turns]

    def close(self) -> None:
        """Nothing more will be put."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _has_room(self, request: Request, size: int) -> bool:
        fits = self._positions + len(request.turns) <= MAX_POSITIONS
        return not self._positions or (fits and self._bytes + size <= MAX_BYTES)

    def _push(self, task: Task) -> None:
        heapq.heappush(self._heaps.setdefault(task.request.simulations, []), task)
        self._changed.notify_all()

    def _take_some(self, count: int) -> list[Task]:
        heaps = [heap for heap in self._heaps.values() if self._has_live(heap)]
        if not heaps:
            return []
        foremost = min(heaps, key=lambda heap: heap[0])
        taken: list[Task] = []
        while len(taken) < count and self._has_live(foremost):
            taken.append(heapq.heappop(foremost))
        return taken

    def _has_live(self, heap: list[Task]) -> bool:
        """Drops cancelled tasks from the front of a heap; whether one is left."""
        while heap and heap[0].running.is_cancelled:
            self._leave(heapq.heappop(heap))
        return bool(heap)

    def _leave(self, task: Task) -> None:
        running = task.running
        running.entries -= 1
        self._positions -= 1
        self._bytes -= 0 if running.entries else running.size
        self._changed.notify_all()
