"""Perfect play in Hex up to 5x5: a proof of who wins, with what the winner needs for it.

A proof names the stones and the empty cells that suffice: its winner wins even if the other owns
every cell beside these. So a move that leaves them alone cannot refute it: what remains to be tried
lies in the carriers of all known threats (the must-play region of van Rijswijck 2002, "Search and
evaluation in Hex", and of Hayward et al. 2005, "Solving 7x7 Hex with domination, fill-in, and
virtual connections"). And a proof holds in every position that has its cells, so each is kept as a
pattern, in all its symmetric images, and looked up from then on.

Cells are bits, row * size + col. Seat 0 joins top and bottom, seat 1 left and right.
"""

import functools
import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from games.hex import NEIGHBOURS, Hex
from selfplay.perfect.solver import ILLEGAL, TooLongError

LARGEST = 5  # cells fit a word of 32 bits; larger boards would take hours
ENDLESS = 1 << 60
FIRST_ALLOWANCE, MORE = 20_000, 8  # positions, times
FAR = 7  # steps to a cell that cannot be reached
GLANCE = 64  # positions between two looks at the clock; one takes up to a millisecond

Key = tuple[int, int, int]  # the cells of seat 0 and of seat 1, as bits; the seat to play


class Proof(NamedTuple):
    """Who wins, and what the win rests on: all other cells might be the loser's."""

    winner: int  # seat
    stones: int  # of the winner
    carrier: int  # empty cells


def outcomes(game: Hex, states: Any, until: float = float("inf")) -> np.ndarray:
    """Returns int8[N, A]: each move's outcome for the mover, `ILLEGAL` where it is illegal.

    What has been found out is kept for the next call. With the swap rule every opening loses: the
    other side takes over the winning ones.

    Args:
      states: batched, [N, ...].
      until: the time, of `time.monotonic`, to give up at.

    Raises:
      ValueError: the board is larger than `LARGEST`.
      TooLongError: it was not found until then.
    """
    with _solving:
        return _outcomes(game, states, _solver(game.size), until)


_solving = threading.Lock()  # a solver's patterns are not for two threads at once


def _outcomes(game: Hex, states: Any, solver: "Solver", until: float) -> np.ndarray:
    solver.until = until
    groups, legal = np.asarray(states.groups), np.asarray(states.legal_action_mask)
    cells = game.size**2
    stones = np.stack([groups > 0, groups < 0], axis=1) @ (1 << np.arange(cells))
    table = np.full(legal.shape, ILLEGAL, np.int8)
    for place, (first, second) in enumerate(stones.tolist()):
        if game.swap and not (first or second):
            table[place] = -1
        elif legal[place].any():
            table[place, :cells] = solver.outcomes((first, second), int(states.to_play[place]))
        if (
            game.swap and legal[place, cells]
        ):  # the stone taken over is the same to seat 1 as it was to 0
            table[place, cells] = 1 if solver.prove((first, 0), 1).winner == 0 else -1
    return np.where(legal, table, np.int8(ILLEGAL))


@functools.cache
def _solver(size: int) -> "Solver":
    return Solver(size)


class Solver:
    """Proves positions of one board; keeps what it has proved."""

    def __init__(self, size: int) -> None:
        if not 1 <= size <= LARGEST:
            raise ValueError(f"Hex is solved up to {LARGEST}x{LARGEST}, got size {size}")
        self._board = _board(size)
        self._known: dict[Key, Proof] = {}
        self._outcomes: dict[Key, tuple[int, ...]] = {}
        self._visited = 0  # positions that were not known
        self.until = float("inf")  # the time when it gives up with `TooLongError`
        # By winner, and by whether the winner is to move.
        self._patterns = [[_Patterns(), _Patterns()] for _ in range(2)]

    def prove(self, stones: tuple[int, int], to_play: int) -> Proof:
        """Returns the proof of a position; games that are over have one too.

        Args:
          stones: the cells of seat 0 and of seat 1, as bits.
        """
        proof = self._prove(stones, to_play, ENDLESS)
        assert proof is not None  # it never gives up
        return proof

    def is_over(self, stones: tuple[int, int]) -> bool:
        """Returns whether a seat's stones join its sides."""
        board = self._board
        return any(
            board.chain(own, start & own) & goal
            for own, (start, goal) in zip(stones, board.sides, strict=True)
        )

    def _prove(self, stones: tuple[int, int], to_play: int, until: int) -> Proof | None:
        """Returns the proof; None once so many positions were visited, all told."""
        filled = self._fill_dead(*stones)
        position = stones[0], stones[1] | sum(cell for cell, _ in filled)
        key = (*position, to_play)
        proof = self._known.get(key)
        if proof is None:
            self._visited += 1
            if self._visited % GLANCE == 0 and time.monotonic() > self.until:
                raise TooLongError
            proof = self._at_sight(position, to_play)
            if proof is None:
                if self._visited >= until:
                    return None
                proof = self._search(position, to_play, until)
                if proof is None:
                    return None
                self._keep(proof, to_play)
            self._known[key] = proof
        if proof.winner == 0:
            return proof  # the filled cells were the loser's, which a proof allows for
        needed = proof.stones
        for cell, support in reversed(filled):
            if needed & cell:
                needed = needed & ~cell | support
        return proof._replace(stones=needed)

    def outcomes(self, stones: tuple[int, int], to_play: int) -> tuple[int, ...]:
        """Returns 1 for each cell where a stone of `to_play` wins, else -1."""
        key = (*stones, to_play)
        known = self._outcomes.get(key)
        if known is None:
            won = 0
            if self.prove(stones, to_play).winner == to_play:
                empty = self._board.cells & ~(stones[0] | stones[1])
                for move in _bits(self._threatened(stones, to_play)[0] & empty):
                    after = [*stones]
                    after[to_play] |= move
                    if self.prove((after[0], after[1]), 1 - to_play).winner == to_play:
                        won |= move
            known = tuple(2 * (won >> cell & 1) - 1 for cell in range(self._board.size**2))
            self._outcomes[key] = known
        return known

    def _fill_dead(self, first: int, second: int) -> list[tuple[int, int]]:
        """Returns the dead cells, and the stones of seat 1 that make each so.

        A dead cell changes no result, whoever owns it: here, seat 1 does. It stays dead where the
        empty cells around it are filled.
        """
        board, filled = self._board, []
        empty, again = board.cells & ~(first | second), True
        while again:
            again = False
            for cell in _bits(empty):
                index = cell.bit_length() - 1
                near = board.near[index]
                if (first & near, second & near) in board.dead[index]:
                    filled.append((cell, second & near))
                    second |= cell
                    empty ^= cell
                    again = True
        return filled

    def _at_sight(self, stones: tuple[int, int], to_play: int) -> Proof | None:
        """Returns the proof if it takes no search: a chain, a move, two threats, or a pattern."""
        board, other = self._board, 1 - to_play
        own, theirs = stones[to_play], stones[other]
        empty = board.cells & ~(own | theirs)
        if chain := self._linked(theirs, empty, other):
            return Proof(other, *chain)
        chains, winning = self._completing(own, empty, to_play)
        if winning:
            return Proof(to_play, chains, winning & -winning)
        chains, threats = self._completing(theirs, empty, other)
        if threats & (threats - 1):
            return Proof(other, chains, _lowest_two(threats))
        for winner, pattern in (
            (to_play, self._patterns[to_play][1].find(own, empty)),
            (other, self._patterns[other][0].find(theirs, empty)),
        ):
            if pattern:
                return Proof(winner, *pattern)
        return None

    def _completing(self, own: int, empty: int, seat: int) -> tuple[int, int]:
        """Returns the stones joined to a seat's two sides, and the cells that would join them."""
        board = self._board
        (start, goal), grow = board.sides[seat], board.grow
        first, last = board.chain(own, start & own), board.chain(own, goal & own)
        return first | last, (grow(first) | start) & (grow(last) | goal) & empty

    def _linked(self, own: int, empty: int, seat: int) -> tuple[int, int] | None:
        """Returns the stones and the carrier of a chain from side to side, if there is one.

        Two of its links may be empty cells that both join the same chains: one is left, whichever
        the other takes. No two pairs share a cell.
        """
        board = self._board
        start, goal = board.sides[seat]
        chain = board.chain(own, start & own)
        reach, carrier, rest = board.grow(chain) | start, 0, own & ~chain
        others = []
        while rest:
            other = board.chain(own, rest & -rest)
            rest &= ~other
            others.append(other)
        while not chain & goal:
            ends = reach & goal & empty
            if ends & (ends - 1):
                return chain, carrier | _lowest_two(ends)
            for other in others:
                links = reach & board.grow(other) & empty
                if links & (links - 1):
                    break
            else:
                return None
            others.remove(other)
            carrier |= _lowest_two(links)
            empty &= ~carrier
            chain |= other
            reach |= board.grow(other)
        return chain, carrier

    def _search(self, stones: tuple[int, int], to_play: int, until: int) -> Proof | None:
        """Returns the proof by trying moves, as long as some may refute all known threats.

        Each move in turn is given a little work, then more: a bad first guess costs no more than
        the good one that follows it. What was proved on the way is kept.
        """
        must, needed, carrier = self._threatened(stones, to_play)
        moves = self._ordered(stones, must)
        allowance = FIRST_ALLOWANCE
        while must:
            for move in moves:
                if not move & must:
                    continue
                after = [*stones]
                after[to_play] |= move
                limit = min(until, self._visited + allowance)
                proof = self._prove((after[0], after[1]), 1 - to_play, limit)
                if proof is None:
                    if self._visited >= until:
                        return None
                elif proof.winner == to_play:
                    return Proof(to_play, proof.stones & ~move, proof.carrier | move)
                else:
                    must &= proof.carrier
                    needed |= proof.stones
                    carrier |= proof.carrier
            allowance *= MORE
        return Proof(1 - to_play, needed, carrier)

    def _threatened(self, stones: tuple[int, int], to_play: int) -> tuple[int, int, int]:
        """Returns the moves that may meet all known threats, and what these need."""
        theirs = stones[1 - to_play]
        empty = self._board.cells & ~(stones[0] | stones[1])
        threats = self._patterns[1 - to_play][1].threats(theirs, empty)
        chains, winning = self._completing(theirs, empty, 1 - to_play)
        if winning:
            threats.append((chains, winning))
        must, needed, carrier = empty, 0, 0
        for threat_stones, threat_carrier in threats:
            must &= threat_carrier
            needed |= threat_stones
            carrier |= threat_carrier
        return must, needed, carrier

    def _ordered(self, stones: tuple[int, int], moves: int) -> list[int]:
        """Returns moves, first those that lie few steps from all four sides.

        Squares of the steps took half the nodes of their sum, on 5x5.
        """
        board = self._board
        empty = board.cells & ~(stones[0] | stones[1])
        cost = {cell: board.eccentricity[cell.bit_length() - 1] for cell in _bits(moves)}
        for seat in range(2):
            for side in board.sides[seat]:
                layers = list(self._layers(stones[seat], empty, side))
                for cell in cost:
                    steps = (i for i, layer in enumerate(layers) if layer & cell)
                    cost[cell] += next(steps, FAR) ** 2
        return sorted(cost, key=cost.__getitem__)

    def _layers(self, own: int, empty: int, side: int) -> Iterator[int]:
        """Yields the cells that are joined to a side with 0, 1, 2, ... more stones."""
        board, passable = self._board, own | empty
        reached, before = board.chain(own, side & own), -1
        while reached != before:
            yield reached
            before = reached
            reached |= (board.grow(reached) | side) & passable
            reached = board.chain(own | reached, reached)

    def _keep(self, proof: Proof, to_play: int) -> None:
        """Keeps a proof as a pattern, and its images: half a turn, and with exchanged seats."""
        images = set()
        for order, exchanged in self._board.images:
            seat = proof.winner ^ exchanged
            images.add((seat, _moved(proof.stones, order), _moved(proof.carrier, order)))
        for seat, stones, carrier in images:
            self._patterns[seat][proof.winner == to_play].add(stones, carrier)


class _Patterns:
    """Proofs for one seat: N pairs of its stones and of cells that must not be the other's."""

    def __init__(self) -> None:
        self._cells = np.zeros((2, 256), np.uint32)
        self._count = 0

    def add(self, stones: int, carrier: int) -> None:
        if self._count == self._cells.shape[1]:
            self._cells = np.concatenate([self._cells, np.zeros_like(self._cells)], axis=1)
        self._cells[:, self._count] = stones, carrier
        self._count += 1

    def find(self, own: int, empty: int) -> tuple[int, int] | None:
        """Returns the stones and the carrier of a pattern that holds, if one does."""
        holds = self._holding(own, empty)
        return self._pattern(int(holds[0]), own, empty) if len(holds) else None

    def threats(self, own: int, empty: int) -> list[tuple[int, int]]:
        """Returns such patterns that hold whose carriers have few cells in common."""
        holds = self._holding(own, empty)
        carriers = self._cells[1, holds] & np.uint32(empty)
        common, chosen = empty, []
        while len(holds) and common:
            sizes = np.bitwise_count(carriers & np.uint32(common))
            best = int(sizes.argmin())
            if sizes[best] == common.bit_count():
                break
            common &= int(carriers[best])
            chosen.append(self._pattern(int(holds[best]), own, empty))
        return chosen

    def _holding(self, own: int, empty: int) -> np.ndarray:
        stones, carriers = self._cells[:, : self._count]
        not_own, others = ~np.uint32(own), ~np.uint32(own | empty)
        return np.flatnonzero((stones & not_own | carriers & others) == 0)

    def _pattern(self, index: int, own: int, empty: int) -> tuple[int, int]:
        stones, carrier = self._cells[:, index].tolist()
        return stones | carrier & own, carrier & empty


class _Board(NamedTuple):
    """What never changes on a board of n x n cells."""

    size: int
    cells: int  # all of them
    not_first: int  # all but the first column
    not_last: int
    sides: tuple[tuple[int, int], tuple[int, int]]  # of each seat, the cells along its two edges
    near: tuple[int, ...]  # of each cell, those that touch it
    dead: tuple[frozenset[tuple[int, int]], ...]  # of each cell, by seat 0's and 1's stones near it
    eccentricity: tuple[float, ...]  # of each cell, below 1: how far it is from the middle
    images: tuple[tuple[tuple[int, ...], bool], ...]  # where cells go; whether seats are exchanged

    def grow(self, cells: int) -> int:
        """Returns cells and what touches them; may have bits beyond the board."""
        n = self.size
        right = (cells << 1 | cells >> (n - 1)) & self.not_first
        left = (cells >> 1 | cells << (n - 1)) & self.not_last
        return cells | cells << n | cells >> n | right | left

    def chain(self, own: int, start: int) -> int:
        """Returns the stones that are joined to those in `start`."""
        while True:
            grown = self.grow(start) & own
            if grown == start:
                return start
            start = grown


@functools.cache
def _board(n: int) -> _Board:
    cells = (1 << n * n) - 1
    first = sum(1 << row * n for row in range(n))
    top = (1 << n) - 1
    near = []
    for row, col in itertools.product(range(n), repeat=2):
        around = np.add(NEIGHBOURS, (row, col)).tolist()
        near.append(sum(1 << r * n + c for r, c in around if 0 <= r < n and 0 <= c < n))
    same = np.arange(n * n).reshape(n, n)
    images = [
        (tuple(map(int, image.reshape(-1))), exchanged)
        for image, exchanged in (
            (same, False),
            (same[::-1, ::-1], False),
            (same.T, True),
            (same.T[::-1, ::-1], True),
        )
    ]
    return _Board(
        size=n,
        cells=cells,
        not_first=cells & ~first,
        not_last=cells & ~(first << (n - 1)),
        sides=((top, top << n * (n - 1)), (first, first << (n - 1))),
        near=tuple(near),
        dead=tuple(_dead(n, *divmod(index, n)) for index in range(n * n)),
        eccentricity=tuple(
            (abs(2 * (i // n) + 1 - n) + abs(2 * (i % n) + 1 - n)) / (4 * n) for i in range(n * n)
        ),
        images=tuple(images),
    )


def _dead(n: int, row: int, col: int) -> frozenset[tuple[int, int]]:
    """Returns the stones of seat 0 and seat 1 around a cell that make it dead.

    It is, where for one seat any two cells around it that the seat has or may get touch each other,
    or are joined by the seat's stones around the cell: then no chain needs it.
    """
    ring: list[int | None] = []  # around the cell: an edge's owner, None for a cell or a corner
    inside = {}
    for place, (r, c) in enumerate(np.add(NEIGHBOURS, (row, col)).tolist()):
        over = not 0 <= r < n, not 0 <= c < n
        ring.append(None if over[0] == over[1] else 0 if over[0] else 1)
        if not any(over):
            inside[place] = 1 << r * n + c
    dead = set()
    for owners in itertools.product((None, 0, 1), repeat=len(inside)):
        around = list(ring)
        stones = [0, 0]
        for (place, bit), owner in zip(inside.items(), owners, strict=True):
            around[place] = owner
            if owner is not None:
                stones[owner] |= bit
        if _needless(around, 0) or _needless(around, 1):
            dead.add((stones[0], stones[1]))
    return frozenset(dead)


def _needless(around: list[int | None], seat: int) -> bool:
    """Whether a seat's chains never need the cell that is surrounded so."""
    usable = [place for place in range(6) if around[place] != 1 - seat]

    def joined(start: int, goal: int, way: int) -> bool:
        place = (start + way) % 6
        while place != goal and around[place] == seat:
            place = (place + way) % 6
        return place == goal

    pairs = itertools.combinations(usable, 2)
    return all(joined(a, b, 1) or joined(a, b, -1) for a, b in pairs)


def _bits(cells: int) -> Iterator[int]:
    while cells:
        cell = cells & -cells
        yield cell
        cells ^= cell


def _lowest_two(cells: int) -> int:
    lowest = cells & -cells
    rest = cells ^ lowest
    return lowest | rest & -rest


def _moved(cells: int, order: tuple[int, ...]) -> int:
    return sum(1 << order[cell.bit_length() - 1] for cell in _bits(cells))
