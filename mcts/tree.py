"""The arrays of a batch of search trees, and how they are planted.

An edge is numbered `node * A + action`; node 0 is the root. How a tree grows, and what its paths
and leaves are for, is told in `simulation.py`.
"""

from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from games.game import Game, Remembering, S
from mcts import proven as bounds
from mcts.config import SearchConfig
from mcts.contract import Evaluation
from mcts.selection import Row, is_legal, to_prior

T = TypeVar("T")


class Tree(NamedTuple, Generic[S]):
    """B trees of N nodes and A actions, depth at most D.

    Node n of tree b is row `n * B + b`, so what a simulation makes is one slab. The arrays
    are kept flat, for XLA copies the whole of an array that is written through a reshaped view.
    """

    state: S  # each leaf [N * B, ...], see `forget`
    path: jax.Array  # int[N * B, D], edges from the root into the node, then -1
    node: jax.Array  # float[N * B, 2]: own value for the seat to play; 1 if that is seat 0, else -1
    # float[N * B, 3, A]: prior (see `to_prior`), visits, sum of values for seat 0;
    # float[N * B, 5, A] with `proven`: also the least and the most for seat 0 (see `bounds`)
    edges: jax.Array
    leaf: jax.Array  # int[N * B * A], the edge where greedy descent through this edge ends


def empty_trees(game: Game[S], state: S, config: SearchConfig) -> Tree[S]:
    """Returns trees of `reuse + 1` nodes without visits, for `plant` to start from.

    Raises:
      ValueError: the trees have more edges than int32 counts.
    """
    batch, num_actions = state.legal_action_mask.shape
    nodes = config.simulations + config.reuse + 1
    _check_size(nodes, batch, num_actions)
    dtype = _narrowest(nodes * num_actions)
    nodes = config.reuse + 1
    # Made from the roots, not by `jnp.full`: so the loop's state varies over devices as they do,
    # which `jax.shard_map` insists on.
    none = 0 * jnp.tile(state.to_play.astype(jnp.int32), nodes)
    numbers = 5 if config.proven else 3
    return Tree(
        state=jax.tree.map(lambda x: jnp.concatenate([x] * nodes), forget(game, state)),
        path=jnp.tile(none[:, None] - 1, (1, config.depth(game.max_plies))).astype(dtype),
        node=jnp.tile(none[:, None], (1, 2)).astype(float),
        edges=jnp.tile(none[:, None, None], (1, numbers, num_actions)).astype(float),
        leaf=own_edges(none + _numbers(0, nodes, batch), num_actions).astype(dtype),
    )


def plant(
    game: Game[S], kept: Tree[S], state: S, root: Evaluation, config: SearchConfig
) -> Tree[S]:
    """Returns trees that begin with what is kept of earlier ones, with room for all simulations.

    Args:
      kept: as `empty_trees` or `reuse.keep` return it; where its root has visits, it is `state`.
      root: what `judge` says of `state`, its logits with noise if they shall have any.
    """
    batch = len(root.value)
    node = new_node(state, root.value)
    edges = new_edges(config, to_prior(config, root.prior_logits), node)
    visited = root_row(kept, batch).visits.sum(axis=-1) > 0
    known = jnp.where(visited[:, None, None], kept.edges[:batch, 1:], edges[:, 1:])
    edges = jnp.concatenate([edges[:, :1], known], axis=1)
    tree = kept._replace(
        state=put(kept.state, 0, forget(game, state)),
        node=put(kept.node, 0, node),
        edges=put(kept.edges, 0, edges),
    )

    def room(x: jax.Array) -> jax.Array:
        more = config.simulations * (len(x) // (config.reuse + 1))
        return jnp.pad(x, [(0, more)] + [(0, 0)] * (x.ndim - 1))

    # A new node's edges all leave the tree, so what their leaves will be is known before.
    new = jnp.tile(0 * state.to_play.astype(jnp.int32), config.simulations)
    new += _numbers(config.reuse + 1, config.simulations, batch)
    leaf = own_edges(new, edges.shape[-1]).astype(tree.leaf.dtype)
    return jax.tree.map(room, tree)._replace(leaf=jnp.concatenate([tree.leaf, leaf]))


def tree_bytes(game: Game[Any], config: SearchConfig, batch: int) -> int:
    """Returns the bytes that `batch` trees take on the one device they are searched on.

    Exact for the engine `tree` with a float32 network; nothing is computed or allocated. With
    `reuse` it includes what is kept of the last trees. What else a search needs, such as the
    network's activations, comes on top.

    Raises:
      ValueError: the trees have more edges than int32 counts.
    """

    def planted() -> tuple[Tree[Any], ...]:
        state = jax.vmap(game.init)(jax.random.split(jax.random.key(0), batch))
        logits = jnp.zeros((batch, game.num_actions))
        root = Evaluation(prior_logits=logits, value=logits[:, 0])
        kept = empty_trees(game, state, config)
        tree = plant(game, kept, state, root, config)
        return (tree, kept) if config.reuse else (tree,)

    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(jax.eval_shape(planted)))


def forget(game: Game[S], state: S) -> S:
    """Returns states as nodes keep them: without their past, where the game can leave it out."""
    return jax.vmap(game.forget)(state) if isinstance(game, Remembering) else state


def rows(arrays: T, row: jax.Array) -> T:
    """Returns int32[...] rows of each leaf."""
    return jax.tree.map(lambda x: x.at[row].get(mode="promise_in_bounds"), arrays)


def put(arrays: T, row: jax.Array | int, new: T) -> T:
    """Returns the arrays with the slab from `row` on replaced: a contiguous write in place."""

    def put_one(x: jax.Array, y: jax.Array) -> jax.Array:
        return jax.lax.dynamic_update_slice_in_dim(x, y.astype(x.dtype), row, 0)

    return jax.tree.map(put_one, arrays, new)


def root_row(tree: Tree[S], batch: int) -> Row:
    """Returns the rows of the B roots."""
    return row_of(tree.edges[:batch], tree.node[:batch])


def row_of(edges: jax.Array, node: jax.Array) -> Row:
    """Returns the row as the seat to play sees it, of float[..., 3 or 5, A] and float[..., 2]."""
    sign = node[..., 1:]
    row = Row(edges[..., 0, :], edges[..., 1, :], sign * edges[..., 2, :], node[..., 0])
    if edges.shape[-2] == 3:
        return row
    least, most = bounds.of_mover(edges[..., 3:, :], sign)
    return row._replace(least=least, most=most)


def new_node(state: S, value: jax.Array) -> jax.Array:
    """Returns float[B, 2], as `Tree.node`."""
    sign = jnp.where(state.to_play == 0, 1, -1).astype(value.dtype)
    return jnp.stack([value, sign], axis=-1)


def new_edges(config: SearchConfig, prior: jax.Array, node: jax.Array) -> jax.Array:
    """Returns float[B, 3 or 5, A]: edges without visits."""
    edges = jnp.pad(prior[:, None], [(0, 0), (0, 2), (0, 0)])
    if not config.proven:
        return edges
    return jnp.concatenate([edges, bounds.of_new_edges(is_legal(prior), node[:, 1])], axis=1)


def own_edges(node: jax.Array, num_actions: int) -> jax.Array:
    """Returns int32[len(node) * A]: the edges that start at each int32[] node."""
    edges = node[:, None] * num_actions + jnp.arange(num_actions, dtype=jnp.int32)[None]
    return edges.reshape(-1)


def _numbers(first: int, count: int, batch: int) -> jax.Array:
    """Returns int32[count * batch]: the number of each row's node, from `first` on."""
    return jnp.repeat(jnp.arange(first, first + count, dtype=jnp.int32), batch)


def _check_size(nodes: int, batch: int, num_actions: int) -> None:
    # One row more, for updates that are dropped are written beyond the last.
    edges, most = (nodes * batch + 1) * num_actions, jnp.iinfo(jnp.int32).max
    if edges > most:
        raise ValueError(
            f"{batch} search trees of {nodes} nodes with {num_actions} actions have {edges} edges "
            f"on one device, more than the {most} that can be numbered: lower the batch to "
            f"{(most // num_actions - 1) // nodes} or search.simulations"
        )


def _narrowest(largest: int) -> jnp.dtype:
    """Returns the narrowest signed type that holds `largest`."""
    types = (jnp.dtype(t) for t in (jnp.int8, jnp.int16, jnp.int32))
    return next(t for t in types if largest <= jnp.iinfo(t).max)
