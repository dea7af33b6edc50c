"""Blocks of matches on Ray: its actors play them, each with players of its own, alike ours.

Ray places the actors and starts them again where they die. In which order blocks count, and how
often a lost one is played again, is decided in `selfplay/arena/blocks.py`.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

import games
from games import consent
from selfplay import devices
from selfplay.arena import match, openings
from selfplay.arena.blocks import Event, Failed, Lost, Order, Played
from selfplay.arena.folder import weights_sha256
from selfplay.arena.result import PlayedGame
from selfplay.player_spec import parse_player
from selfplay.players import Player
from training.players import load_player
from training.workers import identity, ray_node
from training.workers.ray_node import WorkersError

LOOK_SECONDS = 0.1
RETRY_SECONDS = 1.0  # after a process of a worker has died
MOST_FAILURES = 60  # of a worker, one after the other: a process takes seconds to start
START_SECONDS = 600.0  # in which one worker must have started
FORCED = "xla_force_host_platform_device_count"
CACHE = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


class Alike(NamedTuple):
    """What must be equal where games are to be."""

    code: str  # digest
    jax: str
    platform: str
    devices: int  # with whose numbers keys are folded
    cores: int  # on which the last bits of a CPU's results may depend


class Match(NamedTuple):
    """A match, as a worker is told of it."""

    number: int
    game: str
    players: tuple[str, str]  # names of players, which a command line would take
    simulations: int
    weights: tuple[str, str]  # digests
    order: Order


def alike(game: str) -> Alike:
    """Returns what this process is, as far as games depend on it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    platform = jax.local_devices()[0].platform
    code = identity.of_code(games.load(game))
    return Alike(code, jax.__version__, platform, devices.mesh().size, cores)


def difference(theirs: Alike, ours: Alike) -> str:
    """Returns in which way a worker is not as we are; empty if it is."""
    pairs = zip(Alike._fields, theirs, ours, strict=True)
    different = [
        f"{name} {there} there, {here} here" for name, there, here in pairs if there != here
    ]
    return "; ".join(different)


class Actor:
    """What runs in a Ray actor: it plays blocks, one at a time."""

    def __init__(self, settings: dict[str, Any], folder: str, allowed: list[str]) -> None:
        """Takes settings of jax, the folder where names of players hold, and what may run."""
        self._given = (settings, folder, allowed)
        self._match: Match | None = None

    def hello(self, game: str) -> Alike:
        """Makes this process like ours, as far as that goes; returns what it is."""
        settings, folder, allowed = self._given
        os.chdir(folder)
        consent.close([], allowed)
        for name, value in settings.items():
            jax.config.update(name, value)
        return alike(game)

    def play(self, told: Match, block: int) -> list[PlayedGame]:
        """Plays a block of a match."""
        if self._match is None or told.number != self._match.number:
            self._begin(told)
        return match.play_block(
            *self._players, self._players[0].game, self._opened, told.order, block
        )

    def _begin(self, told: Match) -> None:
        game = games.load(told.game)
        first, second = (
            parse_player(name, game, told.simulations, load_player) for name in told.players
        )
        for player, wanted in zip((first, second), told.weights, strict=True):
            if weights_sha256(player) != wanted:
                raise ValueError(f"{player.name} has other weights on {os.uname().nodename}")
        self._players = first, second
        self._opened = openings.repeat(game, told.order.moves, len(told.order.moves))
        self._match = told


class _Asked(NamedTuple):
    """A call of an actor that has not returned."""

    reference: Any
    match: int  # whose block it is; -1: it is `hello`
    block: int


class _Place:
    """One actor of ours, whatever process it is in by now."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.asked: _Asked | None = None
        self.is_in = False  # its process has said hello
        self.is_gone = False  # it does not come back
        self.retry_at = 0.0
        self.failures = 0  # since its last block


class Team:
    """Workers of this machine, or of a cluster, for one match after the other."""

    def __init__(self, ray: Any, number: int, cpus: int) -> None:
        """Takes `ray`, which was started, and how many workers there are to be."""
        self.number = number
        self._ray, self._cpus = ray, cpus
        self._places: list[_Place] = []
        self._matches = 0
        self._began = 0.0

    def players_of(
        self, game: str, simulations: int, notice: Callable[[str], None]
    ) -> Callable[[Player, Player, Order], "Crew"]:
        """Returns an `Elsewhere` for matches of a game; the first match starts the workers.

        Args:
          notice: called with what a person should know.
        """

        def find(first: Player, second: Player, order: Order) -> Crew:
            self._begin()
            told = Match(
                self._matches,
                game,
                (first.name, second.name),
                simulations,
                (weights_sha256(first), weights_sha256(second)),
                order,
            )
            self._matches += 1
            blocks = -(-2 * len(order.moves) // order.block)
            if blocks < self.number:
                notice(
                    f"note: {2 * len(order.moves)} games in blocks of {order.block} keep only "
                    f"{blocks} of {self.number} workers busy"
                )
            return Crew(self._ray, self._places, told, self._cpus, self._began, notice)

        return find

    def end(self) -> None:
        """Ends the workers, and Ray if it is ours."""
        for place in self._places:
            with contextlib.suppress(Exception):
                self._ray.kill(place.actor)
        self._ray.shutdown()

    def _begin(self) -> None:
        """Starts the workers, which need to know what our devices are."""
        if self._places:
            return
        platform, size = jax.local_devices()[0].platform, devices.mesh().size
        if platform != "cpu":
            raise ValueError(
                f"--workers plays on CPUs, and jax runs on {size} x {platform} here, which share "
                "each block already: leave it out, or set JAX_PLATFORMS=cpu"
            )
        settings: dict[str, Any] = {}
        if FORCED not in os.environ.get("XLA_FLAGS", ""):
            settings["jax_num_cpu_devices"] = size
        if not os.environ.get(ray_node.ADDRESS):
            settings |= {name: getattr(jax.config, name) for name in CACHE}
        remote = self._ray.remote(max_restarts=-1)(Actor)
        placed = remote.options(num_cpus=self._cpus, scheduling_strategy="SPREAD")
        given = (settings, os.getcwd(), consent.allowed())
        self._places = [_Place(placed.remote(*given)) for _ in range(self.number)]
        self._began = time.monotonic()


class Crew:
    """The workers at one match; see `selfplay.arena.blocks.Crew`."""

    def __init__(
        self,
        ray: Any,
        places: list[_Place],
        told: Match,
        cpus: int,
        began: float,
        notice: Callable[[str], None],
    ) -> None:
        self.size = len(places)
        self._ray, self._places, self._told, self._notice = ray, places, told, notice
        self._cpus, self._began = cpus, began
        self._reference = ray.put(told)
        self._ours = alike(told.game)

    def free(self) -> int:
        """Returns how many workers wait for a block."""
        return len(self._waiting())

    def begin(self, block: int) -> None:
        """Asks a worker that waits for a block."""
        place = self._waiting()[0]
        reference = place.actor.play.remote(self._reference, block)
        place.asked = _Asked(reference, self._told.number, block)

    def ended(self) -> list[Event]:
        """Returns what has become of blocks."""
        for place in self._places:
            idle = not (place.is_in or place.is_gone or place.asked)
            if idle and time.monotonic() >= place.retry_at:
                place.asked = _Asked(place.actor.hello.remote(self._told.game), -1, -1)
        references = [place.asked.reference for place in self._places if place.asked]
        if not references:
            time.sleep(LOOK_SECONDS)
            return []
        ready, _ = self._ray.wait(references, num_returns=1, timeout=LOOK_SECONDS)
        if ready:
            ready, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        self._check_started(ready)
        return [
            event
            for place in self._places
            if place.asked and place.asked.reference in ready
            for event in self._settle(place, place.asked)
        ]

    def _waiting(self) -> list[_Place]:
        return [place for place in self._places if place.is_in and not place.asked]

    def _check_started(self, ready: list[Any]) -> None:
        """Raises WorkersError if no worker has been given a process for a long time."""
        late = time.monotonic() - self._began > START_SECONDS
        if late and not ready and not any(p.is_in or p.failures for p in self._places):
            raise WorkersError(
                f"no worker has started in {START_SECONDS:.0f} seconds: each needs "
                f"{self._cpus} CPUs of a machine"
            )

    def _settle(self, place: _Place, asked: _Asked) -> list[Event]:
        """Returns what follows from a call that has returned."""
        place.asked = None
        errors = self._ray.exceptions
        is_ours = asked.match == self._told.number  # not of an earlier match, which has stopped
        try:
            result = self._ray.get(asked.reference)
        except errors.RayTaskError as error:  # our code has raised it
            cause = error.cause if isinstance(error.cause, Exception) else error
            if asked.match < 0:
                self._lose(place, str(cause), for_ever=True)
                return []
            return [Failed(asked.block, cause)] if is_ours else []
        except errors.ObjectLostError as error:  # the worker may live on
            return [Lost(asked.block, ray_node.why(error))] if is_ours else []
        except errors.RayError as error:
            why = ray_node.why(error)
            if is_ours:
                self._notice(f"note: a worker died: block {asked.block} is played again ({why})")
            self._lose(place, why, for_ever=isinstance(error, errors.ActorDiedError))
            return [Lost(asked.block, why)] if is_ours else []
        if asked.match < 0:
            self._let_in(place, result)
            return []
        place.failures = 0
        return [Played(asked.block, result)] if is_ours else []

    def _let_in(self, place: _Place, theirs: Alike) -> None:
        ray_node.end_with_us()
        if different := difference(theirs, self._ours):
            self._ray.kill(place.actor)
            self._notice(f"note: a worker is not as this process and does not play: {different}")
            self._lose(place, different, for_ever=True)
            return
        place.is_in = True

    def _lose(self, place: _Place, why: str, for_ever: bool) -> None:
        """Notes that an actor's process is gone; the next one is asked after a pause."""
        place.is_in = False
        place.failures += 1
        place.is_gone = for_ever or place.failures >= MOST_FAILURES
        place.retry_at = time.monotonic() + RETRY_SECONDS
        if all(other.is_gone for other in self._places):
            raise WorkersError(f"no worker is left; the last one: {why}")


@contextlib.contextmanager
def start(number: int, command: str) -> Iterator[Team | None]:
    """Starts Ray, or joins the cluster of RAY_ADDRESS; yields the workers, None if `number` is 0.

    To be called before jax has started its devices: Ray forks.

    Raises:
      ValueError: ray is not installed, or the address cannot be used.
    """
    if not number:
        yield None
        return
    cpus = max(1, (os.cpu_count() or 1) // number)
    team = Team(ray_node.start(number, cpus, command, "leave it out"), number, cpus)
    try:
        ray_node.end_with_us()
        yield team
    finally:
        team.end()
