"""Backup along the search paths on a CPU: slice after slice of the edges that there are.

On a CPU every place costs, and few places of [B, D] are in use. So the edges are listed, and a loop
over the list passes over the empty places. `path_work.py` says what is computed.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp

from mcts.paths import EdgeList, Paths, Steps

T = TypeVar("T")

SLICE = 2  # edges an environment that are worked on at once
LEAST_SLICE = 64  # and at least this many in all


def list_edges(row: jax.Array, length: jax.Array) -> EdgeList:
    """Returns the edges of int32[B] `length` long paths, whose int32[B, D] `row` is known.

    The B edges of column 0 come first, then the others, environment by environment. Where those of
    an environment begin, places jump by what the environment before leaves empty: so a cumulative
    sum gives all places.
    """
    batch, depth = row.shape
    width = _slice_width(batch, depth)
    # Where places jump in the list, and by how much.
    below = length - 1
    begin = batch + jnp.cumsum(below)  # of the next environment's
    jump = jnp.zeros(_list_size(batch, depth), jnp.int32)
    jump = jump.at[begin].add(depth - below, mode="promise_in_bounds")

    def list_slice(i: jax.Array, carried: tuple[EdgeList, jax.Array]) -> tuple[EdgeList, jax.Array]:
        (places, rows), jumped = carried
        start = i * width
        number = start + jnp.arange(width, dtype=jnp.int32)
        shift = jumped + jnp.cumsum(jax.lax.dynamic_slice(jump, (start,), (width,)))
        place = jnp.where(number < batch, number * depth, number - batch + 1 + shift)
        place = jnp.minimum(place, batch * depth - 1)
        places = jax.lax.dynamic_update_slice(places, place, (start,))
        rows = jax.lax.dynamic_update_slice(rows, row.reshape(-1)[place], (start,))
        return EdgeList(places, rows), shift[-1]

    slices = (length.sum() + width - 1) // width
    return jax.lax.fori_loop(0, slices, list_slice, (no_list(row, length), 0 * length[0]))[0]


def no_list(row: jax.Array, length: jax.Array) -> EdgeList:
    """Returns a list of the same size, all 0."""
    # Made from `length`, so that under `jax.shard_map` it varies over devices as that does.
    none = 0 * jnp.broadcast_to(length[0], _list_size(*row.shape))
    return EdgeList(none, none)


def map_edges(
    function: Callable[[Steps], jax.Array], paths: Paths, empty: jax.Array, first: int
) -> jax.Array:
    """`path_work.map_edges` on a CPU, for the columns from `first` on."""
    batch, depth = paths.edge.shape

    def map_slice(values: jax.Array, steps: Steps) -> jax.Array:
        at = jnp.where(steps.used, steps.place, len(values))
        return values.at[at].set(function(steps), mode="drop", unique_indices=True)

    flat = empty.reshape(batch * depth, *empty.shape[2:])
    return _in_slices(map_slice, paths, flat, first * batch).reshape(empty.shape)


def scatter_edges(
    put: Callable[[jax.Array, Steps, T], jax.Array], array: jax.Array, paths: Paths, values: T
) -> jax.Array:
    """`path_work.scatter_edges` on a CPU."""
    depth = paths.edge.shape[1]

    def put_slice(array: jax.Array, steps: Steps) -> jax.Array:
        env, column = steps.place // depth, steps.place % depth
        return put(array, steps, jax.tree.map(lambda x: x[env, column % x.shape[1]], values))

    return _in_slices(put_slice, paths, array, 0)


def _in_slices(
    work: Callable[[jax.Array, Steps], jax.Array], paths: Paths, start: jax.Array, first: int
) -> jax.Array:
    """Returns `start` after `work` on slice after slice of the listed edges, from `first` on."""
    width = _slice_width(*paths.edge.shape)
    count = paths.num_edges - first

    def work_slice(i: jax.Array, array: jax.Array) -> jax.Array:
        place, row = (
            jax.lax.dynamic_slice_in_dim(x, first + i * width, width) for x in paths.listed
        )
        used = i * width + jnp.arange(width, dtype=jnp.int32) < count
        return work(array, Steps(row, paths.action.reshape(-1)[place], place, used))

    return jax.lax.fori_loop(0, (count + width - 1) // width, work_slice, start)


def _slice_width(batch: int, depth: int) -> int:
    return min(max(SLICE * batch, LEAST_SLICE), batch * depth)


def _list_size(batch: int, depth: int) -> int:
    return batch * depth + _slice_width(batch, depth)  # it is read in whole slices
