"""The simulations, which grow the trees: a fixed number of array operations each, at any depth.

Three caches replace the walks down and up the tree:

- Every node keeps its **path**, the edges from the root to it. So a backup is one scatter.
- Every edge keeps its **leaf**, the edge at which greedy descent through it leaves the tree.
- So the next leaf is known before a simulation starts: the leaf of the root's best edge.

A simulation changes the visits and values of the nodes on its path and of no other, and the rules
of selection look at one node alone. So rescoring the nodes on the path keeps all caches exact.

An edge is numbered `node * A + action`. Node 0 is the root; after room for R nodes kept of an
earlier search, simulation t makes node R + t + 1. Neither a finished position nor a node at the
depth cap is ever expanded: the edge to it stays its own leaf. Reaching it again steps into it again
and backs up the same value once more. The node that this simulation makes is a spare copy, to which
no edge leads.
"""

from typing import Generic, NamedTuple

import jax
import jax.numpy as jnp

from games.game import Game, Remembering, S
from mcts import proven
from mcts.config import SearchConfig
from mcts.contract import Evaluate, Variables, evaluate_states
from mcts.path_work import map_edges, scatter_edges, to_paths
from mcts.paths import Paths, Steps, append_edge, next_true, start_rows, to_words
from mcts.policy import Plan, SearchPolicy
from mcts.tree import (
    BOUNDS,
    SIGN,
    Tree,
    add_visits,
    forget,
    new_edges,
    new_nodes,
    node_states,
    node_stats,
    put_slab,
    root_stats,
    seat_0_value,
    set_bounds,
    take_rows,
    unpack,
)


class SearchContext(NamedTuple, Generic[S]):
    """What stays the same through all simulations of a search."""

    game: Game[S]
    evaluate: Evaluate
    variables: Variables
    roots: S  # leaves [B, ...], with their past
    config: SearchConfig
    policy: SearchPolicy
    plan: Plan  # of the policy's root rule

    @property
    def batch(self) -> int:
        """B, the number of trees."""
        return len(self.roots.to_play)


class SearchState(NamedTuple):
    """The state of a search before a simulation."""

    tree: Tree
    edge: jax.Array  # int32[B], the next leaf: the edge to step along


class NewNodes(NamedTuple):
    """Paths, leaves and bounds of K * B new nodes, K slabs of B."""

    path: jax.Array  # int32[K * B, D], from the roots to them, then -1
    length: jax.Array  # int32[K * B], how many edges that is
    leaf: jax.Array  # int32[K * B], the leaf of the last edge
    bounds: jax.Array  # float[K * B, 3], their values, see `proven.leaf_bounds`


class PathUpdate(NamedTuple):
    """Where one simulation has changed B trees."""

    paths: Paths  # from the roots to the evaluated nodes
    leaf: jax.Array  # int32[B], the leaf of the last edge
    done: jax.Array  # int32[], simulations made, this one included


def simulate_all(context: SearchContext[S], tree: Tree) -> Tree:
    """Returns the trees, begun by `init_tree`, after all simulations."""
    config = context.config
    # The first leaf lies along the root's best edge: nothing has been visited yet.
    best = _root_action(context, tree, jnp.int32(0))
    start = jnp.arange(context.batch, dtype=jnp.int32) * tree.num_actions + best
    search = SearchState(tree, take_rows(tree.leaf, start).astype(jnp.int32))
    # With several leaves an evaluation, the odd ones come first, so that the loop's body is one.
    steps, rest = divmod(config.simulations, config.leaves)
    if rest:
        search = _simulate(context, rest, search, jnp.int32(0))

    def step(i: jax.Array, search: SearchState) -> SearchState:
        return _simulate(context, config.leaves, search, rest + i * config.leaves)

    return jax.lax.fori_loop(0, steps, step, search).tree


def _simulate(
    context: SearchContext[S], leaves: int, search: SearchState, done: jax.Array
) -> SearchState:
    """Steps along the next edges, evaluates, backs up, and finds the next leaf.

    K `leaves` are simulations that share one evaluation. Slab k of the new nodes belongs to
    simulation `done + k + 1`; they are backed up one after the other.
    """
    # Select: the edge is known beforehand, for the last backup has found the next leaf.
    edge = _next_edges(context, leaves, search, done)
    # Expand and evaluate, all K * B new nodes in one call of the network.
    tree, new = _expand(context, search.tree, edge, done)
    # Back up, one slab after the other: paths of the same tree may share edges.
    slabs = jax.tree.map(lambda x: x.reshape(leaves, context.batch, *x.shape[1:]), new)

    def backup(search: SearchState, slab: tuple[NewNodes, jax.Array]) -> tuple[SearchState, None]:
        new, done = slab
        paths = to_paths(new.path, new.length, tree.num_actions)
        update = PathUpdate(paths, new.leaf, done)
        edges = _add_results(context.config, search.tree, paths, new.bounds)
        return _update_leaf_cache(context, search.tree._replace(edges=edges), update), None

    counts = done + 1 + jnp.arange(leaves, dtype=jnp.int32)
    search = SearchState(tree, search.edge)
    return jax.lax.scan(backup, search, (slabs, counts), unroll=leaves == 1)[0]


def _next_edges(
    context: SearchContext[S], leaves: int, search: SearchState, done: jax.Array
) -> jax.Array:
    """Returns int32[K * B]: the edges to step along.

    Each is chosen as if the ones before it had lost for every seat that moved there (virtual loss,
    Chaslot et al., "Parallel Monte-Carlo Tree Search", 2008). The same edge may be chosen twice.
    """
    if leaves == 1:
        return search.edge
    num_actions = search.tree.num_actions

    def lose(search: SearchState, k: jax.Array) -> tuple[SearchState, jax.Array]:
        # A visit that loses for whoever moved, along the path that this leaf would take.
        tree, edge = search
        parent = _parents(edge, context.batch, num_actions)
        path, length = append_edge(take_rows(tree.path, parent).astype(jnp.int32), edge)
        paths = to_paths(path, length, num_actions)
        update = PathUpdate(paths, edge, done + k + 1)
        sign = take_rows(tree.node, paths.row)[..., SIGN]
        lost = tree._replace(edges=_add_path_visits(tree.edges, paths, -sign))
        after = _update_leaf_cache(context, lost, update)
        return after, after.edge

    others = jax.lax.scan(lose, search, jnp.arange(leaves - 1, dtype=jnp.int32))[1]
    return jnp.concatenate([search.edge, others.reshape(-1)])


def _expand(
    context: SearchContext[S], tree: Tree, edge: jax.Array, done: jax.Array
) -> tuple[Tree, NewNodes]:
    """Steps along int32[K * B] edges; returns the trees with the nodes there, evaluated."""
    game, config = context.game, context.config
    batch, num_actions = context.batch, tree.num_actions
    parent = _parents(edge, batch, num_actions)
    parent_path = take_rows(tree.path, parent).astype(jnp.int32)
    # Play the move at the parent.
    like = forget(game, context.roots)
    state = unpack(take_rows(tree.state, parent), like)
    state = _recall(context, state, tree, parent_path)
    state = jax.vmap(game.step)(state, edge % num_actions)
    # Ask the network.
    evaluation = evaluate_states(game, context.evaluate, context.variables, state)
    prior = context.policy.prior(evaluation.prior_logits)
    path, length = append_edge(parent_path, edge)

    # Write the nodes: number n of all B trees lies in one slab, so this is a copy in place.
    first = config.reuse_nodes + done + 1
    number = jnp.repeat(first + jnp.arange(len(edge) // batch, dtype=jnp.int32), batch)
    node = new_nodes(state, evaluation.value)
    # Every policy agrees on a node without visits: the likeliest action.
    onward = number * num_actions + jnp.argmax(prior, axis=-1).astype(jnp.int32)
    tree = Tree(
        state=put_slab(tree.state, first * batch, node_states(game, state)),
        path=put_slab(tree.path, first * batch, path),
        node=put_slab(tree.node, first * batch, node),
        edges=put_slab(tree.edges, first * batch, new_edges(config, prior, node)),
        leaf=tree.leaf,
    )
    # Read from memory: on CPUs, XLA would play the move anew for every place that hears of it.
    row = first * batch + jnp.arange(len(edge), dtype=jnp.int32)
    made, node = take_rows((tree.state, tree.node), row)
    terminated = unpack(made, like).terminated
    leaf = jnp.where(terminated | (length == tree.max_depth), edge, onward)
    bounds = proven.leaf_bounds(seat_0_value(node), terminated)
    return tree, NewNodes(path, length, leaf, bounds)


def _recall(context: SearchContext[S], state: S, tree: Tree, path: jax.Array) -> S:
    """Returns the states of K * B nodes with their past; int32[K * B, D] `path` leads to each."""
    game, roots = context.game, context.roots
    if not isinstance(game, Remembering):
        return state
    # Beyond the end of a path stands the root once more.
    passed = start_rows(path, context.batch, tree.num_actions)
    roots = jax.tree.map(lambda x: jnp.concatenate([x] * (len(path) // context.batch)), roots)
    line = unpack(take_rows(tree.state, passed), forget(game, context.roots))
    return jax.vmap(game.recall)(state, roots, line)


def _parents(edge: jax.Array, batch: int, num_actions: int) -> jax.Array:
    """Returns int32[K * B]: the rows of the nodes that int32[K * B] edges start at."""
    return edge // num_actions * batch + jnp.arange(len(edge), dtype=jnp.int32) % batch


def _add_results(
    config: SearchConfig, tree: Tree, paths: Paths, leaf_bounds: jax.Array
) -> jax.Array:
    """Returns `tree.edges` after the visits of B paths, whose ends have float[B, 3] bounds."""
    if not config.proven:
        return _add_path_visits(tree.edges, paths, leaf_bounds[:, :1])

    def siblings(steps: Steps) -> jax.Array:
        edges, node = take_rows((tree.edges, tree.node), steps.row)
        return proven.sibling_bounds(edges[..., BOUNDS, :], node[..., SIGN:], steps.action)

    def put(edges: jax.Array, steps: Steps, bounds: jax.Array) -> jax.Array:
        return set_bounds(edges, _rows_to_write(edges, steps), steps.action, bounds)

    none = jnp.stack([paths.edge.astype(tree.edges.dtype) * 0] * 3, axis=-1)
    # Bounds go up first: a proven node's value is its bound, not the mean.
    value, least, most = proven.back_up(map_edges(siblings, paths, none), leaf_bounds)
    edges = _add_path_visits(tree.edges, paths, value)
    return scatter_edges(put, edges, paths, jnp.stack([least, most], axis=-1))


def _add_path_visits(edges: jax.Array, paths: Paths, value: jax.Array) -> jax.Array:
    """Returns `edges` with a visit of float[B, D or 1] `value`, for seat 0, along the paths."""

    def put(edges: jax.Array, steps: Steps, value: jax.Array) -> jax.Array:
        return add_visits(edges, _rows_to_write(edges, steps), steps.action, value)

    return scatter_edges(put, edges, paths, value)


def _rows_to_write(edges: jax.Array, steps: Steps) -> jax.Array:
    """Returns int32[W]: the row of each step, beyond the last one for an empty place."""
    return jnp.where(steps.used, steps.row, len(edges))


def _update_leaf_cache(context: SearchContext[S], tree: Tree, update: PathUpdate) -> SearchState:
    """Returns the trees with the leaves along the paths brought up to date, and the next leaf.

    Greedy descent from a node follows the path up to the first node whose best edge leaves it, else
    to the path's own end. Off the path nothing has changed, so the leaf cached there still holds.
    """
    # Where does descent leave the path, at each of its nodes?
    exit_leaf = _exit_leaves(context, tree, update)
    paths, num_actions, depth = update.paths, tree.num_actions, tree.max_depth
    ended = paths.edge < 0
    # From each node, the first such place below it is where descent ends.
    leaves_path = to_words((exit_leaf >= 0) | ended)
    exit_leaf = jnp.where(ended, update.leaf[:, None], exit_leaf)
    exit_leaf = jnp.concatenate([exit_leaf, update.leaf[:, None]], axis=1)

    def leaf_from(env: jax.Array, column: jax.Array) -> jax.Array:
        """Returns int32[W]: where descent from the nodes in these columns ends."""
        until = next_true(leaves_path, env, column, depth)
        return take_rows(exit_leaf.reshape(-1), env * (depth + 1) + until)

    def put(leaf: jax.Array, steps: Steps, _: tuple[()]) -> jax.Array:
        following = leaf_from(steps.place // depth, steps.place % depth + 1).astype(leaf.dtype)
        at = jnp.where(steps.used, steps.row * num_actions + steps.action, len(leaf))
        return leaf.at[at].set(following, mode="drop", unique_indices=True)

    leaf = scatter_edges(put, tree.leaf, paths, ())
    env = jnp.arange(context.batch, dtype=jnp.int32)
    return SearchState(tree._replace(leaf=leaf), leaf_from(env, 0 * env))


def _exit_leaves(context: SearchContext[S], tree: Tree, update: PathUpdate) -> jax.Array:
    """Returns int32[B, D]: the leaf beyond each node's best edge, -1 where that is the path's."""
    config, policy, paths = context.config, context.policy, update.paths

    def exit_leaf(row: jax.Array, action: jax.Array, best: jax.Array) -> jax.Array:
        cached = take_rows(tree.leaf, row * tree.num_actions + best).astype(jnp.int32)
        return jnp.where(best != action, cached, -1)

    def interior(steps: Steps) -> jax.Array:
        stats = node_stats(*take_rows((tree.edges, tree.node), steps.row))
        return exit_leaf(steps.row, steps.action, policy.interior_action(config, stats))

    none = paths.edge * 0 - 1
    if policy.root is None:
        return map_edges(interior, paths, none)
    # At the root sequential halving chooses; below it, the interior rule.
    best = _root_action(context, tree, update.done)
    env = jnp.arange(context.batch, dtype=jnp.int32)
    at_root = exit_leaf(env, paths.action[:, 0], best)
    return map_edges(interior, paths, none.at[:, 0].set(at_root), skip_root=True)


def _root_action(context: SearchContext[S], tree: Tree, done: jax.Array) -> jax.Array:
    """Returns int32[B]: the best action at the roots, after `done` simulations."""
    config, policy = context.config, context.policy
    stats = root_stats(tree, context.batch)
    if policy.root is None:
        return policy.interior_action(config, stats)
    return policy.root.action(config, context.plan, stats, done)
