"""The law of the board: what a game that declares its board says of actions and pieces.

`Drawn` in `games/game.py` is optional. What a board looks like is the game's to choose, whether a
person can find every move on it is not.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from games.conformance.cases import action_name, rendered, scene
from games.conformance.playouts import Batch, take
from games.drawing import faults
from games.drawing.declared import clicks
from games.game import Game
from games.laws import Findings
from games.layout import Area, Arrow, Board, Edge, Line, Piece, Place, Point
from games.plug_in import described

LAW = "board"
TRIED = 48  # positions, and as many moves
MOST = 0.5  # of the moves must change what lies where they are
DECLARED = "board: declared by board, place and pieces"
NOT_DECLARED = "board: none is declared, so the text of render is shown, and moves are buttons"


def check_board(
    findings: Findings, game: Game[Any], moves: list[tuple[Batch, np.ndarray, Batch]]
) -> None:
    """Tries what a game declares, if it does, at the positions of `moves` and after them."""
    findings.tried.add(LAW)
    methods = faults.methods_of(game)
    findings.portrait.append(DECLARED if methods == faults.METHODS else NOT_DECLARED)
    if methods != faults.METHODS:
        _note_part(findings, game, methods)
        return
    with findings.trying(LAW, doing="board()"):
        board = game.board()  # type: ignore[attr-defined]
        found = faults.faults_of_board(board)
        if not found and game.board() != board:  # type: ignore[attr-defined]
            found = ["another board at the next call"]
        for fault in found:
            findings.add(
                LAW, "board() to return a Board of games/layout.py, always the same", fault
            )
    if not findings.breaks(LAW):
        _Judge(findings, game, board).watch(moves)


def _note_part(findings: Findings, game: Any, methods: tuple[str, ...]) -> None:
    """Notes that some of the methods are missing; one alone may have its name by chance."""
    if len(methods) < 2 and not (methods == ("board",) and _has_board(game)):
        return
    missing = [name for name in faults.METHODS if name not in methods]
    findings.note(
        f"board: the class has {' and '.join(methods)}, but no {' and no '.join(missing)}: all "
        "three are needed to declare a board, and the text of render is shown instead. Is a name "
        "misspelt?"
    )


def _has_board(game: Any) -> bool:
    try:
        return isinstance(game.board(), Board)
    except Exception:  # a method of another kind, which wants a state
        return False


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
                if old is None or new is None or move not in places:
                    continue
                tried += 1
                if not _shows(places[move], old, new):
                    self.elsewhere.append((before.state, lane, move))
        # A fault that is known already would be the cause of this one too.
        if len(self.elsewhere) > MOST * tried and not self.findings.breaks(LAW):
            states, lane, move = self.elsewhere[0]
            self._blame(
                "moves to be where they change something: a piece at a point, at both ends of an "
                "arrow, somewhere in an area, an edge along a line",
                f"nothing changes there after {len(self.elsewhere)} of {tried} moves",
                states,
                lane,
                move,
            )

    def _places(self, at: Batch, lane: int) -> dict[int, Place]:
        """Returns the places of the legal actions, of which no two may be the same."""
        state = take(at.state, lane)
        places: dict[int, Place] = {}
        for action in np.flatnonzero(at.mask[lane]).tolist():
            try:
                place = self.game.place(state, action)
            except Exception as error:
                raised = described(error)
                self._blame("place(state, action) to run", raised, at.state, lane, action)
                return {}
            if fault := faults.fault_of_place(place, self.board):
                expected = "place(state, action) to return a place on the board"
                self._blame(expected, fault, at.state, lane, action)
                return {}
            places[action] = place
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

    def _watch_areas(self, places: dict[int, Place], at: Batch, lane: int) -> None:
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
        try:
            pieces = self.game.pieces(take(states, lane))
            pieces = tuple(pieces) if isinstance(pieces, Iterator) else pieces  # runs only now
        except Exception as error:
            self._blame("pieces(state) to run", described(error), states, lane)
            return None
        if fault := faults.fault_of_pieces(pieces, self.board):
            self._blame("pieces(state) to return what lies on the board", fault, states, lane)
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
