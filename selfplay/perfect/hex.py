"""Perfect play in Hex up to 5x5: a depth-first proof search with must-play regions.

A proof has a carrier, the empty cells that suffice for its winner: they win even if the other side
owns all other empty cells. So of the moves against a proven threat only those in its carrier are
left to try (the must-play region of van Rijswijck 2002, "Search and evaluation in Hex", and of
Hayward et al. 2005, "Solving 7x7 Hex with domination, fill-in, and virtual connections").

Cells are bits, row * size + col. Seat 0 joins top and bottom, seat 1 left and right.
"""

import functools
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from games.hex import Hex
from selfplay.perfect.solver import ILLEGAL, TooLongError

LARGEST = 5  # larger boards would take days
FAR = 7  # steps to a cell that cannot be reached
GLANCE = 64  # positions between two looks at the clock

Stones = tuple[int, int]  # the cells of seat 0 and of seat 1


class Proof(NamedTuple):
    """Who wins, and what the win rests on beside the stones that the winner has."""

    winner: int  # seat
    carrier: int  # empty cells; all others might be the loser's


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
    solver, cells = _solver(game.size), game.size**2
    groups, legal = np.asarray(states.groups), np.asarray(states.legal_action_mask)
    stones = np.stack([groups > 0, groups < 0], axis=1) @ (1 << np.arange(cells))
    table = np.full(legal.shape, ILLEGAL, np.int8)
    with _solving:
        solver.until = until
        for place, (first, second) in enumerate(stones.tolist()):
            if game.swap and not (first or second):
                table[place] = -1
            elif legal[place].any():
                table[place, :cells] = solver.outcomes((first, second), int(states.to_play[place]))
            if game.swap and legal[place, cells]:
                # The stone taken over is the same to seat 1 as it was to seat 0.
                table[place, cells] = 1 if solver.prove((first, 0), 1).winner == 0 else -1
    return np.where(legal, table, np.int8(ILLEGAL))


_solving = threading.Lock()  # a solver's time limit is not for two threads at once


@functools.cache
def _solver(size: int) -> "Solver":
    return Solver(size)


class Solver:
    """Proves positions of one board; keeps what it has proved by searching."""

    def __init__(self, size: int) -> None:
        if not 1 <= size <= LARGEST:
            raise ValueError(f"Hex is solved up to {LARGEST}x{LARGEST}, got size {size}")
        n = self._size = size
        self._cells = (1 << n * n) - 1
        first = sum(1 << row * n for row in range(n))
        top = (1 << n) - 1
        self._not_first, self._not_last = self._cells & ~first, self._cells & ~(first << (n - 1))
        # Of each seat, the cells along its two edges.
        self._sides = ((top, top << n * (n - 1)), (first, first << (n - 1)))
        self._from_middle = {  # of each cell, below 1
            1 << i: (abs(2 * (i // n) + 1 - n) + abs(2 * (i % n) + 1 - n)) / (4 * n)
            for i in range(n * n)
        }
        self._known: dict[tuple[int, int, int], Proof] = {}
        self._visited = 0
        self.until = float("inf")  # the time when it gives up with `TooLongError`

    def outcomes(self, stones: Stones, to_play: int) -> tuple[int, ...]:
        """Returns 1 for each cell where a stone of `to_play` wins, else -1."""
        won, must = 0, self._cells & ~(stones[0] | stones[1])
        for move in self._ordered(stones, must):
            if move & must:
                proof = self.prove(_with(stones, move, to_play), 1 - to_play)
                if proof.winner == to_play:
                    won |= move
                else:
                    must &= proof.carrier
        return tuple(2 * (won >> cell & 1) - 1 for cell in range(self._size**2))

    def is_over(self, stones: Stones) -> bool:
        """Returns whether a seat's stones join its sides."""
        return any(
            self._chain(own, start & own) & goal
            for own, (start, goal) in zip(stones, self._sides, strict=True)
        )

    def prove(self, stones: Stones, to_play: int) -> Proof:
        """Returns the proof of a position; games that are over have one too."""
        proof = self._at_sight(stones, to_play) or self._known.get((*stones, to_play))
        if proof is None:
            self._visited += 1
            if self._visited % GLANCE == 0 and time.monotonic() > self.until:
                raise TooLongError
            proof = self._known[*stones, to_play] = self._search(stones, to_play)
            turned = self._turned(stones[0]), self._turned(stones[1]), to_play
            self._known[turned] = proof._replace(carrier=self._turned(proof.carrier))
        return proof

    def _turned(self, cells: int) -> int:
        """Returns cells as they lie after half a turn of the board, which changes nothing."""
        return int(f"{cells:0{self._size**2}b}"[::-1], 2)

    def _search(self, stones: Stones, to_play: int) -> Proof:
        """Returns the proof by trying moves, as long as some may refute all known threats."""
        must = self._cells & ~(stones[0] | stones[1])
        carrier = 0
        if threat := self._completing(stones, 1 - to_play):
            must = carrier = threat
        for move in self._ordered(stones, must):
            if not move & must:
                continue
            proof = self.prove(_with(stones, move, to_play), 1 - to_play)
            if proof.winner == to_play:
                return Proof(to_play, proof.carrier | move)
            must &= proof.carrier
            carrier |= proof.carrier
        return Proof(1 - to_play, carrier)

    def _at_sight(self, stones: Stones, to_play: int) -> Proof | None:
        """Returns the proof if it takes no search: a chain, a move that makes one, two threats."""
        other = 1 - to_play
        if (carrier := self._linked(stones, other)) is not None:
            return Proof(other, carrier)
        if winning := self._completing(stones, to_play):
            return Proof(to_play, winning & -winning)
        threats = self._completing(stones, other)
        return Proof(other, _lowest_two(threats)) if threats & (threats - 1) else None

    def _completing(self, stones: Stones, seat: int) -> int:
        """Returns the empty cells that would join a seat's two sides."""
        own, (start, goal) = stones[seat], self._sides[seat]
        first = self._grow(self._chain(own, start & own)) | start
        last = self._grow(self._chain(own, goal & own)) | goal
        return first & last & self._cells & ~(stones[0] | stones[1])

    def _linked(self, stones: Stones, seat: int) -> int | None:
        """Returns the carrier of a chain from side to side; None if there is none.

        Two of its links may be empty cells that both join the same chains: one is left, whichever
        the other takes. No two pairs share a cell.
        """
        own, (start, goal) = stones[seat], self._sides[seat]
        empty = self._cells & ~(stones[0] | stones[1])
        chain = self._chain(own, start & own)
        reach, carrier, rest = self._grow(chain) | start, 0, own & ~chain
        others = []
        while rest:
            others.append(self._chain(own, rest & -rest))
            rest &= ~others[-1]
        while not chain & goal:
            ends = reach & goal & empty
            if ends & (ends - 1):
                return carrier | _lowest_two(ends)
            for other in others:
                links = reach & self._grow(other) & empty
                if links & (links - 1):
                    break
            else:
                return None
            others.remove(other)
            carrier |= _lowest_two(links)
            empty &= ~carrier
            chain |= other
            reach |= self._grow(other)
        return carrier

    def _ordered(self, stones: Stones, moves: int) -> list[int]:
        """Returns moves, first those that lie few steps from all four sides.

        Squares of the steps took half the nodes of their sum, on 5x5.
        """
        cost = {cell: self._from_middle[cell] for cell in _bits(moves)}
        for seat, sides in enumerate(self._sides):
            for side in sides:
                layers = self._layers(stones, seat, side)
                for cell in cost:
                    steps = (i for i, layer in enumerate(layers) if layer & cell)
                    cost[cell] += next(steps, FAR) ** 2
        return sorted(cost, key=cost.__getitem__)

    def _layers(self, stones: Stones, seat: int, side: int) -> list[int]:
        """Returns the cells that are joined to a side with 0, 1, 2, ... more stones."""
        own, passable = stones[seat], self._cells & ~stones[1 - seat]
        layers, reached, before = [], self._chain(own, side & own), -1
        while reached != before:
            layers.append(reached)
            before = reached
            reached |= (self._grow(reached) | side) & passable
            reached = self._chain(own | reached, reached)
        return layers

    def _grow(self, cells: int) -> int:
        """Returns cells and what touches them; may have bits beyond the board."""
        n = self._size
        right = (cells << 1 | cells >> (n - 1)) & self._not_first
        left = (cells >> 1 | cells << (n - 1)) & self._not_last
        return cells | cells << n | cells >> n | right | left

    def _chain(self, own: int, start: int) -> int:
        """Returns the stones that are joined to those in `start`."""
        while (grown := self._grow(start) & own) != start:
            start = grown
        return start


def _with(stones: Stones, move: int, seat: int) -> Stones:
    return (stones[0] | move, stones[1]) if seat == 0 else (stones[0], stones[1] | move)


def _bits(cells: int) -> Iterator[int]:
    while cells:
        yield cells & -cells
        cells &= cells - 1


def _lowest_two(cells: int) -> int:
    rest = cells & (cells - 1)
    return cells & -cells | rest & -rest
