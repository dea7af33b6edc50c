"""Answers computed another way: plain Python that shares no code with `games/`."""

import functools

EMPTY = -1
TIC_TAC_TOE_LINES = tuple(
    [(r * 3, r * 3 + 1, r * 3 + 2) for r in range(3)]
    + [(c, c + 3, c + 6) for c in range(3)]
    + [(0, 4, 8), (2, 4, 6)]
)


def has_line(board: tuple[int, ...], seat: int) -> bool:
    """Returns whether `seat` has three in a row on a tic-tac-toe board of nine cells."""
    return any(all(board[cell] == seat for cell in line) for line in TIC_TAC_TOE_LINES)


def place(board: tuple[int, ...], cell: int, seat: int) -> tuple[int, ...]:
    return (*board[:cell], seat, *board[cell + 1 :])


@functools.cache
def negamax(board: tuple[int, ...], seat: int) -> int:
    """Returns tic-tac-toe's game-theoretic result for `seat`, which is to play: 1, 0 or -1."""
    if has_line(board, 1 - seat):
        return -1
    moves = [cell for cell in range(9) if board[cell] == EMPTY]
    return max((-negamax(place(board, cell, seat), 1 - seat) for cell in moves), default=0)


def live_positions() -> list[tuple[tuple[int, ...], int]]:
    """Returns tic-tac-toe's 4,520 positions in which play goes on, with the seat to play."""
    seen: dict[tuple[tuple[int, ...], int], None] = {}
    stack: list[tuple[tuple[int, ...], int]] = [((EMPTY,) * 9, 0)]
    while stack:
        board, seat = stack.pop()
        full = EMPTY not in board
        if (board, seat) in seen or full or has_line(board, 0) or has_line(board, 1):
            continue
        seen[(board, seat)] = None
        moves = [cell for cell in range(9) if board[cell] == EMPTY]
        stack += [(place(board, cell, seat), 1 - seat) for cell in moves]
    return list(seen)
