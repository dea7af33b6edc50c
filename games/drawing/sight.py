"""What can be seen of a game by playing it a little: whose marks are whose, and what is no board.

Nothing here is told by the game: all is read off the pictures of random games, where they show a
grid, off its cells alone.
"""

import collections
import functools
from typing import Any, NamedTuple

import numpy as np

from games.drawing import characters
from games.drawing.grid import Frame, frame
from games.drawing.samples import Sample, samples

ALIKE, OFTEN, SOME, FEW = 0.6, 0.8, 0.3, 0.05  # shares of moves
CAPITALS, SMALL = "capital letters", "small letters"

Marks = tuple[str, str]  # what each seat puts down: characters, the usual one first, or a case


class Change(NamedTuple):
    """What a move changes on the board."""

    seat: int  # that makes it
    position: int  # which of the samples it is made in
    found: list[tuple[int, int]]  # code points that were and are


class Sight(NamedTuple):
    """What was seen of a game."""

    empty: frozenset[int]  # code points of what a picture shows where nothing is
    marks: Marks | None
    walks: bool  # whether moves take up what they put down elsewhere
    status: frozenset[tuple[int, int]]  # line and column of what nearly every move changes alike
    size: tuple[int, int]  # rows and columns that hold all pictures seen


@functools.lru_cache(maxsize=16)
def sight(game: Any) -> Sight:
    """Returns what random games show."""
    seen_grid: Frame | None = frame(game)
    played: tuple[Sample, ...] = samples(game)
    status = _status(played)
    changes = [
        Change(sample.seat, position, found)
        for position, sample in enumerate(played)
        for found in _changes(sample, seen_grid, status)
    ]
    empty = frozenset({characters.BLANK, _background(changes)})
    walking = sum(_walks(change.found, empty) for change in changes)
    return Sight(
        empty=empty,
        marks=_marks(changes, empty, seen_grid is not None),
        walks=walking > FEW * len(changes),
        status=status,
        size=characters.stacked([sample.pictures for sample in played]).shape[1:],
    )


def in_cases(marks: Marks | None) -> bool:
    """Returns whether capital letters are one seat's and small ones the other's."""
    return marks is not None and CAPITALS in marks


def whose(mark: str, marks: Marks | None) -> int | None:
    """Returns the seat that a character belongs to, None if nobody's."""
    if marks is None:
        return None
    if in_cases(marks):
        return marks.index(CAPITALS if mark.isupper() else SMALL) if mark.isalpha() else None
    return next((seat for seat, own in enumerate(marks) if mark in own), None)


def of_the_turn(picture: np.ndarray, status: frozenset[tuple[int, int]]) -> np.ndarray:
    """Returns bool[H, W]: what tells of the turn, such as "X to move", with all words beside it."""
    result = np.zeros(picture.shape, bool)
    for row, column in status:
        if row < len(picture):
            line = "".join(map(chr, picture[row]))
            start = line.rfind("  ", 0, column) + 1
            end = line.find("  ", column)
            last = end < 0 or not line[end:].strip()  # more may follow on other occasions
            result[row, start : len(line) if last else end] = True
    return result


def _changes(
    sample: Sample, seen_grid: Frame | None, status: frozenset[tuple[int, int]]
) -> list[list[tuple[int, int]]]:
    """Returns what was and is where each move changes the board."""
    pictures = sample.pictures
    if seen_grid is not None:
        grid = seen_grid.grid
        whole = characters.padded(pictures, grid.lines.stop, grid.columns.stop)
        pictures = whole[:, grid.lines, grid.columns]
    before, after = pictures[:1], pictures[1:]
    changed = after != before
    if seen_grid is None:
        changed &= ~of_the_turn(before[0], status)
        changed &= ~_same_for_most(changed, after) if len(after) > 1 else True
    return [
        list(zip(before[0][at].tolist(), now[at].tolist(), strict=True))
        for at, now in zip(changed, after, strict=True)
    ]


def _same_for_most(changed: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Returns bool[H, W]: the characters that most moves make into the same other one."""
    often = changed.mean(axis=0) >= ALIKE
    result = np.zeros_like(often)
    for row, col in np.argwhere(often).tolist():
        made = after[changed[:, row, col], row, col]
        result[row, col] = np.unique(made, return_counts=True)[1].max() >= ALIKE * len(after)
    return result


def _background(changes: list[Change]) -> int:
    """Returns what shows where nothing is: what moves of both seats cover most often.

    A seat's men are changed too, when they leave, but by the other seat only when it takes them.
    """
    covered = (collections.Counter[int](), collections.Counter[int]())
    for seat, _, found in changes:
        covered[seat].update(old for old, _ in found if not chr(old).isalnum())
    first, second = covered
    marks = sorted(first.keys() | second.keys())
    counts = [(min(first[mark], second[mark]), first[mark] + second[mark]) for mark in marks]
    return marks[counts.index(max(counts))] if marks else ord(".")


def _walks(found: list[tuple[int, int]], empty: frozenset[int]) -> bool:
    left = {old for old, new in found if old not in empty and new in empty}
    return bool(left & {new for _, new in found})


def _status(played: tuple[Sample, ...]) -> frozenset[tuple[int, int]]:
    """Returns the characters that, at most positions, most moves make into the same one."""
    looked, alike = 0, collections.Counter[tuple[int, int]]()
    for sample in played:
        changed = sample.pictures[1:] != sample.pictures[:1]
        if len(changed) > 2:
            looked += 1
            found = np.argwhere(_same_for_most(changed, sample.pictures[1:])).tolist()
            alike.update((row, column) for row, column in found)
    enough = max(3, ALIKE * looked)
    return frozenset(at for at, times in alike.items() if times >= enough)


def _marks(changes: list[Change], empty: frozenset[int], on_grid: bool) -> Marks | None:
    """Returns what seats 0 and 1 put down, if that can be told apart."""
    put = (collections.Counter[str](), collections.Counter[str]())
    where: dict[str, set[int]] = {}
    for seat, position, found in changes:
        fresh = [chr(new) for old, new in found if old in empty and new not in empty]
        put[seat].update(fresh)
        for mark in fresh:
            where.setdefault(mark, set()).add(position)
    if not all(put):
        return None
    if max(map(len, put)) > 1 and (cases := _cases(put)):
        return cases
    first, second = (_own(mine, other) for mine, other in (put, put[::-1]))
    if not first or not second:
        return None
    if not on_grid:  # other characters may be of words
        clear = all(
            mine[own[0]] >= OFTEN * mine.total()
            for mine, own in zip(put, (first, second), strict=True)
        )
        return (first[0], second[0]) if clear else None
    # What is put in one position only may be anybody's: in some games the other seat chooses it.
    first, second = ([m for m in own if len(where[m]) > 1] for own in (first, second))
    shares = [
        sum(mine[mark] for mark in own) / mine.total()
        for mine, own in zip(put, (first, second), strict=True)
    ]
    return ("".join(first), "".join(second)) if min(shares) >= SOME else None


def _own(mine: collections.Counter[str], other: collections.Counter[str]) -> list[str]:
    """Returns the marks that hardly any but one seat puts down, the usual one first."""
    return [m for m, times in mine.most_common() if times >= OFTEN * (times + other[m])]


def _cases(put: tuple[collections.Counter[str], collections.Counter[str]]) -> Marks | None:
    first, second = ("".join(counted) for counted in put)
    if all(map(str.isupper, first)) and all(map(str.islower, second)):
        return CAPITALS, SMALL
    if all(map(str.islower, first)) and all(map(str.isupper, second)):
        return SMALL, CAPITALS
    return None
