"""Level 2: the board that a game declares."""

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np

from games.drawing import shapes, svg
from games.drawing.result import Drawing, Move, names_of_spots
from games.game import Drawn
from games.layout import Area, Arrow, Board, Edge, Line, Piece, Place, Point


def is_drawn(game: Any) -> bool:
    """Returns whether a game declares its board; it may have methods of these names by chance."""
    has_methods: bool = isinstance(game, Drawn)
    return has_methods and isinstance(_board(game), Board)


def drawing(game: Any, state: Any, last: int | None, before: Any | None) -> Drawing:
    """Returns the drawing of a position; the last move is marked where both are given."""
    board = _board(game)
    pieces = tuple(game.pieces(state))
    actions = np.flatnonzero(np.asarray(state.legal_action_mask)).tolist()
    placed = {action: game.place(state, action) for action in actions}
    moves = tuple(
        Move(action, game.action_to_string(state, action), clicks(place), place.label)
        for action, place in placed.items()
    )
    marked: tuple[Place, ...] = ()
    if last is not None and before is not None:
        marked = last_places(game.place(before, last), tuple(game.pieces(before)), pieces)
    box = shapes.frame(board)
    drawn = [
        *shapes.background(board, box),
        *shapes.marks(board, marked, above=False),
        *(shapes.piece(board, piece) for piece in pieces),
        *shapes.marks(board, marked, above=True),
        *_spots(board, placed.values(), moves),
    ]
    circles = {str(place): shapes.circle(board, place) for place in range(len(board.centres))}
    for place in placed.values():
        circles |= _own_circle(board, place)
    return Drawing(svg.document(*box, drawn, level=2), circles, moves, True, 2)


def clicks(place: Place) -> tuple[str, ...]:
    """Returns the spots that are clicked for an action there, in order."""
    match place:
        case Point():
            return (str(place.place),)
        case Arrow():
            return tuple(map(str, (place.start, place.end, *place.further)))
        case Line():
            return (f"{min(place.start, place.end)}-{max(place.start, place.end)}",)
        case Area():
            return (f"area{min(place.places)}",)
    return ()


def last_places(
    place: Place, before: tuple[Piece | Edge, ...], after: tuple[Piece | Edge, ...]
) -> tuple[Place, ...]:
    """Returns what to mark of a move: its place; if it has none, where something is new."""
    if clicks(place):
        return (place,)
    new = set(after) - set(before)
    return tuple(Point(piece.place) for piece in after if isinstance(piece, Piece) and piece in new)


@functools.lru_cache(maxsize=16)
def _board(game: Any) -> Any:
    return game.board()


def _own_circle(board: Board, place: Place) -> dict[str, tuple[float, float, float]]:
    """Returns the spot of an action that is no place of the board."""
    match place:
        case Line():
            (x, y, radius), (to_x, to_y, _) = (
                shapes.circle(board, end) for end in (place.start, place.end)
            )
            return {clicks(place)[0]: ((x + to_x) / 2, (y + to_y) / 2, radius)}
        case Area():
            return {clicks(place)[0]: shapes.circle(board, place.places[0])}
    return {}


def _spots(board: Board, placed: Iterable[Place], moves: tuple[Move, ...]) -> list[str]:
    """Returns the elements that are clicked, each once."""
    found: dict[str, str] = {}
    names = names_of_spots(moves)
    for place in placed:
        keys = clicks(place)
        for key in keys:
            name = names[key] if len(keys) == 1 else ""
            match place:
                case Line():
                    found[key] = shapes.edge_spot(board, place.start, place.end, key, name)
                case Area():
                    cells = (shapes.place_spot(board, p, key, name) for p in place.places)
                    found[key] = "".join(cells)
                case _:
                    found[key] = shapes.place_spot(board, int(key), key, name)
    return list(found.values())
