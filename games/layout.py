"""How a game's board lies in the plane, as data: what `Drawn` in `games/game.py` returns.

No colours but named ones, and no markup: the drawing is `games/drawing/`'s. A *place* is somewhere
that pieces are or clicks go: a cell, a point, a dot; places have numbers, in the order of their
centres. Distances are in places: neighbours are 1 apart, x goes to the right and y down. Which side
is up is the game's to say; its `render` is a good guide.

>>> squares(2, 3).centres[:2]
((0.0, 0.0), (1.0, 0.0))
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

GEOMETRIES = ("squares", "points", "hexagons", "custom")  # squares and hexagons have a face
SURFACES = ("plain", "checked", "wood", "felt", "holes")
COLOURS = ("black", "white", "red", "blue", "yellow", "green")
FORMS = ("disc", "letter", "square")
SLANT = 3**0.5 / 2  # rows of hexagons that are 1 apart


class Border(NamedTuple):
    """A side of the board that belongs to a seat, as Hex has them."""

    seat: int
    points: tuple[tuple[float, float], ...]  # a line through them


class Board(NamedTuple):
    """A board without pieces."""

    geometry: str  # of GEOMETRIES
    centres: tuple[tuple[float, float], ...]  # x and y of each place
    lines: tuple[tuple[int, int], ...] = ()  # drawn from place to place
    stars: tuple[int, ...] = ()  # places with a dot, as Go has them
    labels: tuple[tuple[float, float, str], ...] = ()  # x, y and text, such as coordinates
    borders: tuple[Border, ...] = ()
    surface: str = "plain"  # of SURFACES
    colours: tuple[str, str] = ("black", "white")  # of COLOURS, the seats'


class Point(NamedTuple):
    """An action that is one click, on a place."""

    place: int
    label: str = ""  # tells it from other actions on the same places, as a promotion needs


class Arrow(NamedTuple):
    """An action from place to place: a click on each."""

    start: int
    end: int
    further: tuple[int, ...] = ()  # more of them, as a chain of jumps has
    label: str = ""


class Line(NamedTuple):
    """An action that is a click on the edge between two places."""

    start: int
    end: int
    label: str = ""


class Area(NamedTuple):
    """An action that is a click on any of some places, such as a column of Connect Four.

    Areas overlap neither each other nor the place of a legal action. The first place is where the
    move is shown, for example the one that a stone falls to.
    """

    places: tuple[int, ...]
    label: str = ""


class Text(NamedTuple):
    """An action without a place, such as a pass: a button."""

    label: str


Place = Point | Arrow | Line | Area | Text


class Piece(NamedTuple):
    """Something on a place."""

    place: int
    seat: int | None = None  # whose colour it has; None: nobody's
    form: str = "disc"  # of FORMS; a square fills the place
    letter: str = ""  # on it, one or two characters


class Edge(NamedTuple):
    """A line that has been drawn from place to place."""

    start: int
    end: int
    seat: int | None = None


def squares(
    rows: int,
    cols: int,
    *,
    columns: Sequence[str] = (),
    lines: Sequence[object] = (),
    surface: str = "plain",
    colours: tuple[str, str] = ("black", "white"),
) -> Board:
    """Returns a board of cells; place row * cols + col, row 0 at the top.

    Args:
      columns: names of the columns, written below them.
      lines: names of the rows from the top one, written to their left; as in `games/board.py`.
    """
    centres = tuple((float(col), float(row)) for row in range(rows) for col in range(cols))
    labels = _labels(rows, columns, lines, 0.8)
    return Board("squares", centres, labels=labels, surface=surface, colours=colours)


def points(
    rows: int,
    cols: int,
    *,
    columns: Sequence[str] = (),
    lines: Sequence[object] = (),
    stars: Sequence[int] = (),
    surface: str = "wood",
    colours: tuple[str, str] = ("black", "white"),
) -> Board:
    """Returns a board of lines that cross, as Go's; places and arguments as for `squares`."""
    board = squares(rows, cols, surface=surface, colours=colours)
    ends = [(row * cols, row * cols + cols - 1) for row in range(rows)]
    ends += [(col, (rows - 1) * cols + col) for col in range(cols)]
    labels = _labels(rows, columns, lines, 0.9)
    return board._replace(geometry="points", lines=tuple(ends), labels=labels, stars=tuple(stars))


def hexagons(
    rows: int,
    cols: int,
    *,
    columns: Sequence[str] = (),
    lines: Sequence[object] = (),
    borders: tuple[int, int] | None = None,
    colours: tuple[str, str] = ("red", "blue"),
) -> Board:
    """Returns a rhombus of hexagons, each row half a cell to the right of the one above.

    Args:
      borders: the seats of top and bottom, and of left and right.
      columns, lines: as for `squares`; the names of the columns stand above them.
    """
    centres = tuple((col + row / 2, row * SLANT) for row in range(rows) for col in range(cols))
    labels = [(col - 0.55, -SLANT * 1.1, str(name)) for col, name in enumerate(columns)]
    labels += [(row / 2 - 1.1, row * SLANT, str(name)) for row, name in enumerate(lines)]
    sides = () if borders is None else _sides(rows, cols, *borders)
    return Board("hexagons", centres, labels=tuple(labels), borders=sides, colours=colours)


def discs(owners: Iterable[int]) -> list[Piece]:
    """Returns a disc on each place that a seat owns; -1 for those that nobody does."""
    return [Piece(place, int(seat)) for place, seat in enumerate(owners) if seat >= 0]


def _labels(
    rows: int, columns: Sequence[str], lines: Sequence[object], away: float
) -> tuple[tuple[float, float, str], ...]:
    left = [(-away, float(row), str(name)) for row, name in enumerate(lines)]
    below = [(float(col), rows - 1 + away, str(name)) for col, name in enumerate(columns)]
    return tuple(left + below)


def _sides(rows: int, cols: int, first: int, second: int) -> tuple[Border, ...]:
    """Returns the coloured sides of a rhombus of hexagons, along the corners of its cells."""
    low, high = 0.5 / 3**0.5, 1 / 3**0.5  # of a corner below its cell's centre
    top: list[tuple[float, float]] = []
    left: list[tuple[float, float]] = [(-0.5, -low)]
    for col in range(cols):
        top += [(col - 0.5, -low), (col, -high)]
    for row in range(rows):
        x, y = row / 2, row * SLANT
        left += [(x - 0.5, y + low), (x, y + high)]
    top.append((cols - 0.5, -low))
    right_x, bottom_y = cols - 1 + (rows - 1) / 2, (rows - 1) * SLANT
    bottom = tuple((right_x - x, bottom_y - y) for x, y in top)  # half a turn of the board
    right = tuple((right_x - x, bottom_y - y) for x, y in left)
    ends = Border(first, tuple(top)), Border(first, bottom)
    return *ends, Border(second, tuple(left[:-1])), Border(second, right[:-1])
