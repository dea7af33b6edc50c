"""Correct games that are not like tic-tac-toe: a check that rejects one of them is wrong."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Symmetry, identity
from games.tic_tac_toe import EMPTY, LINES, State, TicTacToe


def frozen(cls: Any) -> Any:
    return dataclasses.dataclass(frozen=True)(cls)


def at_the_end_stay(before: Any, after: Any) -> Any:
    return jax.tree.map(lambda old, new: jnp.where(before.terminated, old, new), before, after)


@frozen
class Misere(TicTacToe):
    """Three in a row loses."""

    misere = True

    def returns(self, state: State) -> jax.Array:
        return -super().returns(state)


@frozen
class DoubleMoves(TicTacToe):
    """Seat 0 places one stone, then each seat two: whose turn it is follows from the ply."""

    def step(self, state: State, action: jax.Array) -> State:
        after = super().step(state, action)
        stones = (after.board != EMPTY).sum()
        mover = ((stones + 1) // 2 % 2).astype(jnp.int8)
        return at_the_end_stay(state, after._replace(to_play=mover))


@frozen
class FloatView(TicTacToe):
    """Observed as floats, with a third plane that says how full the board is."""

    observation_shape = (3, 3, 3)

    def observe(self, state: State) -> jax.Array:
        sign = jnp.where(state.to_play == 0, 1.0, -1.0)
        own = jnp.where(state.board == EMPTY, 0.0, sign * (1.0 - 2.0 * state.board))
        full = jnp.full(9, (state.board != EMPTY).mean())
        return jnp.stack([own, -own, full], axis=-1).reshape(3, 3, 3)


@frozen
class MakerBreaker(TicTacToe):
    """Seat 0 wants a line, seat 1 wants a full board without one; a third plane says who is who."""

    observation_shape = (3, 3, 3)

    def observe(self, state: State) -> jax.Array:
        maker = jnp.full((3, 3, 1), state.to_play == 0)
        return jnp.append(TicTacToe().observe(state), maker, axis=-1)

    def step(self, state: State, action: jax.Array) -> State:
        after = super().step(state, action)
        lined = (after.board[LINES] == 0).all(axis=1).any()
        full = (after.board != EMPTY).all()
        winner = jnp.where(lined, 0, jnp.where(full, 1, EMPTY)).astype(jnp.int8)
        after = after._replace(
            terminated=lined | full,
            winner=winner,
            legal_action_mask=(after.board == EMPTY) & ~(lined | full),
        )
        return at_the_end_stay(state, after)


class RelativeState(NamedTuple):
    board: jax.Array  # int8[9]: 1 the mover's stones, -1 the other's
    to_play: jax.Array
    legal_action_mask: jax.Array
    terminated: jax.Array


@frozen
class RelativeBoard(TicTacToe):
    """Stored from the mover's side: observe never looks at to_play."""

    def init(self, key: jax.Array) -> Any:
        board = jnp.zeros(9, jnp.int8)
        return RelativeState(board, jnp.int8(0), jnp.ones(9, bool), jnp.bool_(False))

    def step(self, state: Any, action: jax.Array) -> Any:
        board = state.board.at[action].set(1)
        won = (board[LINES] == 1).all(axis=1).any()
        ended = won | (board != 0).all()
        after = RelativeState(-board, 1 - state.to_play, (board == 0) & ~ended, ended)
        return at_the_end_stay(state, after)

    def observe(self, state: Any) -> jax.Array:
        return jnp.stack([state.board == 1, state.board == -1], axis=-1).reshape(3, 3, 2)

    def returns(self, state: Any) -> jax.Array:
        lost = (state.board[LINES] == -1).all(axis=1).any() & state.terminated
        result = jnp.where(jnp.arange(2) == state.to_play, -1.0, 1.0)
        return jnp.where(lost, result, 0.0)

    def render(self, state: Any) -> str:
        return str(np.asarray(state.board).reshape(3, 3))


class PliesState(NamedTuple):
    board: jax.Array  # int8[9], as in tic-tac-toe
    ply: jax.Array  # int32[]
    legal_action_mask: jax.Array
    terminated: jax.Array
    winner: jax.Array

    @property
    def to_play(self) -> Any:
        return (self.ply % 2).astype(jnp.int8)


@frozen
class DerivedTurn(TicTacToe):
    """The seat to play is no field of the state, but follows from the ply."""

    def init(self, key: jax.Array) -> Any:
        first = super().init(key)
        return PliesState(
            first.board, jnp.int32(0), first.legal_action_mask, first.terminated, first.winner
        )

    def step(self, state: Any, action: jax.Array) -> Any:
        told = State(
            state.board, state.to_play, state.legal_action_mask, state.terminated, state.winner
        )
        after = super().step(told, action)
        ply = jnp.where(state.terminated, state.ply, state.ply + 1)
        return PliesState(after.board, ply, after.legal_action_mask, after.terminated, after.winner)


@frozen
class RandomOpening(TicTacToe):
    """One cell, drawn from the key, is nobody's."""

    observation_shape = (3, 3, 3)
    max_plies = 8

    def init(self, key: jax.Array) -> State:
        first = super().init(key)
        cell = jax.random.randint(key, (), 0, 9)
        board = first.board.at[cell].set(2)
        return first._replace(board=board, legal_action_mask=board == EMPTY)

    def observe(self, state: State) -> jax.Array:
        nobodys = (state.board == 2).reshape(3, 3, 1)
        return jnp.append(TicTacToe().observe(state), nobodys, axis=-1)

    def render(self, state: State) -> str:
        return str(np.asarray(state.board).reshape(3, 3))


class NimState(NamedTuple):
    left: jax.Array  # int32[]
    to_play: jax.Array
    legal_action_mask: jax.Array  # bool[3]
    terminated: jax.Array


@frozen
class Nim:
    """Take 1 to 3 of ten; the last to take wins. Impartial: both seats see the same heap."""

    num_actions = 3
    observation_shape = (1, 10, 1)
    max_plies = 10

    def init(self, key: jax.Array) -> NimState:
        return NimState(jnp.int32(10), jnp.int8(0), jnp.ones(3, bool), jnp.bool_(False))

    def step(self, state: NimState, action: jax.Array) -> NimState:
        left = jnp.maximum(state.left - action - 1, 0)
        legal = jnp.arange(3) < left
        after = NimState(left, 1 - state.to_play, legal, left == 0)
        return at_the_end_stay(state, after)

    def observe(self, state: NimState) -> jax.Array:
        return (jnp.arange(10) < state.left).reshape(self.observation_shape)

    def returns(self, state: NimState) -> jax.Array:
        result = jnp.where(jnp.arange(2) == state.to_play, -1.0, 1.0)
        return jnp.where(state.terminated, result, 0.0)

    def symmetries(self) -> tuple[Symmetry, ...]:
        return (identity(self.observation_shape, self.num_actions),)

    def action_to_string(self, state: NimState, action: int) -> str:
        return f"take {action + 1}"

    def string_to_action(self, state: NimState, text: str) -> int:
        legal = np.flatnonzero(np.asarray(state.legal_action_mask))
        for action in legal.tolist():
            if text == self.action_to_string(state, action):
                return action
        raise ValueError(f"no legal move {text!r}; legal: take 1 to take {len(legal)}")

    def render(self, state: NimState) -> str:
        return "o" * int(state.left) or "-"


PATH = 7  # cells of Territory


class PathState(NamedTuple):
    board: jax.Array  # int8[7], a seat or EMPTY
    to_play: jax.Array
    legal_action_mask: jax.Array  # bool[8], the pass last
    terminated: jax.Array


@frozen
class Territory(Nim):
    """Stones on a path, never beside the other's; who is blocked must pass; most stones win.

    A forced pass changes the turn and the mask alone.
    """

    num_actions = PATH + 1
    observation_shape = (1, PATH, 2)
    max_plies = 2 * PATH

    def init(self, key: jax.Array) -> Any:
        mask = jnp.arange(PATH + 1) < PATH
        return PathState(jnp.full(PATH, EMPTY, jnp.int8), jnp.int8(0), mask, jnp.bool_(False))

    def step(self, state: Any, action: jax.Array) -> Any:
        placed = (jnp.arange(PATH) == action) & (action < PATH)
        board = jnp.where(placed, state.to_play, state.board)
        after = jnp.int8(1 - state.to_play)
        free, next_free = _free(board, after), _free(board, state.to_play)
        ended = ~free.any() & ~next_free.any()
        mask = jnp.append(free, ~free.any()) & ~ended
        return at_the_end_stay(state, PathState(board, after, mask, ended))

    def observe(self, state: Any) -> jax.Array:
        seats = jnp.stack([state.to_play, 1 - state.to_play])
        return (state.board[:, None] == seats[None, :]).reshape(self.observation_shape)

    def returns(self, state: Any) -> jax.Array:
        lead = jnp.sign((state.board == 0).sum() - (state.board == 1).sum()).astype(jnp.float32)
        return jnp.where(state.terminated, lead * jnp.array([1.0, -1.0]), 0.0)

    def string_to_action(self, state: Any, text: str) -> int:
        for action in np.flatnonzero(np.asarray(state.legal_action_mask)).tolist():
            if text == self.action_to_string(state, action):
                return action
        raise ValueError(f"no legal move {text!r}")

    def render(self, state: Any) -> str:
        return "".join(".XO"[stone + 1] for stone in np.asarray(state.board))

    def symmetries(self) -> tuple[Symmetry, ...]:
        cells = np.arange(PATH, dtype=np.int32)
        turned = Symmetry(cells[::-1], np.append(cells[::-1], np.int32(PATH)))
        return (*super().symmetries(), turned)


def _free(board: jax.Array, seat: jax.Array) -> jax.Array:
    other = jnp.pad(board == 1 - seat, 1)
    return (board == EMPTY) & ~other[:-2] & ~other[2:]


class RaceState(NamedTuple):
    runner: jax.Array  # int32[2], the cell of each seat's runner
    to_play: jax.Array
    legal_action_mask: jax.Array  # bool[2], back and on
    terminated: jax.Array
    ply: jax.Array  # int32[]


@frozen
class Race(Nim):
    """Two runners on five cells, forth or back; the fifth cell wins; a draw after 12 plies."""

    num_actions = 2
    observation_shape = (1, 5, 3)
    max_plies = 12

    def init(self, key: jax.Array) -> Any:
        mask = jnp.array([False, True])
        runner = jnp.zeros(2, jnp.int32)
        return RaceState(runner, jnp.int8(0), mask, jnp.bool_(False), jnp.int32(0))

    def step(self, state: Any, action: jax.Array) -> Any:
        mine = jnp.arange(2) == state.to_play
        runner = jnp.clip(state.runner + mine * (2 * action - 1), 0, 4)
        ended = (runner == 4).any() | (state.ply == 11)
        mask = jnp.array([True, True]) & (runner[1 - state.to_play] + jnp.arange(2) > 0) & ~ended
        after = RaceState(runner, jnp.int8(1 - state.to_play), mask, ended, state.ply + 1)
        return at_the_end_stay(state, after)

    def observe(self, state: Any) -> jax.Array:
        seats = jnp.stack([state.to_play, 1 - state.to_play])
        planes = jnp.arange(5)[:, None] == state.runner[seats][None, :]
        clock = jnp.full((5, 1), state.ply / 12)
        return jnp.append(planes, clock, axis=1).reshape(self.observation_shape)

    def returns(self, state: Any) -> jax.Array:
        result = jnp.where(state.runner == 4, 1.0, -1.0)
        return jnp.where((state.runner == 4).any(), result, 0.0)

    def render(self, state: Any) -> str:
        return f"runners on {np.asarray(state.runner).tolist()}, ply {int(state.ply)}"

    def action_to_string(self, state: Any, action: int) -> str:
        return ("back", "on")[action]

    def string_to_action(self, state: Any, text: str) -> int:
        for action in np.flatnonzero(np.asarray(state.legal_action_mask)).tolist():
            if text == self.action_to_string(state, action):
                return action
        raise ValueError(f"no legal move {text!r}; legal forms: back, on")


class CountState(NamedTuple):
    total: jax.Array  # int32[]
    to_play: jax.Array
    legal_action_mask: jax.Array  # bool[3], the same at all live positions
    terminated: jax.Array
    ply: jax.Array  # int32[]


@frozen
class Counting(Nim):
    """Six times somebody adds 1 to 3; seat 0 wins if the sum is odd. All is legal till the end."""

    observation_shape = (1, 4, 2)
    max_plies = 6

    def init(self, key: jax.Array) -> Any:
        count = jnp.int32(0)
        return CountState(count, jnp.int8(0), jnp.ones(3, bool), jnp.bool_(False), count)

    def step(self, state: Any, action: jax.Array) -> Any:
        ended = state.ply == 5
        mask = jnp.ones(3, bool) & ~ended
        total = state.total + action + 1
        after = CountState(total, jnp.int8(1 - state.to_play), mask, ended, state.ply + 1)
        return at_the_end_stay(state, after)

    def observe(self, state: Any) -> jax.Array:
        sum_and_clock = [jnp.arange(4) == state.total % 4, jnp.full(4, state.ply / 6)]
        return jnp.stack(sum_and_clock, axis=-1).reshape(self.observation_shape)

    def returns(self, state: Any) -> jax.Array:
        odd = jnp.where(state.total % 2 == 1, 1.0, -1.0)
        return jnp.where(state.terminated, odd * jnp.array([1.0, -1.0]), 0.0)

    def render(self, state: Any) -> str:
        return f"{int(state.total)} after {int(state.ply)}"


UNUSUAL = (
    Misere,
    DoubleMoves,
    FloatView,
    MakerBreaker,
    RelativeBoard,
    DerivedTurn,
    RandomOpening,
    Nim,
    Territory,
    Race,
    Counting,
)
