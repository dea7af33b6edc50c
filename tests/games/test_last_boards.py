"""What games say of their last board: who owns each cell, by how much it is won; and its law."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from games.breakthrough import Breakthrough
from games.conformance import check
from games.game import Scoring, Territorial, largest_margin
from games.tic_tac_toe import TicTacToe
from tests.oracles import last_boards
from tests.planted.mutants import Mutant

pytestmark = pytest.mark.usefixtures("compile_in_haste")

PLAIN = {
    "othello:size=4": functools.partial(last_boards.othello, 4),
    "dots_and_boxes:rows=2,cols=3": functools.partial(last_boards.dots_and_boxes, 2, 3),
    "hex:size=4,swap=true": functools.partial(last_boards.hex_stones, 4),
    "go:size=5,komi=2.5": functools.partial(last_boards.go, 5, 2.5),
}


@pytest.mark.parametrize("spec", PLAIN)
def test_a_last_board_is_as_plain_python_has_it_to_both_seats(spec):
    game, rng = games.load(spec), np.random.default_rng(3)
    step, shape = jax.jit(game.step), game.observation_shape
    assert isinstance(game, Territorial)
    won = set()
    for number in range(12):
        state, moves = game.init(jax.random.key(0)), []
        while not state.terminated:
            legal = np.flatnonzero(state.legal_action_mask)
            passes = spec.startswith("go") and len(moves) > 10 and number % 3
            moves.append(int(legal[-1] if passes else rng.choice(legal)))
            state = step(state, np.int32(moves[-1]))
        owner, margin = PLAIN[spec](moves)
        planes = game.final_planes(state)
        assert planes.dtype == np.int8
        wanted = [last_boards.as_plane(owner, shape, seat) for seat in range(2)]
        np.testing.assert_array_equal(planes, wanted, err_msg=str(moves))
        if margin is not None:
            assert isinstance(game, Scoring)
            assert float(game.margin(state)) == margin
            assert abs(margin) <= largest_margin(game)
            won.add(np.sign(margin))
    assert {-1.0, 1.0} <= won or spec.startswith("hex")


def test_a_board_that_nobody_has_won_on_may_be_full_or_empty():
    game = games.load("go:size=5,komi=0")
    state = game.init(jax.random.key(0))
    assert not game.final_planes(state).any()
    state = jax.jit(game.step)(state, jnp.int32(12))
    assert (game.final_planes(state) == jnp.array([1, -1], jnp.int8)[:, None, None]).all()


def owners(self, state):
    one = jnp.where(state.board == 0, 1, jnp.where(state.board == 1, -1, 0)).reshape(3, 3)
    return jnp.stack([one, -one]).astype(jnp.int8)


def lines(self, state):
    """By how many cells a winner of tic-tac-toe has more than the other, whoever began: 1 or 0."""
    return jnp.where(state.winner >= 0, 1.0 - 2.0 * state.winner, 0.0).astype(jnp.float32)


def by_mover(self, state):
    planes = owners(self, state)
    return jnp.where(state.to_play == 0, planes, planes[::-1])


SAYS = {"final_planes": owners, "margin": lines}
WRONG = {
    "planes by mover": {"final_planes": by_mover},
    "a margin by mover": {
        "margin": lambda s, state: lines(s, state) * (1.0 - 2.0 * state.to_play),
        "largest_margin": 1,
    },
    "two planes of one seat": {"final_planes": lambda s, x: abs(owners(s, x))},
    "cells in another order": {"final_planes": lambda s, x: jnp.roll(owners(s, x), 1, axis=2)},
    "planes of a count": {"final_planes": lambda s, x: 3 * owners(s, x)},
    "a plane alone": {"final_planes": lambda s, x: owners(s, x)[0]},
    "planes of int32": {"final_planes": lambda s, x: owners(s, x).astype(jnp.int32)},
    "a margin above its largest": {"largest_margin": 0.5},
    "a largest margin of 0": {"largest_margin": 0},
    "a margin of NaN": {"margin": lambda s, x: lines(s, x) / jnp.abs(lines(s, x))},
    "a margin for each seat": {"margin": lambda s, x: jnp.stack([lines(s, x)] * 2)},
    "planes in NumPy": {"final_planes": lambda s, x: np.asarray(x.board)},
}
SELDOM = {*list(WRONG)[4:]}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in SELDOM else ()) for n in WRONG]
)
def test_what_does_not_fit_the_end_breaks_the_law(name):
    game = Mutant("last board", TicTacToe, SAYS | WRONG[name]).game()
    report = check(game, games=32, fresh_process=False)
    assert {violation.law for violation in report.violations} <= {"last board", "purity"}
    assert report.violations, name


def test_of_a_game_that_says_what_is_there_nothing_is_said():
    game = Mutant("", TicTacToe, SAYS).game()
    assert isinstance(game, Territorial)
    assert isinstance(game, Scoring)
    report = check(game, games=32, fresh_process=False)
    assert not report.violations
    assert not report.notes


@dataclasses.dataclass(frozen=True)
class Turned(Breakthrough):
    """Breakthrough that is turned so that either seat walks up the board."""

    turns: bool = True

    def observe(self, state):
        seen = super().observe(state)
        return jnp.where(state.to_play == 0, seen[::-1], seen)

    def final_planes(self, state):
        one = jnp.where(state.board == 0, 1, jnp.where(state.board == 1, -1, 0))
        one = one.reshape(self.rows, self.cols).astype(jnp.int8)
        return jnp.stack([one[::-1] if self.turns else one, -one])


@pytest.mark.parametrize("turns", [True, False])
def test_a_seat_that_sees_its_board_turned_must_see_the_last_one_so(turns):
    report = check(Turned(5, 4, turns), games=32, fresh_process=False)
    assert [v.law for v in report.violations] == ([] if turns else ["last board"]), report
