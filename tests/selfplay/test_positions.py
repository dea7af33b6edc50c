"""Batches of positions: random moves, and games that are watched again."""

import jax
import jax.numpy as jnp
import numpy as np

import games
from selfplay import positions

TIC_TAC_TOE = games.load("tic_tac_toe")
LINES = [(4, 0, 8), (0, 3, 1, 4, 2), ()]  # the second one is a win in five


def test_random_actions_are_legal_and_equally_likely():
    legal = np.array([[True, False, True, True], [False, False, True, False]])
    rows = jnp.asarray(np.repeat(legal, 3000, axis=0))
    drawn = np.asarray(positions.random_actions(jax.random.key(0), rows)).reshape(2, 3000)
    assert drawn.dtype == np.int32
    counts = np.bincount(drawn[0], minlength=4)
    assert counts[1] == 0
    # A count has a standard deviation of 26.
    assert abs(counts[[0, 2, 3]] - 1000).max() < 130
    assert (drawn[1] == 2).all()


def test_a_watched_game_shows_every_position_before_its_move_and_stays_at_its_end():
    history = positions.pad_moves(LINES)
    seen, last = jax.device_get(positions.watch(TIC_TAC_TOE, history, lambda state: state))
    for env, line in enumerate(LINES):
        state = positions.opening_position(TIC_TAC_TOE)
        for ply in range(history.shape[1]):
            here = jax.tree.map(lambda leaf, i=(env, ply): leaf[i], seen)
            jax.tree.map(np.testing.assert_array_equal, here, jax.device_get(state))
            if ply < len(line):
                state = positions.step(TIC_TAC_TOE, state, np.int32(line[ply]))
        end = jax.tree.map(lambda leaf, i=env: leaf[i], last)
        jax.tree.map(np.testing.assert_array_equal, end, jax.device_get(state))
    assert last.terminated.tolist() == [False, True, False]
