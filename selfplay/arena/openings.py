"""Varied openings for matches: random ones, the balanced among random ones, or given ones.

Two players that always play their best move would otherwise play one game over and over.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game, State, drawn_plies
from selfplay import positions
from selfplay.players import Player
from selfplay.randomness import MatchPurpose

DEFAULT_PLIES = 4  # random plies of an opening, where nobody says how many
SHORT_GAME, SHORT_PLIES = 12, 1  # instead, where at least half of random games are shorter
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


def default_plies(game: Game[Any]) -> int:
    """Returns how many random plies an opening of this game has, where nobody says how many.

    They are `DEFAULT_PLIES`, but `SHORT_PLIES` where at least half of random games are over in less
    than `SHORT_GAME` plies: there, four random ones decide too many games. A perfect player of
    tic-tac-toe never loses after one.
    """
    plies = SHORT_PLIES if _is_short(game) else DEFAULT_PLIES  # type: ignore[arg-type]
    return plies + drawn_plies(game)


@functools.cache
def _is_short(game: Game[Any]) -> bool:
    if game.max_plies < SHORT_GAME:
        return True
    states, _ = _playouts(game, SHORT_GAME - 1, jax.random.key(0))
    return bool(np.asarray(states.terminated).mean() >= 0.5)


def make_openings(
    game: Game[Any], count: int, opening_key: jax.Array, plies: int | None = None
) -> Openings:
    """Returns `count` unfinished positions, distinct as long as the game has enough of them.

    If it has too few, each comes equally often, up to one. If no game lasts `plies` random plies,
    the openings are shorter. Without `plies`, there are `default_plies`.

    Raises:
      ValueError: a negative number of plies, or a count below 1.
    """
    return repeat(game, _draw(game, count, opening_key, plies), count)


def balanced_openings(
    game: Game[Any],
    count: int,
    opening_key: jax.Array,
    evaluate_states: Player,
    plies: int | None = None,
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


def _draw(
    game: Game[Any], count: int, opening_key: jax.Array, plies: int | None
) -> list[tuple[int, ...]]:
    """Returns up to `count` move lists to distinct unfinished positions."""
    plies = default_plies(game) if plies is None else plies
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


def _playouts(game: Game[Any], plies: int, key: jax.Array) -> tuple[State, jax.Array]:
    """Returns positions [P, ...] after random plies and the int32[P, plies] moves to them."""
    # All lengths that matches usually ask for are one program, which some games compile for long.
    longest = max(plies, SHORT_GAME - 1)
    unused = jnp.zeros(longest - plies, jnp.uint32)
    ply_keys = jnp.concatenate([jax.random.split(key, plies), jax.vmap(jax.random.key)(unused)])
    states, moves = _play_random(game, ply_keys, plies)
    return states, moves[:plies].T


@functools.partial(jax.jit, static_argnums=0)
def _play_random(
    game: Game[Any], ply_keys: jax.Array, plies: jax.Array | int
) -> tuple[State, jax.Array]:
    """Plays `plies` random plies; returns positions [P, ...] and int32[len(ply_keys), P] moves."""
    opening = positions.opening_position(game)
    states = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (PLAYOUTS, *leaf.shape)), opening)

    moves = jnp.full((len(ply_keys), PLAYOUTS), positions.NO_ACTION, jnp.int32)

    def ply(number: jax.Array, carry: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
        states, moves = carry
        action = positions.random_actions(ply_keys[number], states.legal_action_mask)
        return jax.vmap(game.step)(states, action), moves.at[number].set(action)

    played: tuple[State, jax.Array] = jax.lax.fori_loop(0, plies, ply, (states, moves))
    return played
