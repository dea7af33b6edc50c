"""Level 0: the game's own text, a character an element."""

from collections.abc import Iterable, Iterator

import numpy as np

from games.drawing import characters, svg
from games.drawing.result import Drawing, names_at
from games.drawing.sight import whose
from games.drawing.spotting import Span, Spotted

WIDTH, HEIGHT, SIZE, MARGIN = 10.0, 20.0, 16.0, 12.0  # of a character, in the viewBox's units
NARROWEST = 24  # characters, so that a short text is not drawn large
COLOURS = ("#1f5fa8", "#b3441e")  # of the seats' letters


def svg_of_text(text: str, before_text: str | None = None) -> str:
    """Returns a text picture as SVG; what differs from `before_text` is marked."""
    shown = characters.plain(text)
    picture = characters.aligned([shown])[0]
    return _document(picture, changed_places(shown, before_text), None, ())


def drawing(
    found: Spotted, text: str, before_text: str | None, marks: tuple[str, str] | None
) -> Drawing:
    """Returns the drawing of a picture and its spots; what differs from `before_text` is marked."""
    shapes = [_spot(span, found.picture, names_at(span.key, found.moves)) for span in found.spans]
    return Drawing(
        svg=_document(found.picture, changed_places(text, before_text), marks, shapes),
        spots={span.key: _circle(span) for span in found.spans},
        moves=found.moves,
        ordered=False,
        level=0,
    )


def changed_places(text: str, before_text: str | None) -> set[tuple[int, int]]:
    """Returns row and column of what a move has put down; of all that it changed if nothing."""
    if before_text is None:
        return set()
    now, before = characters.aligned([text, characters.plain(before_text)])
    changed = now != before
    put = changed & (now != characters.BLANK) & (now != ord("."))
    return {(row, col) for row, col in np.argwhere(put if put.any() else changed).tolist()}


def letters(
    row: np.ndarray, at_y: float, at_x: float, marks: tuple[str, str] | None
) -> Iterator[str]:
    """Yields the characters of a row, the first one centred on a point."""
    for _, place, character in characters.glyphs(row):
        seat = whose(character, marks)
        owner, fill = ("", svg.INK) if seat is None else (f" board-seat{seat}", COLOURS[seat])
        x = at_x + WIDTH * place
        yield svg.text(x, at_y, character, SIZE, f"board-text{owner}", fill)


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
    x, y, *size = box
    parts = [svg.rect(x, y, *size, class_="board-paper", fill=svg.PAPER)]
    for row, col in sorted(marked):
        at = (WIDTH * col - 1, HEIGHT * row, WIDTH + 2, HEIGHT)
        parts.append(svg.rect(*at, class_="board-last", fill=svg.MARKED))
    for row, line in enumerate(picture):
        parts += letters(line, HEIGHT * (row + 0.5), WIDTH / 2, marks)
    return svg.document(*box, [*parts, *spots], level=0)


def _circle(span: Span) -> tuple[float, float, float]:
    x = WIDTH * (span.first + span.last + 1) / 2
    return x, HEIGHT * (span.row + 0.5), HEIGHT * 0.45


def _spot(span: Span, picture: np.ndarray, name: str) -> str:
    """Returns what is clicked: the characters, and half a character of blank on either side."""
    row = picture[span.row]
    before = span.first == 0 or row[span.first - 1] == characters.BLANK
    after = span.last == len(row) - 1 or row[span.last + 1] == characters.BLANK
    left = WIDTH * (span.first - before / 2)
    right = WIDTH * (span.last + 1 + after / 2)
    top, width = HEIGHT * span.row, right - left
    return svg.spot("rect", span.key, name, x=left, y=top, width=width, height=HEIGHT, rx=3)
