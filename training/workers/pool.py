"""A pool of Ray actors: started, asked to do tasks, and replaced when they die, freeze or fail.

An actor is one process for its whole life, so whoever asks it may leave state in it. Ray places the
actors; here they are watched, and another is started in the place of one that is gone.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import jax

from games import consent
from training.workers import identity, ray_node
from training.workers.identity import Alike
from training.workers.ray_node import WorkersError

PING_SECONDS = 5.0
SILENT_SECONDS = 30.0  # a worker that answers nothing for so long is taken for frozen
ROOM_SECONDS = 60.0  # after which it is said who waits for room on the cluster
MOST_PAUSE = 60.0  # seconds before a worker is replaced that has failed again and again
# Of each worker, one after the other without a task done between: what our code raises comes back,
# while processes may be killed for many reasons, and start in seconds.
MOST_FAILURES, MOST_DEATHS = 3, 20
FORCED = "xla_force_host_platform_device_count"
CACHE = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
BEAT = "beat"  # the group of methods that run in a thread of their own
_HELLO = object()  # the task of a worker that has not joined


class Job(Protocol):
    """What many tasks have in common; it goes to each worker once."""

    def open(self) -> Callable[..., Any]:
        """Returns what does a task, given what is that task's own; called on the worker."""


class Shared(NamedTuple):
    """A job that workers may take from Ray's store."""

    number: int
    reference: Any


class Actor:
    """What runs in a worker's process: it does tasks, one at a time."""

    def __init__(self, settings: dict[str, Any], folder: str, allowed: list[str]) -> None:
        """Takes settings of jax, the folder where names of players hold, and what may run."""
        self._given = (settings, folder, allowed)
        self._job = -1

    def hello(self, game: str) -> tuple[Alike, str]:
        """Makes this process like the one that asks, as far as that goes; returns what it is."""
        settings, folder, allowed = self._given
        with contextlib.suppress(FileNotFoundError):  # another machine may not have it
            os.chdir(folder)
        consent.close([], allowed)
        for name, value in settings.items():
            jax.config.update(name, value)
        return identity.alike(game), os.uname().nodename

    def do(self, number: int, job: Job, *given: Any) -> Any:
        """Does a task of job `number`."""
        if number != self._job:
            self._do, self._job = job.open(), number
        return self._do(*given)

    def beat(self) -> None:
        """Answers while the process is alive."""


class Worker:
    """An actor, as those see it who ask it."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.asked: dict[Any, Any] = {}  # tasks by the reference of their result
        self.is_in = False  # it has said hello, and may be asked
        self.host = self.device = ""
        self.beat: Any = None  # the reference of a question whether it is alive, if one is open
        self.has_begun = False  # the process is there: it has answered once
        self.beat_at = 0.0  # when it was asked last
        self.silent = 0.0  # seconds since then in which we have listened


class Answer(NamedTuple):
    """A task has ended."""

    worker: Worker
    task: Any
    result: Any
    error: Exception | None  # that our code has raised


class Gone(NamedTuple):
    """A worker is no more, and the tasks that it was asked for are lost."""

    worker: Worker
    tasks: list[Any]
    why: str


Event: TypeAlias = Answer | Gone


class _Place:
    """One of the pool's workers, whichever it is by now."""

    def __init__(self) -> None:
        self.worker: Worker | None = None
        self.retry_at = 0.0
        self.failures = self.deaths = 0  # since a task was done


class Pool:
    """So many workers, for one job after the other."""

    def __init__(self, ray: Any, number: int, resources: Mapping[str, float]) -> None:
        """Takes `ray`, which was started, how many workers there are to be, and what each needs."""
        self.ray, self.number, self.resources = ray, number, dict(resources)
        self.lost = 0  # workers that were replaced
        self._places = [_Place() for _ in range(number)]
        self._jobs = 0
        self._start: Callable[[], Worker] | None = None

    def begin(
        self,
        game: str,
        devices: int,
        must_equal: Sequence[str],
        notice: Callable[[str], None],
    ) -> None:
        """Lets workers come from now on. To be called once jax has its settings here.

        Args:
          game: that is played.
          devices: of each worker, if these are CPUs.
          must_equal: the fields of `Alike` in which a worker must be as this process.
          notice: called with what a person should know.
        """
        self._notice, self._wanted, self._fields = notice, identity.alike(game), must_equal
        if self._start:
            return
        settings: dict[str, Any] = {}
        if FORCED not in os.environ.get("XLA_FLAGS", ""):
            settings["jax_num_cpu_devices"] = devices
        if self.resources.keys() == {"CPU"}:
            settings["jax_platforms"] = "cpu"
        if not ray_node.is_cluster():
            settings |= {name: getattr(jax.config, name) for name in CACHE}
        needs = {name.lower(): self.resources.get(name, 0) for name in ("CPU", "GPU")}
        others = {n: amount for n, amount in self.resources.items() if n.lower() not in needs}
        remote = self.ray.remote(concurrency_groups={BEAT: 1})(Actor).options(
            num_cpus=needs["cpu"],
            num_gpus=needs["gpu"],
            resources=others,
            scheduling_strategy="SPREAD",
        )
        given = settings, os.getcwd(), consent.allowed()

        def start() -> Worker:
            worker = Worker(remote.remote(*given))
            worker.asked[worker.actor.hello.remote(game)] = _HELLO
            return worker

        self._start = start
        self._tell_at = time.monotonic() + ROOM_SECONDS
        self._looked = time.monotonic()
        self._fill()

    def new_job(self, job: Job) -> Shared:
        """Returns a job as the workers are told of it."""
        self._jobs += 1
        return Shared(self._jobs, self.ray.put(job))

    def workers(self) -> list[Worker]:
        """Returns those that may be asked."""
        return [p.worker for p in self._places if p.worker and p.worker.is_in]

    def ask(self, worker: Worker, task: Any, job: Shared, *given: Any) -> None:
        """Asks a worker for a task of a job, after those that it was asked for before.

        Args:
          task: what the answer will be known by.
          given: values, or references of Ray's.
        """
        worker.asked[worker.actor.do.remote(*job, *given)] = task

    def look(self, seconds: float) -> list[Event]:
        """Returns what has happened, as soon as there is something, or after so many seconds.

        Raises:
          WorkersError: workers have failed too often.
        """
        self._fill()
        owners = {
            reference: place
            for place in self._places
            if place.worker
            for reference in place.worker.asked
        }
        if not owners:
            time.sleep(seconds)
            return []
        ready, _ = self.ray.wait(list(owners), num_returns=1, timeout=seconds)
        if ready:
            ready, _ = self.ray.wait(list(owners), num_returns=len(owners), timeout=0)
        events = [
            event for reference in ready for event in self._settle(owners[reference], reference)
        ]
        return events + self._listen()

    def worked(self, worker: Worker) -> None:
        """A worker's answer was right: its failures are forgotten."""
        for place in self._places:
            if place.worker is worker:
                place.failures = place.deaths = 0

    def replace(self, worker: Worker, why: str, raised: bool = True) -> list[Event]:
        """Ends a worker; another takes its place, after a pause.

        Args:
          raised: our code has failed on it, or what it gave was wrong; else its process is gone.

        Raises:
          WorkersError: workers have failed too often.
        """
        places = [place for place in self._places if place.worker is worker]
        for place in places:
            self.ray.kill(worker.actor)
            place.worker = None
            place.failures += raised
            place.deaths += not raised
            place.retry_at = time.monotonic() + min(2.0**place.failures, MOST_PAUSE)
            self.lost += 1
            self._notice(f"a worker{f' on {worker.host}' if worker.host else ''} is gone: {why}")
        if all(p.failures >= MOST_FAILURES or p.deaths >= MOST_DEATHS for p in self._places):
            raise WorkersError(f"no worker is left; the last one: {why}")
        tasks = [task for task in worker.asked.values() if task is not _HELLO]
        return [Gone(worker, tasks, why)] if places else []

    def forget(self) -> None:
        """Asks for nothing that was asked for before; the workers stay."""
        for worker in self.workers():
            worker.asked.clear()

    def end(self) -> None:
        """Ends the workers."""
        for place in self._places:
            if place.worker:
                with contextlib.suppress(Exception):
                    self.ray.kill(place.worker.actor)

    def _fill(self) -> None:
        """Starts the workers that are missing, and says who waits for room."""
        now = time.monotonic()
        for place in self._places:
            if place.worker is None and now >= place.retry_at and self._start:
                place.worker = self._start()
        waiting = sum(p.worker is not None and not p.worker.has_begun for p in self._places)
        if waiting and now >= self._tell_at:
            self._tell_at = float("inf")
            needs = ", ".join(f"{name}={count:g}" for name, count in self.resources.items())
            self._notice(
                f"{waiting} of {self.number} workers wait for room: each needs {needs} "
                "(--worker-resources); `ray status` says what the cluster has"
            )

    def _settle(self, place: _Place, reference: Any) -> list[Event]:
        """Returns what follows from a call that has returned."""
        worker = place.worker
        if worker is None or reference not in worker.asked:
            return []  # it was replaced a moment ago
        task, errors = worker.asked[reference], self.ray.exceptions
        try:
            result = self.ray.get(reference)
        except errors.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            if task is _HELLO:
                return self.replace(worker, f"{type(cause).__name__}: {cause}")
            del worker.asked[reference]
            return [Answer(worker, task, None, cause)]
        except errors.RayError as error:
            return self.replace(worker, " ".join(str(error).split())[:200], raised=False)
        del worker.asked[reference]
        if task is not _HELLO:
            return [Answer(worker, task, result, None)]
        theirs, worker.host = result
        ray_node.end_with_us()
        if different := identity.difference(theirs, self._wanted, self._fields):
            return self.replace(worker, f"it is not as this process: {different}")
        worker.is_in = worker.has_begun = True
        worker.device = f"{theirs.devices} x {theirs.device}"
        return []

    def _listen(self) -> list[Event]:
        """Asks now and then who is alive; replaces those that are frozen.

        Seconds in which nobody looked do not count, as when this process itself was stopped.
        """
        now = time.monotonic()
        passed, self._looked = min(now - self._looked, PING_SECONDS), now
        events: list[Event] = []
        for worker in [place.worker for place in self._places if place.worker]:
            if worker.beat is not None and self.ray.wait([worker.beat], timeout=0)[0]:
                worker.beat, worker.has_begun = None, True  # or it died, which its task tells
            elif worker.beat is not None and worker.has_begun:
                worker.silent += passed
                if worker.silent >= SILENT_SECONDS:
                    why = f"it was silent for {worker.silent:.0f} seconds"
                    events += self.replace(worker, why, raised=False)
            elif worker.beat is None and now - worker.beat_at >= PING_SECONDS:
                worker.beat = worker.actor.beat.options(concurrency_group=BEAT).remote()
                worker.beat_at, worker.silent = now, 0.0
        return events


@contextlib.contextmanager
def start(
    number: int, command: str, resources: Mapping[str, float] | None = None
) -> Iterator[Pool | None]:
    """Starts Ray, or joins the cluster of RAY_ADDRESS; yields a pool, None if `number` is 0.

    To be called before jax has started its devices: Ray forks.

    Args:
      command: of ours, as in `train`.
      resources: what each worker needs; by default its share of this machine's cores.

    Raises:
      ValueError: ray is not installed, the address cannot be used, or this machine has no room.
    """
    if not number:
        yield None
        return
    needs = {"CPU": 1.0, **resources} if resources else {"CPU": float(_share(number))}
    with ray_node.running(needs["CPU"] * number, command) as ray:
        ray_node.check_room(ray, needs)
        pool = Pool(ray, number, needs)
        try:
            yield pool
        finally:
            pool.end()


def _share(number: int) -> int:
    return max(1, (os.cpu_count() or 1) // number)
