"""The arrays of a batch of search trees, how they begin, and what their columns mean.

An edge is numbered `node * A + action`; node 0 is the root. `simulation.py` says how a tree grows,
and what its paths and leaves are for.
"""

import math
from typing import Any, NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp

from games.game import Game, Remembering, S
from mcts import proven
from mcts.config import SearchConfig
from mcts.contract import Evaluation
from mcts.node import NodeStats, is_legal
from mcts.policy import POLICIES, SearchPolicy

T = TypeVar("T")
Rows: TypeAlias = dict[str, jax.Array]  # states in few arrays, see `pack`

# The columns of `Tree.node`.
RAW_VALUE = 0  # the network's value, or the result, for the seat to play
SIGN = 1  # 1 if that is seat 0, else -1

# The columns of `Tree.edges`. They stand side by side, so that one access reaches them all.
PRIOR = 0  # see `SearchPolicy.prior`
VISITS = 1
VALUE_SUM = 2  # over the visits, for seat 0
BOUNDS = slice(3, 5)  # only with `proven`: the least and the most for seat 0, as in `proven.py`
TALLY = slice(VISITS, VALUE_SUM + 1)  # what every visit adds to


class Tree(NamedTuple):
    """B trees of N nodes and A actions, depth at most D.

    Node n of tree b is row `n * B + b`, so what a simulation makes is one slab. The arrays
    are kept flat, for XLA copies the whole of an array that is written through a reshaped view.
    """

    state: Rows  # [N * B, ...], packed, see `node_states`
    path: jax.Array  # int[N * B, D], edges from the root into the node, then -1
    node: jax.Array  # float[N * B, 2], columns RAW_VALUE and SIGN
    edges: jax.Array  # float[N * B, C, A], columns PRIOR, VISITS, VALUE_SUM and maybe BOUNDS
    leaf: jax.Array  # int[N * B * A], the edge where greedy descent through this edge ends

    @property
    def num_actions(self) -> int:
        """A."""
        return self.edges.shape[-1]

    @property
    def max_depth(self) -> int:
        """D, the depth cap."""
        return self.path.shape[-1]


def empty_trees(game: Game[S], state: S, config: SearchConfig) -> Tree:
    """Returns trees of `reuse_nodes + 1` nodes without visits, for `init_tree` to start from.

    Raises:
      ValueError: the trees have more edges than int32 counts.
    """
    batch, num_actions = state.legal_action_mask.shape
    nodes = config.simulations + config.reuse_nodes + 1
    _check_size(nodes, batch, num_actions)
    dtype = _narrowest(nodes * num_actions)
    nodes = config.reuse_nodes + 1
    # Made from the roots, not by `jnp.full`: so the loop's state varies over devices as they do,
    # which `jax.shard_map` insists on.
    none = 0 * jnp.tile(state.to_play.astype(jnp.int32), nodes)
    columns = BOUNDS.stop if config.proven else BOUNDS.start
    return Tree(
        state=jax.tree.map(lambda x: jnp.concatenate([x] * nodes), node_states(game, state)),
        path=jnp.tile(none[:, None] - 1, (1, config.depth(game.max_plies))).astype(dtype),
        node=jnp.tile(none[:, None], (1, 2)).astype(float),
        edges=jnp.tile(none[:, None, None], (1, columns, num_actions)).astype(float),
        leaf=own_edges(none + _numbers(0, nodes, batch), num_actions).astype(dtype),
    )


def init_tree(
    game: Game[S],
    policy: SearchPolicy,
    kept: Tree,
    state: S,
    root: Evaluation,
    config: SearchConfig,
) -> Tree:
    """Returns trees that begin with what is kept of earlier ones, with room for all simulations.

    Args:
      kept: as `empty_trees` or `reuse.keep` return it; where its root has visits, it is `state`.
      root: what `evaluate_states` says of `state`, its logits with noise if they shall have any.
    """
    batch = len(root.value)
    # The root is evaluated anew, also where its subtree was kept.
    node = new_nodes(state, root.value)
    edges = new_edges(config, policy.prior(root.prior_logits), node)
    # The prior is new in any case, by its noise. All columns behind it are inherited.
    visited = root_stats(kept, batch).visits.sum(axis=-1) > 0
    known = jnp.where(visited[:, None, None], kept.edges[:batch, VISITS:], edges[:, VISITS:])
    edges = jnp.concatenate([edges[:, :VISITS], known], axis=1)
    tree = kept._replace(
        state=put_slab(kept.state, 0, node_states(game, state)),
        node=put_slab(kept.node, 0, node),
        edges=put_slab(kept.edges, 0, edges),
    )

    def with_room(x: jax.Array) -> jax.Array:
        more = config.simulations * (len(x) // (config.reuse_nodes + 1))
        return jnp.pad(x, [(0, more)] + [(0, 0)] * (x.ndim - 1))

    # A new node's edges all leave the tree, so what their leaves will be is known before.
    new = jnp.tile(0 * state.to_play.astype(jnp.int32), config.simulations)
    new += _numbers(config.reuse_nodes + 1, config.simulations, batch)
    leaf = own_edges(new, edges.shape[-1]).astype(tree.leaf.dtype)
    return jax.tree.map(with_room, tree)._replace(leaf=jnp.concatenate([tree.leaf, leaf]))


def tree_bytes(game: Game[Any], config: SearchConfig, batch: int) -> int:
    """Returns the bytes that `batch` trees take on the one device they are searched on.

    Exact for the engine `tree` with a float32 network; nothing is computed or allocated. With
    `reuse` it includes what is kept of the last trees. What else a search needs, such as the
    network's activations, comes on top.

    Raises:
      ValueError: the trees have more edges than int32 counts.
    """

    def allocated() -> tuple[Tree, ...]:
        state = jax.vmap(game.init)(jax.random.split(jax.random.key(0), batch))
        logits = jnp.zeros((batch, game.num_actions))
        root = Evaluation(prior_logits=logits, value=logits[:, 0])
        kept = empty_trees(game, state, config)
        tree = init_tree(game, POLICIES[config.policy], kept, state, root, config)
        return (tree, kept) if config.reuse_nodes else (tree,)

    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(jax.eval_shape(allocated)))


def forget(game: Game[S], state: S) -> S:
    """Returns states as nodes keep them: without their past, where the game can leave it out."""
    return jax.vmap(game.forget)(state) if isinstance(game, Remembering) else state


def node_states(game: Game[S], state: S) -> Rows:
    """Returns states as nodes keep them."""
    return pack(forget(game, state))


def pack(state: Any) -> Rows:
    """Returns the leaves of N states side by side in one array of each width: [N, ...].

    So a simulation writes and reads few arrays: on a GPU each is a kernel.
    """
    groups: dict[str, list[jax.Array]] = {}
    for leaf in jax.tree.leaves(state):
        groups.setdefault(_stored(leaf.dtype), []).append(leaf)
    return {
        name: jnp.concatenate([x.astype(name).reshape(len(x), -1) for x in leaves], axis=1)
        for name, leaves in groups.items()
    }


def unpack(rows: Rows, like: S) -> S:
    """Returns states that were packed; `like` them are [M, ...] leaves."""
    used = dict.fromkeys(rows, 0)

    def cut(leaf: jax.Array) -> jax.Array:
        name = _stored(leaf.dtype)
        begin, shape = used[name], leaf.shape[1:]
        used[name] = end = begin + math.prod(shape)
        return rows[name][..., begin:end].reshape(*rows[name].shape[:-1], *shape).astype(leaf.dtype)

    return jax.tree.map(cut, like)


def _stored(dtype: jnp.dtype) -> str:
    """Returns the type that leaves of a type are stored as, with others of its width."""
    return "uint8" if dtype in (jnp.bool_, jnp.int8) else dtype.name


def take_rows(arrays: T, row: jax.Array) -> T:
    """Returns int32[...] rows of each leaf."""
    return jax.tree.map(lambda x: x.at[row].get(mode="promise_in_bounds"), arrays)


def put_slab(arrays: T, row: jax.Array | int, new: T) -> T:
    """Returns the arrays with the slab from `row` on replaced: a contiguous write in place."""

    def put_one(x: jax.Array, y: jax.Array) -> jax.Array:
        return jax.lax.dynamic_update_slice_in_dim(x, y.astype(x.dtype), row, 0)

    return jax.tree.map(put_one, arrays, new)


def root_stats(tree: Tree, batch: int) -> NodeStats:
    """Returns the statistics of the B roots."""
    return node_stats(tree.edges[:batch], tree.node[:batch])


def node_stats(edges: jax.Array, node: jax.Array) -> NodeStats:
    """Returns the statistics of nodes, as the seat to play sees them.

    Args:
      edges: float[..., C, A], of `Tree.edges`.
      node: float[..., 2], of `Tree.node`.
    """
    sign = node[..., SIGN:]
    stats = NodeStats(
        prior=edges[..., PRIOR, :],
        visits=edges[..., VISITS, :],
        value_sum=sign * edges[..., VALUE_SUM, :],
        raw_value=node[..., RAW_VALUE],
    )
    if edges.shape[-2] == BOUNDS.start:
        return stats
    least, most = proven.for_mover(edges[..., BOUNDS, :], sign)
    return stats._replace(least=least, most=most)


def seat_0_value(node: jax.Array) -> jax.Array:
    """Returns float[B]: the own value of float[B, 2] nodes, for seat 0."""
    return node[:, RAW_VALUE] * node[:, SIGN]


def new_nodes(state: S, value: jax.Array) -> jax.Array:
    """Returns float[B, 2], as `Tree.node`, of float[B] values for the seat to play."""
    sign = jnp.where(state.to_play == 0, 1, -1).astype(value.dtype)
    return jnp.stack([value, sign], axis=-1)


def new_edges(config: SearchConfig, prior: jax.Array, node: jax.Array) -> jax.Array:
    """Returns float[B, C, A], as `Tree.edges`: edges without visits."""
    unvisited = BOUNDS.start - VISITS
    edges = jnp.pad(prior[:, None], [(0, 0), (0, unvisited), (0, 0)])
    if not config.proven:
        return edges
    bounds = proven.new_bounds(is_legal(prior), node[:, SIGN])
    return jnp.concatenate([edges, bounds], axis=1)


def add_visits(edges: jax.Array, row: jax.Array, action: jax.Array, value: jax.Array) -> jax.Array:
    """Returns `Tree.edges` with one more visit of float[W] `value`, for seat 0, at W edges.

    Args:
      row: int32[W], where the edges start; beyond the last one for what is to be dropped.
    """
    visits = jnp.stack([jnp.ones_like(value), value], axis=-1)
    return edges.at[row, TALLY, action].add(visits, mode="drop", unique_indices=True)


def set_bounds(edges: jax.Array, row: jax.Array, action: jax.Array, bounds: jax.Array) -> jax.Array:
    """Returns `Tree.edges` with float[W, 2] `bounds` at W edges; `row` as for `add_visits`."""
    return edges.at[row, BOUNDS, action].set(bounds, mode="drop", unique_indices=True)


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
