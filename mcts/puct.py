"""PUCT, the search of AlphaGo Zero, AlphaZero and MuZero: a value plus a bonus for the prior.

Silver et al., "Mastering the game of Go without human knowledge", 2017; AlphaZero, 2018;
Schrittwieser et al. (MuZero), 2020. `policy.py` says what each rule is for. The root has no
rule of its own: only its prior differs, by noise.
"""

import jax
import jax.numpy as jnp

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
    softmax_parts,
    stretch,
)


def root_logits(
    config: SearchConfig, key: jax.Array, masked_logits: jax.Array, legal: jax.Array
) -> jax.Array:
    """Returns float[B, A] masked logits of the prior mixed with noise over legal actions only."""
    if config.dirichlet_fraction == 0:
        return masked_logits
    # The paper's alpha by the number of legal moves: 10 / n.
    shape, dtype = masked_logits.shape, masked_logits.dtype
    alpha = config.dirichlet_alpha or 10.0 / jnp.maximum(legal.sum(axis=-1, keepdims=True), 1)

    # Gamma in log space: at small alpha all draws of a row could underflow to 0.
    def sample(key: jax.Array, alpha: jax.Array) -> jax.Array:
        return jax.random.loggamma(key, alpha, dtype=dtype)

    log_gamma = keys.draw(sample, key, jnp.broadcast_to(alpha, shape))
    noise = jax.nn.softmax(mask_illegal(log_gamma, legal))
    fraction = config.dirichlet_fraction
    mixed = (1 - fraction) * jax.nn.softmax(masked_logits) + fraction * noise
    return mask_illegal(jnp.log(jnp.maximum(mixed, 1e-30)), legal)


def prior(masked_logits: jax.Array) -> jax.Array:
    """Returns float[..., A] probabilities."""
    weight, total = softmax_parts(masked_logits)
    probability = weight / total
    return jnp.where(is_legal(masked_logits), probability, masked_logits)


def interior_action(config: SearchConfig, node: NodeStats) -> jax.Array:
    """Returns int32[...]: the action of the highest upper confidence bound."""
    return best_action(_upper_bound(config, node), open_actions(node))


def decide(config: SearchConfig, plan: None, root: NodeStats) -> Decision:
    """Returns the most visited action, and the shares of the visits.

    The value is the mean over all visits, which PUCT spends where they are worth most. It stands
    for actions without visits too.
    """
    del config, plan
    allowed = candidates(root)
    visits = jnp.where(allowed, root.visits, 0)
    # With few simulations all visits can have gone to proven losses: then the prior decides.
    none = visits.sum(axis=-1, keepdims=True) == 0
    weights = jnp.where(none, jnp.where(allowed, root.prior, 0), visits)
    total = weights.sum(axis=-1, keepdims=True)
    value = root.value()
    q = jnp.where(root.visits > 0, root.q(), value[:, None])
    return Decision(weights.argmax(axis=-1), weights / jnp.where(total > 0, total, 1), value, q)


def _upper_bound(config: SearchConfig, node: NodeStats) -> jax.Array:
    """Returns float[..., A]: each action's value plus an exploration bonus by its prior."""
    # Value plus exploration, which falls with the visits of the action.
    values = _values(config, node)
    count = 1 + node.visits.sum(axis=-1, keepdims=True)
    weight = config.pb_c_init + jnp.log((count + config.pb_c_base + 1) / config.pb_c_base)
    return values + jnp.sqrt(count) * weight * node.prior / (node.visits + 1)


def _values(config: SearchConfig, node: NodeStats) -> jax.Array:
    """Returns float[..., A]: values on the scale of `q_transform`, unvisited actions filled in."""
    # First-play urgency: what an action without visits is taken to be worth.
    visited = node.visits > 0
    parent = node.value()[..., None]
    q = node.q()
    if config.q_transform == "parent_and_siblings":
        least = jnp.minimum(parent, jnp.where(visited, q, jnp.inf).min(axis=-1, keepdims=True))
        most = jnp.maximum(parent, jnp.where(visited, q, -jnp.inf).max(axis=-1, keepdims=True))
    else:
        least, most = -jnp.ones_like(parent), jnp.ones_like(parent)
    fpu = {"least": least, "zero": jnp.clip(0.0, least, most), "parent": parent}
    q = jnp.where(visited, q, fpu[config.fpu])
    return q if config.q_transform == "plain" else stretch(q, least, most)
