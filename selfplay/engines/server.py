"""Our side of a connection to a front end: what a GTP and a UCI engine have in common."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from games.game import Game, State
from games.registry import spec_of
from selfplay import positions
from selfplay.engines.thinking import Thinker
from selfplay.players import Player

MAX_LINE = 1 << 16  # bytes; a longer line is refused
LINE_PLIES = 6  # of the lines that are shown


class Refused(ValueError):
    """What cannot be obeyed; the message says why."""


class Server:
    """Makes players of a game, and shows what they expect.

    Args:
      make: returns the player of a game with so many simulations; ValueError if it has none.
      simulations: of a move, at most.
      wait: waits for input up to so many seconds; returns whether there is some.
    """

    def __init__(
        self,
        make: Callable[[Game[Any], int], Player],
        simulations: int,
        seed: int = 0,
        wait: Callable[[float], bool] = lambda seconds: True,
    ) -> None:
        self.closed = False
        self._make, self._simulations, self._seed, self._wait = make, simulations, seed, wait

    def _new_thinker(self, game: Game[Any]) -> Thinker:
        """Returns who thinks about a game. Raises ValueError if the player does not play it."""

        def make(simulations: int) -> Player:
            player = self._make(game, simulations)
            if player.game != game:
                raise Refused(f"{player.name} plays {spec_of(player.game)} only")
            return player

        return Thinker(make, self._simulations, self._seed)

    def _lines(
        self, player: Player, state: State, actions: Sequence[int], plies: int = LINE_PLIES
    ) -> list[list[int]]:
        """Returns how play goes on after each of K actions, ply by ply, in all K lines at once.

        These are the player's own choices; one outside the device is not asked.
        """
        lines = [[action] for action in actions]
        if not player.on_device:
            return lines
        states = jax.tree.map(lambda leaf: np.repeat(np.asarray(leaf)[None], len(lines), 0), state)
        chosen: Any = np.array(actions, np.int32)
        for ply in range(1, plies):
            states = positions.step_all(player.game, states, chosen)
            key = jax.random.fold_in(jax.random.key(self._seed), ply)
            chosen = np.asarray(player(states, key).action)
            ends = np.asarray(states.terminated)
            for line, action, over in zip(lines, chosen, ends, strict=True):
                if not over and len(line) == ply:
                    line.append(int(action))
        return lines
