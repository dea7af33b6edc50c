"""The shapes of a declared board: background, cells, pieces, marks, and where one clicks."""

import functools
import math
from collections.abc import Iterable, Iterator

from games.drawing import svg
from games.layout import Area, Arrow, Board, Edge, Line, Piece, Place, Point

UNIT = 40.0  # of the viewBox, between neighbours
NARROWEST = 4.0  # places, so that a small board is not drawn large
HEXAGON = [math.radians(60 * corner - 90) for corner in range(6)]
HEXAGON_RADIUS = 1 / 3**0.5
# Around the cells, the cells (and every other one), the lines between them.
SURFACES = {
    "plain": ("#f6f4ee", "#fffdf7", "#fffdf7", "#b0a999"),
    "checked": ("#f6f4ee", "#f0e0c0", "#c8a679", "#866f4d"),
    "wood": ("#e3b86c", "#e3b86c", "#e3b86c", "#5e4520"),
    "felt": ("#1f5c39", "#2e7d4f", "#2e7d4f", "#17472c"),
    "holes": ("#2f5fb3", "#eef1f6", "#eef1f6", "#234a8c"),
}
LINES = {"felt": "#a9d6bb", "holes": "#0d2145"}  # from place to place, where those would not show
LABELS = {"felt": "#dfeee4", "holes": "#dfe8f7"}  # where the ink would not show
# Face, rim, what is written on it, and a letter alone.
COLOURS = {
    "black": ("#1d1d1f", "#000000", "#ffffff", "#1d1d1f"),
    "white": ("#fbfbf7", "#6d6a62", "#1d1d1f", "#8d897e"),
    "red": ("#d8433b", "#8f231d", "#ffffff", "#c2362f"),
    "blue": ("#3273c9", "#1c4680", "#ffffff", "#2a63b0"),
    "yellow": ("#f2c230", "#a37c08", "#1d1d1f", "#a37c08"),
    "green": ("#3d9a50", "#21602f", "#ffffff", "#2f7a3f"),
}
NOBODY = ("#a8a49a", "#6d6a62", "#1d1d1f", "#4a4740")
LAST = "#ff7f0e"


def frame(board: Board) -> tuple[float, float, float, float]:
    """Returns left, top, width and height of all of a board, in the viewBox's units."""
    around = [(x, y, 0.62) for x, y in board.centres]
    around += [(x, y, 0.2 + 0.15 * len(name)) for x, y, name in board.labels]
    around += [(x, y, 0.3) for border in board.borders for x, y in border.points]
    left, right = min(x - r for x, _, r in around), max(x + r for x, _, r in around)
    top, bottom = min(y - r for _, y, r in around), max(y + r for _, y, r in around)
    spare = max(0.0, NARROWEST - (right - left)) / 2
    sides = (left - spare, top, right - left + 2 * spare, bottom - top)
    return tuple(UNIT * side for side in sides)  # type: ignore[return-value]


def background(board: Board, box: tuple[float, float, float, float]) -> Iterator[str]:
    """Yields the board without pieces, on a background as large as `box`."""
    around, even, odd, lines = SURFACES[board.surface]
    yield svg.rect(*box, class_="board-paper", fill=around)
    for place in range(len(board.centres)):
        is_odd = sum(map(round, board.centres[place])) % 2 == 1
        yield from _cell(board, place, odd if is_odd else even, lines, is_odd)
    for border in board.borders:
        points = " ".join(f"{UNIT * x:.2f},{UNIT * y:.2f}" for x, y in border.points)
        yield svg.element(
            "path",
            d="M" + points.replace(" ", " L"),
            class_=f"board-border board-seat{border.seat}",
            fill="none",
            stroke=_colours(board, border.seat)[0],
            stroke_width=UNIT * 0.16,
            stroke_linejoin="round",
            stroke_linecap="round",
        )
    lines = LINES.get(board.surface, lines)
    for start, end in board.lines:
        yield _line(board, start, end, "board-line", lines, 0.03)
    dots = svg.INK if board.surface == "plain" else lines
    for place in board.stars:
        x, y, _ = circle(board, place)
        yield svg.circle(x, y, UNIT * 0.09, class_="board-star", fill=dots)
    fill = LABELS.get(board.surface, svg.INK)
    size = UNIT * min(0.6, max(0.42, 0.42 * frame(board)[2] / UNIT / 12))  # readable when small
    for x, y, name in board.labels:
        yield svg.text(UNIT * x, UNIT * y, name, size, "board-label", fill)


def piece(board: Board, piece: Piece | Edge) -> str:
    """Returns what is on the board."""
    face, rim, written, alone = _colours(board, piece.seat)
    owner = "nobody" if piece.seat is None else f"seat{piece.seat}"
    if isinstance(piece, Edge):
        colour = svg.INK if piece.seat is None else face
        return _line(board, piece.start, piece.end, f"board-edge board-{owner}", colour, 0.11)
    x, y, radius = circle(board, piece.place)
    parts = ""
    if piece.form == "disc":
        reach = radius * (0.8 if board.geometry == "hexagons" else 0.88)
        parts = svg.circle(
            x, y, reach, class_=f"board-disc board-{owner}", fill=face, stroke=rim, stroke_width=1.5
        )
    elif piece.form == "square":
        reach = radius
        class_ = f"board-square board-{owner}"
        parts = svg.rect(x - reach, y - reach, 2 * reach, 2 * reach, class_=class_, fill=face, rx=3)
    if piece.letter:
        is_alone = piece.form == "letter"
        size = radius * (1.6 if is_alone else 1.1) / max(1, len(piece.letter)) ** 0.5
        class_ = f"board-letter board-{owner}" if is_alone else "board-written"
        parts += svg.text(x, y, piece.letter, size, class_, alone if is_alone else written)
    return parts


def marks(board: Board, places: Iterable[Place], *, above: bool) -> Iterator[str]:
    """Yields what marks the last move: beneath pieces where cells have a face, else above them."""
    has_face = board.geometry == "squares" and board.surface != "holes"
    for place in places:
        if isinstance(place, Line):
            if above:
                yield _line(board, place.start, place.end, "board-last", LAST, 0.11)
            continue
        for number in _marked(place):
            x, y, radius = circle(board, number)
            if has_face and not above:
                side = 2 * radius
                at = (x - radius, y - radius, side, side)
                yield svg.rect(*at, class_="board-last", fill=LAST, fill_opacity=0.6)
            elif above and not has_face:
                yield svg.circle(x, y, radius * 0.3, class_="board-last", fill=LAST)


def circle(board: Board, place: int) -> tuple[float, float, float]:
    """Returns centre and radius of a place, in the viewBox's units."""
    x, y = board.centres[place]
    return UNIT * x, UNIT * y, UNIT * (_radius(board) if board.geometry == "custom" else 0.5)


def place_spot(board: Board, place: int, key: str, name: str) -> str:
    """Returns what is clicked at a place."""
    x, y, radius = circle(board, place)
    if board.geometry == "squares":
        side = 2 * radius
        return svg.spot("rect", key, name, x=x - radius, y=y - radius, width=side, height=side)
    if board.geometry == "hexagons":
        return svg.spot("polygon", key, name, points=_hexagon(x, y))
    return svg.spot("circle", key, name, cx=x, cy=y, r=radius)


def edge_spot(board: Board, start: int, end: int, key: str, name: str) -> str:
    """Returns what is clicked between two places: most of the way, so that no two overlap."""
    (x1, y1, radius), (x2, y2, _) = circle(board, start), circle(board, end)
    by_x, by_y = 0.15 * (x2 - x1), 0.15 * (y2 - y1)
    ends = {"x1": x1 + by_x, "y1": y1 + by_y, "x2": x2 - by_x, "y2": y2 - by_y}
    return svg.spot("line", key, name, **ends, stroke="transparent", stroke_width=radius * 0.8)


@functools.lru_cache(maxsize=16)
def _radius(board: Board) -> float:
    """Returns half the distance of the nearest places, at most a half."""
    centres = board.centres
    distances = (math.dist(a, b) for i, a in enumerate(centres) for b in centres[:i])
    return min(0.5, min(distances, default=1.0) / 2)


def _colours(board: Board, seat: int | None) -> tuple[str, str, str, str]:
    return NOBODY if seat is None else COLOURS[board.colours[seat]]


def _marked(place: Place) -> tuple[int, ...]:
    match place:
        case Point():
            return (place.place,)
        case Arrow():
            return (place.start, place.end, *place.further)
        case Area():
            return place.places[:1]
    return ()


def _cell(board: Board, place: int, fill: str, stroke: str, is_odd: bool) -> Iterator[str]:
    x, y, radius = circle(board, place)
    class_ = "board-cell board-odd" if is_odd else "board-cell"
    if board.surface == "holes":
        yield svg.circle(x, y, radius * 0.88, class_=class_, fill=fill)
    elif board.geometry == "squares":
        at = (x - radius, y - radius, 2 * radius, 2 * radius)
        yield svg.rect(*at, class_=class_, fill=fill, stroke=stroke, stroke_width=1)
    elif board.geometry == "hexagons":
        points = _hexagon(x, y)
        yield svg.element(
            "polygon", points=points, class_=class_, fill=fill, stroke=stroke, stroke_width=1
        )


def _hexagon(x: float, y: float) -> str:
    reach = UNIT * HEXAGON_RADIUS
    corners = ((x + reach * math.cos(turn), y + reach * math.sin(turn)) for turn in HEXAGON)
    return " ".join(f"{corner_x:.2f},{corner_y:.2f}" for corner_x, corner_y in corners)


def _line(board: Board, start: int, end: int, class_: str, colour: str, width: float) -> str:
    (x1, y1, _), (x2, y2, _) = circle(board, start), circle(board, end)
    return svg.element(
        "line",
        x1=x1,
        y1=y1,
        x2=x2,
        y2=y2,
        class_=class_,
        stroke=colour,
        stroke_width=UNIT * width,
        stroke_linecap="round",
    )
