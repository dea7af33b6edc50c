"""Blocks of a match that others play, in whatever order: they count in the order of their numbers.

A block's games depend on the match and the block's number only, so it does not matter who plays it,
nor how often. Who does is a `Crew`, about which nothing is believed: it may be late, lose a block
with the process that played it, or bring one twice.
"""

import collections
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, TypeAlias

from selfplay.arena.result import PlayedGame
from selfplay.players import Player

MOST_AGAIN = 3  # times that a block is played again
AHEAD = 2  # blocks begun before their turn, for each who plays: what a sequential test throws away


class Order(NamedTuple):
    """What the games of a match depend on, players and devices apart."""

    moves: tuple[tuple[int, ...], ...]  # of its openings
    seed: int
    block: int  # games of each block
    batch: int  # positions that a player evaluates at once, at most


class Played(NamedTuple):
    """A block was played to its end."""

    block: int
    games: list[PlayedGame]


class Lost(NamedTuple):
    """Who played the block is gone; another may play it."""

    block: int
    why: str


class Failed(NamedTuple):
    """A player cannot play the block: nor could it anywhere else."""

    block: int
    error: Exception


Event: TypeAlias = Played | Lost | Failed


class BlockError(RuntimeError):
    """A block was lost too often; the message says why."""


class Crew(Protocol):
    """Those who play the blocks of one match."""

    size: int  # how many they are

    def free(self) -> int:
        """Returns how many more blocks can be begun now."""

    def begin(self, block: int) -> None:
        """Has a block played."""

    def ended(self) -> list[Event]:
        """Returns what has become of blocks, as soon as there is something, or after a moment."""


# Finds those who play a match of two players.
Elsewhere: TypeAlias = Callable[[Player, Player, Order], Crew]


def in_order(
    crew: Crew, first: int, end: int, waiting: Callable[[int], None]
) -> Iterator[list[PlayedGame]]:
    """Yields the games of blocks `first` to `end` - 1, one block after the other.

    What goes wrong with a block is raised when its turn comes: where a match stops before, it does
    not matter.

    Args:
      waiting: called again and again with the number of the block whose turn it is.

    Raises:
      BlockError: a block was lost, and `MOST_AGAIN` times again.
    """
    ends: dict[int, Played | Failed] = {}
    losses = collections.Counter[int]()
    again: list[int] = []  # lost ones, to be begun before new ones
    new = first
    for turn in range(first, end):
        while turn not in ends:
            while crew.free() and (again or new < min(end, turn + AHEAD * crew.size)):
                if again:
                    crew.begin(again.pop(0))
                else:
                    crew.begin(new)
                    new += 1
            for event in crew.ended():
                block = event.block
                if block < turn or block in ends:
                    continue  # it came before
                if not isinstance(event, Lost):
                    ends[block] = event
                    again = [other for other in again if other != block]
                elif block not in again:
                    losses[block] += 1
                    if losses[block] > MOST_AGAIN:
                        ends[block] = Failed(block, _given_up(event, losses[block]))
                    else:
                        again.append(block)
            waiting(turn)
        own = ends.pop(turn)
        if isinstance(own, Failed):
            raise own.error
        yield own.games


def _given_up(last: Lost, times: int) -> BlockError:
    return BlockError(f"block {last.block} was lost {times} times; the last time: {last.why}")
