"""Subtree reuse: what a tree knows of the position after a move is where the next search begins.

The nodes that a search can pass through below the chosen action are kept, in the order in which
they were made: so the new root comes first, and no node before its parent. Finished positions and
nodes at the depth cap are dropped: the edges to them keep their visits and are stepped along again.
"""

import math

import jax
import jax.numpy as jnp

from mcts.config import SearchConfig
from mcts.node import is_legal
from mcts.paths import start_rows
from mcts.policy import POLICIES
from mcts.tree import PRIOR, Tree, node_stats, own_edges, take_rows


def keep(tree: Tree, action: jax.Array, config: SearchConfig) -> Tree:
    """Returns the subtrees below a move, as trees of `reuse_nodes + 1` nodes.

    The oldest nodes are kept if there are more. A root without visits means that nothing is known:
    so it is where the move ended the game, for below a finished position nothing is searched.

    Args:
      tree: trees that were searched, or what was kept of them: one may keep twice for two moves.
      action: int32[B], the move.
    """
    batch, slots = len(action), config.reuse_nodes + 1
    num_actions = tree.num_actions
    # Which nodes lie below the move, and can be passed through.
    path = tree.path.reshape(-1, batch, tree.max_depth).astype(jnp.int32)
    unfinished = is_legal(tree.edges[:, PRIOR]).any(axis=-1).reshape(-1, batch)
    passable = unfinished & (path[..., -1] < 0)
    wanted = (path[..., 0] == action[None]) & passable
    # Number them anew, the oldest first, and find the old row of each new one.
    slot = jnp.where(wanted, jnp.cumsum(wanted, axis=0) - 1, slots)  # [N, B], the node's new number
    env = jnp.arange(batch, dtype=jnp.int32)
    number = jnp.broadcast_to(jnp.arange(len(path), dtype=jnp.int32)[:, None], wanted.shape)
    source = jnp.full((slots, batch), -1, jnp.int32)
    source = source.at[slot, env[None]].set(number, mode="drop")  # of each slot, -1 for none
    used = (source >= 0).reshape(-1)
    row = (jnp.maximum(source, 0) * batch + env[None]).reshape(-1)

    # Their paths begin one edge later, and name nodes by their new numbers.
    edge = take_rows(tree.path, row).astype(jnp.int32)
    edge = jnp.concatenate([edge[:, 1:], edge[:, :1] * 0 - 1], axis=1)
    at = start_rows(edge, batch, num_actions)
    moved = take_rows(slot.reshape(-1), at) * num_actions + edge % num_actions
    edge = jnp.where(used[:, None] & (edge >= 0), moved, -1)
    # Statistics move along; what is not used is a node without visits.
    edges = jnp.where(used[:, None, None], take_rows(tree.edges, row), 0)
    kept = Tree(
        state=take_rows(tree.state, row),
        path=edge.astype(tree.path.dtype),
        node=take_rows(tree.node, row),
        edges=edges,
        leaf=tree.leaf[: slots * batch * num_actions],
    )
    return kept._replace(leaf=_leaves(kept, used, batch, config).astype(tree.leaf.dtype))


def _leaves(tree: Tree, used: jax.Array, batch: int, config: SearchConfig) -> jax.Array:
    """Returns int32[N * B * A]: where greedy descent through each edge ends.

    A node points to the next one on its descent; following the pointer of that one doubles the
    distance, until all point to the last.
    """
    count, depth = tree.path.shape
    num_actions = tree.num_actions
    env = jnp.arange(count, dtype=jnp.int32) % batch
    number = jnp.arange(count, dtype=jnp.int32) // batch
    path = tree.path.astype(jnp.int32)
    # The child at each edge, -1 for none: of a node's path, the last edge leads to it.
    into = path.max(axis=1)  # the last edge: later nodes have higher numbers
    place = (into // num_actions * batch + env) * num_actions + into % num_actions
    place = jnp.where(used & (into >= 0), place, count * num_actions)
    child = jnp.full(count * num_actions, -1, jnp.int32).at[place].set(number, mode="drop")

    # Where each node's best edge leads, followed to the end by pointer doubling.
    best = POLICIES[config.policy].interior_action(config, node_stats(tree.edges, tree.node))
    following = take_rows(child, jnp.arange(count, dtype=jnp.int32) * num_actions + best)
    last = jnp.where(following < 0, number, following)
    for _ in range(math.ceil(math.log2(depth)) + 1):
        last = take_rows(last, last * batch + env)
    # An edge with a child ends where the child's descent does, any other one at itself.
    end = last * num_actions + take_rows(best, last * batch + env)
    beyond = take_rows(end, jnp.maximum(child, 0) * batch + jnp.repeat(env, num_actions))
    return jnp.where(child < 0, own_edges(number, num_actions), beyond)
