"""KataGo's parallel analysis engine: queries in from one thread, searches in another."""

import functools
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game, State
from mcts import SearchResult, win_draw_loss
from selfplay import positions
from selfplay.analyse.fields import QueryError
from selfplay.analyse.moves import ANY_SEAT, MoveReader, Reached, Row
from selfplay.analyse.query import Action, Query, QueryReader
from selfplay.analyse.waiting import Task, Waiting
from selfplay.analysis import candidates, considered, winrate
from selfplay.players import Player

MAX_PROGRAMS = 16  # different numbers of simulations: each is compiled, and kept
MAX_ERROR = 2000  # characters
SEED = 0  # of players that draw lots
COLOURS = "BW"  # by seat
DECIMALS = 6


class _Launched(NamedTuple):
    """A batch that the device is at work on."""

    tasks: list[tuple[int, Task]]  # those that are searched, and their places in the batch
    reached: Reached
    result: SearchResult  # batched
    draws: jax.Array | None  # float32[B], probabilities, of a network that tells them


class Engine:
    """Answers queries for positions of one game, many of them in each search.

    A search is always of `batch` positions, filled up where fewer wait: the last bits of a value
    depend on the size of a batch, and on nothing else that is in it.

    Args:
      make: returns the player with so many simulations; raises ValueError if there is none.
      tell: called with each response, by both threads.
      about: what the actions `query_version` and `query_models` add to their response, by name.
      note: called with what a person may want to know.
    """

    def __init__(
        self,
        game: Game[Any],
        make: Callable[[int], Player],
        reader: QueryReader,
        batch: int,
        tell: Callable[[dict[str, Any]], None],
        about: dict[str, dict[str, Any]],
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.game, self.batch = game, batch
        self._make, self._reader, self._about = make, reader, about
        self._tell, self._note = tell, note
        self._players: dict[int, Player] = {}
        self._moves = MoveReader(game, batch)
        self._waiting = Waiting()
        self._stopped = False

    def read(self, line: bytes) -> None:
        """Takes a line of input; waits while too much is waiting. For one thread."""
        if not line.strip():
            return
        try:
            asked = self._reader.read(line)
            if isinstance(asked, Action):
                self._obey(asked)
                return
            for warning in asked.warnings:
                self._tell(warning)
            self._waiting.put(asked, len(line))
        except QueryError as error:
            self._tell(error.response())
        except Exception as error:  # nothing known does; but the lines that follow want answers
            self._tell({"error": f"this line cannot be read: {_in_a_line(error)}"})

    def close(self) -> None:
        """Says that no line follows."""
        self._waiting.close()

    def stop(self) -> None:
        """Lets `run` end after the batch under way, whatever waits."""
        self._stopped = True
        self._waiting.close()

    def warm_up(self) -> None:
        """Compiles the search that is the usual one."""
        player = self._player(self._reader.visits)
        jax.block_until_ready(self._search(player, self._moves.reach([])))

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

    def _obey(self, action: Action) -> None:
        if action.name.startswith("terminate"):

            def concerns(task: Task) -> bool:
                is_target = action.target is None or task.query.id == action.target
                return is_target and (action.turns is None or task.turn in action.turns)

            for task in self._waiting.terminate(concerns):
                self._finish(task, task.response or {"noResults": True})
        self._tell(action.fields | self._about.get(action.name, {}))

    def _player(self, visits: int) -> Player:
        """Returns the player whose root has so many visits: its own and one a simulation."""
        if visits not in self._players:
            if len(self._players) >= MAX_PROGRAMS:
                known = ", ".join(map(str, sorted(self._players)))
                raise QueryError(
                    f"{visits} visits would be compiled as one more program, and {MAX_PROGRAMS} "
                    f"are the most: ask for one of {known}",
                    "maxVisits",
                )
            try:
                self._players[visits] = self._make(visits - 1)
            except ValueError as error:
                raise QueryError(str(error), "maxVisits") from None
            self._note(f"compiling for {visits} visits")
        return self._players[visits]

    def _launch(self, tasks: list[Task]) -> _Launched | None:
        """Lets the device begin with a batch; answers what needs no search."""
        try:
            player = self._player(tasks[0].query.visits)
            reached = self._moves.reach([_row(task) for task in tasks])
            over = np.asarray(reached.states.terminated)
            searched = [not over[i] and reached.illegal[i] is None for i in range(len(tasks))]
            result = self._search(player, reached) if any(searched) else None
            draws = player.draw_probability(reached.states) if any(searched) else None
        except Exception as error:  # a full device, code of somebody's: the next batch may go well
            self._fail(tasks, error)
            return None
        places = zip(tasks, reached.illegal, strict=False)
        self._refuse([(task, ply) for task, ply in places if ply is not None])
        for i, task in enumerate(tasks):
            if over[i] and reached.illegal[i] is None:
                self._finish(task, task.response or self._ended(task.query, i, reached))
        begun = [(i, task) for i, task in enumerate(tasks) if searched[i]]
        return None if result is None else _Launched(begun, reached, result, draws)

    def _refuse(self, found: list[tuple[Task, int]]) -> None:
        """Answers queries with an illegal move: one error each, whatever turns they ask for."""
        refused = {id(task.query): (task, ply) for task, ply in reversed(found)}
        for task, ply in refused.values():
            query = task.query
            number = query.turns[task.turn][0].numbers[ply]
            if number < 0:
                error = QueryError("Illegal stones", "initialStones", query.id)
            else:
                said = f"Illegal move {number}: {query.moves[number][1]}"
                error = QueryError(said, "moves", query.id)
            self._tell(error.response())
            for other in self._waiting.terminate(functools.partial(_is_of, query)):
                self._waiting.finish(other)
        for task, _ in found:
            self._waiting.finish(task)

    def _search(self, player: Player, reached: Reached) -> SearchResult:
        if not player.is_stochastic:
            return player(reached.states, jax.random.key(SEED))
        seeds = [zlib.crc32(np.array(row, np.int32).tobytes()) for row in reached.actions]
        return player(reached.states, _keys(np.array(seeds, np.uint32)))

    def _conclude(self, launched: _Launched) -> None:
        """Waits for a batch, and answers; a principal variation has its next ply searched."""
        try:
            told = launched.result, launched.reached.states, launched.draws
            result, states, draws = jax.device_get(told)
        except Exception as error:
            self._fail([task for _, task in launched.tasks], error)
            return
        for place, task in launched.tasks:
            own = SearchResult(*(field[place] for field in result))
            try:
                draw = None if draws is None else draws[place]
                self._take_result(task, positions.take(states, place), own, draw)
            except Exception as error:  # of a game of somebody's
                self._fail([task], error)

    def _take_result(
        self, task: Task, state: State, result: SearchResult, draw: np.float32 | None
    ) -> None:
        action = int(result.action)
        if task.response:
            task.response["moveInfos"][0]["pv"].append(self.game.action_to_string(state, action))
        else:
            task.response = self._described(task.query, state, result)
            if draw is not None:
                task.response["rootInfo"]["wdl"] = _outcomes(task.query, state, result, draw)
        task.variation.append(action)
        if len(task.variation) < task.query.plies and self._waiting.put_back(task):
            return
        self._finish(task, task.response)

    def _described(self, query: Query, state: State, result: SearchResult) -> dict[str, Any]:
        """Returns what a search has found, as the protocol has it."""
        if not all(np.isfinite(field).all() for field in result):
            raise ValueError("the network's numbers are not finite: `selfplay doctor` looks at it")
        seat = int(state.to_play)
        found = considered(candidates(self.game, state, result))
        infos = [
            {
                "move": one.name,
                "visits": one.visits,
                **_values(query, seat, one.q),
                "prior": round(one.prior, DECIMALS),
                "order": order,
                "pv": [one.name],
                "actionWeight": round(one.weight, DECIMALS),
            }
            for order, one in enumerate(found)
        ]
        for info in infos:
            info |= {"lcb": info["winrate"], "utilityLcb": info["utility"]}
        raw = _values(query, seat, float(result.raw_value))
        response = {
            "moveInfos": infos,
            "rootInfo": {
                "currentPlayer": COLOURS[seat],
                "visits": query.visits,
                **_values(query, seat, float(result.value)),
                "rawWinrate": raw["winrate"],
            },
        }
        if query.with_policy:
            legal = np.asarray(state.legal_action_mask)
            response["policy"] = np.where(legal, result.prior, -1.0).astype(float).tolist()
        return response

    def _ended(self, query: Query, place: int, reached: Reached) -> dict[str, Any]:
        """Returns the response about a finished game: its result, and no moves."""
        seat = int(reached.states.to_play[place])
        values = _values(query, seat, float(reached.returns[place][seat]))
        about = {"currentPlayer": COLOURS[seat], "visits": 0, **values}
        policy = {"policy": [-1.0] * self.game.num_actions} if query.with_policy else {}
        return {"moveInfos": [], "rootInfo": about, **policy}

    def _finish(self, task: Task, response: dict[str, Any]) -> None:
        self._waiting.finish(task)
        about = {"id": task.query.id, "turnNumber": task.turn, "isDuringSearch": False}
        self._tell(about | response)

    def _fail(self, tasks: Sequence[Task], error: Exception) -> None:
        place = {"field": error.field} if isinstance(error, QueryError) else {}
        for task in tasks:
            self._waiting.finish(task)
            about = {"id": task.query.id, "turnNumber": task.turn}
            self._tell({"error": _in_a_line(error), **place, **about})


def _is_of(query: Query, task: Task) -> bool:
    return task.query is query


def _row(task: Task) -> Row:
    """Returns where a task's position is; behind the first one, only the moves before it count."""
    line, ply = task.query.turns[task.turn]
    if not task.variation:
        return Row(line.actions, line.seats, ply)
    seats = (*line.seats[:ply], *[ANY_SEAT] * len(task.variation))
    return Row((*line.actions[:ply], *task.variation), seats, len(seats))


def _values(query: Query, seat: int, value: float) -> dict[str, float]:
    """Returns a value for the seat to play as whoever asks wants to see it."""
    own = value if query.view in (-1, seat) else -value
    return {"winrate": round(winrate(own), DECIMALS), "utility": round(own, DECIMALS)}


def _outcomes(query: Query, state: State, result: SearchResult, draw: np.float32) -> list[float]:
    """Returns the probabilities of win, draw and loss as whoever asks wants to see them."""
    told = np.asarray(win_draw_loss(result.value, jnp.float32(draw)), float)
    own: list[float] = told.round(DECIMALS).tolist()
    return own if query.view in (-1, int(state.to_play)) else own[::-1]


def _in_a_line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:MAX_ERROR]


@jax.jit
def _keys(seeds: jax.Array) -> jax.Array:
    """Returns a key for each of uint32[B] seeds."""
    return jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(SEED)))(seeds)
