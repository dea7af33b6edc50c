"""The curves of a run as JSON, thinned: for a page that is open beside it.

What was read of a run is kept, so that a question costs only the bytes that came since the last
one. Nothing that computes is imported. Numbers that are not finite are null in what is returned,
and counted under `non_finite`.
"""

import bisect
import collections
import itertools
import math
import operator
import pathlib
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

from selfplay.files import json_lines
from training import metrics
from training.metrics import EvaluationLine, GateLine, History
from training.report import events
from training.report.columns import (
    COUNTERS,
    Columns,
    as_columns,
    entries_of,
    finite,
    gained,
    is_plain_iteration,
    measured,
    rounded,
    where,
    with_speeds,
)
from training.report.thinning import Number, Thinned, short, strided
from training.storage.run_folder import RunFolder
from training.storage.tail import Line, Tail, text_of

MOST_POINTS = 1_600  # of a curve
MOST_EVALUATIONS = 250
MOST_EVENTS = 400  # newest ones of the metrics
MOST_TOLD = 20  # damaged lines
MOST_RUNS = 24  # whose curves are kept


def curves(folder: RunFolder) -> dict[str, Any]:
    """Returns all curves of a run.

    `columns`: by name, at most `MOST_POINTS` values, each of `width` iterations: of COUNTERS their
    last value, of others their mean. `evaluations`: columns again, a value an evaluation, of which
    some are left out where there are many; `NAME.low` and `NAME.high` are ends of 95% intervals.
    `events`: what happened, oldest first. `simulations`: of a move, null where moves are not chosen
    by a search. `damaged`: sentences about lines left out.

    Raises:
      ValueError: the metrics cannot be read at all.
      OSError: the folder is gone, or the like.
    """
    reader = _reader(folder)
    with reader.lock:
        reader.update()
        return reader.all()


class Newest(NamedTuple):
    """The newest lines of a run."""

    # The last line of each kind, and the last evaluation with a match of Amplify(A).
    history: History
    damaged: list[str]  # sentences about lines left out


def newest(folder: RunFolder) -> Newest:
    """Returns the newest lines of a run.

    Raises:
      ValueError, OSError: as for `curves`.
    """
    reader = _reader(folder)
    with reader.lock:
        reader.update()
        return reader.newest()


_readers: collections.OrderedDict[pathlib.Path, "_Reader"] = collections.OrderedDict()
_readers_lock = threading.Lock()


def _reader(folder: RunFolder) -> "_Reader":
    """Returns what was read of a run, from the few that are kept."""
    path = folder.path.absolute()
    with _readers_lock:
        reader = _readers.pop(path, None) or _Reader(folder)
        _readers[path] = reader
        if len(_readers) > MOST_RUNS:
            _readers.popitem(last=False)
        return reader


class _Reader:
    """What was read of one run's metrics; `lock` is held by who asks."""

    def __init__(self, folder: RunFolder) -> None:
        self.lock = threading.Lock()
        self._folder = folder
        self._decided: tuple[Any, list[dict[str, Any]]] = (None, [])  # file's state, its events
        self._forget()

    def _forget(self) -> None:
        self._tail = Tail(self._folder.logs["metrics"])
        self._lines = Thinned(COUNTERS, MOST_POINTS)
        self._evaluations: list[Mapping[str, Number | None]] = []
        self._newest: dict[str, dict[str, Any]] = {}  # lines by kind, and the last with a match
        self._levels: dict[int, float] = {}  # Elo gained, by step
        self._events: collections.deque[dict[str, Any]] = collections.deque(maxlen=MOST_EVENTS)
        self._event_count = 0
        self._damaged: list[str] = []
        self._damaged_count = 0
        self._non_finite: collections.Counter[str] = collections.Counter()

    def update(self) -> None:
        """Reads what came since, or all of it anew if what was read has changed."""
        if self._tail.offset == 0 or self._tail.is_changed():
            self._forget()
        for line in self._tail.lines():
            try:
                self._take(line)
            except ValueError as error:
                self._damaged_count += 1
                if len(self._damaged) < MOST_TOLD:
                    self._damaged.append(str(error))

    def all(self) -> dict[str, Any]:
        columns = with_speeds(self._lines.columns())
        happened = [*events.of_files(self._folder), *self._decisions(), *self._events]
        return {
            "width": self._lines.width,
            "lines": self._lines.lines,
            "simulations": self._simulations(),
            "columns": rounded(columns),
            "evaluations": as_columns(strided(self._evaluations, MOST_EVALUATIONS)),
            "events": _placed(happened, columns),
            "events_left_out": self._event_count - len(self._events),
            "damaged": self._told(),
            "non_finite": dict(self._non_finite),
        }

    def newest(self) -> Newest:
        # In the order in which they came: the last match may be of the last evaluation.
        lines = list({id(line): line for line in self._newest.values()}.values())
        return Newest(metrics.history(finite(line) for line in lines), self._told())

    def _told(self) -> list[str]:
        left = self._damaged_count - len(self._damaged)
        return self._damaged + [f"and {left} more damaged lines"] * bool(left)

    def _simulations(self) -> int | None:
        try:
            config = self._folder.read_config()
        except (ValueError, OSError):
            return None
        return config.search.simulations if config.amplify == "search" else None

    def _decisions(self) -> list[dict[str, Any]]:
        """Returns the overseer's decisions as events; the file is read again if it has changed."""
        file = self._folder.decisions
        try:
            status = file.stat()
            key = (status.st_ino, status.st_size, status.st_mtime_ns)
            if self._decided[0] != key:
                self._decided = (key, events.of_decisions(file))
        except (OSError, ValueError):
            return []
        return self._decided[1]

    def _take(self, line: Line) -> None:
        if not line.raw.strip():
            return
        parsed = json_lines.parse(text_of(line), line.place)
        if is_plain_iteration(parsed):
            self._take_iteration(parsed)
        else:
            parsed = metrics.parse(text_of(line), line.place)
            for read in itertools.chain(*metrics.history([parsed])):
                if isinstance(read, EvaluationLine):
                    self._take_evaluation(read)
                    if read.fixed_point is not None and read.fixed_point.strongest:
                        self._newest["match"] = parsed
                elif isinstance(read, GateLine):
                    self._take_event(events.of_gate(read))
        self._newest[parsed["kind"]] = parsed

    def _take_iteration(self, line: Mapping[str, Any]) -> None:
        entries = entries_of(line)
        for name, value in entries.items():
            if value is not None and not math.isfinite(value):
                self._non_finite[name] += 1
        self._lines.add(entries)

    def _take_evaluation(self, line: EvaluationLine) -> None:
        row = where(line) | measured(line) | gained(line, self._levels)
        self._evaluations.append(row)
        if line.fixed_point is not None and line.fixed_point.verdict is not None:
            self._take_event(events.of_verdict(line, line.fixed_point.verdict))

    def _take_event(self, event: dict[str, Any]) -> None:
        self._events.append(event)
        self._event_count += 1


def _placed(happened: list[dict[str, Any]], columns: Columns) -> list[dict[str, Any]]:
    """Returns events by time; one of which only the step is known lies where that was trained."""
    steps, minutes = columns["step"], columns["minutes"]
    last = minutes[-1] if minutes else 0.0

    def place(step: Number) -> Number | None:
        at = bisect.bisect_left(steps, step)  # type: ignore[type-var]  # counters have no None
        return minutes[at] if at < len(minutes) else last

    placed = [
        event if event["minutes"] is not None else event | {"minutes": short(place(event["step"]))}
        for event in happened
    ]
    return sorted(placed, key=operator.itemgetter("minutes"))
