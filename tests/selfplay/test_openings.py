"""Openings: distinct, unfinished, reached by legal moves, the same for the same key."""

import jax
import numpy as np
import pytest

import games
from mcts import SearchResult
from selfplay.arena.opening_file import file_openings
from selfplay.arena.openings import POOL, balanced_openings, default_plies, make_openings
from selfplay.players import Player
from tests.toys.double_move import Pile

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


def test_short_games_have_one_random_ply_and_others_four_whatever_their_bound():
    for stones, plies in [(3, 1), (12, 1), (60, 4)]:  # a pile of n lasts n / 2 to n plies
        game = Pile(stones=stones)
        assert default_plies(game) == plies, stones
        drawn = make_openings(game, 2, jax.random.key(0)).moves
        assert {len(moves) for moves in drawn} == {plies}
    assert default_plies(games.load("connect_four")) == 4


def test_openings_refuse_a_negative_length_and_an_empty_set():
    with pytest.raises(ValueError, match="plies"):
        make_openings(TIC_TAC_TOE, 1, jax.random.key(0), plies=-1)
    with pytest.raises(ValueError, match="count"):
        make_openings(TIC_TAC_TOE, 0, jax.random.key(0))


def centre_or_not(variables, states, key):
    """An evaluation: the fewer stones in the corners, the more even."""
    value = (states.board[:, np.array([0, 2, 6, 8])] >= 0).sum(axis=1) / -4.0
    return SearchResult(*[value] * 7)


def test_balanced_openings_are_those_nearest_to_a_draw_of_a_larger_set():
    evaluate_states = Player("evaluator", TIC_TAC_TOE, centre_or_not)
    opened = balanced_openings(TIC_TAC_TOE, 20, jax.random.key(3), evaluate_states, plies=3)
    again = balanced_openings(TIC_TAC_TOE, 20, jax.random.key(3), evaluate_states, plies=3)
    assert opened.moves == again.moves
    pool_key = jax.random.split(jax.random.key(3))[0]
    pool = make_openings(TIC_TAC_TOE, POOL * 20, pool_key, plies=3).moves
    corners = sorted(len({0, 2, 6, 8} & set(moves)) for moves in pool)
    assert sorted(len({0, 2, 6, 8} & set(moves)) for moves in opened.moves) == corners[:20]
    assert set(opened.moves) <= set(pool)
    assert opened.distinct == 20


def test_openings_from_a_file_are_read_in_every_form_and_drawn_by_the_seed(tmp_path):
    file = tmp_path / "book.txt"
    file.write_text(
        '# three forms\n{"game": "tic_tac_toe", "moves": [4, 0, 8, 1, 2], "players": ["a", "b"]}\n'
        "[0, 1, 2]\n\na3, b2  c1\n"
    )
    opened = file_openings(file, TIC_TAC_TOE, 6, seed=1, plies=2)
    assert sorted(set(opened.moves)) == [(0, 1, 2), (0, 4, 8), (4, 0)]
    assert opened.distinct == 3
    assert opened.moves[:3] == opened.moves[3:]
    orders = {file_openings(file, TIC_TAC_TOE, 3, seed, plies=2).moves for seed in range(9)}
    assert len(orders) > 1
    assert opened.moves[:3] == file_openings(file, TIC_TAC_TOE, 3, seed=1, plies=2).moves


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("[0, 0]", "line 2: move 2, action 0, is illegal"),
        ("[0, 99]", "line 2: move 2, action 99, is illegal"),
        ("a3 a3", "line 2, move 2: .*a3"),
        ("[0, 3, 1, 4, 2]", "line 2: the game is over after these 5 moves"),
        ('{"moves": "a3"}', "line 2: moves must be a list of action numbers, got 'a3'"),
        ("{", "line 2: not JSON"),
    ],
)
def test_a_bad_line_of_an_opening_file_is_named(tmp_path, line, wanted):
    file = tmp_path / "book.txt"
    file.write_text(f"[4]\n{line}\n")
    with pytest.raises(ValueError, match=wanted):
        file_openings(file, TIC_TAC_TOE, 2, seed=0, plies=9)
