"""What is wrong in what a game declares of its board, in words: for its drawing and its check.

Each function returns no text, or no texts, where nothing is wrong. None raises, whatever it is
given: what a game returns is anything at all.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from games.layout import (
    COLOURS,
    FORMS,
    GEOMETRIES,
    SURFACES,
    Area,
    Arrow,
    Board,
    Border,
    Edge,
    Line,
    Piece,
    Point,
    Text,
)

METHODS = ("board", "place", "pieces")  # of `Drawn`
MOST_PLACES, FARTHEST = 4096, 1000.0
LETTERS = 2  # on a piece
WHOLE = (int, np.integer)  # not `int | np.integer`, which is made anew by each of many calls
SHOWN = 80  # characters of a value that is wrong
# The fields of a board that are tuples, and what each of their items is.
ITEMS = {
    "centres": (2, "numbers x and y"),
    "lines": (2, "places"),
    "labels": (3, "x, y and a text"),
}


def methods_of(game: Any) -> tuple[str, ...]:
    """Returns which of the three methods a game has that declare a board."""
    return tuple(name for name in METHODS if callable(getattr(game, name, None)))


def faults_of_board(board: Any) -> list[str]:
    """Returns what is wrong with a board without pieces."""
    if not isinstance(board, Board):
        return [f"{_a(board)} instead of a Board"]
    if faults := _faults_of_form(board):
        return faults  # the others look into what these are about
    count, faults = len(board.centres), []
    if not 0 < count <= MOST_PLACES:
        faults.append(f"{count} places, of 1 to {MOST_PLACES}")
    points = [*board.centres, *((x, y) for x, y, _ in board.labels)]
    points += [point for border in board.borders for point in border.points]
    if far := [number for point in points for number in point if not _is_near(number)]:
        faults.append(f"coordinate {_a_number(far[0])}, not a number within {FARTHEST:g} of 0")
    elif len(set(board.centres)) < len(board.centres):
        faults.append("two places with one centre")
    named = [*board.stars, *(place for line in board.lines for place in line)]
    if unknown := [place for place in named if not _is_place(place, count)]:
        faults.append(
            f"lines or stars at {_a_number(unknown[0])}, none of the places 0 to {count - 1}"
        )
    if any(not _is_seat(border.seat) for border in board.borders):
        faults.append("a border of another seat than 0 and 1")
    for _, _, text in board.labels:
        if not isinstance(text, str):
            faults.append(f"label {_a_number(text)}, not a text")
            break
    return faults


def fault_of_place(place: Any, board: Board) -> str:
    """Returns what is wrong with where an action is."""
    count = len(board.centres)
    numbers: tuple[Any, ...]
    match place:
        case Point():
            numbers = (place.place,)
        case Area():
            if not isinstance(place.places, tuple) or not place.places:
                return f"{_short(place)}, whose places are no tuple of one or more"
            numbers = place.places
        case Arrow():
            if not isinstance(place.further, tuple):
                return f"{_short(place)}, whose further places are no tuple"
            numbers = (place.start, place.end, *place.further)
        case Text():
            is_text = isinstance(place.label, str) and bool(place.label.strip())
            return "" if is_text else f"{_short(place)}, whose label is no text"
        case Line():
            numbers = (place.start, place.end)
        case _:
            return f"{_a(place)} instead of a Point, Arrow, Line, Area or Text"
    for number in numbers:
        if not _is_place(number, count):
            return f"{_short(place)}: {_a_number(number)} is none of the places 0 to {count - 1}"
    if not isinstance(place.label, str):
        return f"{_short(place)}, whose label is no text"
    distinct = numbers[:2] if isinstance(place, Arrow) else numbers  # a chain may come back
    if len(distinct) > 1 and len(set(distinct)) < len(distinct):
        return f"{_short(place)}, which names a place twice"
    return ""


def fault_of_pieces(pieces: Any, board: Board) -> str:
    """Returns what is wrong with all that lies on a board, or with the first that is."""
    if not isinstance(pieces, Iterable):
        return f"{_a(pieces)} instead of a sequence of Piece and Edge"
    return next((fault for piece in pieces if (fault := fault_of_piece(piece, board))), "")


def fault_of_piece(piece: Any, board: Board) -> str:
    """Returns what is wrong with something that lies on a board."""
    count = len(board.centres)
    if isinstance(piece, Piece):
        places: tuple[Any, ...] = (piece.place,)
    elif isinstance(piece, Edge):
        places = (piece.start, piece.end)
    else:
        return f"{_a(piece)} instead of a Piece or Edge"
    for number in places:
        if not _is_place(number, count):
            return f"{_short(piece)}: {_a_number(number)} is none of the places 0 to {count - 1}"
    if piece.seat is not None and not _is_seat(piece.seat):
        return f"{_short(piece)}: seat {_a_number(piece.seat)} is none of 0, 1 and None"
    if isinstance(piece, Edge):
        return ""
    if not isinstance(piece.form, str) or piece.form not in FORMS:
        return f"{_short(piece)}, whose form is none of {', '.join(FORMS)}"
    if not isinstance(piece.letter, str) or len(piece.letter) > LETTERS:
        return f"{_short(piece)}, whose letter is no text of at most {LETTERS} characters"
    if piece.form == "letter" and not piece.letter:
        return f"{_short(piece)}, a letter without one"
    return ""


def _faults_of_form(board: Board) -> list[str]:
    """Returns which fields of a board are not made as `games/layout.py` says."""
    faults = []
    for name, value, known in (
        ("geometry", board.geometry, GEOMETRIES),
        ("surface", board.surface, SURFACES),
    ):
        if not isinstance(value, str) or value not in known:
            faults.append(f"{name} {_short(value)}, which is none of {', '.join(known)}")
    if not isinstance(board.colours, tuple) or len(board.colours) != 2:
        faults.append(f"colours {_short(board.colours)}, not a tuple of one for each seat")
    elif unknown := [c for c in board.colours if not isinstance(c, str) or c not in COLOURS]:
        faults.append(f"colour {_short(unknown[0])}, which is none of {', '.join(COLOURS)}")
    for name in (*ITEMS, "stars", "borders"):
        if not isinstance(getattr(board, name), tuple):
            faults.append(f"{name} in {_a(getattr(board, name))}, not in a tuple")
    if faults:
        return faults
    for name, (length, what) in ITEMS.items():
        faults += _faults_of_items(name, getattr(board, name), length, what)
    for border in board.borders:
        if not isinstance(border, Border) or not isinstance(border.points, tuple):
            return [*faults, f"border {_short(border)}, not a Border of a tuple of points"]
        faults += _faults_of_items("a border's points", border.points, *ITEMS["centres"])
    return faults


def _faults_of_items(name: str, items: tuple[Any, ...], length: int, what: str) -> list[str]:
    for item in items:
        if not isinstance(item, tuple) or len(item) != length:
            return [f"{_short(item)} in {name}, not a tuple of {what}"]
    return []


def _is_place(number: Any, count: int) -> bool:
    is_whole = isinstance(number, WHOLE) and type(number) is not bool
    return is_whole and 0 <= int(number) < count


def _is_seat(seat: Any) -> bool:
    return isinstance(seat, WHOLE) and 0 <= int(seat) <= 1


def _is_near(number: Any) -> bool:
    is_number = isinstance(number, int | float | np.integer | np.floating)
    return bool(is_number and math.isfinite(number) and abs(number) <= FARTHEST)


def _a_number(value: Any) -> str:
    """Returns what stands where a number belongs, and its type unless it is one."""
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return _short(value) if is_number else f"{_short(value)} ({_a(value)})"


def _a(value: Any) -> str:
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # a class of the game's own may have any `__repr__`
        return _a(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
