"""The search paths of B simulations: the edges from the roots to the evaluated leaves.

A path is a row of int32[B, D], after its end -1. An edge is numbered `node * A + action`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class EdgeList(NamedTuple):
    """Every edge on the paths: those of column 0 first, then path by path the others."""

    place: jax.Array  # int32[L], as in `Steps`
    row: jax.Array  # int32[L], likewise


class Paths(NamedTuple):
    """The paths of one simulation, ready to be worked on."""

    edge: jax.Array  # int32[B, D], from the root on, then -1
    row: jax.Array  # int32[B, D], as in `Steps`
    action: jax.Array  # int32[B, D]
    num_edges: jax.Array  # int32[], how many in all
    listed: EdgeList  # on CPUs; all 0 elsewhere


class Steps(NamedTuple):
    """W of the edges on the paths, or empty places: what is worked on at once."""

    row: jax.Array  # int32[W], the row, `node * B + env`, of the node that the edge starts at
    action: jax.Array  # int32[W]
    place: jax.Array  # int32[W], where in [B * D] it stands
    used: jax.Array  # bool[W], False where there is no edge


def append_edge(path: jax.Array, edge: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns int32[B, D], the paths with one more edge, and int32[B], how many edges they have."""
    length = (path >= 0).sum(axis=1, dtype=jnp.int32)
    last = jnp.arange(path.shape[1], dtype=jnp.int32)[None] == length[:, None]
    return jnp.where(last, edge[:, None], path), length + 1


def start_rows(edge: jax.Array, batch: int, num_actions: int) -> jax.Array:
    """Returns int32[K * B, D]: the rows that edges start at, of empty places the root's.

    Args:
      edge: int32[K * B, D], K slabs of B environments.
    """
    env = jnp.tile(jnp.arange(batch, dtype=jnp.int32), len(edge) // batch)
    return jnp.maximum(edge, 0) // num_actions * batch + env[:, None]


def to_words(flags: jax.Array) -> list[jax.Array]:
    """Returns uint32[B] words whose bits are bool[B, D] `flags`, the first one lowest."""
    parts = [flags[:, i : i + 32].astype(jnp.uint32) for i in range(0, flags.shape[1], 32)]
    bit = jnp.arange(32, dtype=jnp.uint32)[None]
    return [(part << bit[:, : part.shape[1]]).sum(axis=1, dtype=jnp.uint32) for part in parts]


def next_true(words: list[jax.Array], env: jax.Array, column: jax.Array, depth: int) -> jax.Array:
    """Returns int32[W]: the first column at or after int32[W] ones that has its flag set.

    `depth` if there is none. In words, see `to_words`, finding it takes no loop.

    Args:
      environment: int32[W], in whose flags to look.
    """
    # From the last word to the first: the first flag that is set from the column on wins.
    first = jnp.full_like(column, depth)
    for number, word in reversed(list(enumerate(words))):
        start = 32 * number
        skipped = jnp.clip(column - start, 0, 31).astype(jnp.uint32)
        rest = jnp.where(column < start + 32, word[env] >> skipped, 0)
        # Trailing zeros, by counting the ones below the lowest set bit.
        zeros = jax.lax.population_count(~rest & (rest - 1))
        first = jnp.where(rest > 0, start + (skipped + zeros).astype(jnp.int32), first)
    return first
