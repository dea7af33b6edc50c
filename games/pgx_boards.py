"""The boards of pgx's games (chess, shogi, go, ...), as data for a drawing: `Drawn` of `game.py`.

Places are numbered as `layout.py` says. Chess and its kin move from square to square; what shogi
holds in hand lies on places of its own beside the board, and a drop starts there.
"""

import re
from collections.abc import Sequence

import numpy as np

from games.board import LETTERS, star_points
from games.layout import Area, Arrow, Board, Piece, Place, Point, Text, hexagons, points, squares
from games.pgx_moves import HELD_ANIMALS, HELD_IN_SHOGI

MOVE = re.compile(r"(\D)(\d+)(\D)(\d+)(.*)")  # from, to, and what it promotes to
DROP = re.compile(r"(.)@(\D)(\d+)")
PASSES = {"hex": "swap"}  # what an action beyond the cells is; else a pass
HELD = {"animal_shogi": HELD_ANIMALS, "shogi": HELD_IN_SHOGI}  # kinds of pieces in hand
MOST_SHOWN = 9  # of one kind in hand: a piece has room for two characters


def board(game: str, rows: int, cols: int) -> Board:
    """The board of a game of pgx, by its name there."""
    names, lines = LETTERS[:cols], range(rows, 0, -1)
    if game.startswith("go"):
        return points(rows, cols, columns=names, lines=lines, stars=star_points(rows))
    if game == "hex":
        return hexagons(rows, cols, columns=names, lines=range(1, rows + 1), borders=(0, 1))
    if game == "connect_four":
        return squares(rows, cols, surface="holes", colours=("red", "yellow"))
    surface = {"othello": "felt", "tic_tac_toe": "plain"}.get(game, "checked")
    plain = squares(rows, cols, columns=names, lines=lines, surface=surface)
    held = len(HELD.get(game, ""))
    # Seat 0's hand lies at the lower right, seat 1's at the upper left of what is added.
    hands = [(cols + 0.5 + i % 2, rows - 1.0 - i // 2) for i in range(held)]
    hands += [(cols + 0.5 + i % 2, 0.0 + i // 2) for i in range(held)]
    return plain._replace(centres=plain.centres + tuple(hands))


def place(game: str, name: str, action: int, seat: int, symbols: np.ndarray) -> Place:
    """Where an action is on the board.

    Args:
      name: the action's, where the game has names of moves.
      symbols: str[rows, cols], what stands on the board.
    """
    rows, cols = symbols.shape

    def cell(file: str, rank: str) -> int:
        return (rows - int(rank)) * cols + LETTERS.index(file)

    if dropped := DROP.fullmatch(name):
        kind = HELD[game].index(dropped[1])
        return Arrow(_hand(rows * cols, game, seat) + kind, cell(dropped[2], dropped[3]))
    if moved := MOVE.fullmatch(name):
        label = name if moved[5] else ""
        return Arrow(cell(moved[1], moved[2]), cell(moved[3], moved[4]), label=label)
    if game == "connect_four":
        falls_to = int(np.flatnonzero(symbols[:, action] == ".").max(initial=0))
        others = (row * cols + action for row in range(rows) if row != falls_to)
        return Area((falls_to * cols + action, *others))
    return Point(action) if action < rows * cols else Text(PASSES.get(game, "pass"))


def pieces(game: str, symbols: np.ndarray, hands: Sequence[Sequence[int]]) -> list[Piece]:
    """What lies on the board and, by seat, in hand.

    Args:
      symbols: str[rows, cols], capitals for seat 0, small letters for seat 1; X and O are discs.
      hands: the number of pieces of each kind that a seat holds, empty without hands.
    """
    found = []
    for at, symbol in enumerate(symbols.reshape(-1).tolist()):
        if symbol in "XO":
            found.append(Piece(at, "XO".index(symbol)))
        elif symbol != ".":
            found.append(Piece(at, int(symbol.islower()), letter=symbol.upper()))
    for seat, held in enumerate(hands):
        first = _hand(symbols.size, game, seat)
        for kind, count in enumerate(held):
            if count:
                letter = HELD[game][kind] + (str(min(count, MOST_SHOWN)) if count > 1 else "")
                found.append(Piece(first + kind, seat, letter=letter))
    return found


def _hand(cells: int, game: str, seat: int) -> int:
    """The first place of a seat's hand."""
    return cells + seat * len(HELD[game])
