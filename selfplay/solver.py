"""Exhaustive solving of small games, used in evaluation only.

All positions that can be reached are enumerated in batches by the game's own `step`, told apart by
their bytes; then results are passed back from the ends of games.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game, State
from selfplay import positions

ILLEGAL = -2  # below every outcome, so that a maximum over actions needs no mask
UNKNOWN = -3
CHUNK = 1024  # positions expanded at once
POSITION_LIMIT = 1_000_000


class Solved(NamedTuple):
    """N positions where play goes on, and what each action leads to with perfect play."""

    states: State  # batched, [N, ...], in NumPy
    outcomes: np.ndarray  # int8[N, A], for the mover: win 1, draw 0, loss -1, `ILLEGAL`


def solve(game: Game[Any], position_limit: int = POSITION_LIMIT) -> Solved:
    """Returns every live position that can be reached in `game`, with its outcomes.

    Raises:
      ValueError: the game has more live positions than the limit, or moves that lead back to an
        earlier position, which have no result by this method.
    """
    found = _enumerate(game, position_limit)
    return Solved(found.states, _induce(found))


class _Graph(NamedTuple):
    """N live positions and their A edges each."""

    states: State  # [N, ...]
    to_play: np.ndarray  # int8[N]
    legal: np.ndarray  # bool[N, A]
    children: np.ndarray  # int32[N, A], the position reached, -1 where the game ends or is illegal
    endings: np.ndarray  # int8[N, A], the mover's result where the action ends the game, else 0


def _enumerate(game: Game[Any], position_limit: int) -> _Graph:
    opening = jax.tree.map(lambda leaf: np.asarray(leaf)[None], positions.opening_position(game))
    if opening.terminated[0]:
        raise ValueError("solver: the game is over before its first move")
    numbers = {positions.as_rows(opening)[0].tobytes(): 0}
    frontier, levels, legals, children, endings = opening, [], [], [], []
    while len(frontier.to_play):
        after, result = _expand_all(game, frontier)
        legal = np.asarray(frontier.legal_action_mask)
        ended = after.terminated.reshape(legal.shape)
        child = np.full(legal.shape, -1, np.int32)
        edges = np.flatnonzero(legal & ~ended)
        fresh = []
        for edge, row in zip(edges, positions.as_rows(positions.take(after, edges)), strict=True):
            known = len(numbers)
            number = numbers.setdefault(row.tobytes(), known)
            if number == known:
                fresh.append(edge)
            child.reshape(-1)[edge] = number
        if len(numbers) > position_limit:
            raise ValueError(f"solver: the game has more than {position_limit} live positions")
        levels.append(frontier)
        legals.append(legal)
        children.append(child)
        endings.append(np.where(legal & ended, result, 0).astype(np.int8))
        frontier = positions.take(after, np.array(fresh, np.int64))
    states = positions.concatenate(levels)
    return _Graph(
        states,
        np.asarray(states.to_play),
        np.concatenate(legals),
        np.concatenate(children),
        np.concatenate(endings),
    )


def _expand_all(game: Game[Any], states: State) -> tuple[State, np.ndarray]:
    """Returns the positions [N * A, ...] after every action, and int[N, A] the mover's results."""
    count = len(states.to_play)
    parts = []
    for start in range(0, count, CHUNK):
        # Rows beyond the end repeat the last: one shape, one compilation.
        rows = np.minimum(np.arange(start, start + CHUNK), count - 1)
        parts.append(jax.tree.map(np.asarray, _expand(game, positions.take(states, rows))))
    after = positions.concatenate([part[0] for part in parts])
    result = np.concatenate([part[1] for part in parts])
    return positions.take(after, slice(count * game.num_actions)), result[:count]


@functools.partial(jax.jit, static_argnums=0)
def _expand(game: Game[Any], states: State) -> tuple[State, jax.Array]:
    actions = jnp.arange(game.num_actions, dtype=jnp.int32)

    def one(state: State, action: jax.Array) -> tuple[State, jax.Array]:
        after = game.step(state, action)
        return after, game.returns(after)[state.to_play.astype(jnp.int32)]

    after, result = jax.vmap(jax.vmap(one, (None, 0)), (0, None))(states, actions)
    flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), after)
    return flat, jnp.sign(result)


def _induce(graph: _Graph) -> np.ndarray:
    """Returns int8[N, A] outcomes, from the ends of games backwards."""
    inner = graph.children >= 0
    same_mover = graph.to_play[graph.children] == graph.to_play[:, None]
    sign = np.where(same_mover, 1, -1)  # a value changes sign when the turn passes
    outcomes = np.where(graph.legal, graph.endings, ILLEGAL)
    outcomes = np.where(inner, UNKNOWN, outcomes)
    values = np.full(len(graph.to_play), UNKNOWN)
    waiting = np.arange(len(values))
    # By readiness, not by ply: one position may be reached after different numbers of plies.
    while len(waiting):
        known = values[graph.children[waiting]]
        passed = np.where(known == UNKNOWN, UNKNOWN, known * sign[waiting])
        outcomes[waiting] = np.where(inner[waiting], passed, outcomes[waiting])
        ready = (outcomes[waiting] != UNKNOWN).all(axis=1)
        if not ready.any():
            raise ValueError("solver: the game has moves that lead back to an earlier position")
        values[waiting[ready]] = outcomes[waiting[ready]].max(axis=1)
        waiting = waiting[~ready]
    return outcomes.astype(np.int8)
