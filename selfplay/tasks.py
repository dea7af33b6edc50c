"""A task queue: numbered tasks that others do in any order, their results by number.

A task's result depends on what it is given only, so it does not matter who does it, nor how often.
Who does is a `Crew`, about which nothing is believed: it may be late, lose a task with the process
that did it, or bring a result twice.
"""

import collections
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol, TypeAlias

MOST_AGAIN = 3  # times that a task is done again
AHEAD = 2  # tasks begun before their turn, for each who does them: what one who stops throws away


class Done(NamedTuple):
    """A task was done."""

    task: int
    result: Any


class Lost(NamedTuple):
    """Who did the task is gone; another may do it."""

    task: int
    why: str


class Failed(NamedTuple):
    """The task cannot be done: nor could it anywhere else."""

    task: int
    error: Exception


Event: TypeAlias = Done | Lost | Failed


class TaskError(RuntimeError):
    """A task was lost too often; the message says why."""


class Crew(Protocol):
    """Those who do the tasks."""

    size: int  # how many they are

    def free(self) -> int:
        """Returns how many more tasks can be begun now."""

    def begin(self, task: int) -> None:
        """Has a task done."""

    def ended(self) -> list[Event]:
        """The tasks that ended, as soon as one has, or none after a moment."""


class InOrder:
    """Tasks `first` to `end` - 1 and what has become of them; `end` may rise at any time."""

    def __init__(self, crew: Crew, first: int, end: int, noun: str = "task") -> None:
        """Begins nothing yet; `noun` is what errors call a task."""
        self._crew, self._turn, self.end, self._noun = crew, first, end, noun
        self._new = first  # the first that was never begun
        self._again: list[int] = []  # lost ones, to be begun before new ones
        self._losses = collections.Counter[int]()
        self._ends: dict[int, Done | Failed] = {}

    def begin(self) -> None:
        """Begins as many tasks as can be; returns at once."""
        # Not further ahead than the crew can use: results wait in memory for their turn.
        most = min(self.end, self._turn + AHEAD * self._crew.size)
        while self._crew.free() and (self._again or self._new < most):
            if self._again:
                self._crew.begin(self._again.pop(0))
            else:
                self._crew.begin(self._new)
                self._new += 1

    def results(self, waiting: Callable[[int], None]) -> Iterator[Any]:
        """Yields the results, one task after the other.

        What goes wrong with a task is raised when its turn comes: whoever stops before need not
        know.

        Args:
          waiting: called again and again with the number of the task whose turn it is.

        Raises:
          TaskError: a task was lost, and `MOST_AGAIN` times again.
        """
        while self._turn < self.end:
            # Wait until the task whose turn it is has ended; others may end before it.
            while self._turn not in self._ends:
                self.begin()
                for event in self._crew.ended():
                    self._take_in(event)
                waiting(self._turn)
            own = self._ends.pop(self._turn)
            if isinstance(own, Failed):
                raise own.error
            self._turn += 1
            yield own.result

    def _take_in(self, event: Event) -> None:
        task = event.task
        if task < self._turn or task in self._ends:
            return  # it came before
        if not isinstance(event, Lost):
            self._ends[task] = event
            self._again = [other for other in self._again if other != task]
        elif task not in self._again:
            # A lost task is begun again, a few times.
            self._losses[task] += 1
            if self._losses[task] > MOST_AGAIN:
                self._ends[task] = Failed(task, self._given_up(event))
            else:
                self._again.append(task)

    def _given_up(self, last: Lost) -> TaskError:
        times = self._losses[last.task]
        return TaskError(
            f"{self._noun} {last.task} was lost {times} times; the last time: {last.why}"
        )
