"""The batched search tree: one simulation is a fixed number of array operations, at any depth.

Three caches replace the walks down and up the tree:

- every node keeps its **path**, the edges from the root to it, so a backup is one scatter;
- every edge keeps its **leaf**, the edge at which greedy descent through it leaves the tree;
- so the next leaf is known before a simulation starts: the leaf of the root's best edge.

A simulation changes the visits and values of the nodes on its path and of no other, and the rules
of selection look at one node's own row, so rescoring the path keeps all caches exact.

An edge is numbered `node * A + action`; node 0 is the root, simulation t makes node t + 1. A
finished position is never expanded: it is a leaf whose edge stays its own leaf, and so is a node at
the depth cap. Reaching it again steps into it again and backs up its value once more; the node that
this simulation makes is a copy to which no edge leads.
"""

from typing import Generic, NamedTuple

import jax
import jax.numpy as jnp

from games.game import Game, S
from mcts.config import SearchConfig
from mcts.contract import Evaluate, Evaluation, Variables, mask_illegal
from mcts.selection import Gumbel, Row, node_actions, to_prior


class Tree(NamedTuple, Generic[S]):
    """B trees of N nodes and A actions, depth at most D; node-major: a new node is one slab."""

    state: S  # each leaf [N, B, ...]
    path: jax.Array  # int[N, B, D], edges from the root into the node, then -1
    raw_value: jax.Array  # float[N, B], for the seat to play there
    sign: jax.Array  # int8[N, B], 1 where seat 0 is to play, else -1
    prior: jax.Array  # float[N, B, A], see `selection.to_prior`
    visits: jax.Array  # int[N, B, A]
    value_sum: jax.Array  # float[N, B, A], over the visits, for seat 0
    leaf: jax.Array  # int[N, B, A], the edge where descent through this edge ends
    

class Search(NamedTuple, Generic[S]):
    tree: Tree[S]
    next_edge: jax.Array  # int32[B], the leaf that the next simulation starts from


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
      root: the roots' evaluation with masked logits and, for PUCT, its noise within.
    """
    tree = _plant(game, state, root, config)
    first = node_actions(config, jax.tree.map(lambda x: x[:, None], _root_row(tree)), gumbel, jnp.int32(0))

    def simulate(done: jax.Array, search: Search[S]) -> Search[S]:
        return _simulate(game, evaluate, variables, gumbel, config, search, done)

    search = jax.lax.fori_loop(0, config.simulations, simulate, Search(tree, first[:, 0]))
    return _root_row(search.tree)


def _plant(game: Game[S], state: S, root: Evaluation, config: SearchConfig) -> Tree[S]:
    batch, num_actions = root.prior_logits.shape
    nodes = config.simulations + 1
    depth = config.depth(game.max_plies)
    edge_dtype = _width(nodes * num_actions)

    def room(row: jax.Array) -> jax.Array:
        return jnp.pad(row[None], [(0, nodes - 1)] + [(0, 0)] * row.ndim)

    none = jnp.zeros_like(root.prior_logits)
    return Tree(
        state=jax.tree.map(room, state),
        path=room(jnp.full((batch, depth), -1, edge_dtype)),
        raw_value=room(root.value),
        sign=room(_sign(state)),
        prior=room(to_prior(config, root.prior_logits)),
        visits=room(none.astype(_width(config.simulations))),
        value_sum=room(none),
        leaf=room(_own_edges(0, batch, num_actions, edge_dtype)),
    )


def _simulate(game, evaluate, variables, gumbel, config, search, done):
    tree, edge = search
    num_actions, depth_cap = tree.prior.shape[-1], tree.path.shape[-1]
    lane = jnp.arange(edge.shape[0])
    parent, action = edge // num_actions, edge % num_actions
    path = tree.path[parent, lane].astype(jnp.int32)
    depth = (path >= 0).sum(axis=-1, dtype=jnp.int32)
    path = jnp.where(jnp.arange(depth_cap)[None] == depth[:, None], edge[:, None], path)

    parent_state = jax.tree.map(lambda x: x[parent, lane], tree.state)
    child = jax.vmap(game.step)(parent_state, action)
    value, prior = _evaluate(game, evaluate, variables, config, child)

    on_path = path >= 0
    nodes = jnp.maximum(path, 0) // num_actions
    actions = jnp.maximum(path, 0) % num_actions
    col = lane[:, None]
    taken = (jnp.arange(num_actions)[None, None] == actions[..., None]) & on_path[..., None]
    value0 = _sign(child) * value
    sign = tree.sign[nodes, col]
    row = Row(
        prior=tree.prior[nodes, col],
        visits=tree.visits[nodes, col] + taken,
        value_sum=sign[..., None] * (tree.value_sum[nodes, col] + jnp.where(taken, value0[:, None, None], 0)),
        raw_value=tree.raw_value[nodes, col],
    )
    best = node_actions(config, row, gumbel, done + 1)
    off = tree.leaf[nodes, col, best].astype(jnp.int32)
    new = done + 1
    stuck = child.terminated | (depth + 1 == depth_cap)
    end = jnp.where(stuck, edge, new * num_actions + jnp.argmax(prior, axis=-1).astype(jnp.int32))
    leaf = _chain(off, (best != actions) | ~on_path, jnp.where(on_path, 0, 1), end)
    where = jnp.where(on_path, nodes, tree.prior.shape[0])
    tree = Tree(
        state=jax.tree.map(lambda x, y: x.at[new].set(y), tree.state, child),
        path=tree.path.at[new].set(path.astype(tree.path.dtype)),
        raw_value=tree.raw_value.at[new].set(value),
        sign=tree.sign.at[new].set(_sign(child)),
        prior=tree.prior.at[new].set(prior),
        visits=tree.visits.at[where, col, actions].add(1, mode="drop", unique_indices=True),
        value_sum=tree.value_sum.at[where, col, actions].add(value0[:, None], mode="drop", unique_indices=True),
        leaf=tree.leaf.at[new].set(_own_edges(new, edge.shape[0], num_actions, tree.leaf.dtype))
            .at[where, col, actions].set(leaf[:, 1:].astype(tree.leaf.dtype), mode="drop", unique_indices=True),
    )
    return Search(tree, leaf[:, 0])


def _chain(off, leaves, beyond, end):
    depth = off.shape[1]
    at = jnp.where(leaves, jnp.arange(depth, dtype=jnp.int32)[None], depth)
    first = jax.lax.cummin(at, axis=1, reverse=True)
    off = jnp.where(beyond == 1, end[:, None], off)
    off = jnp.concatenate([off, end[:, None]], axis=1)
    first = jnp.concatenate([first, jnp.full_like(first[:, :1], depth)], axis=1)
    return jnp.take_along_axis(off, first, axis=1)


def _evaluate(game, evaluate, variables, config, state):
    """Returns the value for the seat to play and the prior of B new nodes."""
    evaluation = evaluate(variables, jax.vmap(game.observe)(state))
    returns = jax.vmap(game.returns)(state).astype(evaluation.value.dtype)
    result = jnp.where(state.to_play == 0, returns[:, 0], returns[:, 1])
    # `where`, for what a network says of a finished position may even be NaN.
    value = jnp.where(state.terminated, result, evaluation.value)
    return value, to_prior(config, mask_illegal(evaluation.prior_logits, state.legal_action_mask))


def _root_row(tree):
    return Row(tree.prior[0], tree.visits[0], tree.sign[0][:, None] * tree.value_sum[0], tree.raw_value[0])


def _own_edges(node, batch, num_actions, dtype):
    edges = node * num_actions + jnp.arange(num_actions, dtype=jnp.int32)
    return jnp.broadcast_to(edges.astype(dtype), (batch, num_actions))


def _sign(state):
    return jnp.where(state.to_play == 0, 1, -1).astype(jnp.int8)


def _width(largest: int):
    return next(t for t in (jnp.int8, jnp.int16, jnp.int32) if largest <= jnp.iinfo(t).max)
