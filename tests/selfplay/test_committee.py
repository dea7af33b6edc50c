"""The committee: its members are searches of the position's images, its verdict their average."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from mcts import Evaluation, SearchConfig, SearchResult, search
from selfplay.amplify import committee, slot

GAME = games.load("tic_tac_toe")
SEARCH = SearchConfig(simulations=6, gumbel_scale=0.0)
VARIABLES = np.asarray(jax.random.normal(jax.random.key(5), (18, 9)))


def evaluate(variables, observation):
    """An evaluation without any symmetry."""
    flat = observation.reshape(observation.shape[0], -1).astype(jnp.float32)
    return Evaluation(flat @ variables + jnp.arange(9)[None] / 9, jnp.tanh(flat @ variables[:, 3]))


@pytest.mark.slow
def test_the_verdict_is_the_average_of_searches_of_the_mirrored_and_turned_games():
    played = [4, 0, 5]
    together = slot.load("committee:members=8", GAME, evaluate, SEARCH, None)

    def position(moves):
        state = GAME.init(jax.random.key(0))
        for move in moves:
            state = GAME.step(state, move)
        return jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], state)

    run = jax.jit(lambda s: search(GAME, evaluate, VARIABLES, s, jax.random.key(0), SEARCH))
    weights, visits, values, votes = np.zeros(9), np.zeros(9), [], np.zeros(9)
    for symmetry in GAME.symmetries():
        image_of = {int(original): image for image, original in enumerate(symmetry.action)}
        found = run(position([image_of[move] for move in played]))
        for image, original in enumerate(symmetry.action):
            weights[original] += float(found.action_weights[0, image]) / 8
            visits[original] += int(found.visit_counts[0, image])
        votes[symmetry.action[int(found.action[0])]] += 1
        values.append(float(found.value[0]))
    got = together(VARIABLES, position(played), jax.random.key(1))
    np.testing.assert_allclose(got.action_weights[0], weights, atol=1e-5)
    np.testing.assert_array_equal(got.visit_counts[0], visits)
    np.testing.assert_allclose(got.value[0], np.mean(values), atol=1e-5)
    assert votes[int(got.action[0])] == votes.max()
    own = evaluate(VARIABLES, jax.vmap(GAME.observe)(position(played)))
    np.testing.assert_allclose(got.raw_value, own.value, rtol=1e-5)


def test_members_are_merged_by_vote_weight_and_visits():
    legal = jnp.array([[True, True, False]])
    found = SearchResult(
        action=jnp.array([[0], [1], [1]]),
        action_weights=jnp.array([[[0.9, 0.1, 0]], [[0.3, 0.7, 0]], [[0.3, 0.7, 0]]]),
        visit_counts=jnp.array([[[3, 0, 0]], [[1, 2, 0]], [[0, 3, 0]]]),
        value=jnp.array([[0.3], [0.0], [0.6]]),
        q=jnp.array([[[0.4, 0.3, 0]], [[0.8, -0.5, 0]], [[0.6, 0.5, 0]]]),
        prior=jnp.array([[[1.0, 0, 0]], [[0, 1, 0]], [[0, 1, 0]]]),
        raw_value=jnp.array([[0.1], [0.2], [0.3]]),
    )
    got = committee.merge(found, legal)
    assert got.action.tolist() == [1]
    np.testing.assert_allclose(got.action_weights, [[0.5, 0.5, 0]], atol=1e-6)
    np.testing.assert_allclose(got.q, [[(3 * 0.4 + 0.8) / 4, (2 * -0.5 + 3 * 0.5) / 5, 0.3]], 1e-6)
    np.testing.assert_allclose(got.value, [0.3], rtol=1e-6)
    assert got.prior.tolist() == [[1.0, 0, 0]]
    assert got.raw_value.tolist() == [np.float32(0.1)]


@pytest.mark.parametrize("options", ["members=1", "members=x", "size=3", "members"])
def test_a_committee_that_cannot_be_is_refused(options):
    (problem,) = slot.problems(f"committee:{options}")
    assert "committee" in problem
    assert slot.problems("committee:members=3,considered=2") == []
