"""Which action a search tries next: PUCT and Gumbel, on rows of A actions with any leading axes.

Gumbel: Danihelka et al., "Policy improvement by planning with Gumbel", ICLR 2022. PUCT: Silver et
al., "Mastering the game of Go without human knowledge", 2017, and Schrittwieser et al. 2020.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mcts.config import SearchConfig

EPSILON = 1e-8  # the narrowest range that values are stretched from; mctx's
LOWEST = -1e9  # an action under consideration never scores less, however unlikely; mctx's


class Row(NamedTuple):
    """What a node knows of its A actions; values are for the seat to play at it."""

    prior: jax.Array  # float[..., A], as `to_prior` returns it
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
        if self.least is None or self.most is None:
            return mean
        return jnp.clip(mean, self.least.max(axis=-1), self.most.max(axis=-1))


class Gumbel(NamedTuple):
    """What sequential halving at the root needs."""

    logits: jax.Array  # float[B, A], with noise, see `add_noise`
    considered: jax.Array  # int32[B], how many actions it starts from
    schedule: jax.Array  # int32[considered actions + 1, n + 1], see `halving_schedule`
    inherited: jax.Array  # float[B, A], visits from earlier searches, which the schedule ignores

    def own_visits(self, row: Row) -> Row:
        """Returns the root's row with only this search's visits."""
        return row._replace(visits=row.visits - self.inherited)


def to_prior(config: SearchConfig, masked_logits: jax.Array) -> jax.Array:
    """Returns float[..., A]: the prior as nodes keep it, in the form that selection needs most.

    Log-probabilities for Gumbel, probabilities for PUCT; at illegal actions the least finite
    number, so that no legal action can be mistaken for them.

    Args:
      masked_logits: as `mask_illegal` returns them: their largest is 0, so it need not be sought.
    """
    weight = jnp.exp(masked_logits)
    total = weight.sum(axis=-1, keepdims=True)
    total = jnp.where(total > 0, total, 1)  # 0 where no action is legal
    prior = masked_logits - jnp.log(total) if config.policy == "gumbel" else weight / total
    return jnp.where(is_legal(masked_logits), prior, masked_logits)


def interior_action(config: SearchConfig, row: Row) -> jax.Array:
    """Returns int32[...]: the action that a search passing through a node takes."""
    if config.policy == "puct":
        return _best(_puct_score(config, row), _open(row))
    return _gumbel_interior(row, completed_values(config, row))


def root_action(
    config: SearchConfig, row: Row, gumbel: Gumbel | None, done: jax.Array
) -> jax.Array:
    """Returns int32[B]: the next action at the root, after `done` simulations.

    Args:
      gumbel: the root's noise; None for PUCT, which treats the root like any other node.
    """
    if gumbel is None:
        return interior_action(config, row)
    wanted = gumbel.schedule[gumbel.considered, done]
    values = completed_values(config, row)
    return halving_action(gumbel.logits, gumbel.own_visits(row), values, wanted)


def add_noise(noise: jax.Array, prior: jax.Array) -> jax.Array:
    """Returns float[B, A]: logits whose largest is 0, plus the noise; a search changes neither."""
    return noise + (prior - prior.max(axis=-1, keepdims=True))


def halving_action(
    logits: jax.Array, row: Row, values: jax.Array, wanted_visits: jax.Array
) -> jax.Array:
    """Returns int32[B]: the best by noised logit and value among actions with `wanted_visits`."""
    score = jnp.maximum(LOWEST, logits + values)
    considered = row.visits == wanted_visits[:, None]
    # An illegal action has no visits either, so the count alone does not keep it out.
    return _best(score, considered & is_legal(row.prior))


def completed_values(config: SearchConfig, row: Row) -> jax.Array:
    """Returns float[..., A]: values on the scale of logits, unvisited actions filled in.

    The paper's sigma(completed Q), equation 8 and appendix D.
    """
    visited = row.visits > 0
    q = row.q()
    total = row.visits.sum(axis=-1)
    filler = row.raw_value
    if config.mixed_value:
        weight = jnp.where(visited, jnp.maximum(jnp.exp(row.prior), jnp.finfo(q.dtype).tiny), 0.0)
        mean = (weight * q).sum(axis=-1) / jnp.where(total > 0, weight.sum(axis=-1), 1.0)
        filler = (row.raw_value + total * mean) / (total + 1)
    q = jnp.where(visited, q, filler[..., None])
    # The paper scales values in [0, 1], ours are in [-1, 1]: hence the half.
    scale = config.c_scale / 2
    if config.rescale_values:
        least, most = q.min(axis=-1, keepdims=True), q.max(axis=-1, keepdims=True)
        q = (q - least) / jnp.maximum(most - least, EPSILON)
        scale = config.c_scale
    return (config.c_visit + row.visits.max(axis=-1, keepdims=True)) * scale * q


def _gumbel_interior(row: Row, values: jax.Array) -> jax.Array:
    """The paper's equation 14: keep visits in proportion to the improved policy."""
    improved = jax.nn.softmax(row.prior + values)
    share = row.visits / (1 + row.visits.sum(axis=-1, keepdims=True))
    return _best(improved - share, _open(row))


def _puct_score(config: SearchConfig, row: Row) -> jax.Array:
    visited = row.visits > 0
    parent = row.value()[..., None]
    q = row.q()
    if config.puct_values == "parent_and_siblings":
        least = jnp.minimum(parent, jnp.where(visited, q, jnp.inf).min(axis=-1, keepdims=True))
        most = jnp.maximum(parent, jnp.where(visited, q, -jnp.inf).max(axis=-1, keepdims=True))
    else:
        least, most = -jnp.ones_like(parent), jnp.ones_like(parent)
    filler = {"least": least, "zero": jnp.clip(0.0, least, most), "parent": parent}
    q = jnp.where(visited, q, filler[config.first_play])
    if config.puct_values != "plain":
        q = (q - least) / jnp.maximum(most - least, EPSILON)
    count = 1 + row.visits.sum(axis=-1, keepdims=True)
    weight = config.pb_c_init + jnp.log((count + config.pb_c_base + 1) / config.pb_c_base)
    return q + jnp.sqrt(count) * weight * row.prior / (row.visits + 1)


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
    phases = math.ceil(math.log2(actions))
    wanted: list[int] = []
    racing, visits = actions, 0
    while len(wanted) <= simulations:
        rounds = max(1, simulations // (phases * racing))
        wanted += [visits + turn for turn in range(rounds) for _ in range(racing)]
        visits += rounds
        racing = max(2, racing // 2)
    return np.array(wanted[: simulations + 1])


def candidates(row: Row) -> jax.Array:
    """Returns bool[..., A]: the actions to decide among, of the legal ones.

    Where the result is proven, those that reach it; else not those that are proven to give no more
    than another one gives at least. So a proven loss is a candidate only if all actions lose.
    """
    legal = is_legal(row.prior)
    if row.least is None or row.most is None:
        return legal
    sure = row.least.max(axis=-1, keepdims=True)
    proven = sure == row.most.max(axis=-1, keepdims=True)
    keeps, gains = row.least == sure, row.most > sure
    return legal & jnp.where(proven, keeps, gains | (keeps & (sure > -1)))


def _open(row: Row) -> jax.Array:
    """Returns bool[..., A]: the actions worth a visit, of the legal ones.

    Not those that cannot give more than another one gives for sure; all where nothing is open.
    """
    legal = is_legal(row.prior)
    if row.least is None or row.most is None:
        return legal
    gains = legal & (row.most > row.least.max(axis=-1, keepdims=True))
    return jnp.where(gains.any(axis=-1, keepdims=True), gains, legal)


def is_legal(prior: jax.Array) -> jax.Array:
    """Returns bool[..., A] of masked logits, or of what `to_prior` makes of them."""
    return prior > jnp.finfo(prior.dtype).min / 2


def _best(score: jax.Array, allowed: jax.Array) -> jax.Array:
    """Returns int32[...]: the allowed action that scores best, ties to the lowest; 0 if none."""
    return jnp.argmax(jnp.where(allowed, score, -jnp.inf), axis=-1).astype(jnp.int32)
