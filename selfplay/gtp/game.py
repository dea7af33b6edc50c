"""The game that a GTP server keeps: moves by colour and name, taken back, set up, scored."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from games.game import Game, State
from games.go import LETTERS, Go
from selfplay import positions


class Refused(Exception):
    """A command that cannot be obeyed; the message is the answer."""


class GtpGame:
    """A game under way.

    In Go, a colour that moves out of turn lets the other one pass first: the front end's handicap
    stones and double moves become games by our rules. Where that pass would be the second in a row,
    which ends the game, the move is refused; so it is in other games.
    """

    def __init__(self, game: Game[Any]) -> None:
        self.game = game
        self.clear()

    def clear(self) -> None:
        """Goes back to the opening position."""
        self.states: list[State] = [positions.opening_position(self.game)]
        self.moves: list[int] = []
        self._marks: list[int] = []  # how many moves there were before each play

    @property
    def state(self) -> State:
        return self.states[-1]

    @property
    def over(self) -> bool:
        return bool(self.state.terminated)

    @property
    def seat(self) -> int:
        return int(self.state.to_play)

    def play(self, seat: int, move: str | int) -> None:
        """Plays a move, by its name or number."""
        before = len(self.moves)
        try:
            self.give_turn(seat)
            if isinstance(move, str):
                move = self.game.string_to_action(self.state, move)
            self._push(move)
        except ValueError:
            self._cut(before)
            raise Refused("illegal move") from None
        self._marks.append(before)

    def give_turn(self, seat: int) -> None:
        """Lets the other colour pass if it is to play. Raises Refused where that cannot be."""
        if self.over:
            raise Refused("the game is over")
        if self.seat == seat:
            return
        if not isinstance(self.game, Go):
            raise Refused("it is the other colour's turn")
        if self.moves[-1:] == [self.game.size**2]:
            raise Refused("it is the other colour's turn, and its pass would end the game")
        self._push(self.game.size**2)

    def undo(self) -> None:
        """Takes back the last play, with the pass that it needed."""
        if not self._marks:
            raise Refused("cannot undo")
        self._cut(self._marks.pop())

    def undo_turn(self, before: int) -> None:
        """Goes back to `before` moves, if no play was made since."""
        self._cut(before)

    def set_komi(self, komi: float) -> None:
        """Changes what the score counts; the position stays."""
        assert isinstance(self.game, Go)
        try:
            self.game = dataclasses.replace(self.game, komi=komi)
        except ValueError as error:
            raise Refused(str(error)) from None

    def place_handicap(self, points: Sequence[str]) -> None:
        """Sets black stones on an empty board, white passing between them."""
        if self.moves:
            raise Refused("board not empty")
        if len({point.lower() for point in points}) < len(points) or "pass" in points:
            raise Refused("bad vertex list")
        try:
            for point in points:
                self.play(0, point)
        except Refused:
            self.clear()
            raise Refused("bad vertex list") from None
        self._marks.clear()

    def final_score(self) -> str:
        """Returns who wins the board as it stands, in Go; in other games the result at the end."""
        if isinstance(self.game, Go):
            lead = float(self.game.lead(self.state))  # type: ignore[arg-type]
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
        self.states.append(positions.step(self.game, self.state, np.int32(action)))
        self.moves.append(action)

    def _cut(self, moves: int) -> None:
        del self.moves[moves:], self.states[moves + 1 :]


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
