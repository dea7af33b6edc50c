"""Several leaves a step, and the root's evaluation averaged over symmetries."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from games.tic_tac_toe import TicTacToe
from mcts import SearchConfig, search
from mcts.contract import evaluate_states
from tests.support.positions import evaluate, quick_jit, random_positions, random_weights

GUMBEL = SearchConfig(gumbel_scale=0.0)
PUCT = SearchConfig(policy="puct", dirichlet_fraction=0.0)


@pytest.mark.parametrize(
    "config", [GUMBEL, pytest.param(PUCT, marks=pytest.mark.slow)], ids=lambda c: c.policy
)
def test_with_several_leaves_all_simulations_are_made_and_a_win_in_one_is_found(config):
    """66 simulations, 8 at a time and 2 besides."""
    game = TicTacToe()
    config = dataclasses.replace(config, simulations=66, leaves=8)
    state = random_positions(game, 150, seed=2)
    weights = [jnp.asarray(w, jnp.float32) for w in random_weights(game)]
    run = quick_jit(lambda s: search(game, evaluate, weights, s, jax.random.key(0), config))
    result = jax.tree.map(np.asarray, run(state))
    np.testing.assert_array_equal(result.visit_counts.sum(axis=1), 66)
    illegal = ~np.asarray(state.legal_action_mask)
    assert result.visit_counts[illegal].sum() == 0
    assert result.action_weights[illegal].sum() == 0
    every = jnp.arange(9)
    after = jax.vmap(lambda s: jax.vmap(lambda a: game.step(s, a))(every))(state)
    wins = np.asarray(after.winner == state.to_play[:, None]) & ~illegal
    decided = wins.any(axis=1)
    assert decided.sum() > 20
    assert wins[decided, result.action[decided]].all()


def test_leaves_that_share_an_evaluation_are_chosen_as_if_those_before_had_lost():
    """Four moves that look alike: each is taken once, where a visit that won would draw more."""
    config = dataclasses.replace(PUCT, simulations=4, leaves=4)
    state = random_positions(TicTacToe(), 40, seed=2)
    zero = [jnp.zeros(np.shape(w), jnp.float32) for w in random_weights(TicTacToe())]
    result = quick_jit(lambda s: search(TicTacToe(), evaluate, zero, s, jax.random.key(0), config))(
        state
    )
    legal = np.asarray(state.legal_action_mask).sum(axis=1)
    assert (np.asarray(result.visit_counts)[legal >= 4].max(axis=1) == 1).all()
    assert (legal >= 4).sum() > 10


@pytest.mark.parametrize(
    "name",
    [
        "tic_tac_toe",  # its rotations are not their own inverses
        pytest.param("breakthrough:rows=5,cols=3", marks=pytest.mark.slow),
        pytest.param("othello:size=4", marks=pytest.mark.slow),
    ],
)
def test_averaged_over_symmetries_an_evaluation_is_the_mean_of_all_images(name):
    game = games.load(name)
    weights = random_weights(game)
    state = random_positions(game, 20, seed=3)
    averaged = jax.tree.map(
        np.asarray,
        evaluate_states(
            game, evaluate, [jnp.asarray(w, jnp.float32) for w in weights], state, True
        ),
    )
    cells = np.asarray(jax.vmap(game.observe)(state)).reshape(20, -1, game.observation_shape[-1])
    policies, values = [], []
    for symmetry in game.symmetries():
        policy, bias, value = weights
        flat = cells[:, symmetry.observation].reshape(20, -1)
        logits = np.empty((20, game.num_actions))
        logits[:, symmetry.action] = flat @ policy + bias
        odds = np.exp(logits) * np.asarray(state.legal_action_mask)
        policies.append(odds / odds.sum(axis=1, keepdims=True))
        values.append(np.tanh(flat @ value))
    assert len(values) > 1
    policy = np.asarray(jax.nn.softmax(averaged.prior_logits))
    np.testing.assert_allclose(policy, np.mean(policies, axis=0), atol=1e-5)
    np.testing.assert_allclose(averaged.value, np.mean(values, axis=0), atol=1e-5)
