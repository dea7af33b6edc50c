"""Policies of a search: the promises that each must keep."""

import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mcts import SearchConfig, mask_illegal, puct
from mcts.config import Policy
from mcts.policy import POLICIES
from mcts.tree import new_edges, node_stats

CONFIGS = [
    SearchConfig(),
    SearchConfig(proven=True, rescale_values=True, mixed_value=False),
    SearchConfig(policy="puct"),
    SearchConfig(policy="puct", proven=True, q_transform="plain", fpu="parent"),
]


def unvisited(config):
    """Returns logits, legal actions and nodes without visits, of both seats."""
    rng = np.random.default_rng(0)
    logits, legal = rng.normal(size=(200, 9)) * 3, rng.random((200, 9)) < 0.5
    legal[:, 4] |= ~legal.any(axis=1)
    node = np.stack([rng.uniform(-1, 1, 200), rng.choice([-1, 1], 200)], axis=1)
    masked = mask_illegal(jnp.asarray(logits, jnp.float32), jnp.asarray(legal))
    prior = POLICIES[config.policy].prior(masked)
    node = jnp.asarray(node, jnp.float32)
    return logits, legal, node_stats(new_edges(config, prior, node), node)


@pytest.mark.parametrize("config", CONFIGS)
def test_in_a_node_without_visits_every_policy_takes_the_likeliest_legal_action(config):
    """The search relies on it: a new node's leaf is known before it is looked at."""
    logits, legal, stats = unvisited(config)
    action = POLICIES[config.policy].interior_action(config, stats)
    np.testing.assert_array_equal(action, np.where(legal, logits, -np.inf).argmax(axis=1))


@pytest.mark.parametrize("config", CONFIGS)
def test_a_prior_is_the_least_finite_number_at_illegal_actions_and_only_there(config):
    _, legal, stats = unvisited(config)
    np.testing.assert_array_equal(np.asarray(stats.prior) == np.finfo(np.float32).min, ~legal)


def test_there_is_a_policy_for_every_name():
    assert set(POLICIES) == set(typing.get_args(Policy))


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_noise_at_the_root_of_puct_is_a_share_of_dirichlet_noise_over_legal_moves(alpha):
    """Equation 9 of AlphaZero's supplement: (1 - e) p + e eta, eta ~ Dir(alpha), 10 / n moves."""
    config = SearchConfig(policy="puct", dirichlet_fraction=0.25, dirichlet_alpha=alpha)
    legal = np.arange(9) < 5
    logits = mask_illegal(jnp.linspace(-2.0, 2.0, 9), jnp.asarray(legal))
    many = (5000, 9)
    mixed = puct.root_logits(
        config, jax.random.key(0), jnp.broadcast_to(logits, many), jnp.broadcast_to(legal, many)
    )
    noise = np.asarray(jax.nn.softmax(mixed)) - 0.75 * np.asarray(jax.nn.softmax(logits))
    noise /= 0.25
    np.testing.assert_allclose(noise.sum(axis=1), 1.0, atol=1e-4)
    assert (noise > -1e-4).all()
    assert (noise[:, ~legal] == 0).all()
    np.testing.assert_allclose(noise[:, legal].mean(axis=0), 1 / 5, atol=0.02)
    total = 5 * alpha if alpha else 10.0  # the variance of a Dirichlet distribution
    np.testing.assert_allclose(noise[:, legal].var(axis=0), 0.2 * 0.8 / (total + 1), rtol=0.1)
