"""Our games as `selfplay game list` lists them: said here, since their modules import jax.

A test compares it with the games themselves.
"""

from typing import NamedTuple


class Listed(NamedTuple):
    """A game with its default options."""

    target: str  # module:Class
    about: str  # the first line of the class's docstring
    board: tuple[int, int]  # rows and columns of the observation
    actions: int
    max_plies: int
    options: dict[str, bool | int | float | str]  # and their defaults


GAMES = {
    "breakthrough": Listed(
        "games.breakthrough:Breakthrough",
        "Breakthrough, on 8x8 unless told otherwise.",
        board=(8, 8),
        actions=192,
        max_plies=177,
        options={"rows": 8, "cols": 8},
    ),
    "connect_four": Listed(
        "games.connect_four:ConnectFour",
        "Four in a line win on a 6x7 board; a full board with no line is a draw.",
        board=(6, 7),
        actions=7,
        max_plies=42,
        options={},
    ),
    "dots_and_boxes": Listed(
        "games.dots_and_boxes:DotsAndBoxes",
        "Dots and Boxes, `rows` x `cols` boxes, 5x5 unless told otherwise.",
        board=(11, 11),
        actions=60,
        max_plies=60,
        options={"rows": 5, "cols": 5},
    ),
    "go": Listed(
        "games.go:Go",
        "Go; the komi (7.5 is common on 9x9) is a multiple of a half; a whole one allows draws.",
        board=(9, 9),
        actions=82,
        max_plies=162,
        options={"size": 9, "komi": 7.5},
    ),
    "gomoku": Listed(
        "games.gomoku:Gomoku",
        "A line of `k` on `rows` x `cols`, five on 15x15 unless told otherwise.",
        board=(15, 15),
        actions=225,
        max_plies=225,
        options={"rows": 15, "cols": 15, "k": 5, "exact": False},
    ),
    "hex": Listed(
        "games.hex:Hex",
        "Hex on a rhombus, 11x11 unless told otherwise, with or without the swap rule.",
        board=(11, 11),
        actions=121,
        max_plies=121,
        options={"size": 11, "swap": False},
    ),
    "othello": Listed(
        "games.othello:Othello",
        "Othello on an even board, 8x8 unless told otherwise.",
        board=(8, 8),
        actions=65,
        max_plies=120,
        options={"size": 8},
    ),
    "tic_tac_toe": Listed(
        "games.tic_tac_toe:TicTacToe",
        "Three in a row wins on a 3x3 board; a full board with no line is a draw.",
        board=(3, 3),
        actions=9,
        max_plies=9,
        options={},
    ),
}
