"""A player's clock, and how long it may think about its next move.

Nothing here measures time: callers say how much was spent.
"""

import math
from typing import NamedTuple

LAG_SECONDS = 0.1  # of every move: what lies between the player and the referee's clock
SAFETY = 0.75  # share of a move's time that is planned with: machines stall
LEAST_MOVES = 10  # that main time without overtime must always last for


class Clock(NamedTuple):
    """Main time, then overtime of `period` seconds for every `stones` moves."""

    left: float = math.inf  # seconds of main time, or of this period
    due: int = 0  # moves to make in this period; 0: in main time
    period: float = 0.0  # 0: no overtime
    stones: int = 1


def start(main: float, period: float = 0.0, stones: int = 1) -> Clock:
    """Returns the clock at the start of a game. Raises ValueError for times that make no sense."""
    if not (main >= 0 and 0 <= period < math.inf and stones >= 1):
        raise ValueError(f"no time settings: {main:g} s, then {period:g} s for {stones} moves")
    return _in_overtime(Clock(main, 0, period, stones))


def corrected(clock: Clock, left: float, due: int) -> Clock:
    """Returns the clock as the referee's shows it: `due` 0 means main time."""
    return _in_overtime(clock._replace(left=left, due=max(due, 0)))


def after_move(clock: Clock, seconds: float) -> Clock:
    """Returns the clock after a move that took so long.

    One that main time did not suffice for is the first of overtime, which it has begun to use up.
    """
    left, due = clock.left - seconds, clock.due
    if due == 0:
        if left > 0 or not clock.period:
            return clock._replace(left=left)
        left, due = left + clock.period, clock.stones
    if due == 1:
        return clock._replace(left=clock.period, due=clock.stones)
    return clock._replace(left=left, due=due - 1)


def budget(clock: Clock, moves_to_come: int) -> float:
    """Returns the seconds that the next move may take, with a margin; inf without a limit.

    Args:
      moves_to_come: how many moves of its own the player still expects to make.
    """
    if clock.due:
        share = clock.left / clock.due
    else:
        share = clock.left / max(moves_to_come, LEAST_MOVES)
        share = max(share, clock.period / clock.stones)  # what overtime allows from the first move
    return max(0.0, SAFETY * share - LAG_SECONDS)


def budget_with_increment(left: float, increment: float, moves_to_come: int) -> float:
    """Returns the seconds that the next move may take where each move adds some to the clock."""
    share = left / max(moves_to_come, 1) + increment
    return max(0.0, SAFETY * min(share, left) - LAG_SECONDS)


def _in_overtime(clock: Clock) -> Clock:
    """Returns the clock, moved on from spent main time."""
    if clock.due == 0 and clock.left <= 0 and clock.period:
        return clock._replace(left=clock.period, due=clock.stones)
    return clock
