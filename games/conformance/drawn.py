"""The law of the board: what a game that declares its board says of actions and pieces.

`Drawn` in `games/game.py` is optional. What a board looks like is the game's to choose, whether a
person can find every move on it is not.
"""

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np

from games.conformance.form import action_name, rendered, scene
from games.conformance.laws import Findings
from games.conformance.playouts import Batch, take
from games.drawing.declared import clicks
from games.game import Drawn, Game
from games.layout import (
    COLOURS,
    FORMS,
    GEOMETRIES,
    SURFACES,
    Area,
    Arrow,
    Board,
    Edge,
    Line,
    Piece,
    Place,
    Point,
    Text,
)

LAW = "board"
TRIED = 48  # positions, and as many moves
MOST_PLACES, FARTHEST = 4096, 1000.0
MOST = 0.5  # of the moves must change what lies where they are


def check_board(
    findings: Findings, game: Game[Any], moves: list[tuple[Batch, np.ndarray, Batch]]
) -> None:
    """Tries what a game declares, if it does, at the positions of `moves` and after them."""
    findings.tried.add(LAW)
    if not isinstance(game, Drawn):
        return
    with findings.trying(LAW, doing="board()"):
        board = game.board()
        faults = faults_of_board(board)
        if game.board() != board:
            faults.append("another board at the next call")
        for fault in faults:
            findings.add(
                LAW, "board() to return a Board of games/layout.py, always the same", fault
            )
        if not faults:
            _Judge(findings, game, board).watch(moves)


def faults_of_board(board: Any) -> list[str]:
    """Returns what is wrong with a board without pieces, in words."""
    if not isinstance(board, Board):
        return [f"a {type(board).__name__}"]
    faults = []
    for name, value, known in (
        ("geometry", board.geometry, GEOMETRIES),
        ("surface", board.surface, SURFACES),
        *(("colours", colour, COLOURS) for colour in board.colours),
    ):
        if value not in known:
            faults.append(f"{name} {value!r}, which is none of {', '.join(known)}")
    if len(board.colours) != 2:
        faults.append(f"{len(board.colours)} colours for two seats")
    if not 0 < len(board.centres) <= MOST_PLACES:
        faults.append(f"{len(board.centres)} places, of 1 to {MOST_PLACES}")
    points = [*board.centres, *((x, y) for x, y, _ in board.labels)]
    points += [point for border in board.borders for point in border.points]
    if not all(_is_near(number) for point in points for number in point):
        faults.append(f"coordinates that are no numbers from {-FARTHEST:g} to {FARTHEST:g}")
    if len(set(board.centres)) < len(board.centres):
        faults.append("two places with one centre")
    named = [*board.stars, *itertools.chain.from_iterable(board.lines)]
    if unknown := [place for place in named if not _is_place(place, board)]:
        faults.append(f"lines or stars at {unknown[0]!r}, of {len(board.centres)} places")
    if any(border.seat not in (0, 1) for border in board.borders):
        faults.append("a border of another seat than 0 and 1")
    if not all(isinstance(text, str) for _, _, text in board.labels):
        faults.append("labels that are no text")
    hash(board)  # drawings are kept by it: lists would raise here
    return faults


class _Judge:
    """Tries the places and pieces of positions."""

    def __init__(self, findings: Findings, game: Any, board: Board) -> None:
        self.findings, self.game, self.board = findings, game, board
        self.elsewhere: list[tuple[Any, int, int]] = []  # states, lane and action of such moves

    def watch(self, moves: list[tuple[Batch, np.ndarray, Batch]]) -> None:
        tried = 0
        lanes = TRIED // max(1, len(moves)) + 1
        for before, action, after in moves:
            for lane in range(min(lanes, len(action))):
                places = self._places(before, lane)
                old, new = (self._pieces(batch.state, lane) for batch in (before, after))
                move = int(action[lane])
                if old is None or new is None or not isinstance(places.get(move), Place):
                    continue
                tried += 1
                if not _shows(places[move], old, new):
                    self.elsewhere.append((before.state, lane, move))
        if len(self.elsewhere) > MOST * tried:
            states, lane, move = self.elsewhere[0]
            self._blame(
                "moves to be where they change something: a piece at a point, at both ends of an "
                "arrow, somewhere in an area, an edge along a line",
                f"nothing changes there after {len(self.elsewhere)} of {tried} moves",
                states,
                lane,
                move,
            )

    def _places(self, at: Batch, lane: int) -> dict[int, Any]:
        """Returns the places of the legal actions, of which no two may be the same."""
        state = take(at.state, lane)
        places: dict[int, Any] = {}
        for action in np.flatnonzero(at.mask[lane]).tolist():
            place = places[action] = self.game.place(state, action)
            if fault := _fault_of_place(place, self.board):
                self._blame(
                    "place(state, action) to be on the board", fault, at.state, lane, action
                )
                return {}
        seen: dict[tuple[tuple[str, ...], str], int] = {}
        for action, place in places.items():
            first = seen.setdefault((clicks(place), place.label), action)
            if first != action:
                self._blame(
                    "no two legal actions at one place, but with labels that tell them apart",
                    f"action {first} at {place} too",
                    at.state,
                    lane,
                    action,
                )
        self._watch_areas(places, at, lane)
        return places

    def _watch_areas(self, places: dict[int, Any], at: Batch, lane: int) -> None:
        inside: Counter[int] = Counter()
        areas = {place.places for place in places.values() if isinstance(place, Area)}
        inside.update(itertools.chain.from_iterable(areas))
        if areas:
            others = (
                clicks(place) for place in places.values() if isinstance(place, Point | Arrow)
            )
            inside.update(int(key) for key in set(itertools.chain.from_iterable(others)))
        twice = [place for place, times in inside.items() if times > 1]
        if twice:
            self._blame(
                "areas of legal actions that overlap no other's place",
                f"place {twice[0]} in several",
                at.state,
                lane,
            )

    def _pieces(self, states: Any, lane: int) -> set[Piece | Edge] | None:
        pieces = list(self.game.pieces(take(states, lane)))
        for piece in pieces:
            if fault := _fault_of_piece(piece, self.board):
                self._blame("pieces(state) to lie on the board", fault, states, lane)
                return None
        return set(pieces)

    def _blame(
        self, expected: str, found: str, states: Any, lane: int, action: int | None = None
    ) -> None:
        if not self.findings.has(LAW, expected):
            named = "" if action is None else action_name(self.game, states, lane, action)
            where = rendered(self.game, states, lane)
            case = scene(states, lane, action)
            self.findings.add(LAW, expected, found, where, named, [case])


def _shows(place: Place, old: set[Piece | Edge], new: set[Piece | Edge]) -> bool:
    """Returns whether a move changes something where it is said to be."""
    changed = old ^ new
    at = {piece.place for piece in changed if isinstance(piece, Piece)}
    edges = [{piece.start, piece.end} for piece in changed if isinstance(piece, Edge)]
    match place:
        case Point():
            return place.place in at
        case Arrow():
            return {place.start, place.end} <= at
        case Area():
            return bool(at.intersection(place.places))
        case Line():
            return {place.start, place.end} in edges
    return True


def _fault_of_place(place: Any, board: Board) -> str:
    if not isinstance(place, Place):
        return f"a {type(place).__name__} instead of a Point, Arrow, Line, Area or Text"
    if not isinstance(place.label, str) or (isinstance(place, Text) and not place.label.strip()):
        return f"{place}, whose label is no text"
    if isinstance(place, Text):
        return ""
    named = [number for field in place[:-1] for number in np.atleast_1d(field).tolist()]
    if isinstance(place, Arrow):
        distinct = place.start != place.end
    else:
        distinct = len(set(named)) == len(named) > 0
    known = all(_is_place(number, board) for number in named)
    return "" if known and distinct else f"{place}, of {len(board.centres)} places"


def _fault_of_piece(piece: Any, board: Board) -> str:
    if not isinstance(piece, Piece | Edge):
        return f"a {type(piece).__name__} instead of a Piece or Edge"
    places = (piece.place,) if isinstance(piece, Piece) else (piece.start, piece.end)
    if not all(_is_place(place, board) for place in places):
        return f"{piece}, of {len(board.centres)} places"
    if piece.seat not in (None, 0, 1):
        return f"{piece}, which is of neither seat"
    if isinstance(piece, Edge):
        return ""
    is_text = isinstance(piece.letter, str) and len(piece.letter) <= 2
    if piece.form not in FORMS or not is_text or (piece.form == "letter" and not piece.letter):
        return f"{piece}, which is neither {', '.join(FORMS)} nor has a letter of one or two"
    return ""


def _is_place(number: Any, board: Board) -> bool:
    return isinstance(number, int | np.integer) and 0 <= int(number) < len(board.centres)


def _is_near(number: Any) -> bool:
    is_number = isinstance(number, int | float | np.number)
    return bool(is_number and math.isfinite(number) and abs(number) <= FARTHEST)
