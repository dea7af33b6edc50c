"""Perfect play in endings of Othello: every move's result by searching to the end.

The rules are written down once more here, on Python's integers: in what way two programs disagree
shows an error in one of them. Used in evaluation only. Cells are bits, row * size + col.
"""

import functools
import itertools

Rays = tuple[tuple[int, ...], ...]  # of one cell: in each direction the cells on the way, as bits


def outcomes(own: int, other: int, size: int) -> dict[int, int]:
    """Returns the outcome (win 1, draw 0, loss -1, for the mover) of each move.

    The time doubles to trebles with each empty cell: with ten, a fraction of a second.

    Args:
      own, other: the discs of the seat to move and of the other.

    Returns:
      Outcomes by cell; by `size * size` for a pass, where it is the only move. Nothing where
      neither side can move.
    """
    rays = _rays(size)
    values: dict[tuple[int, int], int] = {}
    replies = _moves(own, other, rays)
    if replies:
        return {
            cell: -_value(other & ~flipped, own | flipped | 1 << cell, rays, values)
            for cell, flipped in replies
        }
    if _moves(other, own, rays):
        return {size * size: -_value(other, own, rays, values)}
    return {}


def play(own: int, other: int, action: int, size: int) -> tuple[int, int]:
    """Returns the discs of who moves next, and those of who has just made a legal move."""
    if action == size * size:
        return other, own
    flipped = _flipped(action, own, other, _rays(size))
    return other & ~flipped, own | flipped | 1 << action


def opening(size: int) -> tuple[int, int]:
    """Returns the discs of seat 0, which moves first, and of seat 1."""
    first = (size // 2 - 1) * size + size // 2  # right above the middle; the other is left below
    return 1 << first | 1 << (first + size - 1), 1 << (first - 1) | 1 << (first + size)


def legal(own: int, other: int, size: int) -> list[int]:
    """Returns the legal actions; none where the game is over."""
    rays = _rays(size)
    moves = [cell for cell, _ in _moves(own, other, rays)]
    return moves or ([size * size] if _moves(other, own, rays) else [])


def _value(own: int, other: int, rays: tuple[Rays, ...], values: dict[tuple[int, int], int]) -> int:
    """Returns the result for the mover; `values` are those that are known."""
    known = values.get((own, other))
    if known is not None:
        return known
    best = -1
    if replies := _moves(own, other, rays):
        for cell, flipped in replies:
            best = max(best, -_value(other & ~flipped, own | flipped | 1 << cell, rays, values))
            if best == 1:
                break
    elif _moves(other, own, rays):
        best = -_value(other, own, rays, values)
    else:
        margin = own.bit_count() - other.bit_count()
        best = (margin > 0) - (margin < 0)
    values[own, other] = best
    return best


def _moves(own: int, other: int, rays: tuple[Rays, ...]) -> list[tuple[int, int]]:
    """Returns the cells where the owner of `own` may move, and the discs that each move turns."""
    taken = own | other
    moves = []
    for cell in range(len(rays)):
        if not taken >> cell & 1 and (flipped := _flipped(cell, own, other, rays)):
            moves.append((cell, flipped))
    return moves


def _flipped(cell: int, own: int, other: int, rays: tuple[Rays, ...]) -> int:
    flipped = 0
    for ray in rays[cell]:
        run = 0
        for bit in ray:
            if other & bit:
                run |= bit
                continue
            if own & bit:
                flipped |= run
            break
    return flipped


@functools.cache
def _rays(size: int) -> tuple[Rays, ...]:
    directions = [step for step in itertools.product((-1, 0, 1), repeat=2) if step != (0, 0)]

    def ray(row: int, col: int, down: int, right: int) -> tuple[int, ...]:
        bits = []
        while 0 <= (row := row + down) < size and 0 <= (col := col + right) < size:
            bits.append(1 << row * size + col)
        return tuple(bits)

    return tuple(
        tuple(line for step in directions if len(line := ray(row, col, *step)) > 1)
        for row, col in itertools.product(range(size), repeat=2)
    )
