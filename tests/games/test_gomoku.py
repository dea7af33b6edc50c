"""Gomoku against OpenSpiel, and against plain Python where overlines do not win."""

import jax
import numpy as np
import pytest

from games import load
from tests.support.playouts import assert_agrees, assert_symmetric, openspiel, play


class PlainGomoku:
    """The rules by looking along every line of the board: text, split where the stones change."""

    def __init__(self, rows: int, cols: int, k: int, exact: bool) -> None:
        self.rows, self.cols, self.k, self.exact = rows, cols, k, exact
        self.moves: list[int] = []

    def lines(self) -> list[str]:
        """Returns every row, column and diagonal as text: a stone is its seat, a gap a blank."""
        cells = {divmod(m, self.cols): str(ply % 2) for ply, m in enumerate(self.moves)}
        lines: dict[tuple[str, int], str] = {}
        for row in range(self.rows):
            for col in range(self.cols):
                keys = (("row", row), ("col", col), ("down", row - col), ("up", row + col))
                for key in keys:
                    lines[key] = lines.get(key, "") + cells.get((row, col), " ")
        return list(lines.values())

    def has_won(self, seat: int) -> bool:
        other = str(1 - seat)
        runs = [run for line in self.lines() for run in line.replace(other, " ").split()]
        return any(len(run) == self.k or (len(run) > self.k and not self.exact) for run in runs)

    def is_terminal(self) -> bool:
        full = len(self.moves) == self.rows * self.cols
        return full or self.has_won(0) or self.has_won(1)

    def legal_actions(self) -> list[int]:
        cells = range(self.rows * self.cols)
        return [] if self.is_terminal() else [c for c in cells if c not in self.moves]

    def current_player(self) -> int:
        return len(self.moves) % 2

    def apply_action(self, action: int) -> None:
        self.moves.append(action)

    def history(self) -> list[int]:
        return self.moves

    def returns(self) -> list[float]:
        lead = float(self.has_won(0)) - float(self.has_won(1))
        return [lead, -lead]


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("gomoku:rows=6,cols=6,k=4", "gomoku(size=6,connect=4)"),
        ("gomoku:rows=6,cols=4,k=3", "mnk(m=4,n=6,k=3)"),
        ("gomoku:rows=5,cols=9,k=5", "mnk(m=9,n=5,k=5)"),
        ("gomoku", "gomoku"),
        ("gomoku:rows=3,cols=3,k=2", "gomoku(size=3,connect=2)"),
        pytest.param("gomoku:rows=3,cols=19,k=3", "mnk(m=19,n=3,k=3)", marks=pytest.mark.slow),
        pytest.param("gomoku:rows=19,cols=3,k=19", "mnk(m=3,n=19,k=19)", marks=pytest.mark.slow),
    ],
)
def test_random_games_agree_with_openspiel(spec: str, name: str) -> None:
    assert_agrees(load(spec), openspiel(name), 30 if spec == "gomoku" else 100)


@pytest.mark.slow
@pytest.mark.parametrize("size", [7, 15, 19])
def test_thousands_of_random_games_agree_with_openspiel(size: int) -> None:
    game = load(f"gomoku:rows={size},cols={size}")
    assert_agrees(game, openspiel(f"gomoku(size={size})"), 1000, seed=1)


@pytest.mark.parametrize(("rows", "cols", "k"), [(4, 6, 3), (3, 3, 2)])
@pytest.mark.parametrize("exact", [True, False])
def test_random_games_agree_with_plain_python(rows: int, cols: int, k: int, exact: bool) -> None:
    game = load(f"gomoku:rows={rows},cols={cols},k={k},exact={exact}")
    played = assert_agrees(game, lambda: PlainGomoku(rows, cols, k, exact), 50)
    if exact and k == 3:
        stones = [line for game in played for line in game.lines()]
        assert any("0000" in line or "1111" in line for line in stones), "no overline"


def test_an_overline_wins_freestyle_and_nothing_when_exact() -> None:
    # Seat 0 fills c9 last, between a9 b9 and d9 e9 f9: six in a row.
    moves = "a9 a1 b9 c1 d9 e1 e9 g1 f9 i1 c9"
    freestyle, exact = load("gomoku:rows=9,cols=9"), load("gomoku:rows=9,cols=9,exact=true")
    assert freestyle.returns(play(freestyle, moves)).tolist() == [1.0, -1.0]
    assert not play(exact, moves).terminated
    # An exact five next to the overline still wins: c9 and the column below it.
    won = play(exact, moves + " a2 c8 c2 c7 e2 c6 g2 c5")
    assert exact.returns(won).tolist() == [1.0, -1.0]


def test_a_line_does_not_run_on_around_the_edge_of_the_board() -> None:
    game = load("gomoku:rows=7,cols=5,k=4")
    state = play(game, "d7 a1 e7 b1 a6 d1 b6 e1")  # cells 3 4 5 6, in two rows
    assert not state.terminated


def test_a_full_board_without_a_line_is_a_draw() -> None:
    game = load("gomoku:rows=3,cols=3,k=3")
    state = play(game, "b2 a1 a3 c1 b1 b3 a2 c2 c3")
    assert state.terminated
    assert game.returns(state).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(("spec", "count"), [("rows=5,cols=5,k=4", 8), ("rows=4,cols=6,k=3", 4)])
def test_the_symmetries_of_its_board_hold(spec: str, count: int) -> None:
    game = load(f"gomoku:{spec}")
    assert len(game.symmetries()) == count
    assert_symmetric(game)


def test_it_reads_and_writes_the_usual_notation() -> None:
    game = load("gomoku:rows=3,cols=4,k=3")
    state = play(game, "a1 d3")
    assert game.render(state) == "3 . . . O\n2 . . . .\n1 X . . .\n  a b c d"
    assert game.action_to_string(game.init(jax.random.key(0)), 8) == "a1"
    assert np.asarray(game.observe(state))[2, 0].tolist() == [True, False]
    with pytest.raises(ValueError, match="no legal move 'A1'; legal: a3 b3 c3 a2"):
        game.string_to_action(state, "A1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("rows=2", "rows must be a whole number from 3 to 19, got 2"),
        ("cols=20", "cols must be a whole number from 3 to 19, got 20"),
        ("rows=4,cols=6,k=7", "k must be a whole number from 2 to 6, got 7"),
    ],
)
def test_a_bad_option_is_refused_by_name_and_value(options: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(f"gomoku:{options}")
