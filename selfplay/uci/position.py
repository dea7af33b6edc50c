"""The position that a front end shows us: `position startpos moves e2e4 e7e5`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from games import pgx_adapter
from games.game import Game, State
from selfplay import positions
from selfplay.engines.lines import shared
from selfplay.engines.server import Refused
from selfplay.records import chess_position
from selfplay.uci.moves import find_move, variant_of

START = "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1"


class Position:
    """The moves that led to a position, and all states on the way, the first one first.

    Front ends send all moves again with each: what is known of them is kept.
    """

    def __init__(self, game: Game[Any]) -> None:
        self.game = game
        self.clear()

    def clear(self) -> None:
        """Goes back to the opening position."""
        self._begin("")
        self.refused = ""

    def _begin(self, fen: str) -> None:
        first = positions.opening_position(self.game) if not fen else self._from_fen(fen)
        self.fen, self._names = fen, list[str]()
        self.moves, self.states = list[int](), [first]

    @property
    def state(self) -> State:
        return self.states[-1]

    def show(self, words: Sequence[str]) -> None:
        """Goes to the position that the words of the command name.

        Raises:
          Refused: there is no such position; `refused` says so until another one is shown.
        """
        try:
            self._show(list(words))
        except Refused as refusal:
            self.refused = str(refusal)
            raise
        self.refused = ""

    def _show(self, words: list[str]) -> None:
        end = words.index("moves") if "moves" in words else len(words)
        first, names = words[:end], words[end + 1 :]
        if first[:1] == ["fen"] and len(first) > 1:
            fen = " ".join(first[1:])
            fen = "" if fen == START else fen
        elif first == ["startpos"]:
            fen = ""
        else:
            raise Refused("syntax: position startpos|fen FEN [moves MOVE ...]")
        if fen != self.fen:
            self._begin(fen)
        kept = shared(self._names, names)
        del self._names[kept:], self.moves[kept:], self.states[kept + 1 :]
        for name in names[kept:]:
            self._play(name)

    def _play(self, name: str) -> None:
        try:
            action = find_move(self.game, self.state, name)
        except ValueError:
            over = ": by our rules the game is over" if self.state.terminated else ""
            ply = len(self.moves) + 1
            raise Refused(f"illegal move {name[:40]!r} at ply {ply}{over}") from None
        self.states.append(positions.step(self.game, self.state, np.int32(action)))
        self.moves.append(action)
        self._names.append(name)

    def _from_fen(self, fen: str) -> State:
        if variant_of(self.game) != "chess":
            raise Refused("positions by FEN are for chess only: use startpos and moves")
        try:
            state = pgx_adapter.chess_position(fen)
        except ValueError as error:
            raise Refused(str(error)) from None
        if chess_position.waits_in_check(fen):
            raise Refused(f"no position of chess: {fen!r}: who is not to move is in check")
        return state
