"""Growing the trees: one simulation is a fixed number of array operations, at any depth.

Three caches replace the walks down and up the tree:

- every node keeps its **path**, the edges from the root to it, so a backup is one scatter;
- every edge keeps its **leaf**, the edge at which greedy descent through it leaves the tree;
- so the next leaf is known before a simulation starts: the leaf of the root's best edge.

A simulation changes the visits and values of the nodes on its path and of no other, and the rules
of selection look at one node's own row, so rescoring the path keeps all caches exact.

An edge is numbered `node * A + action`. Node 0 is the root; after room for R nodes kept of an
earlier search, simulation t makes node R + t + 1. Neither a finished position nor a node at the
depth cap is ever expanded: the edge to it stays its own leaf. Reaching it again steps into it again
and backs up the same value once more; the node that this simulation makes is a spare copy to which
no edge leads.
"""

import functools
from collections.abc import Callable
from typing import Generic, NamedTuple

import jax
import jax.numpy as jnp

from games.game import Game, Remembering, S
from mcts import bounds
from mcts.config import SearchConfig
from mcts.contract import Evaluate, Variables, judge
from mcts.selection import Gumbel, interior_action, root_action, to_prior
from mcts.tree import Tree, forget, new_edges, new_node, put, root_row, row_of, rows

CHUNK = 4  # columns of paths that are worked on at once on CPUs


class Task(NamedTuple):
    """What one simulation has to tell the nodes on its B paths."""

    path: jax.Array  # int32[B, D], edges from the root to the evaluated node, then -1
    length: jax.Array  # int32[B], how many edges
    end: jax.Array  # int32[B], the leaf of the last edge
    found: jax.Array  # float[B, 3], what the evaluated node is worth, see `bounds.of_leaf`
    done: jax.Array  # int32[], simulations made, this one included


class Search(NamedTuple, Generic[S]):
    """What a simulation starts from."""

    tree: Tree[S]
    edge: jax.Array  # int32[B], the leaf: the edge to step along


def grow(
    game: Game[S],
    evaluate: Evaluate,
    variables: Variables,
    root: S,
    tree: Tree[S],
    gumbel: Gumbel | None,
    config: SearchConfig,
) -> Tree[S]:
    """Returns the trees, planted at `root`, after all simulations.

    Args:
      gumbel: as for `root_action`.
    """
    batch = len(tree.node) // (config.simulations + config.reuse + 1)

    def simulate(leaves: int, done: jax.Array, search: Search[S]) -> Search[S]:
        return _simulate(game, evaluate, variables, root, gumbel, config, leaves, search, done)

    best = root_action(config, root_row(tree, batch), gumbel, jnp.int32(0))
    start = jnp.arange(batch, dtype=jnp.int32) * tree.edges.shape[-1] + best
    search = Search(tree, rows(tree.leaf, start).astype(jnp.int32))
    steps, rest = divmod(config.simulations, config.leaves)
    if rest:
        search = simulate(rest, jnp.int32(0), search)

    def step(i: jax.Array, search: Search[S]) -> Search[S]:
        return simulate(config.leaves, rest + i * config.leaves, search)

    return jax.lax.fori_loop(0, steps, step, search).tree


def _simulate(
    game: Game[S],
    evaluate: Evaluate,
    variables: Variables,
    root: S,
    gumbel: Gumbel | None,
    config: SearchConfig,
    leaves: int,
    search: Search[S],
    done: jax.Array,
) -> Search[S]:
    """Steps along the next edges, evaluates, backs up, and finds the next leaf.

    K `leaves` are simulations that share one evaluation. Their B nodes each are stacked: slab k
    of what is made here belongs to simulation `done + k + 1`.
    """
    tree, batch = search.tree, len(search.edge)
    num_actions, max_depth = tree.edges.shape[-1], tree.path.shape[-1]
    edge = _next_edges(gumbel, config, leaves, search, done)
    parent = edge // num_actions * batch + _lanes(len(edge), batch)
    way = rows(tree.path, parent).astype(jnp.int32)
    state = _recall(game, rows(tree.state, parent), root, tree, way)
    state = jax.vmap(game.step)(state, edge % num_actions)
    believed = judge(game, evaluate, variables, state)
    prior = to_prior(config, believed.prior_logits)
    path, length = _lengthen(way, edge)

    here = config.reuse + done + 1
    number = jnp.repeat(here + jnp.arange(leaves, dtype=jnp.int32), batch)
    node = new_node(state, believed.value)
    # Every rule agrees on a node without visits: the likeliest action.
    onward = number * num_actions + jnp.argmax(prior, axis=-1).astype(jnp.int32)
    end = jnp.where(state.terminated | (length == max_depth), edge, onward)
    found = bounds.of_leaf(node[:, 0] * node[:, 1], state.terminated)
    tree = Tree(
        state=put(tree.state, here * batch, forget(game, state)),
        path=put(tree.path, here * batch, path),
        node=put(tree.node, here * batch, node),
        edges=put(tree.edges, here * batch, new_edges(config, prior, node)),
        leaf=tree.leaf,
    )

    task = Task(path, length, end, found, number)
    tasks = jax.tree.map(lambda x: x.reshape(leaves, batch, *x.shape[1:]), task)
    tasks = tasks._replace(done=done + 1 + jnp.arange(leaves, dtype=jnp.int32))

    def take_in(search: Search[S], task: Task) -> tuple[Search[S], None]:
        tree = search.tree._replace(edges=_back_up(config, search.tree, task))
        return _mend(gumbel, config, tree, task), None

    return jax.lax.scan(take_in, Search(tree, search.edge), tasks, unroll=leaves == 1)[0]


def _recall(game: Game[S], state: S, root: S, tree: Tree[S], way: jax.Array) -> S:
    """Returns the states of K * B nodes with their past; int32[K * B, D] `way` leads to each."""
    if not isinstance(game, Remembering):
        return state
    batch, num_actions = len(root.to_play), tree.edges.shape[-1]
    # Beyond the end of a way stands the root once more.
    passed = jnp.maximum(way, 0) // num_actions * batch + _lanes(len(way), batch)[:, None]
    roots = jax.tree.map(lambda x: jnp.concatenate([x] * (len(way) // batch)), root)
    return jax.vmap(game.recall)(state, roots, rows(tree.state, passed))


def _mend(gumbel: Gumbel | None, config: SearchConfig, tree: Tree[S], task: Task) -> Search[S]:
    """Returns the trees with the leaves along the paths mended, and the next leaf.

    Greedy descent from a node follows the path up to the first node whose best edge leaves it, else
    to the path's own end. Off the path nothing has changed, so the leaf cached there still holds.
    """
    ways_out = _ways_out(gumbel, config, tree, task)
    leaves_path = to_words((ways_out >= 0) | (task.path < 0))
    ways_out = jnp.where(task.path < 0, task.end[:, None], ways_out)
    ways_out = jnp.concatenate([ways_out, task.end[:, None]], axis=1)
    depth, num_actions = task.path.shape[1], tree.edges.shape[-1]
    start = jnp.arange(len(task.path), dtype=jnp.int32)[:, None] * (depth + 1)

    def end(column: jax.Array) -> jax.Array:
        """Returns int32[B, W]: where descent from the nodes in int32[B, W] columns ends."""
        return rows(ways_out.reshape(-1), start + next_true(leaves_path, column, depth))

    def put_ends(leaf: jax.Array, path: jax.Array, column: jax.Array) -> jax.Array:
        row = _row_of(path, num_actions, beyond=len(leaf) // num_actions)
        at = leaf.at[row * num_actions + path % num_actions]
        return at.set(end(column + 1).astype(leaf.dtype), mode="drop", unique_indices=True)

    column = 0 * task.path + jnp.arange(depth, dtype=jnp.int32)[None]
    leaf = _write(put_ends, tree.leaf, task.path, column)
    return Search(tree._replace(leaf=leaf), end(column[:, :1])[:, 0])


def _next_edges(
    gumbel: Gumbel | None, config: SearchConfig, leaves: int, search: Search[S], done: jax.Array
) -> jax.Array:
    """Returns int32[K * B]: the edges to step along.

    Each is chosen as if the ones before it had lost for every seat that moved there (virtual loss,
    Chaslot et al., "Parallel Monte-Carlo Tree Search", 2008). The same edge may be chosen twice.
    """
    if leaves == 1:
        return search.edge
    batch, num_actions = len(search.edge), search.tree.edges.shape[-1]

    def lose(search: Search[S], k: jax.Array) -> tuple[Search[S], jax.Array]:
        tree, edge = search
        parent = edge // num_actions * batch + _lanes(batch, batch)
        path, length = _lengthen(rows(tree.path, parent).astype(jnp.int32), edge)
        nothing = jnp.zeros((batch, 3), tree.node.dtype)
        task = Task(path, length, edge, nothing, done + k + 1)
        sign = rows(tree.node, _row_of(path, num_actions))[..., 1]
        lost = tree._replace(edges=_visit(tree.edges, path, -sign))
        after = _mend(gumbel, config, lost, task)
        return after, after.edge

    others = jax.lax.scan(lose, search, jnp.arange(leaves - 1, dtype=jnp.int32))[1]
    return jnp.concatenate([search.edge, others.reshape(-1)])


def _lengthen(path: jax.Array, edge: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns int32[B, D], the paths with one more edge, and int32[B], how many edges they have."""
    length = (path >= 0).sum(axis=1, dtype=jnp.int32)
    last = jnp.arange(path.shape[1], dtype=jnp.int32)[None] == length[:, None]
    return jnp.where(last, edge[:, None], path), length + 1


def _back_up(config: SearchConfig, tree: Tree[S], task: Task) -> jax.Array:
    """Returns `tree.edges` with a visit of what was found at every edge of the paths."""
    if not config.proven:
        return _visit(tree.edges, task.path, jnp.broadcast_to(task.found[:, :1], task.path.shape))
    nothing = jnp.stack([task.path.astype(tree.edges.dtype) * 0] * 3, axis=-1)
    others = _along_paths(functools.partial(_besides, tree), task.path, nothing)
    value, least, most = bounds.back_up(others, task.found)
    edges = _visit(tree.edges, task.path, value)
    return _write(_put_bounds, edges, task.path, jnp.stack([least, most], axis=-1))


def _visit(edges: jax.Array, path: jax.Array, value: jax.Array) -> jax.Array:
    """Returns `edges` with a visit of float[B, D] `value`, for seat 0, along the paths."""
    return _write(_add_visits, edges, path, jnp.stack([jnp.ones_like(value), value], axis=-1))


def _add_visits(edges: jax.Array, path: jax.Array, visits: jax.Array) -> jax.Array:
    number, _, num_actions = edges.shape
    at = edges.at[_row_of(path, num_actions, beyond=number), 1:3, path % num_actions]
    return at.add(visits, mode="drop", unique_indices=True)


def _put_bounds(edges: jax.Array, path: jax.Array, known: jax.Array) -> jax.Array:
    number, _, num_actions = edges.shape
    at = edges.at[_row_of(path, num_actions, beyond=number), 3:, path % num_actions]
    return at.set(known, mode="drop", unique_indices=True)


def _write(
    write: Callable[[jax.Array, jax.Array, jax.Array], jax.Array],
    array: jax.Array,
    path: jax.Array,
    values: jax.Array,
) -> jax.Array:
    """Returns `write(array, path, values)`, a scatter of [B, D, ...] `values` along the paths.

    On a CPU a scatter is a loop over its updates, so there it stops at the end of the longest path.
    """

    def on_cpu(array: jax.Array, path: jax.Array, values: jax.Array) -> jax.Array:
        def write_chunk(i: jax.Array, array: jax.Array) -> jax.Array:
            start, part, some = _chunk(i, path, values)
            # The last chunk begins early if the columns do not divide: not to write twice.
            again = start + jnp.arange(part.shape[1]) < i * CHUNK
            return write(array, jnp.where(again[None], -1, part), some)

        return jax.lax.fori_loop(0, _chunks(path), write_chunk, array)

    return jax.lax.platform_dependent(array, path, values, cpu=on_cpu, default=write)


def _along_paths(
    work: Callable[[jax.Array], jax.Array], path: jax.Array, beyond: jax.Array
) -> jax.Array:
    """Returns `work(path)`, which works on int32[B, W] edges, for all D columns.

    On a GPU idle threads cost nothing and a branch waits for the host; on a CPU it is the other way
    round: so there the work stops at the end of the longest path.

    Args:
      beyond: what stands beyond the ends of the paths, [B, D, ...].
    """

    def on_cpu(path: jax.Array, beyond: jax.Array) -> jax.Array:
        def work_chunk(i: jax.Array, found: jax.Array) -> jax.Array:
            start, part = _chunk(i, path)
            return jax.lax.dynamic_update_slice_in_dim(found, work(part), start, 1)

        return jax.lax.fori_loop(0, _chunks(path), work_chunk, beyond)

    def elsewhere(path: jax.Array, beyond: jax.Array) -> jax.Array:
        del beyond
        return work(path)

    return jax.lax.platform_dependent(path, beyond, cpu=on_cpu, default=elsewhere)


def _chunks(path: jax.Array) -> jax.Array:
    """Returns int32[]: how many chunks of columns the longest path touches."""
    longest = (path >= 0).sum(axis=1, dtype=jnp.int32).max()
    return (longest + CHUNK - 1) // CHUNK


def _chunk(i: jax.Array, *arrays: jax.Array) -> tuple[jax.Array, ...]:
    """Returns where chunk i of the columns begins, and the chunk of each [B, D, ...] array."""
    depth = arrays[0].shape[1]
    width = min(CHUNK, depth)
    start = jnp.minimum(i * CHUNK, depth - width)
    return start, *(jax.lax.dynamic_slice_in_dim(x, start, width, 1) for x in arrays)


def _besides(tree: Tree[S], path: jax.Array) -> jax.Array:
    """Returns float[B, W, 3]: what `bounds.besides` says of the nodes on the paths."""
    num_actions = tree.edges.shape[-1]
    edges, node = rows((tree.edges, tree.node), _row_of(path, num_actions))
    others = bounds.besides(edges[..., 3:, :], node[..., 1:], path % num_actions)
    return jnp.where(path[..., None] >= 0, others, 0)


def _ways_out(gumbel: Gumbel | None, config: SearchConfig, tree: Tree[S], task: Task) -> jax.Array:
    """Returns int32[B, D]: the leaf beyond each node's best edge, -1 where that is the path's."""
    path, num_actions = task.path, tree.edges.shape[-1]

    def leave(row: jax.Array, best: jax.Array, path: jax.Array) -> jax.Array:
        cached = rows(tree.leaf, row * num_actions + best).astype(jnp.int32)
        return jnp.where((best != path % num_actions) & (path >= 0), cached, -1)

    def way_out(path: jax.Array) -> jax.Array:
        row = _row_of(path, num_actions)
        best = interior_action(config, row_of(*rows((tree.edges, tree.node), row)))
        return leave(row, best, path)

    if gumbel is None:
        return _along_paths(way_out, path, path * 0 - 1)
    best = root_action(config, root_row(tree, len(path)), gumbel, task.done)
    first = leave(jnp.arange(len(path), dtype=jnp.int32), best, path[:, 0])
    below = _along_paths(way_out, path[:, 1:], path[:, 1:] * 0 - 1)
    return jnp.concatenate([first[:, None], below], axis=1)


def to_words(flags: jax.Array) -> list[jax.Array]:
    """Returns uint32[B] words whose bits are bool[B, D] `flags`, the first one lowest."""
    parts = [flags[:, i : i + 32].astype(jnp.uint32) for i in range(0, flags.shape[1], 32)]
    bit = jnp.arange(32, dtype=jnp.uint32)[None]
    return [(part << bit[:, : part.shape[1]]).sum(axis=1, dtype=jnp.uint32) for part in parts]


def next_true(words: list[jax.Array], position: jax.Array, depth: int) -> jax.Array:
    """Returns int32[B, W]: the first position at or after int32[B, W] ones that has its flag set.

    `depth` if there is none. In words, see `to_words`, finding it takes no loop.
    """
    found = jnp.full_like(position, depth)
    for number, word in reversed(list(enumerate(words))):
        start = 32 * number
        skipped = jnp.clip(position - start, 0, 31).astype(jnp.uint32)
        rest = jnp.where(position < start + 32, word[:, None] >> skipped, 0)
        zeros = jax.lax.population_count(~rest & (rest - 1))
        found = jnp.where(rest > 0, start + (skipped + zeros).astype(jnp.int32), found)
    return found


def _row_of(edge: jax.Array, num_actions: int, beyond: int = 0) -> jax.Array:
    """Returns int32[B, D]: the row, `node * B + lane`, that an edge starts at; `beyond` if none."""
    lane = jnp.arange(edge.shape[0], dtype=jnp.int32)[:, None]
    return jnp.where(edge >= 0, edge // num_actions * edge.shape[0] + lane, beyond)


def _lanes(count: int, batch: int) -> jax.Array:
    """Returns int32[count]: the lane, counting round and round."""
    return jnp.arange(count, dtype=jnp.int32) % batch
