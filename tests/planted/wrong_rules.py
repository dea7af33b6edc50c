"""Three small games whose rules can be got wrong in the ways that people do, by a switch each.

With `bug=""` they are correct: a check must have nothing to say. What it must say of each bug is in
`tests/games/test_conformance.py`.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.board import find_action
from games.game import Symmetry, identity


def at_the_end_stay(before: Any, after: Any) -> Any:
    return jax.tree.map(lambda old, new: jnp.where(before.terminated, old, new), before, after)


def result_for(seat: jax.Array, value: jax.Array) -> jax.Array:
    return jnp.where(jnp.arange(2) == seat, value, -value).astype(jnp.float32)


STONES = 3  # in each pit of Sowing at its opening


class SowState(NamedTuple):
    pits: jax.Array  # int8[2, P], by seat
    store: jax.Array  # int8[2]
    to_play: jax.Array
    legal_action_mask: jax.Array  # bool[P]
    terminated: jax.Array
    ply: jax.Array  # int32[], int8[] where that is the bug
    die: jax.Array  # uint32[], of chance


@dataclasses.dataclass(frozen=True)
class Sowing:
    """A Kalah of three pits a side: one more turn after a last stone in the store, no captures."""

    bug: str = ""
    num_actions = 3
    observation_shape = (1, 3, 5)

    @property
    def max_plies(self) -> int:
        return 268 if self.bug == "counter" else 80

    def init(self, key: jax.Array) -> SowState:
        ply = jnp.int8(0) if self.bug == "counter" else jnp.int32(0)
        pits = jnp.full((2, 3), STONES, jnp.int8)
        die = jax.random.bits(key) if self.bug == "chance" else jnp.uint32(0)
        live = jnp.bool_(False)
        return SowState(
            pits, jnp.zeros(2, jnp.int8), jnp.int8(0), jnp.ones(3, bool), live, ply, die
        )

    def step(self, state: SowState, action: jax.Array) -> SowState:
        seat = state.to_play
        ring = jnp.concatenate([state.pits[seat], state.store[seat][None], state.pits[1 - seat]])
        count = ring[action]
        ring = ring.at[action].set(0)
        fallen = (jnp.arange(64)[:, None] < count) & (
            (action + 1 + jnp.arange(64)[:, None]) % 7 == jnp.arange(7)[None]
        )
        ring = ring + fallen.sum(axis=0).astype(jnp.int8)
        rows = (ring[:3], ring[4:]) if self.bug != "lost" else (ring[:3], ring[4:].at[0].set(0))
        pits = jnp.where(seat == 0, jnp.stack(rows), jnp.stack(rows[::-1]))
        store = state.store.at[seat].set(ring[3])
        again = (action + count) % 7 == 3
        die = state.die * jnp.uint32(1664525) + jnp.uint32(1013904223)
        if self.bug == "chance":
            again = die >> 31 == 1
        to_play = jnp.where(again, seat, 1 - seat).astype(jnp.int8)
        limit = 10 if self.bug == "short" else self.max_plies
        ply = state.ply + 1
        over = (pits.sum(axis=1) == 0).any() | (ply >= limit)
        store = store + jnp.where(over, pits.sum(axis=1), 0).astype(jnp.int8)
        mask = (pits[to_play] > 0) & ~over
        if self.bug == "empty pits":
            mask = jnp.ones(3, bool) & ~over
        over |= ~mask.any()
        after = SowState(pits, store, to_play, mask, over, ply, die)
        return at_the_end_stay(state, after)

    def observe(self, state: SowState) -> jax.Array:
        seats = jnp.stack([state.to_play, 1 - state.to_play])
        planes = [state.pits[seats].T / 20, jnp.broadcast_to(state.store[seats][None] / 20, (3, 2))]
        if self.bug == "raw numbers":
            planes = [plane * 20000 for plane in planes]
        ply = jnp.full((3, 1), state.ply / 300)
        return jnp.concatenate([*planes, ply], axis=1)[None]

    def returns(self, state: SowState) -> jax.Array:
        lead = state.store[0] - state.store[1]
        value = jnp.sign(lead).astype(jnp.float32)
        if self.bug == "tie is a win":
            value = jnp.where(lead >= 0, 1.0, -1.0)
        return jnp.where(state.terminated, result_for(jnp.int8(0), value), 0.0)

    def invariant(self, state: SowState) -> jax.Array:
        total = state.pits.sum(dtype=jnp.int32) + state.store.sum(dtype=jnp.int32)
        return state.terminated | (total == 6 * STONES)

    def symmetries(self) -> tuple[Symmetry, ...]:
        return (identity(self.observation_shape, self.num_actions),)

    def action_to_string(self, state: SowState, action: int) -> str:
        return f"pit {action + 1}"

    def string_to_action(self, state: SowState, text: str) -> int:
        return find_action(self, state, text)

    def render(self, state: SowState) -> str:
        return f"{np.asarray(state.pits).tolist()} stores {np.asarray(state.store).tolist()}"


class KingState(NamedTuple):
    board: jax.Array  # int8[R, C], a seat or -1
    to_play: jax.Array
    legal_action_mask: jax.Array  # bool[R * C * 4]
    terminated: jax.Array
    quiet: jax.Array  # int8[], plies since a capture
    ply: jax.Array  # int16[]
    winner: jax.Array  # int8[]


STEPS = np.array([[-1, 0], [0, 1], [1, 0], [0, -1]])


@dataclasses.dataclass(frozen=True)
class Kings:
    """Two pieces each step straight, capture by landing; who has none left loses.

    A draw after thirty plies without a capture, or a hundred in all.
    """

    bug: str = ""
    rows: int = 4
    cols: int = 4

    @property
    def num_actions(self) -> int:
        return self.rows * self.cols * 4

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        return (self.rows, self.cols, 4)

    @property
    def max_plies(self) -> int:
        return 20 if self.bug == "cut games to seat 1" else 100

    def init(self, key: jax.Array) -> KingState:
        del key
        board = jnp.full((self.rows, self.cols), -1, jnp.int8)
        board = board.at[-1, 1].set(0).at[-1, 2].set(0).at[0, 1].set(1).at[0, 2].set(1)
        seat = 1 if self.bug == "opening of the other" else 0
        mask = self._mask(board, jnp.int8(seat))
        nobody, none = jnp.int8(-1), jnp.int8(0)
        return KingState(board, none, mask, jnp.bool_(False), none, jnp.int16(0), nobody)

    def _mask(self, board: jax.Array, seat: jax.Array) -> jax.Array:
        row, col = np.divmod(np.arange(self.rows * self.cols), self.cols)
        to_row, to_col = row[:, None] + STEPS[:, 0], col[:, None] + STEPS[:, 1]
        inside = (to_row >= 0) & (to_row < self.rows) & (to_col >= 0) & (to_col < self.cols)
        if self.bug == "wraps":
            inside = (to_row >= 0) & (to_row < self.rows)
        flat = board.reshape(-1)
        target = flat[(to_row % self.rows) * self.cols + to_col % self.cols]
        return ((flat == seat)[:, None] & inside & (target != seat)).reshape(-1)

    def step(self, state: KingState, action: jax.Array) -> KingState:
        seat, cell = state.to_play, action // 4
        if self.bug == "narrow cell":
            cell = (action.astype(jnp.int8) // 4).astype(jnp.int32)
        delta = jnp.asarray(STEPS)[action % 4]
        row = (cell // self.cols + delta[0]) % self.rows
        col = (cell % self.cols + delta[1]) % self.cols
        captured = state.board[row, col] == 1 - seat
        board = state.board
        if self.bug != "stays":
            board = board.at[cell // self.cols, cell % self.cols].set(-1)
        board = board.at[row, col].set(seat)
        quiet = jnp.where(captured, 0, state.quiet + 1).astype(jnp.int8)
        ply = state.ply + 1
        lost = ~(board == 1 - seat).any()
        to_play = (1 - seat).astype(jnp.int8)
        drawn = (quiet >= 30) | (ply >= self.max_plies)
        mask = self._mask(board, to_play)
        over = lost | drawn | ~mask.any()
        winner = jnp.where(lost | ~mask.any(), seat, -1).astype(jnp.int8)
        if self.bug == "cut games to seat 1":
            winner = jnp.where(over & (winner == -1), 1, winner).astype(jnp.int8)
        after = KingState(board, to_play, mask & ~over, over, quiet, ply, winner)
        return at_the_end_stay(state, after)

    def observe(self, state: KingState) -> jax.Array:
        seats = jnp.stack([state.to_play, 1 - state.to_play])
        pieces = state.board[:, :, None] == seats[None, None]
        clock = jnp.stack([state.quiet / 30, state.to_play.astype(jnp.float32)])
        if self.bug == "quiet not shown":
            clock = clock.at[0].set(0.0)
        planes = jnp.broadcast_to(clock[None, None], (self.rows, self.cols, 2))
        return jnp.concatenate([pieces, planes], axis=-1)

    def returns(self, state: KingState) -> jax.Array:
        value = jnp.where(state.winner == -1, 0.0, 1.0)
        return jnp.where(state.terminated & (value > 0), result_for(state.winner, value), 0.0)

    def symmetries(self) -> tuple[Symmetry, ...]:
        return (identity(self.observation_shape, self.num_actions),)

    def action_to_string(self, state: KingState, action: int) -> str:
        cell, way = divmod(action, 4)
        row, col = divmod(cell, self.cols)
        return f"{'abcdefghijklmnopqrs'[col]}{self.rows - row}{'nesw'[way]}"

    def string_to_action(self, state: KingState, text: str) -> int:
        return find_action(self, state, text)

    def render(self, state: KingState) -> str:
        return "\n".join(" ".join(".XO"[x + 1] for x in row) for row in np.asarray(state.board))


class PairState(NamedTuple):
    board: jax.Array  # int8[N]
    to_play: jax.Array
    legal_action_mask: jax.Array
    terminated: jax.Array
    second: jax.Array  # bool[], the mover's second stone of two
    last: jax.Array  # int32[], the last cell
    winner: jax.Array  # int8[]


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Connect four on 5x5, two stones a turn but one at first; not beside the last stone placed."""

    bug: str = ""
    num_actions = 25
    observation_shape = (5, 5, 4)
    max_plies = 25

    def init(self, key: jax.Array) -> PairState:
        board = jnp.full(25, -1, jnp.int8)
        second = jnp.bool_(True)
        if self.bug == "hidden":
            second = jax.random.bernoulli(key)
        live, nobody = jnp.bool_(False), jnp.int8(-1)
        return PairState(
            board, jnp.int8(0), jnp.ones(25, bool), live, second, jnp.int32(-9), nobody
        )

    def _lines(self) -> np.ndarray:
        cells = np.arange(25).reshape(5, 5)
        lines = [cells[r, c : c + 4] for r in range(5) for c in range(2)]
        lines += [cells[r : r + 4, c] for r in range(2) for c in range(5)]
        for r in range(2):
            for c in range(2):
                lines.append(cells[range(r, r + 4), range(c, c + 4)])
                lines.append(cells[range(r, r + 4), range(c + 3, c - 1, -1)])
        return np.array(lines)

    def step(self, state: PairState, action: jax.Array) -> PairState:
        seat = state.to_play
        board = jnp.where(jnp.arange(25) == action, seat, state.board)
        judged = state.board if self.bug == "late" else board
        won = (judged[self._lines()] == seat).all(axis=1).any()
        if self.bug == "late":
            won = won | (judged[self._lines()] == 1 - seat).all(axis=1).any()
        second = ~state.second
        to_play = jnp.where(state.second, 1 - seat, seat).astype(jnp.int8)
        cell = np.arange(25)
        near = abs(cell // 5 - action // 5) + abs(cell % 5 - action % 5) == 1
        free = board == -1
        mask = jnp.where((free & ~near).any(), free & ~near, free)
        if self.bug == "transposed":
            mask = mask.reshape(5, 5).T.reshape(-1)
        over = won | ~free.any()
        winner = jnp.where(won, seat, -1).astype(jnp.int8)
        if self.bug == "late":
            lined = (judged[self._lines()] == 1 - seat).all(axis=1).any()
            winner = jnp.where(won, jnp.where(lined, 1 - seat, seat), -1).astype(jnp.int8)
        after = PairState(board, to_play, mask & ~over, over, second, action, winner)
        return at_the_end_stay(state, after)

    def observe(self, state: PairState) -> jax.Array:
        seats = jnp.stack([state.to_play, 1 - state.to_play])
        stones = state.board[:, None] == seats[None]
        second = jnp.full((25, 1), state.second)
        if self.bug == "hidden":
            second = jnp.zeros_like(second)
        last = (jnp.arange(25) == state.last)[:, None]
        if self.bug == "last not shown":
            last = jnp.zeros_like(last)
        return jnp.concatenate([stones, second, last], axis=1).reshape(5, 5, 4)

    def returns(self, state: PairState) -> jax.Array:
        seat = state.winner
        if self.bug == "to the next":
            seat = jnp.where(state.winner == -1, -1, state.to_play)
        if self.bug == "draw to seat 1":
            seat = jnp.where(state.terminated & (seat == -1), 1, seat)
        return jnp.where(seat == -1, 0.0, result_for(seat, jnp.float32(1.0)))

    def symmetries(self) -> tuple[Symmetry, ...]:
        cells = np.arange(25, dtype=np.int32).reshape(5, 5)
        images = [np.rot90(board, k) for board in (cells, cells.T) for k in range(4)]
        return tuple(Symmetry(i.reshape(-1), i.reshape(-1)) for i in images)

    def action_to_string(self, state: PairState, action: int) -> str:
        return f"{'abcde'[action % 5]}{5 - action // 5}"

    def string_to_action(self, state: PairState, text: str) -> int:
        return find_action(self, state, text)

    def render(self, state: PairState) -> str:
        board = np.asarray(state.board).reshape(5, 5)
        return "\n".join(" ".join(".XO"[x + 1] for x in row) for row in board)
