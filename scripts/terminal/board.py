"""A board for people: which pieces are whose, the last move marked, the sides in colours.

All is read off the game's own picture of its positions, so that every game has it.
"""

import os
import re
import sys
from typing import Any

import numpy as np

from games.game import Game
from selfplay import positions

EMPTY = ". "  # what a picture shows where nothing is
WATCHED = 60  # plies in which to see whose pieces are whose
CAPITALS, SMALL = "capital letters", "small letters"
COLOURS, MARKED, PLAIN = ("\x1b[36m", "\x1b[33m"), "\x1b[7m", "\x1b[0m"  # cyan, yellow; reversed


def piece_names(game: Game[Any]) -> tuple[str, str] | None:
    """The character of each seat's pieces, such as X and O; None if they have none.

    A game is played at random until either seat has put letters of one kind on the board.
    """
    rng, seen = np.random.default_rng(0), ["", ""]
    state = positions.opening_position(game)
    for _ in range(WATCHED):
        legal = np.flatnonzero(np.asarray(state.legal_action_mask))
        if not len(legal) or all(seen):
            break
        seat, before = int(state.to_play), game.render(state)
        state = positions.step(game, state, np.int32(rng.choice(legal)))
        letters = {after for _, _, after in _changes(before, game.render(state)) if after.isalpha()}
        if len(letters) == 1:
            seen[seat] = seen[seat] or letters.pop()
    first, second = seen
    if first.isupper() and second.islower():
        return CAPITALS, SMALL
    return (first, second) if first and second and first != second else None


def has_colours() -> bool:
    """Returns whether stdout shows colours: a terminal, and nobody said no (no-color.org)."""
    refused = os.environ.get("TERM", "dumb") == "dumb" or os.environ.get("NO_COLOR")
    return sys.stdout is not None and sys.stdout.isatty() and not refused


def show(picture: str, before: str | None, names: tuple[str, str] | None, colours: bool) -> str:
    """Returns a picture of a position in which what the last move put down is marked.

    Args:
      before: the picture before that move.
      names: of the pieces, from `piece_names`.
      colours: with them each side has its own; without, the mark is a pair of brackets.
    """
    marked = _placed(before, picture) if before is not None else set()
    shown = []
    for row, line in enumerate(picture.split("\n")):
        columns = {column for at, column in marked if at == row}
        shown.append(_in_colours(line, columns, names) if colours else _in_brackets(line, columns))
    return "\n".join(shown)


def _in_brackets(line: str, columns: set[int]) -> str:
    cells = [*line, " "]
    for column in columns:
        if column and cells[column - 1] == cells[column + 1] == " ":
            cells[column - 1], cells[column + 1] = "(", ")"
    return "".join(cells).rstrip()


def _in_colours(line: str, columns: set[int], names: tuple[str, str] | None) -> str:
    is_frame = re.fullmatch(r"[\d ]*([A-Za-z] +)+[A-Za-z]", line) and _rises(line)
    cells = list(line)
    for column, cell in enumerate(line):
        style = "" if is_frame or names is None else _colour(cell, names)
        style += MARKED if column in columns else ""
        cells[column] = f"{style}{cell}{PLAIN}" if style else cell
    return "".join(cells)


def _rises(line: str) -> bool:
    """Returns whether these are the names of the columns."""
    letters = [cell for cell in line if cell.isalpha()]
    return letters == sorted(set(letters))


def _colour(cell: str, names: tuple[str, str]) -> str:
    if names == (CAPITALS, SMALL):
        return COLOURS[cell.islower()] if cell.isalpha() else ""
    return COLOURS[names.index(cell)] if cell in names else ""


def _placed(before: str, after: str) -> set[tuple[int, int]]:
    """Returns row and column of what a move put on empty places, else of all that it put."""
    changes = _changes(before, after)
    fresh = {place for place, old, new in changes if old in EMPTY and new not in EMPTY}
    return fresh or {place for place, _, new in changes if new not in EMPTY}


def _changes(before: str, after: str) -> list[tuple[tuple[int, int], str, str]]:
    """Returns the places in which two pictures of a game differ, with what was and is there."""
    lines, others = before.split("\n"), after.split("\n")
    changes = []
    for row, (old, new) in enumerate(zip(lines, others, strict=False)):
        width = max(len(old), len(new))
        pairs = zip(old.ljust(width), new.ljust(width), strict=True)
        changes += [((row, i), *pair) for i, pair in enumerate(pairs) if pair[0] != pair[1]]
    return changes
