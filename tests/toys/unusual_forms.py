"""Correct games that are unlike the others in form: one action, a thousand, no owner of a piece."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.board import find_action
from games.game import Symmetry, identity
from games.tic_tac_toe import EMPTY
from tests.toys.unusual_games import Nim, NimState, at_the_end_stay, frozen


@frozen
class OnlyMove(Nim):
    """One action, taken as often as the key says; who takes it last wins, perhaps at once."""

    num_actions = 1
    max_plies = 6

    def init(self, key: jax.Array) -> NimState:
        left = jax.random.randint(key, (), 1, 7)
        return NimState(left, jnp.int8(0), jnp.ones(1, bool), jnp.bool_(False))

    def step(self, state: NimState, action: jax.Array) -> NimState:
        left = state.left - 1
        after = NimState(left, jnp.int8(1 - state.to_play), (left > 0)[None], left == 0)
        return at_the_end_stay(state, after)


class StonesState(NamedTuple):
    board: jax.Array  # int8[1024], a seat or EMPTY
    to_play: jax.Array
    legal_action_mask: jax.Array  # bool[1024]
    terminated: jax.Array
    ply: jax.Array  # int32[]


@frozen
class Vast(Nim):
    """Six stones on 32x32 cells; whose stones lie higher, in sum, wins."""

    num_actions = 1024
    observation_shape = (32, 32, 2)
    max_plies = 6

    def init(self, key: jax.Array) -> Any:
        board = jnp.full(1024, EMPTY, jnp.int8)
        live = jnp.bool_(False)
        return StonesState(board, jnp.int8(0), jnp.ones(1024, bool), live, jnp.int32(0))

    def step(self, state: Any, action: jax.Array) -> Any:
        board = jnp.where(jnp.arange(1024) == action, state.to_play, state.board)
        ended, to_play = state.ply == 5, jnp.int8(1 - state.to_play)
        mask = (board == EMPTY) & ~ended
        after = StonesState(board, to_play, mask, ended, state.ply + 1)
        return at_the_end_stay(state, after)

    def observe(self, state: Any) -> jax.Array:
        seats = jnp.stack([state.to_play, 1 - state.to_play])
        return (state.board[:, None] == seats[None, :]).reshape(self.observation_shape)

    def returns(self, state: Any) -> jax.Array:
        row = jnp.arange(1024) // 32
        low = [((state.board == seat) * row).sum() for seat in (0, 1)]
        lead = jnp.sign(low[1] - low[0]).astype(jnp.float32)
        return jnp.where(state.terminated, lead * jnp.array([1.0, -1.0]), 0.0)

    def symmetries(self) -> tuple[Symmetry, ...]:
        cells = np.arange(1024, dtype=np.int32).reshape(32, 32)
        return tuple(Symmetry(c.reshape(-1), c.reshape(-1)) for c in (cells, cells[:, ::-1]))

    def string_to_action(self, state: Any, text: str) -> int:
        return find_action(self, state, text)

    def render(self, state: Any) -> str:
        return f"stones on {np.flatnonzero(np.asarray(state.board) != EMPTY).tolist()}"


class TakenState(NamedTuple):
    taken: jax.Array  # bool[4, 4]
    to_play: jax.Array
    legal_action_mask: jax.Array  # bool[16]
    terminated: jax.Array


@frozen
class Domineering(Nim):
    """Dominoes on 4x4, upright ones of seat 0, flat ones of seat 1: nobody owns them later."""

    num_actions = 16
    observation_shape = (4, 4, 2)
    max_plies = 8

    def init(self, key: jax.Array) -> Any:
        taken = jnp.zeros((4, 4), bool)
        return TakenState(taken, jnp.int8(0), self._fits(taken, 0), jnp.bool_(False))

    def _fits(self, taken: jax.Array, seat: jax.Array | int) -> jax.Array:
        free = jnp.pad(~taken, ((0, 1), (0, 1)))
        beside = jnp.where(seat == 0, free[1:, :-1], free[:-1, 1:])
        return (free[:-1, :-1] & beside).reshape(-1)

    def step(self, state: Any, action: jax.Array) -> Any:
        cell, other = jnp.arange(16).reshape(4, 4), jnp.where(state.to_play == 0, 4, 1)
        taken = state.taken | (cell == action) | (cell == action + other)
        mask = self._fits(taken, 1 - state.to_play)
        after = TakenState(taken, jnp.int8(1 - state.to_play), mask, ~mask.any())
        return at_the_end_stay(state, after)

    def observe(self, state: Any) -> jax.Array:
        return jnp.stack([state.taken, jnp.full((4, 4), state.to_play == 0)], axis=-1)

    def string_to_action(self, state: Any, text: str) -> int:
        return find_action(self, state, text)

    def render(self, state: Any) -> str:
        return str(np.asarray(state.taken).astype(int))


class NumbersState(NamedTuple):
    count: jax.Array  # int32[2], by seat
    to_play: jax.Array
    legal_action_mask: jax.Array  # bool[6]: what is left, remembered nowhere else
    terminated: jax.Array


@frozen
class Numbers(Nim):
    """Each of six numbers is taken once; an odd one keeps the turn, the upper three count."""

    num_actions = 6
    observation_shape = (1, 6, 3)
    max_plies = 6

    def init(self, key: jax.Array) -> Any:
        return NumbersState(
            jnp.zeros(2, jnp.int32), jnp.int8(0), jnp.ones(6, bool), jnp.bool_(False)
        )

    def step(self, state: Any, action: jax.Array) -> Any:
        mask = state.legal_action_mask & (jnp.arange(6) != action)
        count = state.count + (jnp.arange(2) == state.to_play) * (action // 3)
        to_play = jnp.where(action % 2 == 1, state.to_play, 1 - state.to_play)
        return at_the_end_stay(state, NumbersState(count, to_play, mask, ~mask.any()))

    def observe(self, state: Any) -> jax.Array:
        own = state.count[jnp.stack([state.to_play, 1 - state.to_play])]
        counts = jnp.arange(6)[:, None] < own[None, :]
        planes = jnp.append(counts, state.legal_action_mask[:, None], axis=1)
        return planes.reshape(self.observation_shape)

    def returns(self, state: Any) -> jax.Array:
        lead = jnp.sign(state.count[0] - state.count[1]).astype(jnp.float32)
        return jnp.where(state.terminated, lead * jnp.array([1.0, -1.0]), 0.0)

    def string_to_action(self, state: Any, text: str) -> int:
        return find_action(self, state, text)

    def render(self, state: Any) -> str:
        return f"{np.asarray(state.count).tolist()}, left {np.asarray(state.legal_action_mask)}"

    def symmetries(self) -> tuple[Symmetry, ...]:
        return (identity(self.observation_shape, self.num_actions),)


UNUSUAL_FORMS = (OnlyMove, Vast, Domineering, Numbers)
