"""Chooses how many simulations fit a time limit, by the times measured on this machine.

A number of simulations is compiled once, so there are few: a ladder of powers of two.
"""

import time
from collections.abc import Callable, Sequence

import jax
import numpy as np

from games.game import State
from mcts import SearchResult
from selfplay import positions
from selfplay.players import Player

LOWEST = 8  # simulations of the lowest search on the ladder
SLOWER = 1.25  # a machine is expected to be so much slower than measured


def ladder(simulations: int) -> tuple[int, ...]:
    """Returns the numbers of simulations from 0, the raw policy, to `simulations`, each once."""
    between = [LOWEST << i for i in range(30) if LOWEST << i < simulations]
    return tuple(dict.fromkeys([0, *between, simulations]))


class Thinker:
    """Chooses moves for one position at a time, with as many simulations as time allows.

    Args:
      make: returns the player with so many simulations; it raises ValueError for 0 if it has no
        raw policy.
      simulations: of a move without a limit of time, and at most.
    """

    def __init__(self, make: Callable[[int], Player], simulations: int, seed: int = 0) -> None:
        self.rungs = ladder(simulations)
        self._make, self._players = make, dict[int, Player]()
        self._seconds: dict[int, float] = {}  # of the rungs that are compiled, the slowest lately
        self._key = jax.random.key(seed)
        self.player(self.rungs[-1])
        try:
            self.player(0)
        except ValueError:
            self.rungs = tuple(rung for rung in self.rungs if rung) or (1,)

    def player(self, rung: int) -> Player:
        """Returns the player with so many simulations."""
        if rung not in self._players:
            self._players[rung] = self._make(rung)
        return self._players[rung]

    def think(self, state: State, moves: Sequence[int], rung: int) -> SearchResult:
        """Returns what a player says, in NumPy and unbatched, where play goes on."""
        began = time.monotonic()
        batch = jax.tree.map(lambda leaf: np.asarray(leaf)[None], state)
        history = np.array([[*moves] or [positions.NO_ACTION]], np.int32)
        key = jax.random.fold_in(self._key, len(moves))
        batched = self.player(rung)(batch, key, history)
        result = SearchResult(*(np.asarray(field)[0] for field in batched))
        took = time.monotonic() - began
        if rung in self._seconds:
            self._seconds[rung] = max(took, 0.8 * self._seconds[rung])
        else:
            self._seconds[rung] = 0.0  # it was compiled: what it costs, the next call tells
        return result

    def warm_up(self, state: State, rungs: Sequence[int]) -> None:
        """Compiles and measures rungs that were not used yet."""
        for rung in rungs:
            while not self._seconds.get(rung):
                self.think(state, (), rung)

    def rung_within(self, seconds: float) -> int:
        """Returns the most simulations that a move may take, of those that are measured."""
        known = [rung for rung in self.rungs if self._seconds.get(rung)]
        fitting = [rung for rung in known if self._seconds[rung] * SLOWER <= seconds]
        return max(fitting, default=min(known, default=self.rungs[0]))
