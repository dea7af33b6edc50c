"""Tasks on Ray: its actors do them, as if this process did.

Ray places the actors and starts them again where they die. In which order results count, and how
often a lost task is given again, is decided in `selfplay/tasks.py`.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import jax

from games import consent
from selfplay.tasks import Done, Event, Failed, Lost
from training.workers import identity, ray_node
from training.workers.identity import Alike
from training.workers.ray_node import WorkersError

LOOK_SECONDS = 0.1
RETRY_SECONDS = 1.0  # after a process of a worker has died
MOST_FAILURES = 60  # of a worker, one after the other: a process takes seconds to start
START_SECONDS = 600.0  # in which one worker must have started
PING_SECONDS = 5.0
SILENT_SECONDS = 30.0  # a worker that answers nothing for so long is taken for frozen
FORCED = "xla_force_host_platform_device_count"
CACHE = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


class Job(Protocol):
    """What the tasks of a crew have in common; it goes to each worker once."""

    def open(self) -> Callable[..., Any]:
        """Returns what does a task, given what is that task's own; called on the worker."""


class Actor:
    """What runs in a Ray actor: it does tasks, one at a time."""

    def __init__(self, settings: dict[str, Any], folder: str, allowed: list[str]) -> None:
        """Takes settings of jax, the folder where names of players hold, and what may run."""
        self._given = (settings, folder, allowed)
        self._job = -1

    def hello(self, game: str) -> Alike:
        """Makes this process like ours, as far as that goes; returns what it is."""
        settings, folder, allowed = self._given
        os.chdir(folder)
        consent.close([], allowed)
        for name, value in settings.items():
            jax.config.update(name, value)
        return identity.alike(game)

    def do(self, number: int, job: Job, *given: Any) -> Any:
        """Does a task of job `number`."""
        if number != self._job:
            self._do, self._job = job.open(), number
        return self._do(*given)


class _Asked(NamedTuple):
    """A call of an actor that has not returned."""

    reference: Any
    crew: int  # whose task it is; -1: it is `hello`
    task: int


class _Place:
    """One actor of ours, whatever process it is in by now."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.asked: _Asked | None = None
        self.is_in = False  # its process has said hello
        self.is_gone = False  # it does not come back
        self.retry_at = 0.0
        self.failures = 0  # since its last task
        self.beat: Any = None  # the reference of a question whether it is alive, if one is open
        self.beat_at = 0.0  # when it was asked last


class Team:
    """Workers of this machine, or of a cluster, for one job after the other."""

    def __init__(self, ray: Any, number: int, resources: Mapping[str, float]) -> None:
        """Takes `ray`, which was started, how many workers there are to be, and what each needs."""
        self.number, self.ray = number, ray
        self.resources = dict(resources)
        self.places: list[_Place] = []
        self.began = 0.0
        self._jobs = self._crews = 0

    def new_job(self, job: Job) -> "Shared":
        """Returns a job as the workers are told of it."""
        self._jobs += 1
        return Shared(self._jobs - 1, self.ray.put(job))

    def new_crew(self) -> int:
        """Returns a number for a crew of this team."""
        self._crews += 1
        return self._crews - 1

    def begin(self, count: int) -> None:
        """Starts the workers if they are not there, each with `count` devices if these are CPUs.

        To be called once jax has its settings here: workers of this machine share its cache.
        """
        if self.places:
            return
        settings: dict[str, Any] = {}
        if FORCED not in os.environ.get("XLA_FLAGS", ""):
            settings["jax_num_cpu_devices"] = count
        if not os.environ.get(ray_node.ADDRESS):
            settings |= {name: getattr(jax.config, name) for name in CACHE}
        remote = self.ray.remote(max_restarts=-1, concurrency_groups={"beat": 1})(
            ray_node.beating(Actor)
        )
        spread = {"scheduling_strategy": "SPREAD"}
        placed = remote.options(**ray_node.needs(self.resources), **spread)
        given = (settings, os.getcwd(), consent.allowed())
        self.places = [_Place(placed.remote(*given)) for _ in range(self.number)]
        self.began = time.monotonic()

    def end(self) -> None:
        """Ends the workers."""
        for place in self.places:
            with contextlib.suppress(Exception):
                self.ray.kill(place.actor)


class Shared(NamedTuple):
    """A job that workers may take from Ray's store."""

    number: int
    reference: Any


class Crew:
    """The workers of a team at some tasks of one job; see `selfplay.tasks.Crew`."""

    def __init__(
        self,
        team: Team,
        job: Shared,
        given: Callable[[int], tuple[Any, ...]],
        game: str,
        wanted: Alike,
        notice: Callable[[str], None],
    ) -> None:
        """Begins nothing yet.

        Args:
          given: what a worker is given for a task: values, or references of Ray's.
          game: that is played.
          wanted: what a worker must be.
          notice: called with what a person should know.
        """
        self.size = len(team.places)
        self._team, self._ray, self._places = team, team.ray, team.places
        self._job, self._given, self._game, self._wanted = job, given, game, wanted
        self._notice = notice
        self._number = team.new_crew()

    def free(self) -> int:
        """Returns how many workers wait for a task."""
        return len(self._waiting())

    def begin(self, task: int) -> None:
        """Asks a worker that waits for a task."""
        place = self._waiting()[0]
        reference = place.actor.do.remote(*self._job, *self._given(task))
        place.asked = _Asked(reference, self._number, task)

    def ended(self) -> list[Event]:
        """Returns what has become of tasks."""
        for place in self._places:
            idle = not (place.is_in or place.is_gone or place.asked)
            if idle and time.monotonic() >= place.retry_at:
                place.asked = _Asked(place.actor.hello.remote(self._game), -1, -1)
        references = [place.asked.reference for place in self._places if place.asked]
        if not references:
            time.sleep(LOOK_SECONDS)
            return []
        ready, _ = self._ray.wait(references, num_returns=1, timeout=LOOK_SECONDS)
        if ready:
            ready, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        self._check_started(ready)
        settled = [
            event
            for place in self._places
            if place.asked and place.asked.reference in ready
            for event in self._settle(place, place.asked)
        ]
        return settled + [event for place in self._places for event in self._listen(place)]

    def _listen(self, place: _Place) -> list[Event]:
        """Asks a worker at a task, now and then, whether it is alive; ends it if it is frozen."""
        asked, now = place.asked, time.monotonic()
        if not place.is_in or asked is None:
            place.beat = None
            return []
        if place.beat is None:
            if now - place.beat_at > PING_SECONDS:
                place.beat, place.beat_at = place.actor.beat.remote(), now
            return []
        if self._ray.wait([place.beat], timeout=0)[0]:
            place.beat = None  # or it died, which its task tells
            return []
        if now - place.beat_at < SILENT_SECONDS:
            return []
        why = f"it was silent for {now - place.beat_at:.0f} seconds"
        self._ray.kill(place.actor, no_restart=False)
        place.asked = place.beat = None
        self._lose(place, why, for_ever=False)
        if asked.crew != self._number:
            return []
        self._notice(f"a worker was given up: task {asked.task} is done again ({why})")
        return [Lost(asked.task, why)]

    def _waiting(self) -> list[_Place]:
        return [place for place in self._places if place.is_in and not place.asked]

    def _check_started(self, ready: list[Any]) -> None:
        """Raises WorkersError if no worker has been given a process for a long time."""
        late = time.monotonic() - self._team.began > START_SECONDS
        if late and not ready and not any(p.is_in or p.failures for p in self._places):
            needs = ", ".join(f"{name}={v:g}" for name, v in self._team.resources.items())
            raise WorkersError(
                f"no worker has started in {START_SECONDS:.0f} seconds: each needs {needs}"
            )

    def _settle(self, place: _Place, asked: _Asked) -> list[Event]:
        """Returns what follows from a call that has returned."""
        place.asked = None
        errors = self._ray.exceptions
        is_ours = asked.crew == self._number  # not of an earlier one, which has stopped
        try:
            result = self._ray.get(asked.reference)
        except errors.RayTaskError as error:  # our code has raised it
            cause = error.cause if isinstance(error.cause, Exception) else error
            if asked.crew < 0:
                self._lose(place, str(cause), for_ever=True)
                return []
            return [Failed(asked.task, cause)] if is_ours else []
        except errors.ObjectLostError as error:  # the worker may live on
            return [Lost(asked.task, ray_node.why(error))] if is_ours else []
        except errors.RayError as error:
            why = ray_node.why(error)
            if is_ours:
                self._notice(f"a worker died: task {asked.task} is done again ({why})")
            self._lose(place, why, for_ever=isinstance(error, errors.ActorDiedError))
            return [Lost(asked.task, why)] if is_ours else []
        if asked.crew < 0:
            self._let_in(place, result)
            return []
        place.failures = 0
        return [Done(asked.task, result)] if is_ours else []

    def _let_in(self, place: _Place, theirs: Alike) -> None:
        ray_node.end_with_us()
        if different := identity.difference(theirs, self._wanted):
            self._ray.kill(place.actor)
            self._notice(f"a worker is not as this process and does not play: {different}")
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
def start(number: int, command: str, instead: str = "leave it out") -> Iterator[Team | None]:
    """Starts Ray, or joins the cluster of RAY_ADDRESS; yields the workers, None if `number` is 0.

    To be called before jax has started its devices: Ray forks.

    Raises:
      ValueError: ray is not installed, or the address cannot be used.
    """
    if not number:
        yield None
        return
    cpus = max(1, (os.cpu_count() or 1) // number)
    with ray_node.running(number, cpus, command, instead) as ray:
        team = Team(ray, number, {"CPU": cpus})
        try:
            yield team
        finally:
            team.end()
