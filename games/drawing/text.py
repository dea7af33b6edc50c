"""Level 0: the game's own text, a character an element."""

from collections.abc import Iterable, Iterator

import numpy as np

from games.drawing import characters, svg
from games.drawing.result import Drawing, names_of_spots
from games.drawing.sight import CAPITALS, SMALL, Sight, of_the_turn, whose
from games.drawing.spotting import Span, Spotted

WIDTH, HEIGHT, SIZE, MARGIN = 10.0, 20.0, 16.0, 12.0  # of a character, in the viewBox's units
NARROWEST = 24  # characters, so that a short text is not drawn large
COLOURS = ("#1f5fa8", "#b3441e")  # of the seats' letters


def svg_of_text(text: str, before_text: str | None = None) -> str:
    """Returns a text picture as SVG; what differs from `before_text` is marked."""
    shown = characters.plain(text)
    picture = characters.aligned([shown])[0]
    marked = set() if before_text is None else _changed(shown, before_text)
    return _document(picture, marked, None, ())


def drawing(found: Spotted, text: str, before_text: str | None, seen: Sight) -> Drawing:
    """Returns the drawing of a picture and its spots; what differs from `before_text` is marked."""
    names = names_of_spots(found.moves)
    shapes = [
        spot(span, found.picture[span.row], names[span.key], 0, _middle(span.row))
        for span in found.spans
    ]
    marked = changed_places(text, before_text, seen)
    return Drawing(
        svg=_document(found.picture, marked, seen.marks, shapes),
        spots={span.key: circle(span, 0, _middle(span.row)) for span in found.spans},
        moves=found.moves,
        ordered=False,
        level=0,
    )


def changed_places(text: str, before_text: str | None, seen: Sight) -> set[tuple[int, int]]:
    """Returns line and column of what a move has put where nothing was; else of all it changed."""
    if before_text is None:
        return set()
    now, before = characters.aligned([text, before_text])
    changed, nothing = (now != before) & ~of_the_turn(now, seen), list(seen.empty)
    put = changed & ~np.isin(now, nothing)
    return _places(put & np.isin(before, nothing)) or _places(put)


def letters(row: np.ndarray, x: float, y: float, marks: tuple[str, str] | None) -> Iterator[str]:
    """Yields the characters of uint32[W], a line whose left end and middle are given."""
    in_words = _in_words(row, marks)
    for column, place, character in characters.glyphs(row):
        seat = None if in_words[column] else whose(character, marks)
        owner, fill = ("", svg.INK) if seat is None else (f" board-seat{seat}", COLOURS[seat])
        at = x + WIDTH * (place + 0.5)
        yield svg.text(at, y, character, SIZE, f"board-text{owner}", fill)


def mark(column: int, x: float, y: float) -> str:
    """Returns what marks a character of a line, to lie beneath it."""
    at = (x + WIDTH * column - 1, y - HEIGHT / 2, WIDTH + 2, HEIGHT)
    return svg.rect(*at, class_="board-last", fill=svg.MARKED)


def circle(span: Span, x: float, y: float) -> tuple[float, float, float]:
    """Returns centre and radius of some characters of a line."""
    return x + WIDTH * (span.first + span.last + 1) / 2, y, HEIGHT * 0.45


def spot(span: Span, row: np.ndarray, name: str, x: float, y: float) -> str:
    """Returns what is clicked: characters of uint32[W], and half a blank on either side."""
    before = span.first == 0 or row[span.first - 1] == characters.BLANK
    after = span.last == len(row) - 1 or row[span.last + 1] == characters.BLANK
    left = x + WIDTH * (span.first - before / 2)
    width = x + WIDTH * (span.last + 1 + after / 2) - left
    top = y - HEIGHT / 2
    return svg.spot("rect", span.key, name, x=left, y=top, width=width, height=HEIGHT, rx=3)


def _in_words(row: np.ndarray, marks: tuple[str, str] | None) -> np.ndarray:
    """Returns bool[W]: which letters are no pieces but parts of words, or names of columns."""
    pieces = () if marks is None or marks == (CAPITALS, SMALL) else marks
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


def _middle(row: int) -> float:
    return HEIGHT * (row + 0.5)


def _document(
    picture: np.ndarray,
    marked: set[tuple[int, int]],
    marks: tuple[str, str] | None,
    spots: Iterable[str],
) -> str:
    rows, cols = picture.shape
    width = WIDTH * max(cols, NARROWEST)
    left = (WIDTH * cols - width) / 2 - MARGIN
    box = (left, -MARGIN, width + 2 * MARGIN, HEIGHT * rows + 2 * MARGIN)
    parts = [svg.rect(*box, class_="board-paper", fill=svg.PAPER)]
    parts += [mark(column, 0, _middle(row)) for row, column in sorted(marked)]
    for row, line in enumerate(picture):
        parts += letters(line, 0, _middle(row), marks)
    return svg.document(*box, [*parts, *spots], level=0)
