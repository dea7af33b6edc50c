"""Varied openings for matches: random ones, the balanced among random ones, or given ones.

Two players that always play their best move would otherwise play one game over and over.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game, State
from selfplay import positions
from selfplay.players import Player
from selfplay.randomness import MatchPurpose

DEFAULT_PLIES = 4
POOL = 8  # balanced openings: so many random ones are drawn for each that is kept
EVALUATED = 512  # of them, positions that are valued at once
PLAYOUTS = 1024  # tried at once
STALE_CALLS = 3  # calls without a new position after which the game is taken to have no more


class Openings(NamedTuple):
    """N positions to start games from."""

    moves: tuple[tuple[int, ...], ...]  # N lists of actions
    states: State  # batched, [N, ...], in NumPy
    distinct: int  # how many of the N positions differ; below N only if the game has no more


def purpose_key(seed: int, purpose: MatchPurpose) -> jax.Array:
    """Returns a match's key for one purpose."""
    return jax.random.fold_in(jax.random.key(seed), purpose)


def make_openings(
    game: Game[Any], count: int, opening_key: jax.Array, plies: int = DEFAULT_PLIES
) -> Openings:
    """Returns `count` unfinished positions, distinct as long as the game has enough of them.

    If it has too few, each comes equally often, up to one. If no game lasts `plies` random plies,
    the openings are shorter.

    Raises:
      ValueError: a negative number of plies, or a count below 1.
    """
    return repeat(game, _draw(game, count, opening_key, plies), count)


def balanced_openings(
    game: Game[Any],
    count: int,
    opening_key: jax.Array,
    evaluate_states: Player,
    plies: int = DEFAULT_PLIES,
) -> Openings:
    """Returns those of `POOL` times as many random openings that a player values closest to 0.

    Raises:
      ValueError: as `make_openings`.
    """
    draw_key, value_key = jax.random.split(opening_key)
    pool = _draw(game, POOL * count, draw_key, plies)
    values = []
    for start in range(0, len(pool), EVALUATED):
        # The last batch is filled up with openings from the front: one compilation.
        batch = [pool[i % len(pool)] for i in range(start, start + min(EVALUATED, POOL * count))]
        states = positions.replay(game, batch).states
        result = evaluate_states(
            states, jax.random.fold_in(value_key, start), positions.pad_moves(batch)
        )
        values += np.asarray(result.value).tolist()
    nearest = sorted(range(len(pool)), key=lambda i: (abs(values[i]), i))
    # In the order of their drawing: the first games of a match are no more even than the last.
    return repeat(game, [pool[i] for i in sorted(nearest[:count])], count)


def repeat(game: Game[Any], moves: Sequence[tuple[int, ...]], count: int) -> Openings:
    """Returns `count` openings, each of `moves` equally often, up to one."""
    chosen = tuple(moves[i % len(moves)] for i in range(count))
    states = positions.take(positions.replay(game, chosen).states, slice(None))
    return Openings(chosen, states, len(set(positions.fingerprints(states).tolist())))


def _draw(game: Game[Any], count: int, opening_key: jax.Array, plies: int) -> list[tuple[int, ...]]:
    """Returns up to `count` move lists to distinct unfinished positions."""
    if count < 1:
        raise ValueError(f"openings: the count must be at least 1, got {count}")
    if plies < 0:
        raise ValueError(f"openings: the plies must be at least 0, got {plies}")
    for length in range(min(plies, game.max_plies), -1, -1):
        openings = _distinct(game, count, length, opening_key)
        if openings:
            return openings
    raise ValueError("openings: the game is over before its first move")


def _distinct(
    game: Game[Any], count: int, plies: int, opening_key: jax.Array
) -> list[tuple[int, ...]]:
    """Returns up to `count` move lists of `plies` plies to distinct unfinished positions."""
    distinct: dict[bytes, tuple[int, ...]] = {}
    stale = call = 0
    while len(distinct) < count and stale < STALE_CALLS:
        states, moves = _playouts(game, plies, jax.random.fold_in(opening_key, call))
        before = len(distinct)
        live = ~np.asarray(states.terminated)
        for row, actions in zip(
            positions.fingerprints(states)[live], np.asarray(moves)[live].tolist(), strict=True
        ):
            if len(distinct) < count:
                distinct.setdefault(row.tobytes(), tuple(actions))
        stale = 0 if len(distinct) > before else stale + 1
        call += 1
    return list(distinct.values())


@functools.partial(jax.jit, static_argnums=(0, 1))
def _playouts(game: Game[Any], plies: int, key: jax.Array) -> tuple[State, jax.Array]:
    """Returns positions [P, ...] after random plies and the int32[P, plies] moves to them."""
    opening = positions.opening_position(game)
    states = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (PLAYOUTS, *leaf.shape)), opening)

    def ply(states: State, ply_key: jax.Array) -> tuple[State, jax.Array]:
        action = positions.random_actions(ply_key, states.legal_action_mask)
        return jax.vmap(game.step)(states, action), action

    states, moves = jax.lax.scan(ply, states, jax.random.split(key, plies))
    return states, moves.T.astype(jnp.int32)
