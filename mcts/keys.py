"""PRNG keys of a search: one for the batch, or one a position, so that no neighbour changes it."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def by_position(key: jax.Array) -> bool:
    """Whether there is a key for each position."""
    return jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.ndim == 1


def split(key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns two keys, or two for each position."""
    if not by_position(key):
        first, second = jax.random.split(key)
        return first, second
    pairs = jax.vmap(jax.random.split)(key)
    return pairs[:, 0], pairs[:, 1]


def draw(
    sample: Callable[[jax.Array, jax.Array], jax.Array], key: jax.Array, rows: jax.Array
) -> jax.Array:
    """Returns `sample(key, rows)`, row by row where each of [B, ...] `rows` has its own key."""
    return jax.vmap(sample)(key, rows) if by_position(key) else sample(key, rows)
