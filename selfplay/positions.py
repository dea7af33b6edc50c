"""Batches of positions: made from move lists, compared as bytes, taken apart.

N positions; every leaf of a batched state is `[N, ...]`.
"""

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game, State
from mcts import mask_illegal

T = TypeVar("T")
NO_ACTION = -1  # pads the rows of a history


class Replayed(NamedTuple):
    """The positions after N move lists."""

    states: State  # batched, [N, ...]
    returns: np.ndarray  # float32[N, 2], zero where the game goes on
    # int32[N], the index of the first move that the rules forbid, the list's length if none is.
    legal_plies: np.ndarray


def replay(game: Game[Any], moves: Sequence[Sequence[int]], longest: int = 1) -> Replayed:
    """Plays N lists of action numbers from the opening position; stops before an illegal one.

    The numbers may be any: those of no action, beyond int32 too, are illegal.

    Args:
      longest: a length to compile for, where more lists follow: it takes no time to play.
    """
    none = game.num_actions  # stands for all numbers of no action
    most = game.max_plies + 1  # a list longer than any game is wrong whatever follows
    history = pad_moves(
        [[action if 0 <= action < none else none for action in row[:most]] for row in moves],
        min(longest, most),
    )
    # One compiled program plays all lists side by side.
    states, returns, legal_plies = _replay(game, history)
    return Replayed(states, np.asarray(returns), np.asarray(legal_plies))


def pad_moves(moves: Sequence[Sequence[int]], longest: int = 1) -> np.ndarray:
    """Returns int32[N, T] `history`: the lists as rows, padded with `NO_ACTION`.

    T is a power of two, from `longest` on: few lengths mean few compilations.
    """
    # Lengths are powers of two, so that few programs are compiled.
    longest = max([longest, *map(len, moves)])
    history = np.full((len(moves), 1 << (longest - 1).bit_length()), NO_ACTION, np.int32)
    for row, actions in zip(history, moves, strict=True):
        row[: len(actions)] = actions
    return history


def move_lists(history: np.ndarray) -> list[tuple[int, ...]]:
    """Returns the rows of int32[N, T] `history` as tuples, without the padding."""
    lengths = (history != NO_ACTION).sum(axis=1)
    return [tuple(row[:n].tolist()) for row, n in zip(history, lengths, strict=True)]


@functools.partial(jax.jit, static_argnums=0)
def opening_position(game: Game[Any]) -> State:
    """Returns the position that matches and records start from, unbatched."""
    return game.init(jax.random.key(0))  # one key for all: move lists alone must tell the position


@functools.partial(jax.jit, static_argnums=0)
def step(game: Game[Any], state: State, action: jax.Array) -> State:
    """Returns the position after one move, unbatched."""
    after: State = game.step(state, action)
    return after


def notation(game: Game[Any], state: State, actions: Iterable[int]) -> list[str]:
    """Returns the game's names for moves that follow each other from a position."""
    names = []
    for action in actions:
        names.append(game.action_to_string(state, action))
        state = step(game, state, np.int32(action))
    return names


@functools.partial(jax.jit, static_argnums=0)
def step_all(game: Game[Any], states: State, actions: jax.Array) -> State:
    """Returns the N positions after int32[N] `actions`."""
    after: State = jax.vmap(game.step)(states, actions)
    return after


@functools.partial(jax.jit, static_argnums=0)
def returns(game: Game[Any], states: State) -> jax.Array:
    """Returns float32[N, 2], each seat's result at each position."""
    return jax.vmap(game.returns)(states)


def random_actions(key: jax.Array, legal_action_mask: jax.Array) -> jax.Array:
    """Returns int32[N]: for each row of bool[N, A] a legal action, all equally likely.

    A row without one gets any.
    """
    logits = mask_illegal(jnp.zeros(legal_action_mask.shape), legal_action_mask)
    return jax.random.categorical(key, logits).astype(jnp.int32)


def watch(game: Game[Any], history: jax.Array, look: Callable[[State], T]) -> tuple[T, State]:
    """Returns `look(state)` before each move of int32[N, T] `history`, and the last positions.

    The leaves of the first have `[N, T, ...]`; behind a row's last move they show its end.
    """

    def ply(state: State, action: jax.Array) -> tuple[State, T]:
        after = game.step(state, jnp.maximum(action, 0))
        # Padding leaves a finished list at its last position.
        kept = jax.tree.map(lambda old, new: jnp.where(action < 0, old, new), state, after)
        return kept, look(state)

    def one(row: jax.Array) -> tuple[T, State]:
        last, seen = jax.lax.scan(ply, opening_position(game), row)
        return seen, last

    watched: tuple[T, State] = jax.vmap(one)(history)
    return watched


def fingerprints(states: State) -> np.ndarray:
    """Returns void[N]: each position's bytes, equal where the positions are."""
    # All leaves of a state as bytes, side by side: one void scalar a position.
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(states)]
    flat = [
        # The width by name: reshape cannot infer it where there are no rows.
        np.ascontiguousarray(leaf.reshape(len(leaf), math.prod(leaf.shape[1:]))).view(np.uint8)
        for leaf in leaves
    ]
    table = np.ascontiguousarray(np.concatenate(flat, axis=1))
    return table.view(np.dtype((np.void, table.shape[1]))).reshape(-1)


def observation_keys(states: State, observations: np.ndarray) -> np.ndarray:
    """Returns uint64[N] or bytes[N], equal where seat and observation are.

    Args:
      observations: bool[N, *observation_shape].
    """
    seat = np.asarray(states.to_play)[:, None] == 1
    flat = observations.reshape(len(seat), math.prod(observations.shape[1:]))
    bits = np.packbits(np.concatenate([flat, seat], axis=1), axis=1)
    width = bits.shape[1]
    if width > 8:
        return np.ascontiguousarray(bits).view(f"S{width}").reshape(-1)
    # As numbers they sort ten times as fast.
    return np.pad(bits, ((0, 0), (0, 8 - width))).view(np.uint64).reshape(-1)


def take(states: State, indices: np.ndarray | slice | int) -> State:
    """Returns the chosen positions, in NumPy; an int takes one, unbatched."""
    taken: State = jax.tree.map(lambda leaf: np.asarray(leaf)[indices], states)
    return taken


def concatenate(batches: Sequence[State]) -> State:
    """Returns the batches as one, in NumPy."""
    joined: State = jax.tree.map(lambda *leaves: np.concatenate(leaves), *batches)
    return joined


@functools.partial(jax.jit, static_argnums=0)
def _replay(game: Game[Any], history: jax.Array) -> tuple[State, jax.Array, jax.Array]:
    games, length = history.shape

    def ply(state: Any, stopped: jax.Array, action: jax.Array) -> tuple[Any, jax.Array]:
        known = (action >= 0) & (action < game.num_actions)
        legal = known & state.legal_action_mask[jnp.where(known, action, 0)]
        stopped = stopped | ~legal
        after = game.step(state, jnp.where(legal, action, 0))
        return jax.tree.map(lambda old, new: jnp.where(stopped, old, new), state, after), stopped

    def goes_on(carry: Any) -> jax.Array:
        _, _, stopped, at = carry
        return (at < length) & ~stopped.all()

    def next_ply(carry: Any) -> Any:
        states, plies, stopped, at = carry
        states, stopped = jax.vmap(ply)(states, stopped, history[:, at])
        return states, plies + ~stopped, stopped, at + 1

    opening = opening_position(game)
    states = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (games, *leaf.shape)), opening)
    start = (states, jnp.zeros(games, jnp.int32), jnp.zeros(games, bool), jnp.int32(0))
    states, plies, _, _ = jax.lax.while_loop(goes_on, next_ply, start)
    return states, jax.vmap(game.returns)(states), plies
