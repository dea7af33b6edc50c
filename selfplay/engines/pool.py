"""Engines as a player: a few processes that answer for all games of a match.

An engine that fails loses that game, with the reason in the player's `faults`; a fresh process
takes its place for the others.
"""

import math
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game, State
from mcts import SearchResult, Variables
from selfplay import positions
from selfplay.engines.lines import shared
from selfplay.engines.process import EngineFault, Process
from selfplay.players import FORFEIT, Player, without_search


def _nothing_forced(state: State) -> int | None:
    return None


class Dialect(NamedTuple):
    """What a pool has to know of a protocol, and of a game in it."""

    start: Callable[[], Any]  # an engine that is ready; raises EngineFault
    # From move lists, what the engine is told of each.
    lines: Callable[[list[tuple[int, ...]]], list[tuple[str, ...]]]
    # From an engine, a state and the line to it: an action or RESIGN; raises EngineFault.
    choose: Callable[[Any, State, tuple[str, ...]], int]
    forced: Callable[[State], int | None] = _nothing_forced  # an action that no engine is asked for


def pooled_player(spec: str, game: Game[Any], dialect: Dialect, processes: int) -> Player:
    """Returns the player `spec`; one engine is started at once, others when they are needed.

    Raises:
      ValueError: the engine may not run, does not start, or does not play this.
    """
    faults: list[str] = []
    pool = EnginePool(dialect, processes, faults)
    try:
        pool.start_first()
    except EngineFault as fault:
        raise ValueError(f"player {spec!r}: the engine {fault}") from None
    return Player(spec, game, pool, on_device=False, faults=faults)


class EnginePool:
    """An `act` for players outside the device."""

    def __init__(self, dialect: Dialect, processes: int, faults: list[str]) -> None:
        self._dialect, self._faults = dialect, faults
        self._engines: list[Process | None] = [None] * processes
        self._workers = ThreadPoolExecutor(processes)
        self._closed = False
        weakref.finalize(self, _kill, self._engines)  # also at the interpreter's exit

    def start_first(self) -> None:
        """Starts one process. Raises EngineFault if that fails."""
        self._engines[0] = self._start()

    def __call__(
        self, variables: Variables, states: State, key: jax.Array, history: np.ndarray
    ) -> SearchResult:
        del variables, key
        states = positions.take(states, slice(None))
        lines = self._dialect.lines(positions.move_lists(history))
        shares = self._shares(lines)
        answers: list[int | str] = [""] * len(lines)

        def work(index: int) -> None:
            for env in shares[index]:
                answers[env] = self._answer(index, positions.take(states, env), lines[env])

        try:
            list(self._workers.map(work, range(len(self._engines))))
        except BaseException:  # Ctrl-C: the threads wait for engines, so engines go first
            self._closed = True
            _kill(self._engines)
            raise
        self._faults += [answer for answer in answers if isinstance(answer, str)]
        actions = [FORFEIT if isinstance(answer, str) else answer for answer in answers]
        return _result(np.array(actions, np.int32), states)

    def _shares(self, lines: list[tuple[str, ...]]) -> list[list[int]]:
        """The environments of each engine: equally many, each where least has to be replayed."""
        limit = math.ceil(len(lines) / len(self._engines))
        shares: list[list[int]] = [[] for _ in self._engines]
        held = [engine.moves if engine else () for engine in self._engines]
        for env, line in enumerate(lines):
            free = [i for i, share in enumerate(shares) if len(share) < limit]
            best = max(free, key=lambda i: (shared(held[i], line), -i))
            shares[best].append(env)
        return shares

    def _answer(self, index: int, state: State, line: tuple[str, ...]) -> int | str:
        """Returns the engine's action, or what it did wrong."""
        if (forced := self._dialect.forced(state)) is not None:
            return forced
        try:
            if self._closed:
                return "was stopped"
            engine = self._engines[index]
            if engine and not engine.alive:
                engine.kill()  # it ended by itself: what it started may live on
                engine = None
            if engine is None:
                engine = self._engines[index] = self._start()
                if self._closed:  # meanwhile: who ended the others did not know this one
                    engine.kill()
                    return "was stopped"
            return self._dialect.choose(engine, state, line)
        except EngineFault as fault:
            return str(fault)

    def _start(self) -> Process:
        engine: Process = self._dialect.start()
        return engine


def _result(actions: np.ndarray, states: State) -> SearchResult:
    """Returns the moves of a player that values none."""
    all_actions = np.arange(states.legal_action_mask.shape[1])
    policy = (all_actions == actions[:, None]).astype(np.float32)
    result = without_search(*map(jnp.asarray, (actions, policy, np.zeros(len(actions)))))
    answer: SearchResult = jax.device_get(result)
    return answer


def _kill(engines: list[Process | None]) -> None:
    for engine in engines:
        if engine:
            engine.kill()
