"""Proven results: exact where the search can know, by exhaustive solving and by plain Python."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from games.tic_tac_toe import TicTacToe
from mcts import SearchConfig, proven, search
from selfplay.perfect import solver
from tests.oracles import search as oracles_search
from tests.support.positions import (
    evaluate,
    evaluate_one,
    quick_jit,
    random_positions,
    random_weights,
)
from tests.toys.tandem import Tandem

GUMBEL = SearchConfig(gumbel_scale=0.0, proven=True)
PUCT = SearchConfig(policy="puct", dirichlet_fraction=0.0, proven=True)
TIC_TAC_TOE = oracles_search.Rules(oracles_search.TIC_TAC_TOE_LINES, double_moves=False)
TANDEM = oracles_search.Rules(oracles_search.TANDEM_LINES, double_moves=True)


def run(game, state, config, dtype="float32"):
    weights = [jnp.asarray(w, dtype) for w in random_weights(game)]
    searched = quick_jit(lambda w, s: search(game, evaluate, w, s, jax.random.key(0), config))
    return jax.tree.map(np.asarray, searched(weights, state))


@pytest.mark.parametrize(
    ("game", "rules", "config"),
    [
        (Tandem(), TANDEM, GUMBEL),
        (TicTacToe(), TIC_TAC_TOE, dataclasses.replace(PUCT, max_depth=4)),
        pytest.param(TicTacToe(), TIC_TAC_TOE, GUMBEL, marks=pytest.mark.slow),
        pytest.param(Tandem(), TANDEM, PUCT, marks=pytest.mark.slow),
    ],
)
def test_equals_a_search_in_plain_python_that_proves(game, rules, config):
    config = dataclasses.replace(config, simulations=48)
    network = functools.partial(evaluate_one, random_weights(game))
    with jax.enable_x64(True):
        state = random_positions(game, 60, seed=4)
        ours = run(game, state, config, "float64")
    known = 0
    for env, board in enumerate(np.asarray(state.board).tolist()):
        board, depth = tuple(board), config.depth(game.max_plies)
        root, move = oracles_search.search(
            rules, network, board, 48, config, game.num_actions, depth
        )
        assert move in (None, ours.action[env]), board
        expected = [root.visits.get(a, 0) for a in range(game.num_actions)]
        assert ours.visit_counts[env].tolist() == expected, board
        value, q = oracles_search.reported(root, config)
        assert ours.value[env] == pytest.approx(value, abs=1e-12), board
        assert ours.q[env][list(q)].tolist() == pytest.approx(list(q.values()), abs=1e-12)
        weighted = set(np.flatnonzero(ours.action_weights[env]).tolist())
        assert weighted <= set(root.candidates()), (board, ours.action_weights[env])
        assert ours.action[env] in root.candidates(), board
        known += len(set(root.bounds())) == 1
    assert 10 < known < 60, "the positions show too little"


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("dots_and_boxes:rows=1,cols=2", PUCT),
        pytest.param("tic_tac_toe", GUMBEL, marks=pytest.mark.slow),
        pytest.param("dots_and_boxes:rows=1,cols=2", GUMBEL, marks=pytest.mark.slow),
        pytest.param("tic_tac_toe", PUCT, marks=pytest.mark.slow),
    ],
)
def test_a_position_solvable_within_the_simulations_gets_its_exact_value(name, config):
    """At most 4 moves are left: at most 4 + 12 + 24 + 24 positions below, against 128 visits."""
    game = games.load(name)
    solved = solver.solve(game)
    short = (solved.outcomes != solver.ILLEGAL).sum(axis=1) <= 4
    state, outcomes = jax.tree.map(lambda x: x[short], solved.states), solved.outcomes[short]
    result = run(game, state, dataclasses.replace(config, simulations=128))
    best = outcomes.max(axis=1)
    assert len(set(best.tolist())) == 3, "some win, some draw, some lose"
    np.testing.assert_array_equal(result.value, best)
    optimal = outcomes == best[:, None]
    assert optimal[np.arange(len(best)), result.action].all()
    np.testing.assert_array_equal(result.action_weights[~optimal], 0)
    np.testing.assert_allclose(result.action_weights.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(result.visit_counts.sum(axis=1), 128)


def test_back_up_equals_a_walk():
    """Random rows on paths of random length; values and bounds need not be whole numbers."""
    rng = np.random.default_rng(0)
    envs, depth, actions = 200, 9, 3
    edges = np.sort(rng.integers(-2, 3, (envs, depth, 2, actions)) / 2, axis=2)
    sign = rng.choice([-1, 1], (envs, depth, 1))
    action = rng.integers(0, actions, (envs, depth))
    length = rng.integers(1, depth + 1, envs)
    leaf = np.sort(rng.integers(-2, 3, (envs, 3)) / 2)[:, [1, 0, 2]]
    live = np.arange(depth) < length[:, None]
    siblings = proven.sibling_bounds(*map(jnp.asarray, (edges, sign, action)))
    siblings = jnp.where(live[..., None], siblings, 0)
    backed_up = np.asarray(proven.back_up(siblings, jnp.asarray(leaf)))
    for env in range(envs):
        value, least, most = leaf[env]
        for j in reversed(range(length[env])):
            assert backed_up[:, env, j].tolist() == [value, least, most], (env, j)
            row = edges[env, j].copy()
            row[:, action[env, j]] = least, most
            least, most = row.max(axis=1) if sign[env, j, 0] > 0 else row.min(axis=1)
            value = min(max(value, least), most)
