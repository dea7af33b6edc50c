"""Parses UCI's command `go` into a limit of seconds or nodes of a search."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from selfplay.engines import clock

MOST = 10**9
# Words that are followed by a number; others, such as `searchmoves` and its moves, change nothing.
NUMBERS = ("wtime", "btime", "winc", "binc", "movestogo", "nodes", "movetime", "depth", "mate")
ENDLESS = ("infinite", "ponder")


class Limit(NamedTuple):
    """When to stop: at the first of these."""

    seconds: float  # inf without a clock
    nodes: int  # simulations
    endless: bool  # until it is told to


def read_go(words: Sequence[str], seat: int, moves_to_come: int) -> Limit:
    """Returns what `go` asks for; white is seat 0. A number that is none counts as not there."""
    given = {
        word: number
        for word, following in itertools.pairwise(words)
        if word in NUMBERS and (number := whole(following)) is not None
    }
    seconds, colour = math.inf, "wb"[seat]
    if (left := given.get(f"{colour}time")) is not None:
        increment = max(given.get(f"{colour}inc", 0), 0) / 1000
        to_come = given.get("movestogo", 0) or max(moves_to_come, clock.LEAST_MOVES)
        seconds = clock.budget_with_increment(max(left, 0) / 1000, increment, to_come)
    if "movetime" in given:
        seconds = min(seconds, max(given["movetime"] / 1000 - clock.LAG_SECONDS, 0.0))
    return Limit(seconds, given.get("nodes", MOST), any(word in ENDLESS for word in words))


def whole(text: str) -> int | None:
    """Returns a whole number, cut to at most `MOST` either way; None for anything else."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return None
    return max(-MOST, min(int(text[:12]), MOST))
