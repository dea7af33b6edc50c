"""Noise at the root, drawn from a search's key alike for every engine."""

import jax
import jax.numpy as jnp

from mcts.config import SearchConfig
from mcts.contract import mask_illegal


def split(key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the keys of the two kinds of noise, Dirichlet's and Gumbel's."""
    dirichlet_key, gumbel_key = jax.random.split(key)
    return dirichlet_key, gumbel_key


def gumbel(key: jax.Array, logits: jax.Array, config: SearchConfig) -> jax.Array:
    """Returns float[B, A] noise; the key is used as mctx uses it, so that both search alike."""
    _, key = jax.random.split(key)
    return config.gumbel_scale * jax.random.gumbel(key, logits.shape, logits.dtype)


def add_dirichlet(
    key: jax.Array, logits: jax.Array, legal: jax.Array, config: SearchConfig
) -> jax.Array:
    """Returns float[B, A] masked logits of the prior mixed with noise over legal actions only."""
    if config.dirichlet_fraction == 0:
        return logits
    alpha = config.dirichlet_alpha or 10.0 / jnp.maximum(legal.sum(axis=-1, keepdims=True), 1)
    # Gamma in log space: at small alpha all draws of a row could underflow to 0.
    log_gamma = jax.random.loggamma(key, jnp.broadcast_to(alpha, logits.shape), dtype=logits.dtype)
    noise = jax.nn.softmax(mask_illegal(log_gamma, legal))
    fraction = config.dirichlet_fraction
    mixed = (1 - fraction) * jax.nn.softmax(logits) + fraction * noise
    return mask_illegal(jnp.log(jnp.maximum(mixed, 1e-30)), legal)
