"""Openings: distinct, unfinished, reached by legal moves, the same for the same key."""

import jax
import numpy as np
import pytest

import games
from selfplay.openings import make_openings
from tests.double_move import Pile

TIC_TAC_TOE = games.load("tic_tac_toe")
LINES = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]


def test_openings_are_distinct_live_positions_reached_by_their_moves():
    openings = make_openings(TIC_TAC_TOE, 300, jax.random.key(0), plies=5)
    boards = set()
    for moves, board in zip(openings.moves, openings.states.board.tolist(), strict=True):
        assert len(set(moves)) == 5, moves
        expected = [-1] * 9
        for ply, cell in enumerate(moves):
            expected[cell] = ply % 2
        assert board == expected, moves
        assert not any(board[a] == board[b] == board[c] != -1 for a, b, c in LINES), moves
        boards.add(tuple(board))
    assert len(boards) == openings.distinct == 300


def test_openings_follow_from_the_key():
    first, again, other = (
        make_openings(TIC_TAC_TOE, 20, jax.random.key(seed)).moves for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize(("plies", "distinct"), [(0, 1), (1, 9)])
def test_too_few_openings_are_repeated_equally_often_and_counted(plies, distinct):
    openings = make_openings(TIC_TAC_TOE, 100, jax.random.key(0), plies)
    times = np.unique(openings.states.board, axis=0, return_counts=True)[1]
    assert openings.distinct == len(times) == distinct
    assert times.max() - times.min() <= 1, times


def test_openings_are_shorter_where_no_game_lasts_as_long():
    openings = make_openings(Pile(stones=3), 8, jax.random.key(0), plies=30)
    assert set(openings.moves) == {(0, 0)}, openings.moves  # one stone left: the last live position


def test_openings_refuse_a_negative_length_and_an_empty_set():
    with pytest.raises(ValueError, match="plies"):
        make_openings(TIC_TAC_TOE, 1, jax.random.key(0), plies=-1)
    with pytest.raises(ValueError, match="count"):
        make_openings(TIC_TAC_TOE, 0, jax.random.key(0))
