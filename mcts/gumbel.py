"""Gumbel search: sequential halving at the root, improved policies everywhere.

Danihelka et al., "Policy improvement by planning with Gumbel", ICLR 2022,
https://openreview.net/forum?id=bERaNdoegnO. `policy.py` says what each rule is for.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mcts import keys
from mcts.config import SearchConfig
from mcts.contract import mask_illegal
from mcts.node import (
    Decision,
    NodeStats,
    best_action,
    candidates,
    is_legal,
    open_actions,
    proven_value,
    softmax_parts,
    stretch,
)

LOWEST = -1e9  # an action under consideration never scores less, however unlikely; mctx's


class HalvingPlan(NamedTuple):
    """What sequential halving at B roots needs to know beforehand."""

    logits: jax.Array  # float[B, A], those of the prior, the largest 0, plus the noise
    considered: jax.Array  # int32[B], how many actions it starts from
    schedule: jax.Array  # int32[considered actions + 1, n + 1], see `halving_schedule`
    inherited: jax.Array  # float[B, A], visits from earlier searches, which the schedule ignores


def root_logits(
    config: SearchConfig, key: jax.Array, masked_logits: jax.Array, legal: jax.Array
) -> jax.Array:
    """Returns float[B, A] logits as they are: noise is part of the plan, not of the prior."""
    del config, key, legal
    return masked_logits


def prior(masked_logits: jax.Array) -> jax.Array:
    """Returns float[..., A] log-probabilities."""
    _, total = softmax_parts(masked_logits)
    log_probability = masked_logits - jnp.log(total)
    return jnp.where(is_legal(masked_logits), log_probability, masked_logits)


def plan_root(
    config: SearchConfig,
    key: jax.Array,
    masked_logits: jax.Array,
    legal: jax.Array,
    root: NodeStats,
) -> HalvingPlan:
    """Returns the plan of B searches, with noise for each action."""
    # Gumbel noise on the logits: the top k by it are a sample without replacement (section 3).
    noise = _noise(config, key, masked_logits)
    return HalvingPlan(
        logits=noise + (root.prior - root.prior.max(axis=-1, keepdims=True)),
        considered=jnp.minimum(config.max_considered_actions, legal.sum(axis=-1, dtype=jnp.int32)),
        schedule=jnp.asarray(halving_schedule(config)),
        inherited=root.visits,
    )


def root_action(
    config: SearchConfig, plan: HalvingPlan, root: NodeStats, done: jax.Array
) -> jax.Array:
    """Returns int32[B]: the best action among those whose turn it is in the schedule."""
    # The schedule says how many visits the action must have whose turn it is.
    wanted_visits = plan.schedule[plan.considered, done]
    values = completed_values(config, root)
    return _halving_action(plan, root, values, root.visits - plan.inherited, wanted_visits)


def interior_action(config: SearchConfig, node: NodeStats) -> jax.Array:
    """Returns int32[...]: the action that keeps visits in proportion to the improved policy.

    The paper's equation 14.
    """
    # Visits lag behind the improved policy most where the next one goes.
    improved = jax.nn.softmax(node.prior + completed_values(config, node))
    share = node.visits / (1 + node.visits.sum(axis=-1, keepdims=True))
    return best_action(improved - share, open_actions(node))


def decide(config: SearchConfig, plan: HalvingPlan, root: NodeStats) -> Decision:
    """Returns the best of the most visited actions, and the improved policy (the paper's pi')."""
    allowed = candidates(root)
    q = completed_q(config, root)
    values = _scaled(config, root, q)
    visits = jnp.where(allowed, root.visits - plan.inherited, -1)
    # Of those that survived all halvings, the best by noise, prior and value.
    action = _halving_action(plan, root, values, visits, visits.max(axis=-1))
    improved = jax.nn.softmax(mask_illegal(root.prior + values, allowed))
    return Decision(action, improved, proven_value(root, improved_value(improved, q)), q)


def improved_value(improved: jax.Array, q: jax.Array) -> jax.Array:
    """Returns float[...]: what B positions are worth if play goes on by the improved policy.

    Not the mean over the visits: sequential halving spreads these by a schedule, to compare moves,
    so that their mean is far too low. A sure win beside six losses would count as a draw.

    Args:
      improved: float[..., A], 0 where illegal.
      q: float[..., A], as `completed_q` returns it.
    """
    return (improved * q).sum(axis=-1)


def completed_q(config: SearchConfig, node: NodeStats) -> jax.Array:
    """Returns float[..., A]: the value of each action, those without visits filled in.

    The paper's equation 8 and, with `config.mixed_value`, appendix D. They stand for the seat to
    play at the node, in [-1, 1].
    """
    # Unvisited actions get the mixed value: the network's own, and the mean of what was visited.
    visited = node.visits > 0
    q = node.q()
    total = node.visits.sum(axis=-1)
    filler = node.raw_value
    if config.mixed_value:
        weight = jnp.where(visited, jnp.maximum(jnp.exp(node.prior), jnp.finfo(q.dtype).tiny), 0.0)
        mean = (weight * q).sum(axis=-1) / jnp.where(total > 0, weight.sum(axis=-1), 1.0)
        filler = (node.raw_value + total * mean) / (total + 1)
    return jnp.where(visited, q, filler[..., None])


def completed_values(config: SearchConfig, node: NodeStats) -> jax.Array:
    """Returns float[..., A]: the paper's sigma(completed Q), on the scale of logits."""
    return _scaled(config, node, completed_q(config, node))


def _scaled(config: SearchConfig, node: NodeStats, q: jax.Array) -> jax.Array:
    # The paper scales values in [0, 1], ours are in [-1, 1]: hence the half.
    scale = config.c_scale / 2
    if config.rescale_values:
        q = stretch(q, q.min(axis=-1, keepdims=True), q.max(axis=-1, keepdims=True))
        scale = config.c_scale
    return (config.c_visit + node.visits.max(axis=-1, keepdims=True)) * scale * q


def halving_schedule(config: SearchConfig) -> np.ndarray:
    """Returns int32[m + 1, n + 1]: the visits an action must have to be tried, by simulation.

    Row k is for k actions under consideration. Sequential halving: each phase gives every action
    still in the race equally many visits, then the better half goes on, never fewer than two.
    """
    n = config.simulations
    table = np.zeros((config.max_considered_actions + 1, n + 1), np.int32)
    for k in range(len(table)):
        table[k] = _halving_visits(k, n)
    return table


def _halving_visits(actions: int, simulations: int) -> np.ndarray:
    """Returns int32[simulations + 1]; the last entry is never used."""
    if actions < 2:
        return np.arange(simulations + 1)
    # Each phase has an equal share of the simulations, and halves the field.
    phases = math.ceil(math.log2(actions))
    wanted: list[int] = []
    racing, visits = actions, 0
    while len(wanted) <= simulations:
        rounds = max(1, simulations // (phases * racing))
        wanted += [visits + turn for turn in range(rounds) for _ in range(racing)]
        visits += rounds
        racing = max(2, racing // 2)
    return np.array(wanted[: simulations + 1])


def _halving_action(
    plan: HalvingPlan,
    root: NodeStats,
    values: jax.Array,
    visits: jax.Array,
    wanted_visits: jax.Array,
) -> jax.Array:
    """Returns int32[B]: the best by noised logit and value among actions with `wanted_visits`."""
    score = jnp.maximum(LOWEST, plan.logits + values)
    considered = visits == wanted_visits[:, None]
    # An illegal action has no visits either, so the count alone does not keep it out.
    return best_action(score, considered & is_legal(root.prior))


def _noise(config: SearchConfig, key: jax.Array, logits: jax.Array) -> jax.Array:
    """Returns float[B, A] noise; the key is used as mctx uses it, so that both search alike."""
    _, key = keys.split(key)

    def sample(key: jax.Array, logits: jax.Array) -> jax.Array:
        return jax.random.gumbel(key, logits.shape, logits.dtype)

    return config.gumbel_scale * keys.draw(sample, key, logits)
