"""Long curves as few points, while they grow: in buckets of equally many lines."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

Number: TypeAlias = int | float
T = TypeVar("T")
MOST_COLUMNS = 256  # means: a stranger's run may name any number of them


class Thinned:
    """Columns over lines, in at most `most` buckets of `width` lines each; the last may be fewer.

    A counter's point is the bucket's last value. Another column's is the mean over the lines of the
    bucket that have it: NaN where one of them is, so that none goes unseen. `width` doubles, so a
    bucket is never cut anew: it is joined with its neighbour.
    """

    def __init__(self, counters: tuple[str, ...], most: int) -> None:
        self._counters, self._most = counters, most
        self._last: dict[str, list[Number | None]] = {name: [] for name in counters}
        self._sums: dict[str, list[float]] = {}
        self._counts: dict[str, list[int]] = {}
        self._buckets = 0
        self.width = 1
        self.lines = 0

    def add(self, entries: Mapping[str, Number | None]) -> None:
        """Adds a line; an entry of None was not measured there."""
        if self.lines == self._buckets * self.width:
            if self._buckets == self._most:
                self._join()
            if self.lines == self._buckets * self.width:
                self._open()
        for name, value in entries.items():
            if value is None:
                continue
            if name in self._last:
                self._last[name][-1] = value
                continue
            if name not in self._sums:
                if len(self._sums) == MOST_COLUMNS:
                    continue
                self._sums[name] = [0.0] * self._buckets
                self._counts[name] = [0] * self._buckets
            self._sums[name][-1] += value
            self._counts[name][-1] += 1
        self.lines += 1

    def columns(self) -> dict[str, list[Number | None]]:
        """Returns the columns by name, a value a bucket; None where no line has the entry."""
        means = {
            name: [
                total / count if count else None
                for total, count in zip(sums, self._counts[name], strict=True)
            ]
            for name, sums in self._sums.items()
        }
        return {**{name: list(values) for name, values in self._last.items()}, **means}

    def _open(self) -> None:
        for values in self._last.values():
            values.append(None)
        for sums in self._sums.values():
            sums.append(0.0)
        for counts in self._counts.values():
            counts.append(0)
        self._buckets += 1

    def _join(self) -> None:
        """Joins each two neighbours, the first with the second."""

        def pairs(values: list[Any]) -> list[tuple[Any, Any]]:
            return list(zip(values[::2], [*values[1::2], None], strict=False))

        for name, last in self._last.items():
            self._last[name] = [a if b is None else b for a, b in pairs(last)]
        for columns in (self._sums, self._counts):
            for name, values in columns.items():
                columns[name] = [a + (b or 0) for a, b in pairs(values)]
        self.width *= 2
        self._buckets = math.ceil(self._buckets / 2)


def strided(rows: Sequence[T], most: int) -> list[T]:
    """About `most` of many rows: every so many-th, and always the newest."""
    kept = list(rows[:: -(-len(rows) // most) or 1])
    return kept if not rows or kept[-1] is rows[-1] else [*kept, rows[-1]]


def short(value: Number | None, digits: int = 5) -> Number | None:
    """Returns a number with so many digits, as JSON takes it: None for what is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.{digits}g}")
