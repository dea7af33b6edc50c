"""Varied openings for matches: positions after a few uniformly random plies, from a key.

Two players that always play their best move would otherwise play one game over and over.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game, State
from mcts import mask_illegal
from selfplay import positions

DEFAULT_PLIES = 4
PLAYOUTS = 1024  # tried at once
STALE_CALLS = 3  # calls without a new position after which the game is taken to have no more


class Openings(NamedTuple):
    """N positions to start games from."""

    moves: tuple[tuple[int, ...], ...]  # N lists of actions
    states: State  # batched, [N, ...], in NumPy
    distinct: int  # how many of the N positions differ; below N only if the game has no more


def make_openings(
    game: Game[Any], count: int, opening_key: jax.Array, plies: int = DEFAULT_PLIES
) -> Openings:
    """Returns `count` unfinished positions, distinct as long as the game has enough of them.

    If it has too few, each comes equally often, up to one. If no game lasts `plies` random plies,
    the openings are shorter.

    Raises:
      ValueError: a negative number of plies, or a count below 1.
    """
    if count < 1:
        raise ValueError(f"openings: the count must be at least 1, got {count}")
    if plies < 0:
        raise ValueError(f"openings: the plies must be at least 0, got {plies}")
    found: list[tuple[int, ...]] = []
    for length in range(min(plies, game.max_plies), -1, -1):
        found = _distinct(game, count, length, opening_key)
        if found:
            break
    if not found:
        raise ValueError("openings: the game is over before its first move")
    moves = tuple(found[i % len(found)] for i in range(count))
    states = positions.take(positions.replay(game, moves).states, slice(None))
    return Openings(moves, states, len(found))


def _distinct(
    game: Game[Any], count: int, plies: int, opening_key: jax.Array
) -> list[tuple[int, ...]]:
    """Returns up to `count` move lists of `plies` plies to distinct unfinished positions."""
    found: dict[bytes, tuple[int, ...]] = {}
    stale = call = 0
    while len(found) < count and stale < STALE_CALLS:
        states, moves = _playouts(game, plies, jax.random.fold_in(opening_key, call))
        before = len(found)
        live = ~np.asarray(states.terminated)
        for row, actions in zip(
            positions.as_rows(states)[live], np.asarray(moves)[live].tolist(), strict=True
        ):
            if len(found) < count:
                found.setdefault(row.tobytes(), tuple(actions))
        stale = 0 if len(found) > before else stale + 1
        call += 1
    return list(found.values())


@functools.partial(jax.jit, static_argnums=(0, 1))
def _playouts(game: Game[Any], plies: int, key: jax.Array) -> tuple[State, jax.Array]:
    """Returns positions [P, ...] after random plies and the int32[P, plies] moves to them."""
    opening = positions.opening_position(game)
    states = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (PLAYOUTS, *leaf.shape)), opening)

    def ply(states: State, ply_key: jax.Array) -> tuple[State, jax.Array]:
        legal = states.legal_action_mask
        action = jax.random.categorical(ply_key, mask_illegal(jnp.zeros(legal.shape), legal))
        return jax.vmap(game.step)(states, action), action

    states, moves = jax.lax.scan(ply, states, jax.random.split(key, plies))
    return states, moves.T.astype(jnp.int32)
