"""Level 1: the grid that is seen in a game's text, as a board of squares."""

from collections.abc import Iterator

import numpy as np

from games.drawing import outside, shapes, svg, text
from games.drawing.grid import Frame
from games.drawing.result import Drawing, names_of_spots
from games.drawing.sight import CAPITALS, Sight, in_cases, whose
from games.drawing.spotting import Spotted
from games.layout import Board, Piece, Point, squares

AWAY = 0.8  # of names from the outer cells, in cells


def drawing(
    frame: Frame, found: Spotted, shown: str, before_text: str | None, seen: Sight
) -> Drawing:
    """Returns the drawing of a picture that fits the frame."""
    grid, picture = frame.grid, found.picture
    board = _board(frame, seen)
    room = outside.room(frame, board)
    lines = outside.lines(frame, room, found)
    marked = text.changed_places(shown, before_text, seen, grid)
    places = [Point(place) for at in marked if (place := grid.place(*at)) is not None]
    parts = [
        *shapes.background(board, room.box),
        *shapes.marks(board, places, above=False),
        *(text.mark(column, lines[row]) for row, column in marked if row in lines),
        *(shapes.piece(board, piece) for piece in _pieces(frame, picture, seen)),
    ]
    for row, line in lines.items():
        parts += text.letters(picture[row], line, None)  # the seats have other colours here
    spots, names = {}, names_of_spots(found.moves)
    for span in found.spans:
        place, name = grid.place(span.row, span.first), names[span.key]
        if place is not None:
            spots[span.key] = shapes.circle(board, place)
            parts.append(shapes.place_spot(board, place, span.key, name))
        elif span.row in lines:
            spots[span.key] = text.circle(span, lines[span.row])
            parts.append(text.spot(span, picture[span.row], name, lines[span.row]))
    moves = tuple(
        move._replace(spots=tuple(key for key in move.spots if key in spots))
        for move in found.moves
    )
    return Drawing(svg.document(*room.box, parts, level=1), spots, moves, found.ordered, 1)


def colours(seen: Sight) -> tuple[str, str]:
    """Returns the colours of the seats' pieces, of `games/layout.py`."""
    white = next((seat for seat in (0, 1) if seen.marks and _is_white(seen.marks[seat])), 1)
    return ("white", "black") if white == 0 else ("black", "white")


def _is_white(mark: str) -> bool:
    return mark == CAPITALS or mark[0] in "Ww"


def _board(frame: Frame, seen: Sight) -> Board:
    """Returns the board, the same at all positions of a game."""
    grid = frame.grid
    board = squares(
        grid.rows,
        grid.cols,
        lines=frame.names,
        surface="checked" if in_cases(seen.marks) else "plain",
        colours=colours(seen),
    )
    columns = [
        (float(j), -AWAY if row < grid.top else grid.rows - 1 + AWAY, name)
        for row, names in frame.columns.items()
        for j, name in enumerate(names)
    ]
    return board._replace(labels=tuple(name for name in (*board.labels, *columns) if name[2]))


def _pieces(frame: Frame, picture: np.ndarray, seen: Sight) -> Iterator[Piece]:
    usual = [] if seen.marks is None or in_cases(seen.marks) else [own[0] for own in seen.marks]
    cells = picture[frame.grid.lines, frame.grid.columns].reshape(-1).tolist()
    for place, point in enumerate(cells):
        mark = chr(point)
        seat = whose(mark, seen.marks)
        if seat is not None:
            yield Piece(place, seat, "disc", "" if mark in usual else mark)
        elif point not in seen.empty:
            yield Piece(place, None, "letter", mark)
