"""Blocks of a match that others play: they count in the order of their numbers.

A block's games depend on the match and the block's number only.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from selfplay.players import Player
from selfplay.tasks import Crew


class Order(NamedTuple):
    """What the games of a match depend on, players and devices apart."""

    moves: tuple[tuple[int, ...], ...]  # of its openings
    seed: int
    block: int  # games of each block
    batch: int  # positions that a player evaluates at once, at most


# Finds those who play the blocks of a match of two players; their results are lists of games.
Elsewhere: TypeAlias = Callable[[Player, Player, Order], Crew]
