"""What a drawing of a position is: a picture, the spots in it, and the moves as spots."""

import re
from collections.abc import Iterable
from typing import NamedTuple


class Move(NamedTuple):
    """A legal action, and where it is on the picture."""

    action: int
    name: str  # in the game's notation
    spots: tuple[str, ...]  # keys of `Drawing.spots`, in the order of clicks; none: a button
    label: str = ""  # what a button says, if the game has a better word for it than the name


class Drawing(NamedTuple):
    """A position as SVG, in which each clickable element has a spot's key as its `data-spot`.

    How clicks choose a move: the k-th click is on the k-th of a move's spots. The moves that begin
    with the clicks so far remain; a lone one is played when all of its spots are clicked. A click
    that no remaining move has starts over. Where clicks cannot tell moves apart, and for moves
    without spots, there are buttons with their names.
    """

    svg: str
    spots: dict[str, tuple[float, float, float]]  # centre x, y and radius, in the viewBox's units
    moves: tuple[Move, ...]  # the legal ones, by action


class Picture(str):
    """A position as SVG text, which a notebook shows as a picture, and a terminal as `text`."""

    text: str  # the position as its game writes it
    longer_side = 320.0  # in the pixels of a notebook, whose cells are as wide as its page

    def __new__(cls, svg: str, text: str) -> "Picture":
        picture = super().__new__(cls, svg)
        picture.text = text
        return picture

    def __repr__(self) -> str:
        return self.text

    def _repr_svg_(self) -> str:
        box = re.search(r'viewBox="\S+ \S+ (\S+) (\S+)"', self)
        assert box, "every drawing has one"
        width, height = map(float, box.groups())
        scale = self.longer_side / max(width, height)
        size = f'width="{width * scale:.0f}" height="{height * scale:.0f}"'
        return self.replace("<svg ", f"<svg {size} ", 1)


def names_of_spots(moves: Iterable[Move]) -> dict[str, str]:
    """Returns the name of the only move at each spot; an empty one where there are several."""
    names: dict[str, str] = {}
    for move in moves:
        for spot in move.spots:
            names[spot] = "" if spot in names else move.name
    return names
