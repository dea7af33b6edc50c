"""Level 0: the game's own text, a character an element."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from games.drawing import characters, svg
from games.drawing.grid import Grid
from games.drawing.result import Drawing, names_of_spots
from games.drawing.sight import Marks, Sight, in_cases, of_the_turn, whose
from games.drawing.spotting import Span, Spotted

WIDTH, HEIGHT, SIZE, MARGIN = 10.0, 20.0, 16.0, 12.0  # of a character, in the viewBox's units
NARROWEST = 24  # characters, so that a short text is not drawn large
COLOURS = ("#1f5fa8", "#b3441e")  # of the seats' letters


class Line(NamedTuple):
    """Where a line of text is."""

    x: float  # its left end
    y: float  # its middle
    scale: float = 1.0  # of its characters

    def at(self, column: float) -> float:
        """Returns the left end of a character."""
        return self.x + WIDTH * self.scale * column


def svg_of_text(text: str, before_text: str | None = None) -> str:
    """Returns a text picture as SVG; what differs from `before_text` is marked."""
    shown = characters.plain(text)
    picture = characters.aligned([shown])[0]
    marked = set() if before_text is None else _changed(shown, before_text)
    size = picture.shape
    lines = _lines([characters.length(line) for line in picture], size)
    return _document(picture, lines, marked, None, (), size)


def drawing(found: Spotted, text: str, before_text: str | None, seen: Sight) -> Drawing:
    """Returns the drawing of a picture and its spots; what differs from `before_text` is marked."""
    names = names_of_spots(found.moves)
    lines = _lines(found.lengths, seen.size)
    shapes = [
        spot(span, found.picture[span.row], names[span.key], lines[span.row])
        for span in found.spans
    ]
    marked = changed_places(text, before_text, seen)
    return Drawing(
        svg=_document(found.picture, lines, marked, seen.marks, shapes, seen.size),
        spots={span.key: circle(span, lines[span.row]) for span in found.spans},
        moves=found.moves,
        ordered=found.ordered,
        level=0,
    )


def changed_places(
    text: str, before_text: str | None, seen: Sight, grid: Grid | None = None
) -> set[tuple[int, int]]:
    """Returns line and column of what a move has put where nothing was; else of all it changed.

    Where men walk, also of what the man has left, but not of others that it took on its way.

    Args:
      grid: what changes outside of it counts only if nothing does in it.
    """
    if before_text is None:
        return set()
    now, before = characters.aligned([text, before_text])
    changed = (now != before) & ~of_the_turn(now, seen.status)
    if grid is not None and (on_grid := changed & grid.cells(changed.shape)).any():
        changed = on_grid
    was_empty, is_empty = (characters.is_any(some, seen.empty) for some in (before, now))
    put = changed & ~is_empty
    fresh = put & was_empty
    arrived = fresh if fresh.any() else put
    if not seen.walks or not arrived.any():
        return _places(arrived)
    left = changed & is_empty & ~was_empty
    return _places(arrived) | _places(left & _kin(before, now[arrived], seen.marks))


def letters(row: np.ndarray, line: Line, marks: Marks | None) -> Iterator[str]:
    """Yields the characters of uint32[W], a line of text."""
    in_words = _in_words(row, marks)
    for column, place, character in characters.glyphs(row):
        seat = None if in_words[column] else whose(character, marks)
        owner, fill = ("", svg.INK) if seat is None else (f" board-seat{seat}", COLOURS[seat])
        at = line.at(place + 0.5)
        yield svg.text(at, line.y, character, SIZE * line.scale, f"board-text{owner}", fill)


def mark(column: int, line: Line) -> str:
    """Returns what marks a character of a line, to lie beneath it."""
    left, height = line.at(column) - 1, HEIGHT * line.scale
    width = line.at(column + 1) + 1 - left
    at = (left, line.y - height / 2, width, height)
    return svg.rect(*at, class_="board-last", fill=svg.MARKED)


def circle(span: Span, line: Line) -> tuple[float, float, float]:
    """Returns centre and radius of some characters of a line."""
    return line.at((span.first + span.last + 1) / 2), line.y, HEIGHT * line.scale * 0.45


def spot(span: Span, row: np.ndarray, name: str, line: Line) -> str:
    """Returns what is clicked: characters of uint32[W], and half a blank on either side."""
    before = span.first == 0 or row[span.first - 1] == characters.BLANK
    after = span.last == len(row) - 1 or row[span.last + 1] == characters.BLANK
    left = line.at(span.first - before / 2)
    width = line.at(span.last + 1 + after / 2) - left
    height = HEIGHT * line.scale
    at = {"x": left, "y": line.y - height / 2, "width": width, "height": height}
    return svg.spot("rect", span.key, name, **at, rx=3)


def _kin(before: np.ndarray, arrived: np.ndarray, marks: Marks | None) -> np.ndarray:
    """Returns bool[H, W]: what is of the same seat as what arrived, or looks the same."""
    owners = {whose(chr(point), marks) for point in arrived.tolist()} - {None}
    points = set(np.unique(before).tolist())
    kin = {point for point in points if whose(chr(point), marks) in owners}
    kin = kin or points & set(arrived.tolist()) or points
    return characters.is_any(before, kin)


def _in_words(row: np.ndarray, marks: Marks | None) -> np.ndarray:
    """Returns bool[W]: which letters are no pieces but parts of words, or names of columns."""
    pieces = "" if marks is None or in_cases(marks) else "".join(marks)
    is_letter = np.array([chr(point).isalnum() for point in row])
    beside = np.pad(
        [letter and chr(at) not in pieces for letter, at in zip(is_letter, row, strict=True)], 1
    )
    alone = row[is_letter].astype(int)
    names = len(alone) > 2 and (np.diff(alone) == 1).all()
    return (beside[:-2] | beside[2:]) | bool(names)


def _changed(text: str, before_text: str) -> set[tuple[int, int]]:
    return _places(np.not_equal(*characters.aligned([text, characters.plain(before_text)])))


def _places(where: np.ndarray) -> set[tuple[int, int]]:
    return {(row, column) for row, column in np.argwhere(where).tolist()}


def _lines(lengths: Sequence[int], size: tuple[int, int]) -> list[Line]:
    """Returns where lines are; those longer than `size` says are smaller."""
    most = max(size[1], NARROWEST)
    return [
        Line(0.0, HEIGHT * (row + 0.5), min(1.0, most / max(1, length)))
        for row, length in enumerate(lengths)
    ]


def _document(
    picture: np.ndarray,
    lines: list[Line],
    marked: set[tuple[int, int]],
    marks: Marks | None,
    spots: Iterable[str],
    size: tuple[int, int],
) -> str:
    """Returns a picture with room for `size` rows and columns, so that it keeps its own size."""
    rows, cols = max(size[0], len(picture)), size[1]
    width = WIDTH * max(cols, NARROWEST)
    left = (WIDTH * cols - width) / 2 - MARGIN
    box = (left, -MARGIN, width + 2 * MARGIN, HEIGHT * rows + 2 * MARGIN)
    parts = [svg.rect(*box, class_="board-paper", fill=svg.PAPER)]
    parts += [mark(column, lines[row]) for row, column in sorted(marked)]
    for row, line in enumerate(picture):
        parts += letters(line, lines[row], marks)
    return svg.document(*box, [*parts, *spots], level=0)
