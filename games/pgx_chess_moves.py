"""The actions of `pgx:chess` as moves from square to square, and back; plain Python.

pgx numbers a move `origin * 73 + kind`, as AlphaZero does (Silver et al. 2018, table S2): 9 kinds
of underpromotion, 56 of a queen's moves, 8 of a knight's. It numbers squares file by file, and as
the mover sees them: for black the ranks are turned round, the files are not. Here a square is
`rank * 8 + file` of the board, a1 being 0 and h8 63, whoever moves.
"""

import functools
from typing import NamedTuple

KINDS = 73


class Move(NamedTuple):
    """A move of a piece; a castling king's own."""

    origin: int  # square
    target: int  # square
    promotion: str = ""  # "r", "b", "n"; or "q", which pgx does not tell from a move of a queen


def square_name(square: int) -> str:
    """Returns the name of a square, such as `e4`."""
    rank, file = divmod(square, 8)
    return "abcdefgh"[file] + "12345678"[rank]


def move_of(action: int, seat: int, is_pawn: bool) -> Move:
    """Returns the move of a legal action.

    Args:
      seat: who moves.
      is_pawn: whether a pawn does: on the last rank it becomes a queen unless the action says else.
    """
    square, kind = divmod(action, KINDS)
    file, rank = divmod(square, 8)
    ranks, files, promotion = _kinds()[kind]
    if is_pawn and rank + ranks == 7 and not promotion:
        promotion = "q"
    ends = ((file, rank), ((file + files) % 8, (rank + ranks) % 8))
    origin, target = ((y if seat == 0 else 7 - y) * 8 + x for x, y in ends)
    return Move(origin, target, promotion)


def action_of(move: Move, seat: int) -> int:
    """Returns the action of a move that some piece can make on an empty board."""
    under = "" if move.promotion == "q" else move.promotion
    return _actions()[seat][move.origin, move.target, under]


@functools.cache
def _actions() -> tuple[dict[tuple[int, int, str], int], ...]:
    """Returns, for each seat, the action from origin to target, by what it underpromotes to."""
    tables: tuple[dict[tuple[int, int, str], int], ...] = ({}, {})
    for action in range(64 * KINDS):
        square, kind = divmod(action, KINDS)
        file, rank = divmod(square, 8)
        ranks, files, under = _kinds()[kind]
        if 0 <= file + files < 8 and 0 <= rank + ranks < 8:
            for seat, table in enumerate(tables):
                origin, target, _ = move_of(action, seat, is_pawn=False)
                table[origin, target, under] = action
    return tables


@functools.cache
def _kinds() -> list[tuple[int, int, str]]:
    """Returns (ranks up, files right, piece underpromoted to) for each kind of move."""
    back, forth = range(-7, 0), range(1, 8)
    moves = [(1, files, piece) for piece in "rbn" for files in (0, 1, -1)]
    moves += [(k, 0, "") for line in (back, forth) for k in line]
    moves += [(0, k, "") for line in (back, forth) for k in line]
    moves += [(k, k, "") for line in (back, forth) for k in line]
    moves += [(-k, k, "") for line in (back, forth) for k in line]
    knight = ((-1, 2), (1, 2), (-2, 1), (2, 1))
    return moves + [(ranks, files * side, "") for side in (-1, 1) for ranks, files in knight]
