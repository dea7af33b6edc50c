"""Which characters of a picture stand for which moves: those that the moves change."""

import collections
from typing import Any, NamedTuple

import numpy as np

from games.drawing import characters
from games.drawing.characters import is_any
from games.drawing.children import children, legal_actions, rendered
from games.drawing.grid import Grid
from games.drawing.result import Move
from games.drawing.sight import Sight, of_the_turn
from games.drawing.walking import Change, Ends, in_order
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
    ordered: bool  # as `Drawing.ordered`

    @property
    def lengths(self) -> list[int]:
        """The lengths of the lines, with spots beyond their ends."""
        found = [characters.length(line) for line in self.picture]
        for span in self.spans:
            found[span.row] = max(found[span.row], span.last + 1)
        return found


def spotted(
    game: Game[Any], state: Any, text: str, sight: Sight, grid: Grid | None = None
) -> Spotted:
    """Returns where moves are on the picture `text` of a position.

    Args:
      grid: of the picture; each character of its lines is a spot of its own.
    """
    actions = legal_actions(state)
    texts = [text, *(rendered(game, after) for after in children(game, state, actions))]
    pictures = characters.aligned(texts)
    told = _telling(pictures, sight)
    # In words it takes known men to be sure that something walks.
    sure = sight.walks and (grid is not None or sight.marks is not None)
    walks = _walks(pictures, told, sight, grid, int(state.to_play)) if sure else None
    spans, clicks = walks or _anywhere(told, grid)
    moves = []
    for action, some, after in zip(actions.tolist(), clicks, pictures[1:], strict=True):
        spots = [spans[i] for i in some]
        put = " ".join(chr(after[span.row, span.first]) for span in spots)
        name = game.action_to_string(state, action)
        moves.append(Move(action, name, tuple(span.key for span in spots), f"{name}: {put}"))
    shared = collections.Counter(move.spots for move in moves)
    labelled = (m if m.spots and shared[m.spots] > 1 else m._replace(label="") for m in moves)
    used = {spot for move in moves for spot in move.spots}
    spans = [span for span in spans if span.key in used]
    return Spotted(pictures[0], tuple(spans), tuple(labelled), walks is not None)


def _anywhere(told: np.ndarray, grid: Grid | None) -> tuple[list[Span], list[Ends]]:
    """Returns spans, and for each move the numbers of all that it changes."""
    spans = _spans(told, grid)
    return spans, _changed(told, spans)


def _walks(
    pictures: np.ndarray, told: np.ndarray, sight: Sight, grid: Grid | None, seat: int
) -> tuple[list[Span], list[Ends]] | None:
    """Returns spans, and for each move the numbers of those it goes from and to, if all is sure."""
    before, after = pictures[0], pictures[1:]
    untold = of_the_turn(before, sight.status)
    changed = (after != before) & ~untold
    if grid is not None:
        changed &= grid.cells(before.shape)
    changed |= told & ~untold & ~changed.any(axis=(1, 2), keepdims=True)  # such as from a hand
    nothing = is_any(pictures, sight.empty)
    spans = _spans(changed, grid, nothing[0])
    shown = np.where(nothing, characters.BLANK, pictures)
    old = [_characters(shown[0], span) for span in spans]
    moves = [
        [Change(i, old[i], _characters(now, spans[i])) for i in some]
        for some, now in zip(_changed(changed, spans), shown[1:], strict=True)
    ]
    found = in_order(moves, sight.marks, seat)
    return None if found is None else (spans, found)


def _changed(changed: np.ndarray, spans: list[Span]) -> list[Ends]:
    """Returns for each move the numbers of the spans that it changes."""
    rows, columns = [span.row for span in spans], [span.first for span in spans]
    return [tuple(np.flatnonzero(at[rows, columns]).tolist()) for at in changed]


def _characters(picture: np.ndarray, span: Span) -> str:
    return "".join(map(chr, picture[span.row, span.first : span.last + 1].tolist()))


def _telling(pictures: np.ndarray, sight: Sight) -> np.ndarray:
    """Returns bool[L, H, W]: the characters that each move changes, and by which it is known."""
    before, after = pictures[0], pictures[1:]
    changed = after != before
    told = changed.copy()
    if len(after) > 1:
        told &= ~changed.all(axis=0)  # tells no move from another
    on_board = told & ~of_the_turn(before, sight.status)
    lost = told.any(axis=(1, 2)) & ~on_board.any(axis=(1, 2))
    if lost.sum() <= max(1, FEW * len(lost)):
        told = on_board
    if len(after) == 1 and not told.any():
        told = changed
    if sight.walks:
        return told  # from and to
    # A stone is where it is put, not where it turns or takes others.
    fresh = told & is_any(before, sight.empty) & ~is_any(after, sight.empty)
    return np.where(fresh.any(axis=(1, 2), keepdims=True), fresh, told)


def _spans(changed: np.ndarray, grid: Grid | None, nothing: np.ndarray | None = None) -> list[Span]:
    """Returns the characters that some move changes; neighbours that the same ones do are one.

    Args:
      nothing: bool[H, W], where nothing is: no neighbour of where something is.
    """
    apart = range(0) if grid is None else range(grid.block.start, grid.block.stop)
    spans: list[Span] = []
    for row, col in np.argwhere(changed.any(axis=0)).tolist():
        last = spans[-1] if spans else None
        beside = last is not None and (last.row, last.last) == (row, col - 1) and row not in apart
        alike = nothing is None or nothing[row, col] == nothing[row, col - 1]
        if beside and alike and (changed[:, row, col] == changed[:, row, col - 1]).all():
            spans[-1] = spans[-1]._replace(last=col)
        else:
            spans.append(Span(row, col, col))
    return spans
