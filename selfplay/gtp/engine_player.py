"""GTP engines as a player: a few processes that answer for all games of a match.

An engine that fails loses that game, with the reason in the player's `faults`; a fresh process
takes its place for the others.
"""

import math
import os
import re
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from games import consent
from games.game import Game, State
from games.go import Go
from mcts import SearchResult, Variables
from selfplay import positions
from selfplay.gtp import protocol
from selfplay.gtp.engine import Engine, EngineFault, shared
from selfplay.players import FORFEIT, RESIGN, Player

MOVE_SECONDS = 60.0
MAX_PROCESSES = 8
_OPTION = r"(?:timeout|processes|passes)=[^,:]*"
_OPTIONS = re.compile(rf"({_OPTION}(?:,{_OPTION})*):(.*)", re.DOTALL)
PASSES = ("spoken", "silent")
PASS = "pass"  # what games with such a move call it, as GTP does


def engine_player(spec: str, game: Game[Any]) -> Player:
    """Returns the player of `gtp:COMMAND` or `gtp:OPTION=VALUE,...:COMMAND`.

    The options are `timeout`, seconds for an answer; `processes`, how many at most; and
    `passes=silent` for an engine that skips a side without moves by itself: a pass that is the only
    legal move is neither told it nor asked of it.

    One process is started at once, the others when they are needed.

    Raises:
      ValueError: the engine may not run (`games/consent.py`), does not start, speaks no GTP, or
        does not play on this board.
    """
    consent.require(consent.code_of(spec), f"player {spec!r}")
    text = spec.removeprefix("gtp:")
    options, seconds, processes = _OPTIONS.fullmatch(text), MOVE_SECONDS, os.cpu_count() or 1
    passes = PASSES[0]
    if options:
        text = options[2]
        given = dict(item.split("=") for item in options[1].split(","))
        try:
            seconds = float(given.get("timeout", seconds))
            processes = int(given.get("processes", processes))
            passes = given.get("passes", passes)
        except ValueError:
            raise ValueError(
                f"player {spec!r}: timeout is a number of seconds, processes a whole number"
            ) from None
    if not text.strip():
        raise ValueError(f"player {spec!r} names no command: gtp:COMMAND")
    if not seconds > 0 or processes < 1:
        raise ValueError(f"player {spec!r}: timeout must be above 0, processes at least 1")
    if passes not in PASSES:
        raise ValueError(f"player {spec!r}: passes must be {' or '.join(PASSES)}, got {passes!r}")
    faults: list[str] = []
    silent = passes == "silent"
    pool = EnginePool(text, game, seconds, min(processes, MAX_PROCESSES), faults, silent)
    try:
        pool.start_first()
    except EngineFault as fault:
        raise ValueError(f"player {spec!r}: the engine {fault}") from None
    return Player(spec, game, pool, on_device=False, faults=faults)


class EnginePool:
    """An `act` for players outside the device."""

    def __init__(
        self,
        command: str,
        game: Game[Any],
        seconds: float,
        processes: int,
        faults: list[str],
        silent_passes: bool = False,
    ) -> None:
        self._command, self._game, self._seconds, self._faults = command, game, seconds, faults
        self._engines: list[Engine | None] = [None] * processes
        self._silent = silent_passes
        self._lines = Lines(game, silent_passes)
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
        lines = self._lines.of(positions.move_lists(history))
        shares = self._shares(lines)
        answers: list[int | str] = [""] * len(lines)

        def work(index: int) -> None:
            for lane in shares[index]:
                answers[lane] = self._answer(index, positions.take(states, lane), lines[lane])

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
        """Returns the lanes of each engine: equally many, each where least has to be replayed."""
        limit = math.ceil(len(lines) / len(self._engines))
        shares: list[list[int]] = [[] for _ in self._engines]
        held = [engine.moves if engine else () for engine in self._engines]
        for lane, line in enumerate(lines):
            free = [i for i, share in enumerate(shares) if len(share) < limit]
            best = max(free, key=lambda i: (shared(held[i], line), -i))
            shares[best].append(lane)
        return shares

    def _answer(self, index: int, state: State, line: tuple[str, ...]) -> int | str:
        """Returns the engine's action, or what it did wrong."""
        if self._silent and (forced := forced_pass(self._game, state)) is not None:
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
            engine.go_to(line)
            colour = protocol.COLOURS[int(state.to_play)]
            name = engine.ask(f"genmove {colour}")
            if name.lower() == "resign":
                engine.go_to(())  # some engines take a game that they gave up for finished
                return RESIGN
            try:
                action = self._game.string_to_action(state, name)
            except ValueError:
                engine.kill()  # what it thinks of the position is anyone's guess
                return f"played {name[:40]!r} at ply {len(line)}, which is illegal"
            engine.moves = (*line, _play(self._game, state, action))
            return action
        except EngineFault as fault:
            return str(fault)

    def _start(self) -> Engine:
        setup = ["clear_board"]
        if isinstance(self._game, Go):
            setup = [f"boardsize {self._game.size}", "clear_board", f"komi {self._game.komi:g}"]
        return Engine(self._command, setup, self._seconds)


class Lines:
    """Move lists as `play` commands.

    A move's name and colour may depend on the position, so positions are kept, but for Go.

    Args:
      silent_passes: forced passes are no commands.
    """

    def __init__(self, game: Game[Any], silent_passes: bool = False) -> None:
        self._game, self._silent = game, silent_passes
        self._known: dict[tuple[int, ...], tuple[State, tuple[str, ...]]] = {}

    def of(self, moves: list[tuple[int, ...]]) -> list[tuple[str, ...]]:
        """Returns the commands that lead to each position."""
        if isinstance(self._game, Go) and not self._silent:
            name = self._game.action_to_string
            return [
                tuple(f"play {protocol.COLOURS[i % 2]} {name(None, a)}" for i, a in enumerate(row))  # type: ignore[arg-type]
                for row in moves
            ]
        self._known = {row: self._found(row) for row in moves}  # others are not needed again
        return [self._known[row][1] for row in moves]

    def _found(self, row: tuple[int, ...]) -> tuple[State, tuple[str, ...]]:
        start = max((n for n in range(len(row) + 1) if row[:n] in self._known), default=0)
        state, line = self._known.get(row[:start], (None, ()))
        if state is None:
            state = positions.opening_position(self._game)
        for action in row[start:]:
            if not self._silent or forced_pass(self._game, state) is None:
                line = (*line, _play(self._game, state, action))
            state = positions.step(self._game, state, np.int32(action))
        return state, line


def forced_pass(game: Game[Any], state: State) -> int | None:
    """Returns the action of the pass, where it is the only legal one, else None."""
    legal = np.flatnonzero(np.asarray(state.legal_action_mask))
    if len(legal) == 1 and game.action_to_string(state, int(legal[0])).lower() == PASS:
        return int(legal[0])
    return None


def _play(game: Game[Any], state: State, action: int) -> str:
    colour = protocol.COLOURS[int(state.to_play)]
    return f"play {colour} {game.action_to_string(state, action)}"


def _result(actions: np.ndarray, states: State) -> SearchResult:
    """Returns the moves of a player that values none."""
    legal = np.asarray(states.legal_action_mask)
    weights = (np.arange(legal.shape[1])[None] == actions[:, None]).astype(np.float32)
    nothing = np.zeros(len(actions), np.float32)
    fields: dict[str, Any] = {
        "action": actions,
        "action_weights": weights,
        "visit_counts": np.zeros(legal.shape, np.int32),
        "value": nothing,
        "q": np.zeros(legal.shape, np.float32),
        "prior": weights,
        "raw_value": nothing,
    }
    return SearchResult(**fields)


def _kill(engines: list[Engine | None]) -> None:
    for engine in engines:
        if engine:
            engine.kill()
