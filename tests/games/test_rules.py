"""The rules of every game, against other implementations and counts by other programs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from games import registry
from games.tic_tac_toe import TicTacToe
from tests.oracles.lines import EMPTY, has_line, live_positions, place
from tests.oracles.perft import COUNTS, depth_for_tests, perft
from tests.support.playouts import assert_agrees, openspiel


@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four"])
@pytest.mark.parametrize("num_games", [500, pytest.param(5000, marks=pytest.mark.slow)])
def test_random_games_agree_with_openspiel(name, num_games):
    assert_agrees(games.load(name), openspiel(name), num_games, seed=num_games)


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_perft_agrees_with_the_counts_of_other_programs(name):
    depth = depth_for_tests(COUNTS[name])
    assert perft(games.load(name), depth) == list(COUNTS[name][:depth])


def test_every_move_of_tic_tac_toe_agrees_with_plain_python():
    moves = [
        (board, seat, cell)
        for board, seat in live_positions()
        for cell in range(9)
        if board[cell] == EMPTY
    ]
    boards = np.array([board for board, _, _ in moves], np.int8)
    seats = np.array([seat for _, seat, _ in moves], np.int8)
    cells = np.array([cell for _, _, cell in moves], np.int32)
    game = TicTacToe()
    blank = game.init(jax.random.key(0))

    def after(board, seat, cell):
        state = blank._replace(board=board, to_play=seat, legal_action_mask=board == EMPTY)
        state = game.step(state, cell)
        return state, game.returns(state)

    computed = jax.jit(jax.vmap(after))(boards, seats, cells)
    states, returns = jax.tree.map(np.asarray, computed)
    for i, (board, seat, cell) in enumerate(moves):
        expected = place(board, cell, seat)
        won = has_line(expected, seat)
        case = f"{board}, seat {seat} plays {cell}"
        assert tuple(states.board[i].tolist()) == expected, case
        assert bool(states.terminated[i]) == (won or EMPTY not in expected), case
        assert returns[i].tolist() == ([[1, -1], [-1, 1]][seat] if won else [0, 0]), case


@pytest.mark.parametrize("name", registry.BUILT_IN)
def test_a_batched_step_compiles_once(name):
    game, traced = games.load(name), []

    @jax.jit
    @jax.vmap
    def step(state, action):
        traced.append(1)
        return game.step(state, action)

    state = jax.vmap(game.init)(jax.random.split(jax.random.key(0), 4))
    for _ in range(3):
        state = step(state, state.legal_action_mask.argmax(axis=1).astype(jnp.int32))
    assert len(traced) == 1
