"""Level 1: the grid that is seen in a game's text, as a board of squares."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from games.drawing import shapes, svg, text
from games.drawing.grid import BORDERS, Frame, column_names
from games.drawing.result import Drawing, names_of_spots
from games.drawing.sight import CAPITALS, SMALL, Sight, whose
from games.drawing.spotting import Spotted
from games.layout import Board, Piece, Point, squares

AWAY = 0.8  # of names from the outer cells, in cells


class Beside(NamedTuple):
    """What a picture has above and below its grid."""

    names: tuple[tuple[float, float, str], ...]  # of columns, as `Board.labels`
    lines: dict[int, tuple[float, float]]  # other text: left end and middle, in the viewBox's units


def drawing(
    frame: Frame, found: Spotted, shown: str, before_text: str | None, seen: Sight
) -> Drawing:
    """Returns the drawing of a picture that fits the frame."""
    grid, picture = frame.grid, found.picture
    beside = _beside(frame, picture)
    board = _board(frame, beside, seen)
    box = _box(board, beside, picture)
    marked = text.changed_places(shown, before_text, seen)
    places = [Point(place) for at in marked if (place := grid.place(*at)) is not None]
    parts = [
        *shapes.background(board, box),
        *shapes.marks(board, places, above=False),
        *(text.mark(column, *beside.lines[row]) for row, column in marked if row in beside.lines),
        *(shapes.piece(board, piece) for piece in _pieces(frame, picture, seen)),
    ]
    for row, (x, y) in beside.lines.items():
        parts += text.letters(picture[row], x, y, seen.marks)
    spots, names = {}, names_of_spots(found.moves)
    for span in found.spans:
        place, name = grid.place(span.row, span.first), names[span.key]
        if place is not None:
            spots[span.key] = shapes.circle(board, place)
            parts.append(shapes.place_spot(board, place, span.key, name))
        elif span.row in beside.lines:
            x, y = beside.lines[span.row]
            spots[span.key] = text.circle(span, x, y)
            parts.append(text.spot(span, picture[span.row], name, x, y))
    moves = tuple(
        move._replace(spots=tuple(key for key in move.spots if key in spots))
        for move in found.moves
    )
    return Drawing(svg.document(*box, parts, level=1), spots, moves, False, 1)


def _beside(frame: Frame, picture: np.ndarray) -> Beside:
    grid = frame.grid
    names: list[tuple[float, float, str]] = []
    above: list[int] = []
    below: list[int] = []
    for row in [*range(grid.block.start), *range(grid.block.stop, len(picture))]:
        line = "".join(map(chr, picture[row]))
        is_above = row < grid.top
        if columns := column_names(grid, line):
            y = -AWAY if is_above else grid.rows - 1 + AWAY
            names += [(float(j), y, name) for j, name in enumerate(columns)]
        elif line.strip(BORDERS):
            (above if is_above else below).append(row)
    edge = -shapes.UNIT / 2
    first = edge - (shapes.UNIT * 0.7 if any(y < 0 for _, y, _ in names) else 4)
    last = -edge + shapes.UNIT * (grid.rows - 1)
    last += shapes.UNIT * 0.7 if any(y > 0 for _, y, _ in names) else 4
    step = text.HEIGHT
    lines = {row: (edge, first - step * (i + 0.5)) for i, row in enumerate(reversed(above))}
    lines |= {row: (edge, last + step * (i + 0.5)) for i, row in enumerate(below)}
    return Beside(tuple(names), lines)


def colours(seen: Sight) -> tuple[str, str]:
    """Returns the colours of the seats' pieces, of `games/layout.py`."""
    letters = seen.marks == (CAPITALS, SMALL)
    white_first = letters or (seen.marks is not None and seen.marks[0] in "Ww")
    return ("white", "black") if white_first else ("black", "white")


def _board(frame: Frame, beside: Beside, seen: Sight) -> Board:
    letters = seen.marks == (CAPITALS, SMALL)
    board = squares(
        frame.grid.rows,
        frame.grid.cols,
        lines=frame.names,
        surface="checked" if letters else "plain",
        colours=colours(seen),
    )
    named = tuple(label for label in (*board.labels, *beside.names) if label[2])
    return board._replace(labels=named)


def _box(board: Board, beside: Beside, picture: np.ndarray) -> tuple[float, float, float, float]:
    left, top, width, height = shapes.frame(board)
    right, bottom = left + width, top + height
    for row, (x, y) in beside.lines.items():
        shown = np.flatnonzero(picture[row] != ord(" "))
        right = max(right, x + text.WIDTH * (shown.max() + 2))
        top, bottom = min(top, y - text.HEIGHT), max(bottom, y + text.HEIGHT)
    return left, top, right - left, bottom - top


def _pieces(frame: Frame, picture: np.ndarray, seen: Sight) -> Iterator[Piece]:
    cells = picture[frame.grid.lines, frame.grid.columns].reshape(-1).tolist()
    for place, point in enumerate(cells):
        seat = whose(chr(point), seen.marks)
        if seat is not None:
            letter = chr(point) if seen.marks == (CAPITALS, SMALL) else ""
            yield Piece(place, seat, "disc", letter)
        elif point not in seen.empty:
            yield Piece(place, None, "letter", chr(point))
