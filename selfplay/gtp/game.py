"""The game that a GTP server keeps: moves by colour and name, taken back, set up, scored."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from games.game import Game, State
from games.go import LETTERS, Go
from selfplay import positions
from selfplay.engines.go_turns import turn_to
from selfplay.engines.server import Refused


class Line(NamedTuple):
    """The moves that led to a position, and all positions on the way, the opening first."""

    states: tuple[State, ...]
    moves: tuple[int, ...]


class GtpGame:
    """A game under way.

    The protocol lets a colour move at any time, in Go. So a colour that moves out of turn, or after
    two passes, takes back the passes before its move, which did not change the board, and then, if
    it still has to, lets the other one pass: the front end's handicap stones and double moves
    become games by our rules. In other games such a move is refused.
    """

    def __init__(self, game: Game[Any]) -> None:
        self.game = game
        self.clear()

    def clear(self) -> None:
        """Goes back to the opening position."""
        self.line = Line((positions.opening_position(self.game),), ())
        self._past: list[Line] = []  # before each play

    @property
    def state(self) -> State:
        return self.line.states[-1]

    @property
    def moves(self) -> list[int]:
        return list(self.line.moves)

    @property
    def over(self) -> bool:
        return bool(self.state.terminated)

    @property
    def seat(self) -> int:
        return int(self.state.to_play)

    def play(self, seat: int, move: str | int) -> None:
        """Plays a move, by its name or number."""
        before = self.line
        try:
            self.give_turn(seat)
            if isinstance(move, str):
                move = self.game.string_to_action(self.state, move)
            if not self.state.legal_action_mask[move]:
                raise Refused("illegal move")
            self._push(move)
        except ValueError:
            self.line = before
            raise Refused("illegal move") from None
        self._past.append(before)

    def give_turn(self, seat: int) -> None:
        """Lets a colour move in place of the other one, or after the end, if that can be."""
        if self.seat == seat and not self.over:
            return
        before = self.line
        if isinstance(self.game, Go):
            moves = turn_to(self.line.moves, seat, self.game.size**2)
            kept = min(len(moves), len(self.line.moves))
            self.line = Line(self.line.states[: kept + 1], self.line.moves[:kept])
            if len(moves) > kept and not self.over:
                self._push(moves[-1])
        if self.over:
            self.line = before
            raise Refused("the game is over")
        if self.seat != seat:
            raise Refused("it is the other colour's turn")

    @contextlib.contextmanager
    def turn_of(self, seat: int) -> Iterator[None]:
        """Gives a colour the turn for a while. Raises Refused as `give_turn` does."""
        before = self.line
        self.give_turn(seat)
        try:
            yield
        finally:
            self.line = before

    @contextlib.contextmanager
    def kept_if_refused(self) -> Iterator[None]:
        """Undoes what was begun if it is refused."""
        before = self.game, self.line, self._past
        try:
            yield
        except Refused:
            self.game, self.line, self._past = before
            raise

    def undo(self) -> None:
        """Takes back the last play, with the passes that it needed or took back."""
        if not self._past:
            raise Refused("cannot undo")
        self.line = self._past.pop()

    def set_komi(self, komi: float) -> None:
        """Changes what the score counts; the position stays."""
        assert isinstance(self.game, Go)
        try:
            self.game = dataclasses.replace(self.game, komi=komi)
        except ValueError as error:
            raise Refused(str(error)) from None

    def place_handicap(self, points: Sequence[str]) -> None:
        """Sets black stones on an empty board, white passing between them."""
        if self.line.moves:
            raise Refused("board not empty")
        distinct = {point.lower() for point in points}
        if len(distinct) < len(points) or "pass" in distinct:
            raise Refused("bad vertex list")
        try:
            with self.kept_if_refused():
                self.clear()
                for point in points:
                    self.play(0, point)
        except Refused:
            raise Refused("bad vertex list") from None
        self._past = []

    def final_score(self) -> str:
        """Returns who wins the board as it stands, in Go; in other games the result at the end."""
        if isinstance(self.game, Go):
            lead = float(self.game.margin(self.state))  # type: ignore[arg-type]
        elif self.over:
            lead = float(self.game.returns(self.state)[0])
        else:
            raise Refused("cannot score: the game is not over")
        return f"{'B' if lead > 0 else 'W'}+{abs(lead):g}" if lead else "0"

    def chains(self) -> list[str]:
        """Returns the points of each chain of stones in Go, separated by spaces."""
        names = np.asarray(self.state.chain)  # type: ignore[attr-defined]  # Go's
        return [
            " ".join(
                self.game.action_to_string(self.state, int(p)) for p in np.flatnonzero(names == n)
            )
            for n in np.unique(names[names != 0])
        ]

    def _push(self, action: int) -> None:
        after = positions.step(self.game, self.state, np.int32(action))
        self.line = Line((*self.line.states, after), (*self.line.moves, action))


def handicap_points(size: int) -> list[list[str]]:
    """Returns for 2, 3, ... stones where GNU Go puts them."""
    if size < 7:
        return []
    edge = 3 if size < 12 else 4
    low, middle, high = edge - 1, size // 2, size - edge

    def name(col: int, row: int) -> str:
        return f"{LETTERS[col]}{row + 1}"

    corners = [name(low, low), name(high, high), name(low, high), name(high, low)]
    sides = [name(low, middle), name(high, middle), name(middle, low), name(middle, high)]
    centre = [name(middle, middle)]
    placed = [corners[:2], corners[:3], corners]
    if size % 2 and size > 7:
        placed += [corners + centre, corners + sides[:2], corners + sides[:2] + centre]
        placed += [corners + sides, corners + sides + centre]
    return placed
