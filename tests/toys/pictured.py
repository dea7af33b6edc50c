"""Games that differ only in how they are rendered, on a board that is not square."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from games.gomoku import Gomoku

ROWS, COLS = 3, 5


@dataclasses.dataclass(frozen=True)
class Pictured(Gomoku):
    """Four in a row on 3x5; a stone on the first column keeps the turn. It declares no board."""

    rows: int = ROWS
    cols: int = COLS
    k: int = 4
    style: str = "bordered"

    board = None

    def step(self, state: Any, action: jax.Array) -> Any:
        after = super().step(state, action)
        again = (action % self.cols == 0) & ~state.terminated
        return after._replace(to_play=jnp.where(again, state.to_play, after.to_play))

    def render(self, state: Any) -> str:
        cells = np.array([".", "X", "O"])[np.asarray(state.board).reshape(ROWS, COLS) + 1]
        turn = f"{'XO'[int(state.to_play)]} to move, {int((cells != '.').sum())} stones"
        return STYLES[self.style](cells, turn)


def bordered(cells: np.ndarray, turn: str) -> str:
    rule = "  +" + "---+" * COLS
    lines = [turn, "    " + "   ".join("abcde"), rule]
    for number, row in zip(range(ROWS, 0, -1), np.where(cells == ".", " ", cells), strict=True):
        lines += [f"{number} | {' | '.join(row)} | {number}", rule]
    return "\n".join(lines)


def chatty(cells: np.ndarray, turn: str) -> str:
    """Lines of text that differ in length and number."""
    lone = [" ".join(row) for row in cells]
    stones = int((cells != ".").sum())
    told = turn + ", as a long story tells" * (stones % 3)
    return "\n".join([told, "", *lone, "", *["so it goes"] * (stones // 2)])


def plain(cells: np.ndarray, turn: str) -> str:
    return "\n".join("".join(row) for row in cells)


def turn_below(cells: np.ndarray, turn: str) -> str:
    rows = [f"{number} {' '.join(row)}" for number, row in enumerate(cells, 1)]
    return "\n".join(["  a b c d e", *rows, "", turn])


def ragged(cells: np.ndarray, turn: str) -> str:
    rows = [" ".join(np.where(row == ".", " ", row)).rstrip() for row in cells]
    return "\n".join([turn, *(f"|{row}" for row in rows), "=" * 10])


def drawn(cells: np.ndarray, turn: str) -> str:
    rows = ["║ " + " ".join({".": "·", "X": "●", "O": "○"}[cell] for cell in row) for row in cells]
    return "\n".join(["╔" + "═" * 11, *rows, "╚" + "═" * 11])


def coloured(cells: np.ndarray, turn: str) -> str:
    colour = {".": ".", "X": "\x1b[31mX\x1b[0m", "O": "\x1b[1;34mO\x1b[0m"}
    return "\n".join("\t" + " ".join(colour[cell] for cell in row) for row in cells) + "\n"


def beside(cells: np.ndarray, turn: str) -> str:
    """What is beside the board changes: no grid for certain."""
    first, *others = (" ".join(row) for row in cells)
    return "\n".join([f"{first}   {turn}", *others])


def wide(cells: np.ndarray, turn: str) -> str:
    """Cells of two characters."""
    return "\n".join(" ".join(cell * 2 for cell in row) for row in cells)


def slanted(cells: np.ndarray, turn: str) -> str:
    return "\n".join(" " * number + " ".join(row) for number, row in enumerate(cells))


def in_words(cells: np.ndarray, turn: str) -> str:
    return f"stones on {np.flatnonzero(cells != '.').tolist()}"


def empty(cells: np.ndarray, turn: str) -> str:
    return ""


def hostile(cells: np.ndarray, turn: str) -> str:
    rows = "\n".join(" ".join(row) for row in cells)
    return f"<script>alert(1)</script> &amp; \x00\x07\ud800 ' \" ]]> <!--\n{rows}"


STYLES = {
    style.__name__: style
    for style in (
        bordered, chatty, plain, turn_below, ragged, drawn, coloured, beside, wide, slanted,
        in_words, empty, hostile,
    )
}  # fmt: skip
GRIDS = {"bordered", "chatty", "plain", "turn_below", "ragged", "drawn", "coloured", "hostile"}
