"""Backup along the search paths of B simulations, in the form that suits the device.

On an accelerator idle threads cost nothing and a branch waits for the host. So all B * D places are
worked on at once, the empty ones too: this is the plain form, in this file. The CPU's form, which
gives the same numbers, is in `paths_cpu.py`.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp

from mcts import paths_cpu
from mcts.paths import Paths, Steps, start_rows

T = TypeVar("T")


def to_paths(edge: jax.Array, length: jax.Array, num_actions: int) -> Paths:
    """Returns paths of int32[B] `length` edges each, at least one, ready to be worked on."""
    row = start_rows(edge, len(edge), num_actions)
    listed = jax.lax.platform_dependent(
        row, length, cpu=paths_cpu.list_edges, default=paths_cpu.no_list
    )
    return Paths(edge, row, edge % num_actions, length.sum(), listed)


def map_edges(
    function: Callable[[Steps], jax.Array],
    paths: Paths,
    empty: jax.Array,
    skip_root: bool = False,
) -> jax.Array:
    """Returns [B, D, ...]: what `function` makes of all edges, [W, ...] of W of them.

    Args:
      empty: the values of empty places, [B, D, ...].
      skip_root: whether to leave out column 0, which then gets its values from `empty`.
    """
    batch, depth = paths.edge.shape
    first = 1 if skip_root else 0

    def on_cpu(paths: Paths, empty: jax.Array) -> jax.Array:
        return paths_cpu.map_edges(function, paths, empty, first)

    def plain(paths: Paths, empty: jax.Array) -> jax.Array:
        steps = _all_steps(paths, first)
        values = function(steps).reshape(batch, depth - first, *empty.shape[2:])
        used = steps.used.reshape(batch, depth - first, *[1] * (empty.ndim - 2))
        values = jnp.where(used, values, empty[:, first:])
        return jnp.concatenate([empty[:, :first], values], axis=1)

    return jax.lax.platform_dependent(paths, empty, cpu=on_cpu, default=plain)


def scatter_edges(
    put: Callable[[jax.Array, Steps, T], jax.Array], array: jax.Array, paths: Paths, values: T
) -> jax.Array:
    """Returns `put(array, steps, values)`, a scatter along the paths.

    Args:
      values: arrays of what is to be put, leaves [B, D, ...], or [B, 1, ...] if it is the same all
        along a path.
    """
    batch, depth = paths.edge.shape

    def on_cpu(array: jax.Array, paths: Paths, values: T) -> jax.Array:
        return paths_cpu.scatter_edges(put, array, paths, values)

    def plain(array: jax.Array, paths: Paths, values: T) -> jax.Array:
        def flat(x: jax.Array) -> jax.Array:
            x = jnp.broadcast_to(x, (batch, depth, *x.shape[2:]))
            return x.reshape(batch * depth, *x.shape[2:])

        return put(array, _all_steps(paths, 0), jax.tree.map(flat, values))

    return jax.lax.platform_dependent(array, paths, values, cpu=on_cpu, default=plain)


def _all_steps(paths: Paths, first: int) -> Steps:
    """Returns all places of the columns from `first` on."""
    batch, depth = paths.edge.shape
    place = jnp.arange(batch * depth, dtype=jnp.int32).reshape(batch, depth)
    steps = Steps(paths.row, paths.action, place, paths.edge >= 0)
    return Steps(*(x[:, first:].reshape(-1) for x in steps))
