"""Work along the paths of B simulations: the edges from the roots to the positions evaluated.

A path is a row of int32[B, D], after its end -1. On an accelerator idle threads cost nothing and a
branch waits for the host: there all B * D places are worked on at once. On a CPU it is the other
way round, and few places are in use: there the edges are taken one after the other, a slice of
them at a time, and the empty places are passed over.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp

T = TypeVar("T")

SLICE = 2  # edges a lane that are worked on at once on CPUs
LEAST_SLICE = 64  # and at least this many in all


class Steps(NamedTuple):
    """W of the edges on the paths, or empty places."""

    row: jax.Array  # int32[W], the row, `node * B + lane`, of the node that the edge starts at
    action: jax.Array  # int32[W]
    place: jax.Array  # int32[W], where in [B * D] it stands
    used: jax.Array  # bool[W], False where there is no edge


class Paths(NamedTuple):
    """The paths of one simulation."""

    edge: jax.Array  # int32[B, D], `node * A + action`, from the root on, then -1
    row: jax.Array  # int32[B, D], as in `Steps`
    action: jax.Array  # int32[B, D]
    number: jax.Array  # int32[], how many edges in all
    # On CPUs, int32[L] each: `Steps.place` and `Steps.row` of every edge, those of column 0 first
    listed: tuple[jax.Array, jax.Array]


def lengthen(path: jax.Array, edge: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns int32[B, D], the paths with one more edge, and int32[B], how many edges they have."""
    length = (path >= 0).sum(axis=1, dtype=jnp.int32)
    last = jnp.arange(path.shape[1], dtype=jnp.int32)[None] == length[:, None]
    return jnp.where(last, edge[:, None], path), length + 1


def start_rows(edge: jax.Array, batch: int, num_actions: int) -> jax.Array:
    """Returns int32[K * B, D]: the rows that edges start at, of empty places the root's.

    Args:
      edge: int32[K * B, D], K slabs of B lanes.
    """
    lane = jnp.arange(len(edge), dtype=jnp.int32) % batch
    return jnp.maximum(edge, 0) // num_actions * batch + lane[:, None]


def to_paths(edge: jax.Array, length: jax.Array, num_actions: int) -> Paths:
    """Returns paths of int32[B] `length` edges each, at least one, ready to be worked on."""
    batch, depth = edge.shape
    width = _slice_width(batch, depth)
    room = batch * depth + width  # the list is read in whole slices
    row = start_rows(edge, batch, num_actions)

    def on_cpu(row: jax.Array, length: jax.Array) -> tuple[jax.Array, jax.Array]:
        # After the B edges of column 0, lane by lane the others. Where a lane's begin, their places
        # jump by what the lane before leaves empty: so a cumulative sum tells all places.
        below = length - 1
        begin = batch + jnp.cumsum(below)  # of the next lane's
        jump = jnp.zeros(room, jnp.int32).at[begin].add(depth - below, mode="promise_in_bounds")
        put = jax.lax.dynamic_update_slice

        def list_slice(i: jax.Array, listed: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
            places, listed_rows, jumped = listed
            start = i * width
            number = start + jnp.arange(width, dtype=jnp.int32)
            shift = jumped + jnp.cumsum(jax.lax.dynamic_slice(jump, (start,), (width,)))
            place = jnp.where(number < batch, number * depth, number - batch + 1 + shift)
            place = jnp.minimum(place, batch * depth - 1)
            found = put(places, place, (start,)), put(listed_rows, row.reshape(-1)[place], (start,))
            return *found, shift[-1]

        slices = (length.sum() + width - 1) // width
        start = *nothing(row, length), 0 * length[0]
        return jax.lax.fori_loop(0, slices, list_slice, start)[:2]

    def nothing(row: jax.Array, length: jax.Array) -> tuple[jax.Array, jax.Array]:
        del row
        none = 0 * jnp.broadcast_to(length[0], room)
        return none, none

    listed = jax.lax.platform_dependent(row, length, cpu=on_cpu, default=nothing)
    return Paths(edge, row, edge % num_actions, length.sum(), listed)


def along(
    work: Callable[[Steps], jax.Array], paths: Paths, beyond: jax.Array, below: bool = False
) -> jax.Array:
    """Returns what `work` makes of all edges, [W, ...] of W of them, as [B, D, ...].

    Args:
      beyond: what stands beyond the ends of the paths, [B, D, ...].
      below: whether to leave out column 0, for which `beyond` stands too.
    """
    batch, depth = paths.edge.shape
    first = 1 if below else 0

    def on_cpu(paths: Paths, beyond: jax.Array) -> jax.Array:
        def add(found: jax.Array, steps: Steps) -> jax.Array:
            at = jnp.where(steps.used, steps.place, len(found))
            return found.at[at].set(work(steps), mode="drop", unique_indices=True)

        flat = beyond.reshape(batch * depth, *beyond.shape[2:])
        return _in_slices(add, paths, flat, first * batch).reshape(beyond.shape)

    def elsewhere(paths: Paths, beyond: jax.Array) -> jax.Array:
        steps = _all_steps(paths, first)
        found = work(steps).reshape(batch, depth - first, *beyond.shape[2:])
        used = steps.used.reshape(batch, depth - first, *[1] * (beyond.ndim - 2))
        found = jnp.where(used, found, beyond[:, first:])
        return jnp.concatenate([beyond[:, :first], found], axis=1)

    return jax.lax.platform_dependent(paths, beyond, cpu=on_cpu, default=elsewhere)


def write(
    put: Callable[[jax.Array, Steps, T], jax.Array], array: jax.Array, paths: Paths, values: T
) -> jax.Array:
    """Returns `put(array, steps, values)`, a scatter along the paths.

    Args:
      values: arrays of what is to be put, leaves [B, D, ...], or [B, 1, ...] if it is the same all
        along a path.
    """
    batch, depth = paths.edge.shape

    def on_cpu(array: jax.Array, paths: Paths, values: T) -> jax.Array:
        def put_some(array: jax.Array, steps: Steps) -> jax.Array:
            lane, column = steps.place // depth, steps.place % depth
            return put(array, steps, jax.tree.map(lambda x: x[lane, column % x.shape[1]], values))

        return _in_slices(put_some, paths, array, 0)

    def elsewhere(array: jax.Array, paths: Paths, values: T) -> jax.Array:
        def flat(x: jax.Array) -> jax.Array:
            x = jnp.broadcast_to(x, (batch, depth, *x.shape[2:]))
            return x.reshape(batch * depth, *x.shape[2:])

        return put(array, _all_steps(paths, 0), jax.tree.map(flat, values))

    return jax.lax.platform_dependent(array, paths, values, cpu=on_cpu, default=elsewhere)


def _all_steps(paths: Paths, first: int) -> Steps:
    """Returns all places of the columns from `first` on."""
    batch, depth = paths.edge.shape
    place = jnp.arange(batch * depth, dtype=jnp.int32).reshape(batch, depth)
    steps = Steps(paths.row, paths.action, place, paths.edge >= 0)
    return Steps(*(x[:, first:].reshape(-1) for x in steps))


def _in_slices(
    work: Callable[[jax.Array, Steps], jax.Array], paths: Paths, start: jax.Array, first: int
) -> jax.Array:
    """Returns `start` after `work` on slice after slice of the listed edges, from `first` on."""
    width = _slice_width(*paths.edge.shape)
    number = paths.number - first

    def work_slice(i: jax.Array, found: jax.Array) -> jax.Array:
        place, row = (
            jax.lax.dynamic_slice_in_dim(x, first + i * width, width) for x in paths.listed
        )
        used = i * width + jnp.arange(width, dtype=jnp.int32) < number
        return work(found, Steps(row, paths.action.reshape(-1)[place], place, used))

    return jax.lax.fori_loop(0, (number + width - 1) // width, work_slice, start)


def _slice_width(batch: int, depth: int) -> int:
    return min(max(SLICE * batch, LEAST_SLICE), batch * depth)


def to_words(flags: jax.Array) -> list[jax.Array]:
    """Returns uint32[B] words whose bits are bool[B, D] `flags`, the first one lowest."""
    parts = [flags[:, i : i + 32].astype(jnp.uint32) for i in range(0, flags.shape[1], 32)]
    bit = jnp.arange(32, dtype=jnp.uint32)[None]
    return [(part << bit[:, : part.shape[1]]).sum(axis=1, dtype=jnp.uint32) for part in parts]


def next_true(words: list[jax.Array], lane: jax.Array, column: jax.Array, depth: int) -> jax.Array:
    """Returns int32[W]: the first column at or after int32[W] ones that has its flag set.

    `depth` if there is none. In words, see `to_words`, finding it takes no loop.

    Args:
      lane: int32[W], in whose flags to look.
    """
    found = jnp.full_like(column, depth)
    for number, word in reversed(list(enumerate(words))):
        start = 32 * number
        skipped = jnp.clip(column - start, 0, 31).astype(jnp.uint32)
        rest = jnp.where(column < start + 32, word[lane] >> skipped, 0)
        zeros = jax.lax.population_count(~rest & (rest - 1))
        found = jnp.where(rest > 0, start + (skipped + zeros).astype(jnp.int32), found)
    return found
