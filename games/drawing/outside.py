"""Text above and below a grid, in a room that is the same for all positions of a game."""

from collections.abc import Sequence
from typing import NamedTuple

from games.drawing import shapes, text
from games.drawing.grid import Frame
from games.drawing.spotting import Spotted
from games.drawing.text import Line
from games.layout import Board

SMALLEST = 0.6  # of the usual size: smaller is only what would not fit else
SPARE = 10.0  # for text that was never seen at its place
BEFORE = 4.0  # between the board and its text


class Room(NamedTuple):
    """What a picture has room for, in the viewBox's units."""

    box: tuple[float, float, float, float]  # left, top, width and height of all
    first: float  # left end of lines
    width: float  # of lines
    scale: float  # of their characters
    above: float  # heights
    below: float


def room(frame: Frame, board: Board) -> Room:
    """Returns the room, which depends on the game alone."""
    left, top, width, height = shapes.frame(board)
    first, right = -shapes.UNIT / 2, left + width - BEFORE
    longest = text.WIDTH * max(1, frame.longest)
    if longest > right - first:
        first = left + BEFORE
    scale = max(SMALLEST, min(1.0, (right - first) / longest))
    is_above = any(row not in frame.columns for row in range(frame.grid.top))
    step = text.HEIGHT * scale
    above = BEFORE + max(SPARE, step * frame.most_above) if is_above else 0.0
    below = BEFORE + max(SPARE, step * frame.most_below)
    box = (left, top - above, width, above + height + below)
    return Room(box, first, right - first, scale, above, below)


def lines(frame: Frame, room: Room, found: Spotted) -> dict[int, Line]:
    """Returns where the lines of a picture are that are no board."""
    above, below = frame.outside(found.picture)
    lengths = found.lengths
    _, top, _, height = room.box
    return {
        **_placed(room, lengths, above, top, room.above),
        **_placed(room, lengths, below, top + height - room.below, room.below),
    }


def _placed(
    room: Room, lengths: Sequence[int], rows: Sequence[int], top: float, height: float
) -> dict[int, Line]:
    """Returns the lines, each as large as it can be; more than were ever seen lie closer."""
    usual = min(room.scale, (height - BEFORE) / text.HEIGHT / max(1, len(rows)))
    found = {}
    for i, row in enumerate(rows):
        scale = min(usual, room.width / (text.WIDTH * max(1, lengths[row])))
        found[row] = Line(room.first, top + BEFORE / 2 + text.HEIGHT * usual * (i + 0.5), scale)
    return found
