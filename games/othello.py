"""Othello: outflank the other's discs; who owns more of them at the end wins.

Rules: World Othello Federation, "Official rules for the game of Othello",
https://www.worldothello.org/about/about-othello/othello-rules/official-rules/english
Seat 0 has the black discs. A player without a move passes (and nobody else may); the game ends as
soon as neither side can move, whether or not the board is full.

A board is a few 32-bit words, a bit for each cell, so that a fixed number of shifts finds the runs
of discs in four directions of all cells at once (the "dumb7fill" of chess programs,
https://www.chessprogramming.org/Dumb7Fill).
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.board import LETTERS, cell_name, check_range, dihedral, draw, find_action
from games.game import Symmetry
from games.layout import Board, Piece, Point, Text, discs, squares

WORD = 32  # bits in a word; cell row * size + col is bit cell % 32 of word cell // 32
# A board as its W words; each is uint32[], or uint32[4] with an entry for each direction.
Words = tuple[jax.Array, ...]


class State(NamedTuple):
    discs: jax.Array  # uint32[2, W], the cells that each seat owns, packed; W is ceil(n * n / 32)
    to_play: jax.Array  # int8[], seat 0 or 1
    legal_action_mask: jax.Array  # bool[n * n + 1], all False once terminated
    terminated: jax.Array  # bool[]


@dataclasses.dataclass(frozen=True)
class Othello:
    """Othello on an even board, 8x8 unless told otherwise.

    The observation's planes are the mover's discs and the other's. Of the square's eight symmetries
    a game has the four that keep the opening position.
    """

    size: int = 8

    def __post_init__(self) -> None:
        check_range("size", self.size, 4, 16)
        if self.size % 2:
            raise ValueError(f"size must be even, from 4 to 16, got {self.size}")

    @property
    def num_actions(self) -> int:
        return self.size**2 + 1  # row * size + col, then the pass

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        return (self.size, self.size, 2)

    @property
    def max_plies(self) -> int:
        return 2 * (self.size**2 - 4)  # a pass never follows a pass

    def init(self, key: jax.Array) -> State:
        del key  # one opening position
        opening = _opening(self.size)
        discs = jnp.asarray(np.stack([_pack(opening == seat) for seat in range(2)]))
        moves = _moves(discs[0], discs[1], self.size)
        return State(
            discs=discs,
            to_play=jnp.int8(0),
            legal_action_mask=jnp.append(_unpack(moves, self.size), False),
            terminated=jnp.bool_(False),
        )

    def step(self, state: State, action: jax.Array) -> State:
        own, other = state.discs[state.to_play], state.discs[1 - state.to_play]
        bit = jnp.left_shift(jnp.uint32(1), jnp.asarray(action % WORD, jnp.uint32))
        is_word = jnp.arange(own.shape[0]) == action // WORD
        disc = jnp.where(is_word, bit, jnp.uint32(0)) & _pack(_all_cells(self.size))  # pass: none
        flipped = _flipped(disc, own, other, self.size)
        own, other = own | flipped | disc, other & ~flipped

        moves = _moves(other, own, self.size)
        stuck = ~moves.any()
        terminated = stuck & ~_moves(own, other, self.size).any()
        after = State(
            discs=jnp.where(state.to_play == 0, jnp.stack([own, other]), jnp.stack([other, own])),
            to_play=1 - state.to_play,
            legal_action_mask=jnp.append(_unpack(moves, self.size), stuck & ~terminated),
            terminated=terminated,
        )
        # The search steps past the end of games: there, nothing may change.
        return jax.tree.map(lambda old, new: jnp.where(state.terminated, old, new), state, after)

    def observe(self, state: State) -> jax.Array:
        seats = [state.to_play, 1 - state.to_play]  # the mover's discs first
        planes = jnp.stack([_unpack(state.discs[seat], self.size) for seat in seats], axis=-1)
        return planes.reshape(self.observation_shape)

    def returns(self, state: State) -> jax.Array:
        count = self._counts(state)
        return jnp.where(state.terminated, jnp.sign(count - count[::-1]), 0.0)

    def _counts(self, state: State) -> jax.Array:
        """Returns float32[2]: the discs of each seat."""
        return jax.lax.population_count(state.discs).sum(axis=1).astype(jnp.float32)

    @property
    def largest_margin(self) -> float:
        return float(self.size**2)

    def margin(self, state: State) -> jax.Array:
        """Returns float32[]: seat 0's discs less seat 1's."""
        count = self._counts(state)
        return count[0] - count[1]

    def final_planes(self, state: State) -> jax.Array:
        """Returns int8[2, n, n]: whose disc lies on each cell."""
        own, other = (_unpack(state.discs[seat], self.size).astype(jnp.int8) for seat in range(2))
        return jnp.stack([own - other, other - own]).reshape(2, self.size, self.size)

    def symmetries(self) -> tuple[Symmetry, ...]:
        opening = _opening(self.size)
        images = [image.reshape(-1) for image in dihedral(self.size, self.size)]
        kept = [image for image in images if (opening.reshape(-1)[image] == opening.flat).all()]
        return tuple(Symmetry(image, np.append(image, np.int32(self.size**2))) for image in kept)

    def action_to_string(self, state: State, action: int) -> str:
        del state
        if action == self.size**2:
            return "pass"
        return cell_name(*divmod(action, self.size), range(1, self.size + 1))

    def string_to_action(self, state: State, text: str) -> int:
        return find_action(self, state, text)

    def render(self, state: State) -> str:
        symbols = np.array([".", "X", "O"])[self._owners(state) + 1]
        return draw(symbols.reshape(self.size, self.size), range(1, self.size + 1))

    def _owners(self, state: State) -> np.ndarray:
        """Returns int[n * n]: the seat that owns each cell, or -1."""
        cells = np.arange(self.size**2, dtype=np.uint32)
        first, second = np.asarray(state.discs)[:, cells // WORD] >> (cells % WORD) & 1
        return first.astype(int) + 2 * second.astype(int) - 1

    def board(self) -> Board:
        names, size = LETTERS[: self.size], self.size
        return squares(size, size, columns=names, lines=range(1, size + 1), surface="felt")

    def place(self, state: State, action: int) -> Point | Text:
        del state
        return Text("pass") if action == self.size**2 else Point(action)

    def pieces(self, state: State) -> list[Piece]:
        return discs(self._owners(state).tolist())


def _flipped(disc: jax.Array, own: jax.Array, other: jax.Array, size: int) -> jax.Array:
    """Returns uint32[W]: the discs of `other` that a new `disc` beside `own` outflanks."""
    from_disc = _runs(disc, other, size)
    from_own = _runs(own, other, size)
    # Outflanked: a run that the new disc reaches in one direction, an old one in the opposite one.
    return _union(
        [tuple(a & b for a, b in zip(from_disc[i], from_own[1 - i], strict=True)) for i in range(2)]
    )


def _moves(own: jax.Array, other: jax.Array, size: int) -> jax.Array:
    """Returns uint32[W]: the cells where the owner of `own` may move."""
    by, inside = _directions(size)
    ends = [
        tuple(a & b for a, b in zip(shift(run, by), inside_words, strict=True))
        for shift, run, inside_words in zip(SHIFTS, _runs(own, other, size), inside, strict=True)
    ]
    return _union(ends) & ~own & ~other & _pack(_all_cells(size))


def _runs(start: jax.Array, through: jax.Array, size: int) -> tuple[Words, Words]:
    """Returns the discs of `through` that an unbroken line of them joins to a cell of `start`.

    `start` and `through` are uint32[W]. Two boards of uint32[4] words: for the four directions
    towards later cells, and for the four opposite ones, in the order of `_directions`.
    """
    by, inside = _directions(size)
    start_words = tuple(start[w] for w in range(start.shape[0]))
    runs = []
    for shift, inside_words in zip(SHIFTS, inside, strict=True):
        passable = tuple(through[w] & inside_words[w] for w in range(through.shape[0]))
        run = tuple(a & b for a, b in zip(passable, shift(start_words, by), strict=True))
        for _ in range(size - 3):  # the longest run has size - 2 discs
            onward = zip(run, passable, shift(run, by), strict=True)
            run = tuple(a | (b & c) for a, b, c in onward)
        runs.append(run)
    return runs[0], runs[1]


def _later(words: Words, by: np.ndarray) -> Words:
    """Moves every bit `by` (uint32[4], each below 32) cells on."""
    carries = zip(words, (np.uint32(0), *words[:-1]), strict=True)
    return tuple((word << by) | (lower >> (WORD - by)) for word, lower in carries)


def _earlier(words: Words, by: np.ndarray) -> Words:
    """Moves every bit `by` (uint32[4], each below 32) cells back."""
    carries = zip(words, (*words[1:], np.uint32(0)), strict=True)
    return tuple((word >> by) | (upper << (WORD - by)) for word, upper in carries)


SHIFTS: tuple[Callable[[Words, np.ndarray], Words], ...] = (_later, _earlier)


def _union(boards: list[Words]) -> jax.Array:
    """Returns uint32[W]: the union of boards of uint32[4] words over all their directions."""
    # A reduction on purpose: XLA's CPU compiler writes its result to memory, while a tree of ORs is
    # fused into what reads it and computed anew for every cell, which took 15 times as long.
    return jnp.stack(
        [jnp.bitwise_or.reduce(jnp.concatenate(words)) for words in zip(*boards, strict=True)]
    )


@functools.lru_cache
def _directions(size: int) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Returns how to walk the board: steps uint32[4], and two masks uint32[W, 4].

    Walking on by `steps[d]` cells goes right, down and left, down, down and right; walking back
    goes the opposite way. The masks hold the cells that such a step can end on without having left
    the board at its side, first those of the walk on, then those of the walk back.
    """
    anywhere, not_first, not_last = (_all_cells(size) for _ in range(3))
    not_first[:, 0] = False
    not_last[:, -1] = False
    steps = np.array([1, size - 1, size, size + 1], np.uint32)
    on = np.stack([_pack(m) for m in (not_first, not_last, anywhere, not_first)], axis=1)
    back = np.stack([_pack(m) for m in (not_last, not_first, anywhere, not_last)], axis=1)
    return steps, (on, back)


def _opening(size: int) -> np.ndarray:
    """Returns int8[size, size]: the seat that owns each cell at the start, or -1."""
    board = np.full((size, size), -1, np.int8)
    middle = size // 2
    board[middle - 1 : middle + 1, middle - 1 : middle + 1] = [[1, 0], [0, 1]]
    return board


def _all_cells(size: int) -> np.ndarray:
    return np.ones((size, size), bool)


def _pack(cells: np.ndarray) -> np.ndarray:
    """Returns uint32[W]: the True cells of bool[size, size]."""
    bits = np.packbits(cells, axis=None, bitorder="little")
    return np.pad(bits, (0, -len(bits) % 4)).view("<u4").astype(np.uint32)


def _unpack(words: jax.Array, size: int) -> jax.Array:
    """Returns bool[size * size]: the cells of uint32[W]."""
    bits = jnp.right_shift(words[:, None], jnp.arange(WORD, dtype=jnp.uint32)[None, :]) & 1
    return bits.astype(bool).reshape(-1)[: size**2]
