"""Policies of a search: the promises that each must keep."""

import typing

import jax.numpy as jnp
import numpy as np
import pytest

from mcts import SearchConfig, mask_illegal
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
