"""Perfect play in late positions of Connect Four, by searching to the end.

Bitboards as in John Tromp's Fhourstones (https://tromp.github.io/c4/fhour.html): a column is seven
bits from below, of which the highest stays empty, so that lines do not run on into the next one.
Used in evaluation only.
"""

import time

from selfplay.perfect.solver import TooLongError

ROWS, COLS = 6, 7
HEIGHT = ROWS + 1
BOTTOM = sum(1 << HEIGHT * col for col in range(COLS))
BOARD = BOTTOM * ((1 << ROWS) - 1)
COLUMNS = [((1 << ROWS) - 1) << HEIGHT * col for col in range(COLS)]
ORDER = sorted(range(COLS), key=lambda col: abs(col - COLS // 2))  # more lines pass the middle
STEPS = (1, HEIGHT - 1, HEIGHT, HEIGHT + 1)
GLANCE = 1 << 10  # positions between two looks at the clock


class Solver:
    """Searches positions to the end; keeps what it has found."""

    def __init__(self) -> None:
        # Whether the mover reaches a goal, by the stones and the goal.
        self._known: dict[tuple[int, int], bool] = {}
        self._visited = 0
        self._until = float("inf")

    def outcomes(self, own: int, other: int, until: float = float("inf")) -> dict[int, int]:
        """Returns the outcome (win 1, draw 0, loss -1, for the mover) of each open column.

        Args:
          own, other: the stones of the seat to move and of the other; play goes on.
          until: the time, of `time.monotonic`, to give up at.

        Raises:
          TooLongError: it was not found until then.
        """
        self._until = until
        found = {}
        for col in ORDER:
            stone = ((own | other) + (1 << HEIGHT * col)) & COLUMNS[col]
            if stone:
                won = bool(winning_cells(own, own | other) & stone)
                after = other, own | other | stone
                lost = not won and self._reaches(*after, 1)
                found[col] = -1 if lost else int(won or not self._reaches(*after, 0))
        return found

    def _reaches(self, own: int, taken: int, goal: int) -> bool:
        """Returns whether the mover gets at least `goal`: a win (1), or no loss (0)."""
        moves = (taken + BOTTOM) & BOARD
        if not moves:
            return goal == 0
        if winning_cells(own, taken) & moves:
            return True
        threats = winning_cells(own ^ taken, taken)
        if forced := threats & moves:
            if forced & (forced - 1):
                return False
            moves = forced
        moves &= ~(threats >> 1)  # below a cell where the other wins
        if not moves:
            return False
        key = own + taken + BOTTOM, goal  # the stones as Fhourstones writes them
        if key not in self._known:
            self._visited += 1
            if self._visited % GLANCE == 0 and time.monotonic() > self._until:
                raise TooLongError
            # A goal is reached where the other side misses its own: to win if we must not lose.
            self._known[key] = any(
                not self._reaches(own ^ taken, taken | stone, 1 - goal)
                for col in ORDER
                if (stone := moves & COLUMNS[col])
            )
        return self._known[key]


def winning_cells(own: int, taken: int) -> int:
    """Returns the empty cells that make four in a line of `own`, reachable now or not."""
    cells = own << 1 & own << 2 & own << 3
    for step in STEPS[1:]:
        pair = own << step & own << 2 * step
        cells |= pair & own << 3 * step | pair & own >> step
        pair = own >> step & own >> 2 * step
        cells |= pair & own >> 3 * step | pair & own << step
    return cells & BOARD & ~taken
