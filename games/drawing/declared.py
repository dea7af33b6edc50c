"""The board that a game declares, as SVG to be clicked."""

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from games import plug_in, registry
from games.drawing import faults, shapes, svg
from games.drawing.result import Drawing, Move, names_of_spots
from games.layout import Area, Arrow, Board, Edge, Line, Piece, Place, Point


def is_drawn(game: Any) -> bool:
    """Returns whether a game declares its board; it may have methods of these names by chance.

    Raises:
      ValueError: it declares one that cannot be drawn, or its `board` raised.
    """
    return faults.methods_of(game) == faults.METHODS and _board(game) is not None


def drawing(game: Any, state: Any, last: int | None, before: Any | None) -> Drawing:
    """Returns the drawing of a position; the last move is marked where both are given.

    Raises:
      ValueError: a method of the game raised, or returned what is no place or piece on its board.
    """
    board = _board(game)
    assert board is not None
    pieces = _pieces(game, board, state)
    actions = np.flatnonzero(np.asarray(state.legal_action_mask)).tolist()
    placed = {action: _place(game, board, state, action) for action in actions}
    moves = tuple(
        Move(action, game.action_to_string(state, action), clicks(place), place.label)
        for action, place in placed.items()
    )
    marked: tuple[Place, ...] = ()
    if last is not None and before is not None:
        place = _place(game, board, before, int(last))  # a caller's may be an array
        marked = last_places(place, _pieces(game, board, before), pieces)
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
    return Drawing(svg.document(*box, drawn), circles, moves)


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
def _board(game: Any) -> Board | None:
    """Returns the board that a game declares, None for what is none."""
    board = _asked(game, "board")
    if not isinstance(board, Board):
        return None
    if found := faults.faults_of_board(board):
        raise _refusal(game, "board()", f"returned a Board with {'; '.join(found)}")
    return board


def _place(game: Any, board: Board, state: Any, action: int) -> Place:
    place: Place = _asked(game, "place", state, action)
    if fault := faults.fault_of_place(place, board):
        raise _refusal(game, f"place(state, {action})", f"returned {fault}")
    return place


def _pieces(game: Any, board: Board, state: Any) -> tuple[Piece | Edge, ...]:
    pieces = _asked(game, "pieces", state)
    if fault := faults.fault_of_pieces(pieces, board):
        raise _refusal(game, "pieces(state)", f"returned {fault}")
    return tuple(pieces)


def _asked(game: Any, method: str, *given: Any) -> Any:
    """Returns what a method of the game returns. Raises ValueError if it raises."""
    try:
        found = getattr(game, method)(*given)
        return tuple(found) if isinstance(found, Iterator) else found  # a generator runs only now
    except Exception as error:
        if type(error).__name__ == "JaxRuntimeError":
            raise  # a device's fault, such as a lack of memory
        called = f"{method}({', '.join(['state', *map(str, given[1:])] if given else [])})"
        raise _refusal(game, called, f"raised {plug_in.described(error)}") from error


def _refusal(game: Any, called: str, what: str) -> ValueError:
    spec = registry.spec_of(game)
    return ValueError(
        f"{type(game).__name__}.{called} {what}; `selfplay game check {spec}` says more"
    )


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
