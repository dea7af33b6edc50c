"""How engines are told a position: the moves that lead there, as text."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from games.game import Game, State
from selfplay import positions

# The text of a move at a position; None if the engine is not told of it.
MoveText = Callable[[State, int], str | None]


def shared(one: Sequence[str], other: Sequence[str]) -> int:
    """Returns how many items two sequences have in common from the start."""
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(1 for _ in pairs)


class Lines:
    """Move lists as text; the positions on the way are kept, for a move's text may depend on one.

    A call gives the text of each of the lists.
    """

    def __init__(self, game: Game[Any], text: MoveText) -> None:
        self._game, self._text = game, text
        self._known: dict[tuple[int, ...], tuple[State, tuple[str, ...]]] = {}

    def __call__(self, moves: list[tuple[int, ...]]) -> list[tuple[str, ...]]:
        self._known = {row: self._found(row) for row in moves}  # others are not needed again
        return [self._known[row][1] for row in moves]

    def _found(self, row: tuple[int, ...]) -> tuple[State, tuple[str, ...]]:
        start = max((n for n in range(len(row) + 1) if row[:n] in self._known), default=0)
        state, line = self._known.get(row[:start], (None, ()))
        if state is None:
            state = positions.opening_position(self._game)
        for action in row[start:]:
            if (text := self._text(state, action)) is not None:
                line = (*line, text)
            state = positions.step(self._game, state, np.int32(action))
        return state, line
