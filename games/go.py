"""Go with area scoring and positional superko, on boards from 5x5 to 19x19.

Rules: Tromp and Taylor, "The game of Go", https://tromp.github.io/go.html, but for suicide, which
is forbidden here. Seat 0 has the black stones, seat 1 the white ones and the komi. A stone that
would recreate any earlier position of the board, whoever was to play then, is illegal; a pass never
is. The game ends after two passes in a row or `2 * size * size` plies and is scored as it stands:
stones left on the board are alive.

Every stone carries the id of its chain, so chains are joined and taken off by comparing ids, and
what a chain has in common (its liberties) is collected by one scatter over the points.
"""

import dataclasses
import functools
import math
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.board import cell_name, check_range, dihedral, draw, find_action, star_points
from games.game import Symmetry
from games.layout import Board, Piece, Point, Text, discs, points

LETTERS = "ABCDEFGHJKLMNOPQRST"  # the Go Text Protocol leaves out I
RECENT = 5  # moves that the observation shows, as many as KataGo's does (Wu 2019, arXiv:1902.10565)
STRIDE = 32  # of the history's entries that are all compared with, before the search between two
NO_ENTRY = np.uint32(2**32 - 1)  # pads the sorted history at its end
WORDS = 144  # spread in a kernel of `_reach`: more are fewer kernels, but compile slowly
LEAST_SPREADS = 8  # of each word in it
CPU_SPREADS = 4  # in an iteration of `_reach_on_cpu`


class State(NamedTuple):
    """A position with its past; N is size * size, T is `max_plies`.

    1.7 kB on 9x9, 7.3 on 19x19, of which the past takes 1.3 and 5.8: `forget` leaves it out.
    """

    chain: jax.Array  # int16[N]: 0 if empty, else 1 + a point of the stone's chain; below 0: seat 1
    atari: jax.Array  # bool[N], the stones of chains with exactly one liberty
    to_play: jax.Array  # int8[], seat 0 or 1
    legal_action_mask: jax.Array  # bool[N + 1], all False once terminated
    terminated: jax.Array  # bool[]
    ply: jax.Array  # int16[]
    recent: jax.Array  # int16[RECENT], the last actions, the latest first; -1 before the game
    hash: jax.Array  # uint32[2], of the board
    # uint32[2, T], hashes of this and all earlier boards, ordered by word 0; as `recall` returns it
    # more of them follow in any order
    history: jax.Array


@dataclasses.dataclass(frozen=True)
class Go:
    """Go; the komi (7.5 is common on 9x9) is a multiple of a half; a whole one allows draws.

    Seen by the mover, the observation's planes are
    0, 1: the mover's stones, the other's;
    2, 3: those of them in atari, that is in chains with a single liberty;
    4: the points where the mover may play, which tells suicide and superko;
    5 to 9: the last five moves, the latest first, each a single point, or none for a pass;
    10: whether the last move was a pass, everywhere (another one ends the game);
    11: whether the mover is seat 1, which has the komi, everywhere.
    Earlier boards are neither kept nor shown, nor are the plies left.
    """

    size: int = 9
    komi: float = 7.5
    unobserved: ClassVar[str] = "all earlier boards, which superko asks for"

    def __post_init__(self) -> None:
        check_range("size", self.size, 5, 19)
        if not (abs(self.komi) <= self.size**2 and float(2 * self.komi).is_integer()):
            raise ValueError(
                f"komi must be a multiple of 0.5 from {-(self.size**2)} to {self.size**2}, "
                f"got {self.komi}"
            )

    @property
    def num_actions(self) -> int:
        return self.size**2 + 1  # row * size + col, then the pass

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        return (self.size, self.size, 7 + RECENT)

    @property
    def max_plies(self) -> int:
        return 2 * self.size**2

    def init(self, key: jax.Array) -> State:
        del key  # one opening position
        points = self.size**2
        return State(
            chain=jnp.zeros(points, jnp.int16),
            atari=jnp.zeros(points, bool),
            to_play=jnp.int8(0),
            legal_action_mask=jnp.ones(points + 1, bool),
            terminated=jnp.bool_(False),
            ply=jnp.int16(0),
            recent=jnp.full(RECENT, -1, jnp.int16),
            hash=jnp.zeros(2, jnp.uint32),
            # The empty board needs no entry: a move leaves at least its own stone.
            history=jnp.full((2, self.max_plies), NO_ENTRY),
        )

    def step(self, state: State, action: jax.Array) -> State:
        chain, captured = _place(state, action, self.size)
        board_hash = state.hash + _hash_change(state.to_play, action, captured, self.size)
        is_pass = action == self.size**2
        ordered, others = jnp.split(state.history, [self.max_plies], axis=1)
        ordered = jnp.where(is_pass, ordered, _insert(ordered, board_hash))
        low, atari = _liberties(chain, self.size)
        # No move leads to the board it is made on, so the history without that board will do;
        # with it, XLA would insert again for every look-up.
        legal = _legal_points(
            chain, low, atari, 1 - state.to_play, board_hash, state.history, self.size
        )

        two_passes = is_pass & (state.recent[0] == self.size**2)
        terminated = two_passes | (state.ply + 1 >= self.max_plies)
        after = State(
            chain=chain,
            atari=atari,
            to_play=1 - state.to_play,
            legal_action_mask=jnp.append(legal, True) & ~terminated,
            terminated=terminated,
            ply=state.ply + jnp.int16(1),
            recent=jnp.append(action.astype(jnp.int16), state.recent[:-1]),
            hash=board_hash,
            history=jnp.concatenate([ordered, others], axis=1),
        )
        # The search steps past the end of games: there, nothing may change.
        return jax.tree.map(lambda old, new: jnp.where(state.terminated, old, new), state, after)

    def observe(self, state: State) -> jax.Array:
        points = jnp.arange(self.size**2)
        stones = state.chain * _sign(state.to_play)
        planes = [
            stones > 0,
            stones < 0,
            (stones > 0) & state.atari,
            (stones < 0) & state.atari,
            state.legal_action_mask[:-1],
            *(points == state.recent[i] for i in range(RECENT)),
            jnp.full(points.shape, state.recent[0] == self.size**2),
            jnp.full(points.shape, state.to_play == 1),
        ]
        return jnp.stack(planes, axis=-1).reshape(self.observation_shape)

    def returns(self, state: State) -> jax.Array:
        result = jnp.sign(self.margin(state)) * jnp.array([1.0, -1.0])
        return jnp.where(state.terminated, result, 0.0)

    def forget(self, state: State) -> State:
        return state._replace(history=state.history[:, :0])

    def recall(self, state: State, root: State, line: State) -> State:
        boards = [root.history, line.hash.T, state.hash[:, None]]
        return state._replace(history=jnp.concatenate(boards, axis=1))

    @property
    def largest_margin(self) -> float:
        return self.size**2 + abs(self.komi)

    def margin(self, state: State) -> jax.Array:
        """Returns float32[]: seat 0's area less seat 1's and the komi, the board as it stands."""
        area = _area(state.chain, self.size)
        return (area[0] - area[1]).astype(jnp.float32) - self.komi

    def final_planes(self, state: State) -> jax.Array:
        """Returns int8[2, n, n]: whose area each point is."""
        bit = jnp.arange(self.size, dtype=jnp.uint32)
        rows = _area_rows(state.chain, self.size)
        own = ((rows[:, :, None] >> bit[None, None, :]) & 1).astype(jnp.int8)
        return own - own[::-1]

    def symmetries(self) -> tuple[Symmetry, ...]:
        images = [image.reshape(-1) for image in dihedral(self.size, self.size)]
        return tuple(Symmetry(image, np.append(image, np.int32(self.size**2))) for image in images)

    def action_to_string(self, state: State, action: int) -> str:
        del state
        if action == self.size**2:
            return "pass"
        return cell_name(*divmod(action, self.size), range(self.size, 0, -1), LETTERS)

    def string_to_action(self, state: State, text: str) -> int:
        return find_action(self, state, text)

    def render(self, state: State) -> str:
        symbols = np.array([".", "X", "O"])[np.sign(np.asarray(state.chain))]
        return draw(symbols.reshape(self.size, self.size), range(self.size, 0, -1), LETTERS)

    def board(self) -> Board:
        names, lines = LETTERS[: self.size], range(self.size, 0, -1)
        stars = star_points(self.size)
        return points(self.size, self.size, columns=names, lines=lines, stars=stars)

    def place(self, state: State, action: int) -> Point | Text:
        del state
        return Text("pass") if action == self.size**2 else Point(action)

    def pieces(self, state: State) -> list[Piece]:
        sign = np.sign(np.asarray(state.chain))
        return discs(np.array([-1, 0, 1])[sign].tolist())


def _sign(seat: jax.Array) -> jax.Array:
    """Returns int16[]: the sign of `seat`'s stones in `State.chain`."""
    return jnp.int16(1) - 2 * seat.astype(jnp.int16)


def _place(state: State, action: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    """Returns the chains after the mover's `action`, and bool[N]: which stones it captured."""
    sign = _sign(state.to_play)
    neighbours = jnp.asarray(_adjacent(size))[action]
    neighbour_ids = jnp.append(state.chain, jnp.int16(0))[neighbours]  # int16[4]; 0 off the board
    same = (state.chain[None, :] == neighbour_ids[:, None]) & (neighbour_ids != 0)[:, None]
    is_own = (neighbour_ids * sign > 0)[:, None]
    captured = (same & ~is_own).any(axis=0) & state.atari  # the last liberty was this point
    joined = (same & is_own).any(axis=0) | (jnp.arange(size**2) == action)
    chain_id = sign * (action + 1).astype(jnp.int16)
    return jnp.where(joined, chain_id, jnp.where(captured, jnp.int16(0), state.chain)), captured


def _liberties(chain: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    """Returns int32[N]: the lowest liberty of each stone's chain, and bool[N]: if it has no other.

    A chain's only liberty is at once its lowest and its highest, so two maxima tell it.
    """
    points = size**2
    point = jnp.arange(points).reshape(size, size)
    up, left, right, down = _shifted((chain == 0).reshape(size, size))
    lowest, highest = jnp.full((size, size), points), jnp.full((size, size), -1)
    for empty, offset in ((down, size), (right, 1), (left, -1), (up, -size)):
        lowest = jnp.where(empty, point + offset, lowest)
    for empty, offset in ((up, -size), (left, -1), (right, 1), (down, size)):
        highest = jnp.where(empty, point + offset, highest)
    ends = jnp.stack([-lowest, highest], axis=-1).reshape(points, 2)
    chain_id = jnp.abs(chain.astype(jnp.int32))  # 0 gathers the empty points, which nobody asks for
    ends = jnp.full((points + 1, 2), -points).at[chain_id].max(ends)[chain_id]
    low = -ends[:, 0]
    return low, (chain != 0) & (low == ends[:, 1])


def _legal_points(
    chain: jax.Array,
    low: jax.Array,
    atari: jax.Array,
    seat: jax.Array,
    board_hash: jax.Array,
    history: jax.Array,
    size: int,
) -> jax.Array:
    """Returns bool[N]: where `seat` may play a stone, given `_liberties(chain)`."""
    stones = chain * _sign(seat)
    capturable = (stones < 0) & atari
    # A stone lives beside an empty point, an own chain with another liberty, or what it captures.
    gives_life = (chain == 0) | ((stones > 0) & ~atari) | capturable
    up, left, right, down = _shifted(gives_life.reshape(size, size))
    lives = (chain == 0) & (up | left | right | down).reshape(-1)

    keys = jnp.asarray(_keys(size))
    own, other = jnp.where(seat == 0, keys, keys[::-1])
    point = jnp.where(capturable, low, size**2)  # where the capture takes place; else dropped
    taken = jnp.zeros((size**2, 2), jnp.uint32).at[point].add(other, mode="drop")
    boards = board_hash[None, :] + own - taken
    look_up = functools.partial(_look_up, entries=2 * size**2)
    seen = jax.lax.platform_dependent(history, boards, cpu=look_up, default=_among)
    return lives & ~seen


def _hash_change(seat: jax.Array, action: jax.Array, captured: jax.Array, size: int) -> jax.Array:
    """Returns uint32[2]: what `seat`'s stone at `action` and its captures add to the board's hash.

    The hash is a sum of a random 64-bit key for each stone, as two words that wrap around; unlike
    Zobrist's exclusive or it can be added up by a scatter. Two boards are confused with probability
    2^-64.
    """
    keys = jnp.asarray(_keys(size))
    own, other = jnp.where(seat == 0, keys, keys[::-1])
    stone = jnp.arange(size**2) == action  # nowhere for a pass
    added = jnp.where(stone[:, None], own, jnp.uint32(0))
    change = added - jnp.where(captured[:, None], other, jnp.uint32(0))
    return change.sum(axis=0, dtype=jnp.uint32)


def _insert(history: jax.Array, entry: jax.Array) -> jax.Array:
    """Returns `history` with uint32[2] `entry` at its place, one padding entry less."""
    before = history[0] < entry[0]
    first = jnp.append(True, before[:-1])  # whether the entry to the left stays
    shifted = jnp.concatenate([history[:, :1], history[:, :-1]], axis=1)
    return jnp.where(before, history, jnp.where(first, entry[:, None], shifted))


def _among(history: jax.Array, boards: jax.Array) -> jax.Array:
    """Returns bool[N]: whether the hashes uint32[N, 2] are in uint32[2, T] `history`.

    All are compared with all: on a GPU that is one kernel, quicker than the steps of a search.
    """
    return (history[:, None, :] == boards.T[:, :, None]).all(axis=0).any(axis=1)


def _look_up(history: jax.Array, boards: jax.Array, entries: int) -> jax.Array:
    """`_among`, of a history whose first `entries` are ordered by word 0.

    Word 0 is looked up: a comparison with every STRIDE-th entry, then a binary search of as many
    probes for each. Both words are compared with that entry and with the next one, which may
    share its word 0; three boards of a game that do are as rare as a collision of whole hashes.
    """
    ordered, others = jnp.split(history, [entries], axis=1)
    last = entries - 1
    pivots = ordered[0, STRIDE - 1 :: STRIDE]
    before = STRIDE * (pivots[:, None] < boards[None, :, 0]).sum(axis=0, dtype=jnp.int32)
    for k in reversed(range(STRIDE.bit_length() - 1)):
        probe = jnp.minimum(before + 2**k - 1, last)
        before = jnp.where(_rows(ordered[0], probe) < boards[:, 0], before + 2**k, before)
    nearest = [jnp.minimum(before + i, last) for i in range(2)]
    hits = [(_rows(ordered.T, entry) == boards).all(axis=1) for entry in nearest]
    return hits[0] | hits[1] | _among(others, boards)


def _rows(table: jax.Array, index: jax.Array) -> jax.Array:
    """Returns `table[index]` for an index known to be inside: unchecked, which XLA cannot know."""
    return table.at[index].get(mode="promise_in_bounds")


def _area(chain: jax.Array, size: int) -> jax.Array:
    """Returns int32[2]: each seat's stones and the empty points that reach only them."""
    return jax.lax.population_count(_area_rows(chain, size)).sum(axis=1, dtype=jnp.int32)


def _area_rows(chain: jax.Array, size: int) -> jax.Array:
    """Returns uint32[2, n]: the points of each seat's area, a word a row, bit i for column i.

    Words hold a row of the board, and where they are wide enough the rows of both seats.
    """
    bit = jnp.left_shift(jnp.uint32(1), jnp.arange(size, dtype=jnp.uint32))

    def pack(*boards: jax.Array) -> jax.Array:
        points = jnp.stack(boards).reshape(2, size, size)
        words = jnp.where(points, bit, jnp.uint32(0)).sum(axis=-1, dtype=jnp.uint32)
        return words[:1] | words[1:] << 16 if size < 16 else words

    empty, stones = pack(chain == 0, chain == 0), pack(chain > 0, chain < 0)
    on_cpu, elsewhere = (functools.partial(form, size=size) for form in (_reach_on_cpu, _reach))
    reach = jax.lax.platform_dependent(stones, empty, cpu=on_cpu, default=elsewhere)
    if size < 16:
        reach = jnp.concatenate([reach & 0xFFFF, reach >> 16])
    return reach & ~reach[::-1]


def _longest_path(size: int) -> int:
    """Returns a bound on L, the points of a path without shortcuts.

    They have 4 L sides, at most 4 n of them on the edge of the board; 2 (L - 1) face each other,
    and the rest face the other n * n - L points, which have four sides each:
    4 L - 4 n - 2 (L - 1) <= 4 (n * n - L).
    """
    return (4 * size**2 + 4 * size - 2) // 6


def _reach(stones: jax.Array, empty: jax.Array, size: int) -> jax.Array:
    """Returns `stones` and the empty points that they reach: uint32[W, n], W words for each row.

    Reach spreads by one point at a time, and as often as a path can have points. No test for an
    early end: on a GPU the host would wait for each. Every word is an array of its own, so that as
    many spreads as compile quickly are one kernel; few such kernels need no loop.
    """
    free = [list(words) for words in empty]
    spreads = max(LEAST_SPREADS, WORDS // stones.size)

    def spread_on(_: int, reach: list[list[jax.Array]]) -> list[list[jax.Array]]:
        for _ in range(spreads):
            reach = [_spread(*words) for words in zip(reach, free, strict=True)]
        return jax.lax.optimization_barrier(reach)

    # The first round stands before the loop: else every word would be cut out by its own kernel.
    reach = spread_on(0, [list(words) for words in stones])
    rest = math.ceil(_longest_path(size) / spreads) - 1
    reach = jax.lax.fori_loop(0, rest, spread_on, reach, unroll=rest if 0 < rest < 4 else 1)
    return jnp.stack([jnp.stack(words) for words in reach])


def _spread(reach: list[jax.Array], empty: list[jax.Array]) -> list[jax.Array]:
    """Returns `reach` and the empty points beside it; a uint32[] for each row."""
    above, below = [jnp.uint32(0), *reach[:-1]], [*reach[1:], jnp.uint32(0)]
    return [
        row | ((row << 1 | row >> 1 | up | down) & free)
        for row, up, down, free in zip(reach, above, below, empty, strict=True)
    ]


def _reach_on_cpu(stones: jax.Array, empty: jax.Array, size: int) -> jax.Array:
    """`_reach` by a smaller program, where the other compiles slowly."""

    def spread_on(_: int, reach: jax.Array) -> jax.Array:
        for _ in range(CPU_SPREADS):
            padded = jnp.pad(reach, [(0, 0), (1, 1)])
            neighbours = reach << 1 | reach >> 1 | padded[:, :-2] | padded[:, 2:]
            reach |= neighbours & empty
        return reach

    return jax.lax.fori_loop(0, math.ceil(_longest_path(size) / CPU_SPREADS), spread_on, stones)


def _shifted(board: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """The neighbours above, left, right and below of each point of bool[n, n]; False outside."""
    padded = jnp.pad(board, 1)
    return padded[:-2, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:], padded[2:, 1:-1]


@functools.cache
def _adjacent(size: int) -> np.ndarray:
    """Returns int32[N + 1, 4]: the points beside each; N for off the board, and beside a pass."""
    points = size**2
    padded = np.full((size + 2, size + 2), points, np.int32)
    padded[1:-1, 1:-1] = np.arange(points).reshape(size, size)
    sides = [padded[:-2, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:], padded[2:, 1:-1]]
    table = np.stack(sides, axis=-1).reshape(points, 4)
    return np.concatenate([table, np.full((1, 4), points, np.int32)])


@functools.cache
def _keys(size: int) -> np.ndarray:
    """Returns uint32[2, N, 2]: for each seat's stone on each point a random key of two words."""
    raw = np.random.PCG64(size).random_raw(2 * size**2)  # the same in every version of NumPy
    words = np.stack([raw >> np.uint64(32), raw & np.uint64(2**32 - 1)], axis=-1)
    return words.astype(np.uint32).reshape(2, size**2, 2)
