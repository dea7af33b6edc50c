"""Matches and ladders on Ray: blocks and rounds are tasks of workers that compute as we do."""

import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

import games
from games.game import Game
from selfplay import devices
from selfplay.arena import match, openings, rounds
from selfplay.arena.blocks import Elsewhere, Order
from selfplay.arena.folder import weights_sha256
from selfplay.arena.ladder import Ladder, Round
from selfplay.arena.result import MatchResult, PlayedGame
from selfplay.player_spec import parse_player
from selfplay.players import Player
from selfplay.tasks import Done, Event, Failed, Lost
from training.players import load_player
from training.workers.identity import Alike
from training.workers.pool import Answer, Job, Pool, Worker

LOOK_SECONDS = 0.1


class Match(NamedTuple):
    """A match, as a worker is told of it."""

    game: str
    players: tuple[str, str]  # names of players, which a command line would take
    simulations: int
    weights: tuple[str, str]  # digests
    order: Order

    def open(self) -> Callable[[int], list[PlayedGame]]:
        """Returns what plays a block, by its number."""
        game = games.load(self.game)
        first, second = (
            _player(name, game, self.simulations, digest)
            for name, digest in zip(self.players, self.weights, strict=True)
        )
        opened = openings.repeat(game, self.order.moves, len(self.order.moves))

        def play(block: int) -> list[PlayedGame]:
            return match.play_block(first, second, game, opened, self.order, block)

        return play


class Rounds(NamedTuple):
    """The rounds of a ladder, as a worker is told of them."""

    game: str
    players: tuple[str, ...]  # names with their numbers of simulations
    weights: tuple[str, ...]  # how their digests begin
    opening_plies: int | None

    def open(self) -> Callable[[Round], MatchResult]:
        """Returns what plays a round."""
        game = games.load(self.game)

        @functools.cache
        def player(number: int) -> Player:
            return _player(self.players[number], game, 0, self.weights[number])

        def play(one: Round) -> MatchResult:
            first, second = player(one.first), player(one.second)
            return match.play_match(first, second, game, one.games, one.seed, self.opening_plies)

        return play


class Crew:
    """The workers of a pool at tasks of one job; see `selfplay.tasks.Crew`."""

    def __init__(self, pool: Pool, job: Job, given: Callable[[int], Any]) -> None:
        """Begins nothing yet; `given`: what a worker is given for a task."""
        self.size = pool.number
        self._pool, self._job, self._given = pool, pool.new_job(job), given

    def free(self) -> int:
        """Returns how many workers wait for a task."""
        return len(self._waiting())

    def begin(self, task: int) -> None:
        """Asks a worker that waits for a task."""
        known = self._job.number, task
        self._pool.ask(self._waiting()[0], known, self._job, self._given(task))

    def ended(self) -> list[Event]:
        """Returns what has become of tasks."""
        ended: list[Event] = []
        for event in self._pool.look(LOOK_SECONDS):
            if not isinstance(event, Answer):
                ended += [
                    Lost(task, event.why) for number, task in event.tasks if self._owns(number)
                ]
                continue
            self._pool.worked()  # what is raised would be so anywhere: it is a result
            number, task = event.task
            if self._owns(number):
                ended.append(Failed(task, event.error) if event.error else Done(task, event.result))
        return ended

    def _owns(self, number: int) -> bool:
        return number == self._job.number  # else it is of an earlier crew, which has stopped

    def _waiting(self) -> list[Worker]:
        return [worker for worker in self._pool.workers() if not worker.asked]


def players_of(pool: Pool, game: str, simulations: int, notice: Callable[[str], None]) -> Elsewhere:
    """Returns what finds workers for matches of a game; the first match starts them.

    Args:
      notice: called with what a person should know.
    """

    def find(first: Player, second: Player, order: Order) -> Crew:
        _begin(pool, game, notice)
        weights = weights_sha256(first), weights_sha256(second)
        told = Match(game, (first.name, second.name), simulations, weights, order)
        number = -(-2 * len(order.moves) // order.block)
        if number < pool.number:
            notice(
                f"{2 * len(order.moves)} games in blocks of {order.block} keep only "
                f"{number} of {pool.number} workers busy"
            )
        return Crew(pool, told, lambda block: block)

    return find


def rounds_of(pool: Pool, ladder: Ladder, notice: Callable[[str], None]) -> rounds.Elsewhere:
    """Returns what finds workers for the rounds of a ladder, and starts them.

    Args:
      notice: called with what a person should know.
    """

    def find(round_of: Callable[[int], Round]) -> Crew:
        _begin(pool, ladder.spec, notice)
        names = tuple(player.name for player in ladder.players)
        told = Rounds(ladder.spec, names, tuple(ladder.weights), ladder.opening_plies)
        return Crew(pool, told, round_of)

    return find


def _begin(pool: Pool, game: str, notice: Callable[[str], None]) -> None:
    """Starts the workers. Raises ValueError where matches are not for them."""
    platform, size = jax.local_devices()[0].platform, devices.mesh().size
    if platform != "cpu":
        raise ValueError(
            f"--workers plays on CPUs, and jax runs on {size} x {platform} here, which share "
            "each block already: leave it out, or set JAX_PLATFORMS=cpu"
        )
    pool.begin(game, size, Alike._fields, notice)


def _player(name: str, game: Game[Any], simulations: int, digest: str) -> Player:
    """Returns a player. Raises ValueError unless its weights have this digest."""
    player = parse_player(name, game, simulations, load_player)
    if not weights_sha256(player).startswith(digest):
        raise ValueError(f"{player.name} has other weights on {os.uname().nodename}")
    return player
