"""The time to think: a player at several numbers of simulations, and what each costs here.

A number of simulations is compiled once, so there are few: a ladder of powers of two.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

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


def best_lines(
    player: Player, state: State, actions: Sequence[int], plies: int, key: jax.Array
) -> list[list[int]]:
    """Returns how play goes on after each of K actions, by `player`: up to `plies` actions each.

    The player's own choices, ply by ply, in all K lines at once; a player outside the device is not
    asked.
    """
    lines = [[action] for action in actions]
    if not player.on_device:
        return lines
    states = jax.tree.map(lambda leaf: np.repeat(np.asarray(leaf)[None], len(actions), 0), state)
    chosen: Any = np.array(actions, np.int32)
    for ply in range(1, plies):
        states = positions.step_all(player.game, states, chosen)
        chosen = np.asarray(player(states, jax.random.fold_in(key, ply)).action)
        for line, action, over in zip(lines, chosen, np.asarray(states.terminated), strict=True):
            if not over and len(line) == ply:
                line.append(int(action))
    return lines
