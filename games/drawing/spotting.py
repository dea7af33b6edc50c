"""Which characters of a picture stand for which moves: those that the moves change."""

import collections
from typing import Any, NamedTuple

import numpy as np

from games.drawing import characters
from games.drawing.children import children, legal_actions, rendered
from games.drawing.result import Move
from games.drawing.sight import Sight, of_the_turn
from games.game import Game

FEW = 0.1  # of the moves may be told by nothing but a line that tells of the turn


class Span(NamedTuple):
    """Characters side by side, which the same moves change."""

    row: int
    first: int  # columns, both within
    last: int

    @property
    def key(self) -> str:
        return f"{self.row},{self.first}"


class Spotted(NamedTuple):
    """A picture with its spots."""

    picture: np.ndarray  # uint32[H, W], code points
    spans: tuple[Span, ...]
    moves: tuple[Move, ...]


def spotted(
    game: Game[Any], state: Any, text: str, sight: Sight, apart: slice = slice(0, 0)
) -> Spotted:
    """Returns where moves are on the picture `text` of a position.

    Args:
      apart: lines in which each character is a spot of its own.
    """
    actions = legal_actions(state)
    texts = [text, *(rendered(game, after) for after in children(game, state, actions))]
    pictures = characters.aligned(texts)
    changed = _telling(pictures, sight)
    spans = _spans(changed, range(apart.start, apart.stop))
    rows, columns = [span.row for span in spans], [span.first for span in spans]
    moves = []
    for action, at, after in zip(actions.tolist(), changed, pictures[1:], strict=True):
        spots = tuple(spans[i] for i in np.flatnonzero(at[rows, columns]))
        put = " ".join(chr(after[span.row, span.first]) for span in spots)
        name = game.action_to_string(state, action)
        moves.append(Move(action, name, tuple(span.key for span in spots), f"{name}: {put}"))
    shared = collections.Counter(move.spots for move in moves)
    labelled = (m if m.spots and shared[m.spots] > 1 else m._replace(label="") for m in moves)
    return Spotted(pictures[0], spans, tuple(labelled))


def _telling(pictures: np.ndarray, sight: Sight) -> np.ndarray:
    """Returns bool[L, H, W]: the characters that each move changes, and by which it is known."""
    before, after = pictures[0], pictures[1:]
    changed = after != before
    told = changed.copy()
    if len(after) > 1:
        told &= ~changed.all(axis=0)  # tells no move from another
    on_board = told & ~of_the_turn(before, sight)
    lost = told.any(axis=(1, 2)) & ~on_board.any(axis=(1, 2))
    if lost.sum() <= max(1, FEW * len(lost)):
        told = on_board
    if len(after) == 1 and not told.any():
        told = changed
    if sight.walks:
        return told  # from and to
    # A stone is where it is put, not where it turns or takes others.
    empty = list(sight.empty)
    fresh = told & np.isin(before, empty) & ~np.isin(after, empty)
    return np.where(fresh.any(axis=(1, 2), keepdims=True), fresh, told)


def _spans(changed: np.ndarray, apart: range) -> tuple[Span, ...]:
    """Returns the characters that some move changes; neighbours that the same ones do are one."""
    spans: list[Span] = []
    for row, col in np.argwhere(changed.any(axis=0)).tolist():
        last = spans[-1] if spans else None
        beside = last is not None and (last.row, last.last) == (row, col - 1) and row not in apart
        if beside and (changed[:, row, col] == changed[:, row, col - 1]).all():
            spans[-1] = spans[-1]._replace(last=col)
        else:
            spans.append(Span(row, col, col))
    return tuple(spans)
