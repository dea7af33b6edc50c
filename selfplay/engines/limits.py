"""What is set of engines whatever they speak: seconds for an answer, and how many run at once."""

import os
from collections.abc import Mapping
from typing import NamedTuple

MOVE_SECONDS = 60.0
MAX_PROCESSES = 8


class Limits(NamedTuple):
    """The patience with engines, and their number."""

    seconds: float  # for an answer
    processes: int  # at most


def read_limits(spec: str, given: Mapping[str, str]) -> Limits:
    """Returns what the options `timeout` and `processes` of a player's spec say, or their defaults.

    Raises:
      ValueError: a value that one of them cannot have.
    """
    try:
        seconds = float(given.get("timeout", MOVE_SECONDS))
        processes = int(given.get("processes", os.cpu_count() or 1))
    except ValueError:
        raise ValueError(
            f"player {spec!r}: timeout is a number of seconds, processes a whole number"
        ) from None
    if not seconds > 0 or processes < 1:
        raise ValueError(f"player {spec!r}: timeout must be above 0, processes at least 1")
    return Limits(seconds, min(processes, MAX_PROCESSES))
