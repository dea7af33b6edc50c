"""The names of moves in pgx's chess, shogi and their small forms.

As the Universal Chess Interface and its dialects write them: from and to (`e2e4`), the piece
promoted to (`e7e8q`), `+` for a promotion of shogi (`b3b4+`), piece and cell of a drop (`P@e5`).
Squares are those of the picture: files from the left, ranks from below, as seat 0 sees them. pgx
turns the board to the mover: in chess upside down, in shogi by half a turn.
"""

import functools
from typing import Any

import numpy as np

from games import pgx_chess_moves

FILES = "abcdefghi"
CHESS_BOARDS = {"chess": 8, "gardner_chess": 5}  # squares along a side
PAWN = 1
ANIMALS, HELD_ANIMALS = 4, "CEG"  # ranks; chick, elephant, giraffe
SHOGI, HELD_IN_SHOGI = 9, "PLNSBRG"
SHOGI_OTHERS = 14  # the first number of a piece that is not the mover's
# From a move's target back to where it came from, by pgx's number of its direction.
ANIMAL_STEPS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
SHOGI_STEPS = (
    *((0, 1), (-1, 1), (1, 1), (-1, 0), (1, 0), (0, -1), (-1, -1), (1, -1)),
    *((-1, 2), (1, 2)),  # the knight's
)


def has_names(game: str) -> bool:
    """Whether moves of a game of pgx, by its name there, have names here."""
    return game in CHESS_BOARDS or game in ("animal_shogi", "shogi")


def move_name(game: str, inner: Any, seat: int, action: int) -> str:
    """Returns the name of a legal move.

    Args:
      inner: pgx's own state, before the move.
      seat: who makes it.
    """
    if game == "animal_shogi":
        return _animal_move(np.asarray(inner._board), seat, action)
    if game == "shogi":
        return _shogi_move(np.asarray(inner._x.board), seat, action)
    board = inner._x.board if game == "chess" else inner._board
    return _chess_move(np.asarray(board), CHESS_BOARDS[game], seat, action)


def _chess_move(board: np.ndarray, size: int, seat: int, action: int) -> str:
    is_pawn = board[action // len(pgx_chess_moves.kinds(size))] == PAWN
    move = pgx_chess_moves.move_of(action, seat, bool(is_pawn), size)
    return pgx_chess_moves.name_of(move, size)


def _shogi_cell(square: int, ranks: int, files: int, seat: int) -> str:
    """Returns a square of pgx's, which count down the files from the mover's right."""
    file, rank = divmod(square if seat == 0 else files * ranks - 1 - square, ranks)
    return f"{FILES[files - 1 - file]}{ranks - rank}"


def _animal_move(board: np.ndarray, seat: int, action: int) -> str:
    kind, square = divmod(action, len(board))
    cell = functools.partial(_shogi_cell, ranks=ANIMALS, files=len(board) // ANIMALS, seat=seat)
    if kind >= len(ANIMAL_STEPS):
        return f"{HELD_ANIMALS[kind - len(ANIMAL_STEPS)]}@{cell(square)}"
    files, ranks = ANIMAL_STEPS[kind]
    promotes = board[square] == 0 and square % ANIMALS == 1  # a chick that reaches the far rank
    return cell(square) + cell(square + files * ANIMALS + ranks) + ("+" if promotes else "")


def _shogi_move(board: np.ndarray, seat: int, action: int) -> str:
    kind, target = divmod(action, len(board))
    cell = functools.partial(_shogi_cell, ranks=SHOGI, files=SHOGI, seat=seat)
    promoting, kind = kind // len(SHOGI_STEPS), kind % len(SHOGI_STEPS)
    if promoting == 2:
        return f"{HELD_IN_SHOGI[kind]}@{cell(target)}"
    files, ranks = SHOGI_STEPS[kind]
    file, rank = target // SHOGI + files, target % SHOGI + ranks
    # The mover's next piece that way; on the board's edge, an illegal action has none.
    while 0 <= file + files < SHOGI and 0 <= rank + ranks < SHOGI:
        if 0 <= board[file * SHOGI + rank] < SHOGI_OTHERS:
            break
        file, rank = file + files, rank + ranks
    return cell(file % SHOGI * SHOGI + rank % SHOGI) + cell(target) + "+" * promoting
