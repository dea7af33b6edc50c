"""The law of the board: what a game that declares its board says of actions and pieces.

`Drawn` in `games/game.py` is optional. What a board looks like is the game's to choose, whether a
person can find every move on it is not.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

import numpy as np

from games.conformance.cases import Trial
from games.conformance.playouts import Batch, take
from games.drawing import faults
from games.drawing.declared import clicks
from games.laws import Findings
from games.layout import Area, Arrow, Board, Edge, Line, Piece, Place, Point
from games.plug_in import described

LAW = "board"
TRIED = 48  # positions, and as many moves
MOST = 0.5  # of the moves must change what lies where they are
DECLARED = "board: declared by board, place and pieces"
NOT_DECLARED = "board: none is declared, so the text of render is shown, and moves are buttons"


def check_board(trial: Trial, moves: list[tuple[Batch, np.ndarray, Batch]]) -> None:
    """Tries what a game declares, if it does, at the positions of `moves` and after them."""
    findings, game = trial.findings, trial.game
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
        _Judge(trial, board).watch(moves)


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

    def __init__(self, trial: Trial, board: Board) -> None:
        self.trial, self.board, self.game = trial, board, cast("Any", trial.game)

    def watch(self, moves: list[tuple[Batch, np.ndarray, Batch]]) -> None:
        tried, elsewhere = 0, []  # moves, and those that change nothing where they are
        for before, action, after in moves:
            for env in range(min(TRIED // len(moves) + 1, len(action))):
                places = self._places(before, env)
                old, new = (self._pieces(batch.state, env) for batch in (before, after))
                move = int(action[env])
                if old is None or new is None or move not in places:
                    continue
                tried += 1
                if not _shows(places[move], old, new):
                    elsewhere.append((before.state, env, move))
        # A fault that is known already would be the cause of this one too.
        if len(elsewhere) > MOST * tried and not self.trial.findings.breaks(LAW):
            self._blame(
                "moves to be where they change something: a piece at a point, at both ends of an "
                "arrow, somewhere in an area, an edge along a line",
                f"nothing changes there after {len(elsewhere)} of {tried} moves",
                *elsewhere[0],
            )

    def _places(self, at: Batch, env: int) -> dict[int, Place]:
        """Returns the places of the legal actions, of which no two may be the same."""
        state, where = take(at.state, env), (at.state, env)
        places: dict[int, Place] = {}
        for action in np.flatnonzero(at.mask[env]).tolist():
            try:
                place = self.game.place(state, action)
            except Exception as error:
                self._blame("place(state, action) to run", described(error), *where, action)
                return {}
            if fault := faults.fault_of_place(place, self.board):
                expected = "place(state, action) to return a place on the board"
                self._blame(expected, fault, *where, action)
                return {}
            places[action] = place
        seen: dict[tuple[tuple[str, ...], str], int] = {}
        for action, place in places.items():
            first = seen.setdefault((clicks(place), place.label), action)
            if first != action:
                expected = "no two legal actions at one place, but with labels that tell them apart"
                self._blame(expected, f"action {first} at {place} too", *where, action)
        areas = {place.places for place in places.values() if isinstance(place, Area)}
        inside = Counter(itertools.chain.from_iterable(areas))
        others = [clicks(place) for place in places.values() if isinstance(place, Point | Arrow)]
        inside.update(
            int(key) for key in set(itertools.chain.from_iterable(others if areas else ()))
        )
        if twice := [place for place, times in inside.items() if times > 1]:
            expected = "areas of legal actions that overlap no other's place"
            self._blame(expected, f"place {twice[0]} in several", *where)
        return places

    def _pieces(self, states: Any, env: int) -> set[Piece | Edge] | None:
        try:
            pieces = self.game.pieces(take(states, env))
            pieces = tuple(pieces) if isinstance(pieces, Iterator) else pieces  # runs only now
        except Exception as error:
            self._blame("pieces(state) to run", described(error), states, env)
            return None
        if fault := faults.fault_of_pieces(pieces, self.board):
            self._blame("pieces(state) to return what lies on the board", fault, states, env)
            return None
        return set(pieces)

    def _blame(
        self, expected: str, found: str, states: Any, env: int, action: int | None = None
    ) -> None:
        if not self.trial.findings.has(LAW, expected):
            self.trial.findings.add(LAW, expected, found, *self.trial.case(states, env, action))


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
