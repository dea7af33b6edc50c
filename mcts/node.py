"""Statistics of a node of the search tree, and what the rules of selection share.

All functions take A actions with any leading axes.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

EPSILON = 1e-8  # the narrowest range that values are stretched from; mctx's


class NodeStats(NamedTuple):
    """Statistics of nodes and their A actions; values are for the seat to play there."""

    prior: jax.Array  # float[..., A], in the policy's own form: see `SearchPolicy.prior`
    visits: jax.Array  # float[..., A]
    value_sum: jax.Array  # float[..., A], over the visits
    raw_value: jax.Array  # float[...], the network's value of the node
    least: jax.Array | None = None  # float[..., A], what each action is proven to give at least
    most: jax.Array | None = None  # float[..., A], and at most; None if nothing is to be proven

    def q(self) -> jax.Array:
        """Returns float[..., A]: the mean value of each action, 0 where unvisited."""
        mean = self.value_sum / jnp.maximum(self.visits, 1)
        return mean if self.least is None else jnp.clip(mean, self.least, self.most)

    def value(self) -> jax.Array:
        """Returns float[...]: the mean over the node's own evaluation and all visits below."""
        mean = (self.raw_value + self.value_sum.sum(axis=-1)) / (1 + self.visits.sum(axis=-1))
        return proven_value(self, mean)


class Decision(NamedTuple):
    """Move, policy target and value of B finished searches."""

    action: jax.Array  # int[B], the move
    action_weights: jax.Array  # float[B, A], the policy target
    value: jax.Array  # float[B], of the roots, for the seat to play there
    q: jax.Array  # float[B, A], of the actions, for the same seat


def proven_value(stats: NodeStats, value: jax.Array) -> jax.Array:
    """Returns float[...]: the value of a node, within what is proven of it."""
    if stats.least is None or stats.most is None:
        return value
    return jnp.clip(value, stats.least.max(axis=-1), stats.most.max(axis=-1))


def is_legal(prior: jax.Array) -> jax.Array:
    """Returns bool[..., A] of masked logits, or of the prior that a policy makes of them."""
    return prior > jnp.finfo(prior.dtype).min / 2


def open_actions(stats: NodeStats) -> jax.Array:
    """Returns bool[..., A]: the legal actions that are worth a visit.

    All but those that cannot give more than another one is proven to give; all, if none is left.
    """
    legal = is_legal(stats.prior)
    if stats.least is None or stats.most is None:
        return legal
    gains = legal & (stats.most > stats.least.max(axis=-1, keepdims=True))
    return jnp.where(gains.any(axis=-1, keepdims=True), gains, legal)


def candidates(stats: NodeStats) -> jax.Array:
    """Returns bool[..., A]: the legal actions to decide among.

    Where the result is proven, those that reach it. Elsewhere all but those that are proven to give
    no more than another one gives at least: a proven loss is a candidate only if all actions lose.
    """
    legal = is_legal(stats.prior)
    if stats.least is None or stats.most is None:
        return legal
    sure = stats.least.max(axis=-1, keepdims=True)
    proven = sure == stats.most.max(axis=-1, keepdims=True)
    keeps, gains = stats.least == sure, stats.most > sure
    return legal & jnp.where(proven, keeps, gains | (keeps & (sure > -1)))


def best_action(score: jax.Array, allowed: jax.Array) -> jax.Array:
    """Returns int32[...]: the allowed action that scores best, ties to the lowest; 0 if none."""
    return jnp.argmax(jnp.where(allowed, score, -jnp.inf), axis=-1).astype(jnp.int32)


def softmax_parts(masked_logits: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns float[..., A] numerators of a softmax, and float[..., 1], their sum or 1 if it is 0.

    Args:
      masked_logits: as `mask_illegal` returns them: their largest is 0, so it need not be sought.
    """
    weight = jnp.exp(masked_logits)
    total = weight.sum(axis=-1, keepdims=True)
    return weight, jnp.where(total > 0, total, 1)  # 0 where no action is legal


def stretch(values: jax.Array, least: jax.Array, most: jax.Array) -> jax.Array:
    """Returns float[..., A] values of a range as shares of it, in [0, 1]."""
    return (values - least) / jnp.maximum(most - least, EPSILON)
