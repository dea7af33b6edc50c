"""Means over seeds and their 95% intervals, by Student's t."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

LEVEL = 0.95  # of the intervals
HALVINGS = 200  # of the bisection: to the last bit


class Estimate(NamedTuple):
    """A mean over seeds."""

    mean: float
    low: float | None  # of the interval; None of a single value, which has none
    high: float | None
    values: int  # that it rests on

    @property
    def sign(self) -> int | None:
        """On which side of 0 the whole interval lies; 0 if on neither, None without one."""
        if self.low is None or self.high is None:
            return None
        return (self.low > 0) - (self.high < 0)


def estimate(values: Sequence[float]) -> Estimate:
    """Returns the mean of independent values with its interval.

    Raises:
      ValueError: there is no value.
    """
    if not values:
        raise ValueError("a mean needs at least one value")
    count, mean = len(values), math.fsum(values) / len(values)
    if count < 2:
        return Estimate(mean, None, None, count)
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    half = quantile(count - 1) * math.sqrt(variance / count)
    return Estimate(mean, mean - half, mean + half, count)


def paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Estimate | None:
    """Returns the mean difference, ours less theirs, over the seeds that both have.

    What a seed does to both alike drops out of it. None if they share no seed.
    """
    shared = [seed for seed in ours if seed in theirs]
    return estimate([ours[seed] - theirs[seed] for seed in shared]) if shared else None


@functools.cache
def quantile(freedom: int) -> float:
    """Returns the t that |T| stays below with probability LEVEL.

    Args:
      freedom: degrees of freedom, at least 1.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _within(middle, freedom) < LEVEL:
            low = middle
        else:
            high = middle
    return math.tan(low) * math.sqrt(freedom)


def _within(angle: float, freedom: int) -> float:
    """Returns P(|T| < t) at t = tan(angle) sqrt(freedom), exactly, for whole degrees of freedom.

    Source: Abramowitz and Stegun 1964, formulas 26.7.3 and 26.7.4.
    """
    odd = freedom % 2
    square = math.cos(angle) ** 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= square * k / (k + 1)
    if odd:
        return 2 / math.pi * (angle + math.sin(angle) * total)
    return math.sin(angle) * total
