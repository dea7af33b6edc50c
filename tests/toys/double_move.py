"""A small game in which the turn often does not pass, for tests: and its rules in plain Python."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Symmetry, identity


class State(NamedTuple):
    stones: jax.Array  # int8[], left in the pile
    to_play: jax.Array  # int8[], seat 0 or 1
    legal_action_mask: jax.Array  # bool[3], all False once terminated
    terminated: jax.Array  # bool[]
    winner: jax.Array  # int8[], a seat, -1 for none


@dataclasses.dataclass(frozen=True)
class Pile:
    """Action a takes a + 1 stones. Who takes one moves again.

    Whoever takes the last stone wins, but taking three at once to end the game draws.
    """

    stones: int = 9

    num_actions = 3
    observation_shape = (1, 1, 2)

    @property
    def max_plies(self) -> int:
        return self.stones

    def init(self, key: jax.Array) -> State:
        del key
        return _state(jnp.int8(self.stones), jnp.int8(0), jnp.int8(-1))

    def step(self, state: State, action: jax.Array) -> State:
        stones = state.stones - action.astype(jnp.int8) - 1
        to_play = jnp.where(action == 0, state.to_play, 1 - state.to_play)
        won = (stones <= 0) & (action != 2)
        after = _state(stones, to_play, jnp.where(won, state.to_play, jnp.int8(-1)))
        return jax.tree.map(lambda old, new: jnp.where(state.terminated, old, new), state, after)

    def observe(self, state: State) -> jax.Array:
        seen = jnp.stack([state.stones, state.to_play]).astype(jnp.float32)
        return seen.reshape(self.observation_shape)

    def returns(self, state: State) -> jax.Array:
        result = jnp.where(jnp.arange(2) == state.winner, 1.0, -1.0)
        return jnp.where(state.winner == -1, 0.0, result)

    def symmetries(self) -> tuple[Symmetry, ...]:
        return (identity(self.observation_shape, self.num_actions),)

    def action_to_string(self, state: State, action: int) -> str:
        del state
        return str(action + 1)

    def string_to_action(self, state: State, text: str) -> int:
        legal = [str(a + 1) for a in np.flatnonzero(np.asarray(state.legal_action_mask))]
        if text.strip() not in legal:
            raise ValueError(f"no legal move {text!r}; legal: {' '.join(legal)}")
        return int(text) - 1

    def render(self, state: State) -> str:
        return f"{int(state.stones)} stones"


def _state(stones: jax.Array, to_play: jax.Array, winner: jax.Array) -> State:
    legal = jnp.arange(3, dtype=jnp.int8) < stones
    return State(stones, to_play, legal, stones <= 0, winner)


def play(stones: int, choose) -> tuple[list[int], tuple[int, int]]:
    """Plays a game in plain Python by `choose(stones, seat) -> action`; returns moves, returns."""
    moves, seat = [], 0
    while True:
        action = choose(stones, seat, moves)
        moves.append(action)
        stones -= action + 1
        if stones == 0:
            result = (0, 0) if action == 2 else (1, -1) if seat == 0 else (-1, 1)
            return moves, result
        seat = seat if action == 0 else 1 - seat


def negamax(stones: int) -> int:
    """Game-theoretic result for the seat to play."""
    return max(outcome(stones, action) for action in range(min(3, stones)))


def outcome(stones: int, action: int) -> int:
    """Game-theoretic result of an action for the seat that plays it."""
    left = stones - action - 1
    if left == 0:
        return 0 if action == 2 else 1
    return negamax(left) if action == 0 else -negamax(left)
