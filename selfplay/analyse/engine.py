"""The analysis engine: lines in from one thread, searches in another, answers as objects."""

import functools
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from games.game import Game, State
from mcts import SearchResult
from selfplay import positions
from selfplay.analyse import request as lines
from selfplay.analyse.moves import MoveReader, Reached
from selfplay.analyse.request import Command, Limits, Request, RequestError
from selfplay.analyse.waiting import Task, Waiting
from selfplay.analysis import VARIATION_PLIES, by_move
from selfplay.players import Player

MAX_PROGRAMS = 16  # different numbers of simulations: each is compiled, and kept
MAX_ERROR = 2000  # characters
SEED = 0  # of players that draw lots
PRINCIPAL_VARIATION = "principal_variation"


class _Launched(NamedTuple):
    """A batch that the device is at work on."""

    lanes: list[tuple[int, Task]]  # of those that are searched
    reached: Reached
    result: SearchResult  # batched


class Engine:
    """Answers requests for positions of one game, many of them in each search.

    A search is always of `batch` positions, filled up where fewer wait: the last bits of a value
    depend on the size of a batch, and on nothing else that is in it.

    Args:
      make: returns the player with so many simulations; raises ValueError if there is none.
      tell: called with each answer, by both threads.
      about: what the action `query_version` answers.
      note: called with what a person may want to know.
    """

    def __init__(
        self,
        game: Game[Any],
        make: Callable[[int], Player],
        limits: Limits,
        batch: int,
        tell: Callable[[dict[str, Any]], None],
        about: dict[str, Any],
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.game, self.limits, self.batch, self.about = game, limits, batch, about
        self._make, self._tell, self._note = make, tell, note
        self._players: dict[int, Player] = {}
        self._moves = MoveReader(game, batch)
        self._waiting = Waiting()
        self._lines = 0
        self._stopped = False

    def read(self, line: bytes) -> None:
        """Takes a line of input; waits while too much is waiting. For one thread."""
        self._lines += 1
        if not line.strip():
            return
        try:
            asked = lines.read(line, self.limits)
            if isinstance(asked, Command):
                self._obey(asked)
            else:
                self._waiting.put(asked, len(line))
        except RequestError as error:
            self._refuse(error)
        except Exception as error:  # nothing known does; but the lines that follow want answers
            self._refuse(RequestError(f"this line cannot be read: {_in_a_line(error)}"))

    def close(self) -> None:
        """Says that no line follows."""
        self._waiting.close()

    def stop(self) -> None:
        """Lets `run` end after the batch under way, whatever waits."""
        self._stopped = True
        self._waiting.close()

    def warm_up(self) -> None:
        """Compiles the search that is the usual one."""
        player = self._player(self.limits.simulations)
        reached = self._moves.reach([])
        jax.block_until_ready(self._search(player, reached))

    def run(self) -> None:
        """Answers until the input has ended and nothing waits."""
        before: _Launched | None = None
        while not self._stopped:
            tasks = self._waiting.take(self.batch, wait=before is None)
            launched = self._launch(tasks) if tasks else None
            if before:  # while the device is at work on the next batch
                self._conclude(before)
            if not (tasks or before):
                return
            before = launched

    def _refuse(self, error: RequestError) -> None:
        place = {} if error.id is not None else {"line": self._lines}
        self._tell({"id": error.id, **place, "error": str(error), "field": error.field})

    def _obey(self, command: Command) -> None:
        answer: dict[str, Any] = {"id": command.id, "action": command.action}
        if command.action == "query_version":
            self._tell(answer | self.about)
            return
        target = command.target if command.action == "cancel" else None
        cancelled = self._waiting.cancel(target)
        for name, turn in cancelled:
            self._tell({"id": name, "turn": turn, "cancelled": True})
        named = {} if target is None else {"target": target}
        self._tell(answer | named | {"cancelled": len(cancelled)})

    def _player(self, simulations: int) -> Player:
        if simulations not in self._players:
            if len(self._players) >= MAX_PROGRAMS:
                known = ", ".join(f"{number:,}" for number in sorted(self._players))
                raise RequestError(
                    f"{simulations:,} simulations would be compiled as one more program, and "
                    f"{MAX_PROGRAMS} are the most: ask for one of {known}",
                    "simulations",
                )
            try:
                self._players[simulations] = self._make(simulations)
            except ValueError as error:
                raise RequestError(str(error), "simulations") from None
            self._note(f"compiling for {simulations:,} simulations")
        return self._players[simulations]

    def _launch(self, tasks: list[Task]) -> _Launched | None:
        """Lets the device begin with a batch; answers what needs no search."""
        try:
            player = self._player(tasks[0].request.simulations)
            reached = self._moves.reach(
                [(*task.request.moves[: task.turn], *task.line) for task in tasks]
            )
            over = np.asarray(reached.states.terminated)
            ended = [bool(reached.problems[lane] or over[lane]) for lane in range(len(tasks))]
            result = None if all(ended) else self._search(player, reached)
        except Exception as error:  # a full device, code of somebody's: the next batch may go well
            self._fail(tasks, error)
            return None
        for lane, task in enumerate(tasks):
            if ended[lane]:
                self._finish(task, task.answer or self._ended(lane, reached))
        lanes = [(lane, task) for lane, task in enumerate(tasks) if not ended[lane]]
        return None if result is None else _Launched(lanes, reached, result)

    def _search(self, player: Player, reached: Reached) -> SearchResult:
        if not player.draws_lots:
            return player(reached.states, jax.random.key(SEED))
        seeds = [zlib.crc32(np.array(row, np.int32).tobytes()) for row in reached.actions]
        return player(reached.states, _keys(np.array(seeds, np.uint32)))

    def _conclude(self, launched: _Launched) -> None:
        """Waits for a batch, and answers; a principal variation has its next ply searched."""
        try:
            result, states = jax.device_get((launched.result, launched.reached.states))
        except Exception as error:
            self._fail([task for _, task in launched.lanes], error)
            return
        for lane, task in launched.lanes:
            own = SearchResult(*(field[lane] for field in result))
            try:
                self._take_result(task, positions.take(states, lane), own)
            except Exception as error:  # of a game of somebody's
                self._fail([task], error)

    def _take_result(self, task: Task, state: State, result: SearchResult) -> None:
        if not task.answer:
            task.answer = self._described(task.request, state, result)
        if PRINCIPAL_VARIATION in task.request.include:
            action = int(result.action)
            task.line.append(action)
            names = task.answer.setdefault(PRINCIPAL_VARIATION, [])
            names.append(self.game.action_to_string(state, action))
            if len(task.line) < VARIATION_PLIES:
                self._waiting.put_back(task)
                return
        self._finish(task, task.answer)

    def _described(self, request: Request, state: State, result: SearchResult) -> dict[str, Any]:
        if not all(np.isfinite(field).all() for field in result):
            raise ValueError("the network's numbers are not finite: `selfplay doctor` looks at it")
        known = by_move(self.game, state, result)
        wanted = ("move", "value", "raw_value", *request.include)
        about = {"to_play": int(state.to_play), "over": False, "simulations": request.simulations}
        return about | {name: known[name] for name in wanted if name in known}

    def _ended(self, lane: int, reached: Reached) -> dict[str, Any]:
        """Returns the answer about a position in which there is nothing to search."""
        if reached.problems[lane]:
            return {"error": reached.problems[lane], "field": "moves"}
        seat, returns = int(reached.states.to_play[lane]), reached.returns[lane].tolist()
        return {"to_play": seat, "over": True, "returns": returns, "value": returns[seat]}

    def _finish(self, task: Task, answer: dict[str, Any]) -> None:
        if self._waiting.finish(task):
            self._tell({"id": task.request.id, "turn": task.turn, **answer})

    def _fail(self, tasks: Sequence[Task], error: Exception) -> None:
        field = error.field if isinstance(error, RequestError) else None
        for task in tasks:
            self._finish(task, {"error": _in_a_line(error), "field": field})


def _in_a_line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:MAX_ERROR]


@jax.jit
def _keys(seeds: jax.Array) -> jax.Array:
    """Returns a key for each of uint32[B] seeds."""
    return jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(SEED)))(seeds)
