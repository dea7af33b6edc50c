"""Rectangular boards: option checks, names of cells, text pictures, rotations and reflections.

`lines` are the numbers of the rows from the top one: `range(1, n + 1)` in games that count from the
top, `range(n, 0, -1)` in those that count from below.
"""

from typing import Any

import numpy as np

from games.game import Game, State, Symmetry

LETTERS = "abcdefghijklmnopqrs"  # Go leaves out the i


def check_range(name: str, value: int, low: int, high: int) -> None:
    """Raises ValueError unless the option `name` lies from `low` to `high`."""
    if not low <= value <= high:
        raise ValueError(f"{name} must be a whole number from {low} to {high}, got {value}")


def cell_name(row: int, col: int, lines: range, letters: str = LETTERS) -> str:
    """Returns the letter of the column and the number of the row, for example `c4`."""
    return f"{letters[col]}{lines[row]}"


def draw(symbols: np.ndarray, lines: range, letters: str = LETTERS) -> str:
    """Returns a picture of `symbols` (one character each, [rows, cols]) with its coordinates."""
    rows, cols = symbols.shape
    width = len(str(rows))
    board = [f"{lines[row]:>{width}} {' '.join(symbols[row])}" for row in range(rows)]
    return "\n".join([*board, f"{'':{width}} {' '.join(letters[:cols])}"])


def star_points(size: int) -> tuple[int, ...]:
    """Returns the points (row * size + col) that Go marks on square boards, none on the smallest.

    https://en.wikipedia.org/wiki/Go_equipment#Board: on the third line of small boards, the fourth
    of large ones.
    """
    if size < 7:
        return ()
    edge, middle = (2 if size < 13 else 3), size // 2
    lines = [edge, size - 1 - edge]
    stars = {(row, col) for row in lines for col in lines}
    if size % 2:
        stars.add((middle, middle))
        if size >= 13:
            stars |= {(row, middle) for row in lines} | {(middle, col) for col in lines}
    return tuple(sorted(row * size + col for row, col in stars))


def find_action(game: Game[Any], state: State, text: str) -> int:
    """Returns the legal action that `text` names, in any case. Raises ValueError with them all."""
    actions: list[int] = np.flatnonzero(np.asarray(state.legal_action_mask)).tolist()
    legal = {game.action_to_string(state, action): action for action in actions}
    for name, action in legal.items():
        if name.lower() == text.strip().lower():
            return action
    raise ValueError(f"no legal move {text!r}; legal: {' '.join(legal) or 'none'}")


def dihedral(rows: int, cols: int) -> tuple[np.ndarray, ...]:
    """Returns the board's rotations and reflections, identity first: int32[rows, cols] each.

    Each holds the cell (row * cols + col) that its image takes from the original: eight of them on
    a square, the four that keep the shape on any other board.
    """
    cells = np.arange(rows * cols, dtype=np.int32).reshape(rows, cols)
    turned = [np.rot90(board, turns) for board in (cells, cells[:, ::-1]) for turns in range(4)]
    return tuple(board for board in turned if board.shape == cells.shape)


def symmetry_of_moves(cells: Any, moves: Any, turns: Any = None) -> Symmetry:
    """Returns a symmetry of the board as one of a game whose actions go from cell to cell.

    Args:
      cells: int[rows, cols] or int[rows * cols], what `dihedral` gives: the cell that each cell of
        the image takes from the original.
      moves: int[A, K], the cells that each action names, in an order that means something, as from
        and to. A negative number is no cell and stays what it is: -1 for a target off the board, or
        for a pass; others for kinds, such as a promotion. Actions that name the same, as those that
        lead off the board may, must never be legal.
      turns: int[A, rows * cols], for actions that also turn or shift a part of the board: the cell
        from which each cell has its content after the action, as in `board[turns[action]]`.

    Raises:
      ValueError: the image of an action is none.
    """
    image, named = np.asarray(cells, np.int32).reshape(-1), np.asarray(moves)
    seen = np.where(named < 0, named, image[named])
    if turns is not None:  # what an image of the board makes of a turn is the turn of the image
        turned = np.empty_like(turns)
        turned[:, image] = image[np.asarray(turns)]
        named, seen = np.hstack([named, turns]), np.hstack([seen, turned])
    # Both hold the same rows, each in its own order: the n-th smallest of one is that of the other.
    by_name, by_image = np.lexsort(named.T), np.lexsort(seen.T)
    if (named[by_name] != seen[by_image]).any():
        known = set(map(tuple, named.tolist()))
        lost = [a for a, name in enumerate(seen.tolist()) if tuple(name) not in known]
        which = f"action {lost[0]}, {named[lost[0]].tolist()}," if lost else "an action"
        where = seen[lost[0]].tolist() if lost else "what fewer actions name"
        raise ValueError(f"{which} becomes {where}: the moves do not have this symmetry")
    sources = np.empty(len(named), np.int32)
    sources[by_image] = by_name
    return Symmetry(image, sources)
