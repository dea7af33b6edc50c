"""Rectangular boards: option checks, names of cells, text pictures, rotations and reflections.

`lines` are the numbers of the rows from the top one: `range(1, n + 1)` in games that count from the
top, `range(n, 0, -1)` in those that count from below.
"""

from typing import Any

import numpy as np

from games.game import Game, State

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
