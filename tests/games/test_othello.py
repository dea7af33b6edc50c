"""Othello against OpenSpiel, and against plain Python on boards that OpenSpiel does not have."""

import jax
import numpy as np
import pytest

from games import load
from tests.support.playouts import assert_agrees, assert_symmetric, openspiel, play

DIRECTIONS = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]


class PlainOthello:
    """The rules, one cell at a time."""

    def __init__(self, size: int) -> None:
        self.size, self.mover, self.moves, self.passes = size, 0, [], 0
        low, high = size // 2 - 1, size // 2
        self.owner = {(low, high): 0, (high, low): 0, (low, low): 1, (high, high): 1}

    def captures(self, row: int, col: int, seat: int) -> list[tuple[int, int]]:
        captured = []
        for down, right in DIRECTIONS if (row, col) not in self.owner else ():
            line, cell = [], (row + down, col + right)
            while self.owner.get(cell) == 1 - seat:
                line.append(cell)
                cell = (cell[0] + down, cell[1] + right)
            if self.owner.get(cell) == seat:
                captured += line
        return captured

    def placements(self, seat: int) -> list[int]:
        cells = range(self.size**2)
        return [c for c in cells if self.captures(*divmod(c, self.size), seat)]

    def is_terminal(self) -> bool:
        return not self.placements(0) and not self.placements(1)

    def legal_actions(self) -> list[int]:
        return [] if self.is_terminal() else self.placements(self.mover) or [self.size**2]

    def apply_action(self, action: int) -> None:
        if action == self.size**2:
            self.passes += 1
        else:
            cell = divmod(action, self.size)
            for flipped in [*self.captures(*cell, self.mover), cell]:
                self.owner[flipped] = self.mover
        self.mover = 1 - self.mover
        self.moves.append(action)

    def current_player(self) -> int:
        return self.mover

    def history(self) -> list[int]:
        return self.moves

    def returns(self) -> list[float]:
        lead = sum(1 if seat == 0 else -1 for seat in self.owner.values())
        return [float(np.sign(lead)), -float(np.sign(lead))] if self.is_terminal() else [0.0, 0.0]


def test_random_games_agree_with_openspiel() -> None:
    played = assert_agrees(load("othello"), openspiel("othello"), 200)
    assert any(64 in game.history() for game in played), "no game with a pass"


@pytest.mark.slow
def test_thousands_of_random_games_agree_with_openspiel() -> None:
    assert_agrees(load("othello"), openspiel("othello"), 4000, seed=1)


@pytest.mark.parametrize(
    ("size", "games"),
    [(4, 100), (6, 10), *(pytest.param(n, 60 // n, marks=pytest.mark.slow) for n in (10, 16))],
)
def test_other_sizes_agree_with_plain_python(size: int, games: int) -> None:
    played = assert_agrees(load(f"othello:size={size}"), lambda: PlainOthello(size), games)
    if size == 4:
        assert any(len(game.owner) < size**2 for game in played), "no game that ended early"
        assert any(game.passes for game in played), "no game with a pass"


@pytest.mark.parametrize("size", [6, 8])
def test_its_four_symmetries_hold(size: int) -> None:
    game = load(f"othello:size={size}")
    assert len(game.symmetries()) == 4
    assert_symmetric(game)


def test_wiping_out_the_other_side_ends_the_game() -> None:
    state = play(load("othello"), "c4 c3 e6 d6 c6 f4 g4 c5 c2")
    assert state.terminated
    assert not state.legal_action_mask.any()
    assert load("othello").returns(state).tolist() == [1.0, -1.0]


def test_when_neither_side_can_move_the_game_ends_without_passes_on_an_open_board() -> None:
    game = load("othello")
    state = play(game, "e6 f6 d3 e3 g6 g7 f3 e2 e1 g5 h8 e7 e8 d8 h6 f8 h4")
    assert state.terminated
    assert game.render(state).count("O") == 4  # both colours are still there
    assert game.returns(state).tolist() == [1.0, -1.0]


def test_a_pass_is_legal_only_when_forced_and_gives_the_turn_to_the_other() -> None:
    game = load("othello")
    moves = "f5 f6 f7 g7 d3 f8 h8 h6"
    state, after = play(game, moves), play(game, moves + " pass")
    assert np.flatnonzero(state.legal_action_mask).tolist() == [64]
    assert (after.discs == state.discs).all()
    assert after.to_play == 1 - state.to_play
    assert not after.legal_action_mask[64]


def test_it_reads_and_writes_the_usual_notation() -> None:
    game = load("othello")
    state = game.init(jax.random.key(0))
    assert game.render(state).splitlines()[3] == "4 . . . O X . . ."
    assert [game.action_to_string(state, a) for a in (19, 26, 37, 44, 64)] == [
        *("d3", "c4", "f5", "e6"),
        "pass",
    ]
    assert game.string_to_action(state, " F5 ") == 37
    with pytest.raises(ValueError, match="no legal move 'a1'; legal: d3 c4 f5 e6"):
        game.string_to_action(state, "a1")


@pytest.mark.parametrize("size", [2, 7, 18])
def test_a_bad_size_is_refused_by_name_and_value(size: int) -> None:
    with pytest.raises(ValueError, match=f"size must be .* from 4 to 16, got {size}"):
        load(f"othello:size={size}")
