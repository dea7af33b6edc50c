"""How games of a file begin: which are chosen, and what was played after given moves, how often.

N games; needs no jax.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from selfplay.records.game_index import DRAWN, GameIndex


class Wanted(NamedTuple):
    """Which games are wanted; what is None matters not."""

    spec: str | None = None  # their game
    least: int | None = None  # plies
    most: int | None = None
    winner: int | None = None  # a seat, or `DRAWN`
    player: str | None = None
    seat: int | None = None  # of `player`
    moves: tuple[int, ...] = ()  # that they begin with


class Counts(NamedTuple):
    """Games and their results."""

    games: int
    wins: tuple[int, int]  # by seat
    draws: int

    @property
    def mean(self) -> float | None:
        """The mean result of seat 0, from -1 to 1; None without games."""
        return (self.wins[0] - self.wins[1]) / self.games if self.games else None


class Node(NamedTuple):
    """What happened after some moves."""

    counts: Counts
    ended: int  # games that end there
    moves: list[tuple[int, Counts]]  # the next actions, the most frequent first


def chosen(index: GameIndex, wanted: Wanted) -> np.ndarray:
    """Returns int64[...], the numbers of the games that are wanted, in the file's order."""
    keeps = np.ones(len(index.starts), bool)
    if wanted.spec is not None:
        keeps &= index.spec == _number(index.specs, wanted.spec)
    if wanted.least is not None:
        keeps &= index.plies >= wanted.least
    if wanted.most is not None:
        keeps &= index.plies <= wanted.most
    if wanted.winner is not None:
        keeps &= index.winner == wanted.winner
    if wanted.player is not None:
        is_player = index.seats == _number(index.names, wanted.player)
        keeps &= is_player.any(axis=1) if wanted.seat is None else is_player[:, wanted.seat]
    games = np.flatnonzero(keeps)
    for ply, action in enumerate(wanted.moves):
        games = games[index.plies[games] > ply]
        games = games[index.moves[index.first[games] + ply] == action]
    return games


def node(index: GameIndex, wanted: Wanted) -> Node:
    """Returns what the wanted games did after the moves that they begin with."""
    games, ply = chosen(index, wanted), len(wanted.moves)
    goes_on = index.plies[games] > ply
    after = games[goes_on]
    actions, which = np.unique(index.moves[index.first[after] + ply], return_inverse=True)
    winner = index.winner[after]
    by_action = [
        np.bincount(which[winner == result], minlength=len(actions)) for result in (0, 1, DRAWN)
    ]
    moves = [
        (action, Counts(first + second + drawn, (first, second), drawn))
        for action, first, second, drawn in zip(
            actions.tolist(), *(column.tolist() for column in by_action), strict=True
        )
    ]
    moves.sort(key=lambda move: (-move[1].games, move[0]))
    return Node(_counts(index.winner[games]), int((~goes_on).sum()), moves)


def _counts(winner: np.ndarray) -> Counts:
    first, second, drawn = (int((winner == result).sum()) for result in (0, 1, DRAWN))
    return Counts(first + second + drawn, (first, second), drawn)


def _number(names: Sequence[str], name: str) -> int:
    """Returns the place of a name, -1 if it is none of them."""
    return names.index(name) if name in names else -1
