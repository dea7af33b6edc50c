"""A grid that is seen in a game's text, where the text leaves no doubt.

It has as many cells as `observation_shape` says, of one character each, at equal distances; nothing
else changes between them or beside them; what else is there are names of rows and columns, borders,
and lines of text above and below.
"""

import functools
import itertools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from games.drawing import characters
from games.drawing.samples import Sample, samples

FARTHEST_DOWN, FARTHEST_RIGHT = 4, 6  # from cell to cell, in characters
FEWEST = 4  # cells; fewer are no board
MANY_LETTERS = 4  # kinds, from which on there may be others yet unseen
LONGEST_NAME = 3
BORDERS = " |+-=_/\\:#" + "".join(map(chr, range(0x2500, 0x2580)))  # box drawing


class Grid(NamedTuple):
    """Cell (i, j) is character `left + j * right` of line `top + i * down`."""

    top: int
    left: int
    down: int
    right: int
    rows: int
    cols: int

    @property
    def lines(self) -> slice:
        """The lines with cells."""
        return slice(self.top, self.top + self.down * (self.rows - 1) + 1, self.down)

    @property
    def columns(self) -> slice:
        """The columns with cells."""
        return slice(self.left, self.left + self.right * (self.cols - 1) + 1, self.right)

    @property
    def block(self) -> slice:
        """The lines from the first row to the last one, with those between rows."""
        return slice(self.lines.start, self.lines.stop)

    def cells(self, shape: tuple[int, ...]) -> np.ndarray:
        """Returns bool[H, W]: which characters of a picture of that shape are cells."""
        result = np.zeros(shape, bool)
        result[self.lines, self.columns] = True
        return result

    def place(self, line: int, column: int) -> int | None:
        """Returns the cell at a character, None if there is none."""
        (i, beside), (j, between) = (
            divmod(line - self.top, self.down),
            divmod(column - self.left, self.right),
        )
        inside = 0 <= i < self.rows and 0 <= j < self.cols
        return i * self.cols + j if inside and not beside and not between else None


class Frame(NamedTuple):
    """A grid and what is always around it."""

    grid: Grid
    alphabet: frozenset[int]  # code points that cells show
    around: np.ndarray  # uint32[lines of the block, W], blank where cells are
    names: tuple[str, ...]  # of the rows from the top one, some perhaps empty
    columns: dict[int, list[str]]  # names of the columns, by line
    most_above: int  # lines of other text
    most_below: int
    longest: int  # characters of one of them

    def outside(self, picture: np.ndarray) -> tuple[list[int], list[int]]:
        """Returns the lines of uint32[H, W] above and below the grid that hold other text."""
        block, height = self.grid.block, len(picture)
        texts = ["".join(map(chr, line)) for line in picture]
        is_other = [
            bool(text.strip(BORDERS)) and column_names(self.grid, text) != self.columns.get(row)
            for row, text in enumerate(texts)
        ]
        return (
            [row for row in range(min(block.start, height)) if is_other[row]],
            [row for row in range(block.stop, height) if is_other[row]],
        )


@functools.lru_cache(maxsize=16)
def frame(game: Any) -> Frame | None:
    """Returns the grid that all pictures of a few moves show; None where there is any doubt."""
    played: tuple[Sample, ...] = samples(game)
    pictures = characters.stacked([sample.pictures for sample in played])
    rows, cols = game.observation_shape[:2]
    if not len(pictures) or rows * cols < FEWEST:
        return None
    varying = (pictures != pictures[:1]).any(axis=0)
    framed = [_framed(grid, pictures, varying) for grid in _grids(varying, rows, cols)]
    found = [some for some in framed if some is not None]
    held = [varying[some.grid.block].sum() for some in found]  # a row off has fewer of the changes
    best = [some for some, changes in zip(found, held, strict=True) if changes == max(held)]
    return _with_room(best[0], pictures) if len(best) == 1 else None


def fits(frame: Frame, picture: np.ndarray) -> bool:
    """Returns whether a picture uint32[H, W] shows the same grid in the same place."""
    grid = frame.grid
    height, width = (
        max(a, b)
        for a, b in zip(picture.shape, (grid.block.stop, frame.around.shape[1]), strict=True)
    )
    whole = characters.padded(picture, height, width)
    around = characters.padded(frame.around, len(frame.around), width)
    same = np.array_equal(_around(grid, whole), around)
    return same and bool(_known(whole[grid.lines, grid.columns], frame.alphabet).all())


def column_names(grid: Grid, line: str) -> list[str]:
    """Returns the names of the columns that a line holds; none if it is another line."""
    found = list(re.finditer(r"\S+", line))
    starts = range(grid.columns.start, grid.columns.stop, grid.right)
    beside = len(found) == len(starts) and all(
        name.start() - 1 <= column <= name.end() and len(name[0]) <= LONGEST_NAME
        for name, column in zip(found, starts, strict=True)
    )
    return [name[0] for name in found] if beside else []


def _grids(varying: np.ndarray, rows: int, cols: int) -> Iterator[Grid]:
    """Yields the grids that have all changes of their lines."""
    height, width = varying.shape
    a_line = varying.sum(axis=1)
    for down, right in itertools.product(
        range(1, FARTHEST_DOWN + 1 if rows > 1 else 2),
        range(1, FARTHEST_RIGHT + 1 if cols > 1 else 2),
    ):
        tops = range(height - down * (rows - 1))
        lefts = range(width - right * (cols - 1))
        for top, left in itertools.product(tops, lefts):
            grid = Grid(top, left, down, right, rows, cols)
            changes = a_line[grid.block].sum()
            if changes and changes == varying[grid.lines, grid.columns].sum():
                yield grid


def _framed(grid: Grid, pictures: np.ndarray, varying: np.ndarray) -> Frame | None:
    """Returns the grid with what is around it, if that may be around a board."""
    cells, changing = pictures[:, grid.lines, grid.columns], varying[grid.lines, grid.columns]
    alphabet = frozenset(np.unique(cells[:, changing]).tolist())
    if not _known(cells[0], alphabet).all() or _counts(cells[0]) or _counts(cells[0].T):
        return None
    around = _around(grid, pictures[0])
    names = []
    for i, line in enumerate(around):
        left, between, right = (
            "".join(map(chr, part)).strip(BORDERS)
            for part in np.split(line, [grid.left, grid.columns.stop])
        )
        name = left or right
        fits = not between and left in ("", name) and right in ("", name)
        if not fits or len(name) > LONGEST_NAME or (name and i % grid.down):
            return None
        if i % grid.down == 0:
            names.append(name)
    return Frame(grid, alphabet, around, tuple(names), {}, 0, 0, 0)


def _with_room(frame: Frame, pictures: np.ndarray) -> Frame:
    """Returns the frame with the names of columns, and the room that other text takes."""
    grid, fixed = frame.grid, (pictures == pictures[:1]).all(axis=(0, 2))
    named = {
        row: names
        for row in np.flatnonzero(fixed).tolist()
        if not grid.block.start <= row < grid.block.stop
        and (names := column_names(grid, "".join(map(chr, pictures[0][row]))))
    }
    frame = frame._replace(columns=named)
    above, below, longest = 0, 0, 0
    for picture in pictures:
        over, under = frame.outside(picture)
        above, below = max(above, len(over)), max(below, len(under))
        longest = max([longest, *(characters.length(picture[row]) for row in (*over, *under))])
    return frame._replace(most_above=above, most_below=below, longest=longest)


def _around(grid: Grid, picture: np.ndarray) -> np.ndarray:
    lines = picture[grid.block].copy()
    lines[:: grid.down, grid.columns] = characters.BLANK
    return lines


def _known(cells: np.ndarray, alphabet: frozenset[int]) -> np.ndarray:
    """Returns for each cell whether it shows what cells show."""
    letters = {point for point in alphabet if chr(point).isalpha()}
    known = np.isin(cells, [*alphabet, characters.BLANK])
    if len(letters) >= MANY_LETTERS:
        small = cells | 32
        known |= (small >= ord("a")) & (small <= ord("z"))
    return known


def _counts(cells: np.ndarray) -> bool:
    """Returns whether a row counts up or down, as names of columns do."""
    steps = np.diff(cells.astype(int), axis=1)
    return cells.shape[1] > 2 and bool(
        (steps == steps[:, :1]).all(axis=1)[abs(steps[:, 0]) == 1].any()
    )
