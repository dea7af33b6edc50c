"""The batched search tree: one simulation is a fixed number of array operations, at any depth.

Three caches replace the walks down and up the tree:

- every node keeps its **path**, the edges from the root to it, so a backup is one scatter;
- every edge keeps its **leaf**, the edge at which greedy descent through it leaves the tree;
- so the next leaf is known before a simulation starts: the leaf of the root's best edge.

A simulation changes the visits and values of the nodes on its path and of no other, and the rules
of selection look at one node's own row, so rescoring the path keeps all caches exact.

An edge is numbered `node * A + action`. Node 0 is the root, simulation t makes node t + 1. Neither
a finished position nor a node at the depth cap is ever expanded: the edge to it stays its own leaf.
Reaching it again steps into it again and backs up the same value once more; the node that this
simulation makes is a spare copy to which no edge leads.
"""

import functools
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from games.game import Game, S
from mcts import bounds
from mcts.config import SearchConfig
from mcts.contract import Evaluate, Evaluation, Variables, judge
from mcts.selection import Gumbel, Row, interior_action, is_legal, root_action, to_prior

T = TypeVar("T")
WIDTHS = (4, 8, 16, 32)  # of paths, that code for CPUs is made for


class Tree(NamedTuple, Generic[S]):
    """B trees of N nodes and A actions, depth at most D.

    Node n of tree b is row `n * B + b`, so what a simulation makes is one slab. The arrays
    are kept flat, for XLA copies the whole of an array that is written through a reshaped view.
    """

    state: S  # each leaf [N * B, ...]
    path: jax.Array  # int[N * B, D], edges from the root into the node, then -1
    node: jax.Array  # float[N * B, 2]: own value for the seat to play; 1 if that is seat 0, else -1
    # float[N * B, 3, A]: prior (see `to_prior`), visits, sum of values for seat 0;
    # float[N * B, 5, A] with `proven`: also the least and the most for seat 0 (see `bounds`)
    edges: jax.Array
    leaf: jax.Array  # int[N * B * A], the edge where greedy descent through this edge ends


class Task(NamedTuple):
    """What one simulation has to tell the nodes on its B paths."""

    path: jax.Array  # int32[B, D], edges from the root to the evaluated node, then -1
    length: jax.Array  # int32[B], how many edges
    end: jax.Array  # int32[B], the leaf of the last edge
    found: jax.Array  # float[3, B], what the evaluated node is worth, see `bounds.of_leaf`
    done: jax.Array  # int32[], simulations made, this one included


class Search(NamedTuple, Generic[S]):
    """What a simulation starts from."""

    tree: Tree[S]
    edge: jax.Array  # int32[B], the leaf: the edge to step along


def grow(
    game: Game[S],
    evaluate: Evaluate,
    variables: Variables,
    state: S,
    root: Evaluation,
    gumbel: Gumbel | None,
    config: SearchConfig,
) -> Row:
    """Runs all simulations from B roots and returns the roots' rows, leading axis B.

    Args:
      root: what `judge` says of `state`, its logits with noise if they shall have any.
      gumbel: for the policy `gumbel`, else None.
    """

    def simulate(done: jax.Array, search: Search[S]) -> Search[S]:
        return _simulate(game, evaluate, variables, gumbel, config, search, done)

    tree = _plant(game, state, root, config)
    batch = len(root.value)
    first = root_action(config, _root_row(tree, batch), gumbel, jnp.int32(0))
    search = jax.lax.fori_loop(0, config.simulations, simulate, Search(tree, first))
    return _root_row(search.tree, batch)


def tree_bytes(game: Game[Any], config: SearchConfig, batch: int) -> int:
    """Returns the bytes that `batch` trees take on the one device they are searched on.

    Exact for the engine `tree` with a float32 network; nothing is computed or allocated. What else
    a search needs, such as the network's activations, comes on top.

    Raises:
      ValueError: the trees have more edges than int32 counts.
    """

    def planted() -> Tree[Any]:
        keys = jax.random.split(jax.random.key(0), batch)
        logits = jnp.zeros((batch, game.num_actions))
        root = Evaluation(prior_logits=logits, value=logits[:, 0])
        return _plant(game, jax.vmap(game.init)(keys), root, config)

    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(jax.eval_shape(planted)))


def _plant(game: Game[S], state: S, root: Evaluation, config: SearchConfig) -> Tree[S]:
    """Returns trees of one node, with room for all others.

    Raises:
      ValueError: the trees have more edges than int32 counts.
    """
    nodes = config.simulations + 1
    _check_size(nodes, *root.prior_logits.shape)
    edge_dtype = _narrowest(nodes * game.num_actions)
    prior = to_prior(config, root.prior_logits)
    # Made from the roots, not by `jnp.full`: so the loop's state varies over devices as they do,
    # which `jax.shard_map` insists on.
    none = 0 * state.to_play.astype(jnp.int32)[:, None]
    no_path = jnp.tile(none - 1, (1, config.depth(game.max_plies))).astype(edge_dtype)
    own_edges = none + _own_edges(prior, jnp.int32(0)).reshape(prior.shape)
    node = _node(state, root.value)

    def room(row: jax.Array) -> jax.Array:
        return jnp.pad(row, [(0, (nodes - 1) * len(row))] + [(0, 0)] * (row.ndim - 1))

    return Tree(
        state=jax.tree.map(room, state),
        path=room(no_path),
        node=room(node),
        edges=room(_new_edges(config, prior, node)),
        leaf=room(own_edges.reshape(-1).astype(edge_dtype)),
    )


def _simulate(
    game: Game[S],
    evaluate: Evaluate,
    variables: Variables,
    gumbel: Gumbel | None,
    config: SearchConfig,
    search: Search[S],
    done: jax.Array,
) -> Search[S]:
    """Steps along the leaf edge, evaluates, backs up, and finds the next leaf."""
    tree, edge = search
    num_actions, max_depth = tree.edges.shape[-1], tree.path.shape[-1]
    parent = edge // num_actions * edge.shape[0] + jnp.arange(edge.shape[0], dtype=jnp.int32)
    state = jax.vmap(game.step)(_rows(tree.state, parent), edge % num_actions)
    believed = judge(game, evaluate, variables, state)
    prior = to_prior(config, believed.prior_logits)
    path, length = _lengthen(_rows(tree.path, parent).astype(jnp.int32), edge)

    here = done + 1
    node = _node(state, believed.value)
    # Every rule agrees on a node without visits: the likeliest action.
    onward = here * num_actions + jnp.argmax(prior, axis=-1).astype(jnp.int32)
    end = jnp.where(state.terminated | (length == max_depth), edge, onward)
    found = bounds.of_leaf(node[:, 0] * node[:, 1], state.terminated)
    task = Task(path, length, end, found, here)
    tree = Tree(
        state=_put(tree.state, here, state),
        path=_put(tree.path, here, path),
        node=_put(tree.node, here, node),
        edges=_put(tree.edges, here, _new_edges(config, prior, node)),
        leaf=_put(tree.leaf, here, _own_edges(prior, here)),
    )
    tree = tree._replace(edges=_back_up(config, tree, task))
    ends = _along_paths(functools.partial(_ends, gumbel, config), tree, task)
    return Search(tree._replace(leaf=_cache(tree, path, ends[:, 1:])), ends[:, 0])


def _lengthen(path: jax.Array, edge: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns int32[B, D], the paths with one more edge, and int32[B], how many edges they have."""
    length = (path >= 0).sum(axis=1, dtype=jnp.int32)
    last = jnp.arange(path.shape[1], dtype=jnp.int32)[None] == length[:, None]
    return jnp.where(last, edge[:, None], path), length + 1


def _back_up(config: SearchConfig, tree: Tree[S], task: Task) -> jax.Array:
    """Returns `tree.edges` with a visit of what was found at every edge of the paths."""
    rows, _, num_actions = tree.edges.shape
    row, action = _row_of(task.path, num_actions, beyond=rows), task.path % num_actions
    values = jnp.broadcast_to(task.found[:, :, None], (3, *task.path.shape))
    if config.proven:
        values = _along_paths(_bounds, tree, task)
    visit = jnp.stack([jnp.ones_like(values[0]), values[0]], axis=-1)
    edges = tree.edges.at[row, 1:3, action].add(visit, mode="drop", unique_indices=True)
    if config.proven:
        known = jnp.moveaxis(values[1:], 0, -1)
        edges = edges.at[row, 3:, action].set(known, mode="drop", unique_indices=True)
    return edges


def _bounds(tree: Tree[S], task: Task) -> jax.Array:
    """Returns float[3, B, D]: what the edges of the paths are worth, see `bounds.back_up`."""
    num_actions = tree.edges.shape[-1]
    edges, node = _rows((tree.edges, tree.node), _row_of(task.path, num_actions))
    action = task.path % num_actions
    return bounds.back_up(edges[..., 3:, :], node[..., 1:], action, task.path >= 0, task.found)


def _along_paths(
    work: Callable[[Tree[S], Task], jax.Array], tree: Tree[S], task: Task
) -> jax.Array:
    """Returns `work(tree, task)`, whose last axis goes along the paths.

    On a GPU idle threads cost nothing and a branch waits for the host; on a CPU it is the other way
    round. Both give the same numbers.
    """
    on_cpu = functools.partial(_along_short_paths, work)
    return jax.lax.platform_dependent(tree, task, cpu=on_cpu, default=work)


def _along_short_paths(
    work: Callable[[Tree[S], Task], jax.Array], tree: Tree[S], task: Task
) -> jax.Array:
    """Like `work`, but only as wide as the longest path needs."""
    depth = task.path.shape[1]
    widths = [width for width in WIDTHS if width < depth] + [depth]

    def at_width(width: int) -> jax.Array:
        found = work(tree, task._replace(path=task.path[:, :width]))
        return jnp.pad(found, [(0, 0)] * (found.ndim - 1) + [(0, depth - width)])

    fits = jnp.sum(jnp.array(widths) < task.length.max())
    return jax.lax.switch(fits, [functools.partial(at_width, width) for width in widths])


def _ends(gumbel: Gumbel | None, config: SearchConfig, tree: Tree[S], task: Task) -> jax.Array:
    """Returns int32[B, D + 1]: the leaf where greedy descent ends from each node on the paths.

    It follows the path up to the first node whose best edge leaves it, else to the path's own end.
    Off the path nothing has changed, so the leaf cached there still holds.
    """
    path, batch, num_actions = task.path, len(task.path), tree.edges.shape[-1]
    row = _row_of(path, num_actions)
    best = interior_action(config, _row(*_rows((tree.edges, tree.node), row)))
    if gumbel is not None:
        root = root_action(config, _root_row(tree, batch), gumbel, task.done)
        best = jnp.concatenate([root[:, None], best[:, 1:]], axis=1)
    cached = _rows(tree.leaf, row * num_actions + best).astype(jnp.int32)
    leaves_path = (best != path % num_actions) | (path < 0)
    ways_out = jnp.where(path < 0, task.end[:, None], cached)
    ways_out = jnp.concatenate([ways_out, task.end[:, None]], axis=1)
    start = jnp.arange(batch, dtype=jnp.int32)[:, None] * ways_out.shape[1]
    ends = _rows(ways_out.reshape(-1), start + _next_true(leaves_path))
    return jnp.concatenate([ends, task.end[:, None]], axis=1)


def _next_true(flags: jax.Array) -> jax.Array:
    """Returns int32[B, D]: the first position at or after each where `flags` holds, D if none.

    The flags become the bits of 32-bit words, where finding the next one takes no loop.
    """
    depth = flags.shape[1]
    position = jnp.arange(depth, dtype=jnp.int32)[None]
    found = jnp.full_like(flags, depth, jnp.int32)
    for start in reversed(range(0, depth, 32)):
        part = flags[:, start : start + 32].astype(jnp.uint32)
        word = (part << jnp.arange(part.shape[1], dtype=jnp.uint32)[None]).sum(
            axis=1, dtype=jnp.uint32
        )
        skipped = jnp.clip(position - start, 0, 31)
        rest = jnp.where(position < start + 32, word[:, None] >> skipped.astype(jnp.uint32), 0)
        zeros = jax.lax.population_count(~rest & (rest - 1)).astype(jnp.int32)
        found = jnp.where(rest > 0, start + skipped + zeros, found)
    return found


def _cache(tree: Tree[S], path: jax.Array, ends: jax.Array) -> jax.Array:
    """Returns `tree.leaf` with int32[B, D] `ends` at the edges of the paths."""
    rows, _, num_actions = tree.edges.shape
    row = _row_of(path, num_actions, beyond=rows)
    at = tree.leaf.at[row * num_actions + path % num_actions]
    return at.set(ends.astype(tree.leaf.dtype), mode="drop", unique_indices=True)


def _row_of(edge: jax.Array, num_actions: int, beyond: int = 0) -> jax.Array:
    """Returns int32[B, D]: the row, `node * B + lane`, that an edge starts at; `beyond` if none."""
    lane = jnp.arange(edge.shape[0], dtype=jnp.int32)[:, None]
    return jnp.where(edge >= 0, edge // num_actions * edge.shape[0] + lane, beyond)


def _rows(arrays: T, row: jax.Array) -> T:
    """Returns int32[...] rows of each leaf."""
    return jax.tree.map(lambda x: x.at[row].get(mode="promise_in_bounds"), arrays)


def _put(arrays: T, node: jax.Array, new: T) -> T:
    """Returns the arrays with the slab of `node` replaced: a contiguous write in place."""

    def put(x: jax.Array, y: jax.Array) -> jax.Array:
        return jax.lax.dynamic_update_slice_in_dim(x, y.astype(x.dtype), node * len(y), 0)

    return jax.tree.map(put, arrays, new)


def _root_row(tree: Tree[S], batch: int) -> Row:
    return _row(tree.edges[:batch], tree.node[:batch])


def _row(edges: jax.Array, node: jax.Array) -> Row:
    """Returns the row as the seat to play sees it, of float[..., 3 or 5, A] and float[..., 2]."""
    sign = node[..., 1:]
    row = Row(edges[..., 0, :], edges[..., 1, :], sign * edges[..., 2, :], node[..., 0])
    if edges.shape[-2] == 3:
        return row
    least, most = bounds.of_mover(edges[..., 3:, :], sign)
    return row._replace(least=least, most=most)


def _node(state: S, value: jax.Array) -> jax.Array:
    sign = jnp.where(state.to_play == 0, 1, -1).astype(value.dtype)
    return jnp.stack([value, sign], axis=-1)


def _new_edges(config: SearchConfig, prior: jax.Array, node: jax.Array) -> jax.Array:
    """Returns float[B, 3 or 5, A]: edges without visits."""
    edges = jnp.pad(prior[:, None], [(0, 0), (0, 2), (0, 0)])
    if not config.proven:
        return edges
    return jnp.concatenate([edges, bounds.of_new_edges(is_legal(prior), node[:, 1])], axis=1)


def _own_edges(prior: jax.Array, node: jax.Array) -> jax.Array:
    """Returns int32[B * A]: the edges that start at `node`."""
    batch, num_actions = prior.shape
    return node * num_actions + jnp.tile(jnp.arange(num_actions, dtype=jnp.int32), batch)


def _check_size(nodes: int, batch: int, num_actions: int) -> None:
    edges, most = nodes * batch * num_actions, jnp.iinfo(jnp.int32).max
    if edges > most:
        raise ValueError(
            f"{batch} search trees of {nodes} nodes with {num_actions} actions have {edges} edges "
            f"on one device, more than the {most} that can be numbered: lower the batch to "
            f"{most // (nodes * num_actions)} or search.simulations"
        )


def _narrowest(largest: int) -> jnp.dtype:
    """Returns the narrowest signed type that holds `largest`."""
    types = (jnp.dtype(t) for t in (jnp.int8, jnp.int16, jnp.int32))
    return next(t for t in types if largest <= jnp.iinfo(t).max)
