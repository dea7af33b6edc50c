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

from typing import Generic, NamedTuple

import jax
import jax.numpy as jnp

from games.game import Game, Remembering, S
from mcts import paths
from mcts import proven as bounds
from mcts.config import SearchConfig
from mcts.contract import Evaluate, Variables, judge
from mcts.paths import Paths, Steps
from mcts.selection import Gumbel, interior_action, root_action, to_prior
from mcts.tree import Tree, forget, new_edges, new_node, put, root_row, row_of, rows


class Task(NamedTuple):
    """What one simulation has to tell the nodes on its B paths."""

    paths: Paths  # from the roots to the evaluated nodes
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
    path, length = paths.lengthen(way, edge)

    here = config.reuse + done + 1
    number = jnp.repeat(here + jnp.arange(leaves, dtype=jnp.int32), batch)
    node = new_node(state, believed.value)
    # Every rule agrees on a node without visits: the likeliest action.
    onward = number * num_actions + jnp.argmax(prior, axis=-1).astype(jnp.int32)
    tree = Tree(
        state=put(tree.state, here * batch, forget(game, state)),
        path=put(tree.path, here * batch, path),
        node=put(tree.node, here * batch, node),
        edges=put(tree.edges, here * batch, new_edges(config, prior, node)),
        leaf=tree.leaf,
    )
    # Read from memory: on CPUs, XLA would play the move anew for every place that hears of it.
    new = here * batch + jnp.arange(len(edge), dtype=jnp.int32)
    terminated, node = rows((tree.state.terminated, tree.node), new)
    end = jnp.where(terminated | (length == max_depth), edge, onward)
    found = bounds.of_leaf(node[:, 0] * node[:, 1], terminated)

    parts = path, length, end, found
    parts = jax.tree.map(lambda x: x.reshape(leaves, batch, *x.shape[1:]), parts)

    def take_in(search: Search[S], part: tuple[jax.Array, ...]) -> tuple[Search[S], None]:
        path, length, end, found, done = part
        task = Task(paths.to_paths(path, length, num_actions), end, found, done)
        tree = search.tree._replace(edges=_back_up(config, search.tree, task))
        return _mend(gumbel, config, tree, task), None

    tasks = *parts, done + 1 + jnp.arange(leaves, dtype=jnp.int32)
    return jax.lax.scan(take_in, Search(tree, search.edge), tasks, unroll=leaves == 1)[0]


def _recall(game: Game[S], state: S, root: S, tree: Tree[S], way: jax.Array) -> S:
    """Returns the states of K * B nodes with their past; int32[K * B, D] `way` leads to each."""
    if not isinstance(game, Remembering):
        return state
    batch, num_actions = len(root.to_play), tree.edges.shape[-1]
    # Beyond the end of a way stands the root once more.
    passed = paths.start_rows(way, batch, num_actions)
    roots = jax.tree.map(lambda x: jnp.concatenate([x] * (len(way) // batch)), root)
    return jax.vmap(game.recall)(state, roots, rows(tree.state, passed))


def _mend(gumbel: Gumbel | None, config: SearchConfig, tree: Tree[S], task: Task) -> Search[S]:
    """Returns the trees with the leaves along the paths mended, and the next leaf.

    Greedy descent from a node follows the path up to the first node whose best edge leaves it, else
    to the path's own end. Off the path nothing has changed, so the leaf cached there still holds.
    """
    ways_out = _ways_out(gumbel, config, tree, task)
    (batch, depth), num_actions = task.paths.edge.shape, tree.edges.shape[-1]
    ended = task.paths.edge < 0
    leaves_path = paths.to_words((ways_out >= 0) | ended)
    ways_out = jnp.where(ended, task.end[:, None], ways_out)
    ways_out = jnp.concatenate([ways_out, task.end[:, None]], axis=1)

    def end(lane: jax.Array, column: jax.Array) -> jax.Array:
        """Returns int32[W]: where descent from the nodes in these columns ends."""
        until = paths.next_true(leaves_path, lane, column, depth)
        return rows(ways_out.reshape(-1), lane * (depth + 1) + until)

    def put_ends(leaf: jax.Array, steps: Steps, _: tuple[()]) -> jax.Array:
        ends = end(steps.place // depth, steps.place % depth + 1).astype(leaf.dtype)
        at = jnp.where(steps.used, steps.row * num_actions + steps.action, len(leaf))
        return leaf.at[at].set(ends, mode="drop", unique_indices=True)

    leaf = paths.write(put_ends, tree.leaf, task.paths, ())
    lane = jnp.arange(batch, dtype=jnp.int32)
    return Search(tree._replace(leaf=leaf), end(lane, 0 * lane))


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
        path, length = paths.lengthen(rows(tree.path, parent).astype(jnp.int32), edge)
        nothing = jnp.zeros((batch, 3), tree.node.dtype)
        task = Task(paths.to_paths(path, length, num_actions), edge, nothing, done + k + 1)
        sign = rows(tree.node, task.paths.row)[..., 1]
        lost = tree._replace(edges=_visit(tree.edges, task.paths, -sign))
        after = _mend(gumbel, config, lost, task)
        return after, after.edge

    others = jax.lax.scan(lose, search, jnp.arange(leaves - 1, dtype=jnp.int32))[1]
    return jnp.concatenate([search.edge, others.reshape(-1)])


def _back_up(config: SearchConfig, tree: Tree[S], task: Task) -> jax.Array:
    """Returns `tree.edges` with a visit of what was found at every edge of the paths."""
    if not config.proven:
        return _visit(tree.edges, task.paths, task.found[:, :1])

    def besides(steps: Steps) -> jax.Array:
        edges, node = rows((tree.edges, tree.node), steps.row)
        return bounds.besides(edges[..., 3:, :], node[..., 1:], steps.action)

    nothing = jnp.stack([task.paths.edge.astype(tree.edges.dtype) * 0] * 3, axis=-1)
    others = paths.along(besides, task.paths, nothing)
    value, least, most = bounds.back_up(others, task.found)
    edges = _visit(tree.edges, task.paths, value)
    known = jnp.stack([least, most], axis=-1)
    return paths.write(_put_bounds, edges, task.paths, known)


def _visit(edges: jax.Array, along: Paths, value: jax.Array) -> jax.Array:
    """Returns `edges` with a visit of float[B, D or 1] `value`, for seat 0, along the paths."""
    return paths.write(_add_visits, edges, along, value)


def _add_visits(edges: jax.Array, steps: Steps, value: jax.Array) -> jax.Array:
    row = jnp.where(steps.used, steps.row, len(edges))
    visits = jnp.stack([jnp.ones_like(value), value], axis=-1)
    return edges.at[row, 1:3, steps.action].add(visits, mode="drop", unique_indices=True)


def _put_bounds(edges: jax.Array, steps: Steps, known: jax.Array) -> jax.Array:
    row = jnp.where(steps.used, steps.row, len(edges))
    return edges.at[row, 3:, steps.action].set(known, mode="drop", unique_indices=True)


def _ways_out(gumbel: Gumbel | None, config: SearchConfig, tree: Tree[S], task: Task) -> jax.Array:
    """Returns int32[B, D]: the leaf beyond each node's best edge, -1 where that is the path's."""
    batch, num_actions = len(task.paths.edge), tree.edges.shape[-1]

    def leave(row: jax.Array, action: jax.Array, best: jax.Array) -> jax.Array:
        cached = rows(tree.leaf, row * num_actions + best).astype(jnp.int32)
        return jnp.where(best != action, cached, -1)

    def way_out(steps: Steps) -> jax.Array:
        best = interior_action(config, row_of(*rows((tree.edges, tree.node), steps.row)))
        return leave(steps.row, steps.action, best)

    none = task.paths.edge * 0 - 1
    if gumbel is None:
        return paths.along(way_out, task.paths, none)
    best = root_action(config, root_row(tree, batch), gumbel, task.done)
    first = leave(jnp.arange(batch, dtype=jnp.int32), task.paths.action[:, 0], best)
    return paths.along(way_out, task.paths, none.at[:, 0].set(first), below=True)


def _lanes(count: int, batch: int) -> jax.Array:
    """Returns int32[count]: the lane, counting round and round."""
    return jnp.arange(count, dtype=jnp.int32) % batch
