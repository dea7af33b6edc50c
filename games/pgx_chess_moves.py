"""The actions of pgx's chess as moves from square to square, and back; plain Python.

pgx numbers a move `origin * kinds + kind`, as AlphaZero does (Silver et al. 2018, table S2): on 8x8
there are 73 kinds, 9 of underpromotion, 56 of a queen's moves, 8 of a knight's; on Gardner's 5x5
there are 49. It numbers squares file by file, and as the mover sees them: for black the ranks are
turned round, the files are not. Here a square is `rank * size + file` of the board, a1 being 0,
whoever moves.
"""

import functools
from typing import NamedTuple

SIZE = 8


class Move(NamedTuple):
    """A move of a piece; a castling king's own."""

    origin: int  # square
    target: int  # square
    promotion: str = ""  # "r", "b", "n"; or "q", which pgx does not tell from a move of a queen


def square_name(square: int, size: int = SIZE) -> str:
    """Returns the name of a square, such as `e4`."""
    rank, file = divmod(square, size)
    return f"{'abcdefgh'[file]}{rank + 1}"


def name_of(move: Move, size: int = SIZE) -> str:
    """Returns a move as UCI writes it, such as `e7e8q`."""
    return square_name(move.origin, size) + square_name(move.target, size) + move.promotion


def move_of(action: int, seat: int, is_pawn: bool, size: int = SIZE) -> Move:
    """Returns the move of a legal action.

    Args:
      seat: who moves.
      is_pawn: whether a pawn does: on the last rank it becomes a queen unless the action says else.
      size: squares along a side.
    """
    square, kind = divmod(action, len(kinds(size)))
    file, rank = divmod(square, size)
    ranks, files, promotion = kinds(size)[kind]
    if is_pawn and rank + ranks == size - 1 and not promotion:
        promotion = "q"
    ends = ((file, rank), ((file + files) % size, (rank + ranks) % size))
    origin, target = ((y if seat == 0 else size - 1 - y) * size + x for x, y in ends)
    return Move(origin, target, promotion)


def action_of(move: Move, seat: int) -> int:
    """Returns the action of a move that some piece can make on an empty board of 8x8."""
    under = "" if move.promotion == "q" else move.promotion
    return _actions()[seat][move.origin, move.target, under]


@functools.cache
def _actions() -> tuple[dict[tuple[int, int, str], int], ...]:
    """Returns, for each seat, the action from origin to target, by what it underpromotes to."""
    tables: tuple[dict[tuple[int, int, str], int], ...] = ({}, {})
    for action in range(SIZE * SIZE * len(kinds())):
        square, kind = divmod(action, len(kinds()))
        file, rank = divmod(square, SIZE)
        ranks, files, under = kinds()[kind]
        if 0 <= file + files < SIZE and 0 <= rank + ranks < SIZE:
            for seat, table in enumerate(tables):
                origin, target, _ = move_of(action, seat, is_pawn=False)
                table[origin, target, under] = action
    return tables


@functools.cache
def kinds(size: int = SIZE) -> list[tuple[int, int, str]]:
    """Returns (ranks up, files right, piece underpromoted to) for each kind of move."""
    back, forth = range(1 - size, 0), range(1, size)
    moves = [(1, files, piece) for piece in "rbn" for files in (0, 1, -1)]
    moves += [(k, 0, "") for line in (back, forth) for k in line]
    moves += [(0, k, "") for line in (back, forth) for k in line]
    moves += [(k, k, "") for line in (back, forth) for k in line]
    moves += [(-k, k, "") for line in (back, forth) for k in line]
    knight = ((-1, 2), (1, 2), (-2, 1), (2, 1))
    return moves + [(ranks, files * side, "") for side in (-1, 1) for ranks, files in knight]
