"""A pool of Ray actors: started, asked to do tasks, and replaced when they die, freeze or fail.

An actor is one process for its whole life, so whoever asks it may leave state in it. Ray places the
actors; here they are watched, and another is started in the place of one that is gone.
"""

import contextlib
import math
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
PAUSE_SECONDS = 1.0  # before a worker is replaced
# Failures without a right answer between them, of each worker on average: what our code raises
# comes back, while processes may be killed for many reasons.
FAILURE, DEATH, MOST_STRIKES = 10, 1, 20
FORCED = "xla_force_host_platform_device_count"
CACHE = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
BEAT = "beat"  # the group of methods that run in a thread of their own
HELLO = object()  # the task of a worker that has not joined


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
        self.has_begun = False  # the process is there: it has answered once
        self.beat: Any = None  # the reference of a question whether it is alive, if one is open
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


class Pool:
    """So many workers, for one job after the other."""

    def __init__(self, ray: Any, number: int, resources: Mapping[str, float]) -> None:
        """Takes `ray`, which was started, how many workers there are to be, and what each needs."""
        self.ray, self.number, self.resources = ray, number, dict(resources)
        self.lost = 0  # workers that were replaced
        self._all: list[Worker] = []
        self._jobs = self._strikes = 0
        self._retry_at, self._tell_at, self._looked = 0.0, math.inf, 0.0

    def begin(
        self, game: str, devices: int, must_equal: Sequence[str], notice: Callable[[str], None]
    ) -> None:
        """Lets workers come from now on. To be called once jax has its settings here.

        Args:
          game: that is played.
          devices: of each worker, if these are CPUs.
          must_equal: the fields of `Alike` in which a worker must be as this process.
          notice: called with what a person should know.
        """
        self._notice, self._game = notice, game
        self._wanted, self._must_equal = identity.alike(game), must_equal
        needs = dict(self.resources)
        options = {"num_cpus": needs.pop("CPU"), "num_gpus": needs.pop("GPU", 0)}
        remote = self.ray.remote(concurrency_groups={BEAT: 1})(Actor)
        self._remote = remote.options(**options, resources=needs, scheduling_strategy="SPREAD")
        self._given = _settings(devices, self.resources), os.getcwd(), consent.allowed()
        self._tell_at = time.monotonic() + ROOM_SECONDS
        self._fill()

    def new_job(self, job: Job) -> Shared:
        """Returns a job as the workers are told of it."""
        self._jobs += 1
        return Shared(self._jobs, self.ray.put(job))

    def workers(self) -> list[Worker]:
        """Returns those that may be asked."""
        return [worker for worker in self._all if worker.is_in]

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
        owners = {reference: worker for worker in self._all for reference in worker.asked}
        ready: list[Any] = []
        if owners:
            ready, _ = self.ray.wait(list(owners), num_returns=1, timeout=seconds)
        else:
            time.sleep(seconds)
        if ready:
            ready, _ = self.ray.wait(list(owners), num_returns=len(owners), timeout=0)
        events = [event for one in ready for event in self._settle(owners[one], one)]
        return events + self._listen()

    def worked(self) -> None:
        """An answer was right: earlier failures are forgotten."""
        self._strikes = 0

    def replace(self, worker: Worker, why: str, strikes: int = FAILURE) -> list[Event]:
        """Ends a worker; another takes its place, after a pause.

        Args:
          strikes: how much this counts among failures without a right answer between them.

        Raises:
          WorkersError: workers have failed too often.
        """
        if worker not in self._all:
            return []
        self._all.remove(worker)
        self.ray.kill(worker.actor)
        self.lost += 1
        self._strikes += strikes
        self._notice(f"a worker is gone{f', on {worker.host}' if worker.host else ''}: {why}")
        if self._strikes > MOST_STRIKES * self.number:
            raise WorkersError(f"no worker is left; the last one: {why}")
        self._retry_at = time.monotonic() + PAUSE_SECONDS
        return [Gone(worker, [task for task in worker.asked.values() if task is not HELLO], why)]

    def forget(self) -> None:
        """Wants nothing more of what was asked for; the workers stay."""
        for worker in self.workers():
            worker.asked.clear()

    def end(self) -> None:
        """Ends the workers."""
        for worker in self._all:
            with contextlib.suppress(Exception):
                self.ray.kill(worker.actor)

    def _fill(self) -> None:
        """Starts the workers that are missing, and says who waits for room."""
        now = time.monotonic()
        while len(self._all) < self.number and now >= self._retry_at:
            worker = Worker(self._remote.remote(*self._given))
            worker.asked[worker.actor.hello.remote(self._game)] = HELLO
            self._all.append(worker)
        waiting = sum(not worker.has_begun for worker in self._all)
        if waiting and now >= self._tell_at:
            self._tell_at = math.inf
            needs = ", ".join(f"{name}={count:g}" for name, count in self.resources.items())
            self._notice(
                f"{waiting} of {self.number} workers wait for room: each needs {needs} "
                "(--worker-resources); `ray status` says what there is"
            )

    def _settle(self, worker: Worker, reference: Any) -> list[Event]:
        """Returns what follows from a call that has returned."""
        if worker not in self._all:
            return []  # it was replaced a moment ago
        task, errors = worker.asked[reference], self.ray.exceptions
        try:
            result = self.ray.get(reference)
        except errors.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            if task is HELLO:
                return self.replace(worker, f"{type(cause).__name__}: {cause}")
            del worker.asked[reference]
            return [Answer(worker, task, None, cause)]
        except errors.RayError as error:
            return self.replace(worker, " ".join(str(error).split())[:200], DEATH)
        del worker.asked[reference]
        if task is not HELLO:
            return [Answer(worker, task, result, None)]
        theirs, worker.host = result
        ray_node.end_with_us()
        if different := identity.difference(theirs, self._wanted, self._must_equal):
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
        for worker in list(self._all):
            if worker.beat is not None and self.ray.wait([worker.beat], timeout=0)[0]:
                worker.beat, worker.has_begun = None, True  # or it died, which its task tells
            elif worker.beat is not None and worker.has_begun:
                worker.silent += passed
                if worker.silent >= SILENT_SECONDS:
                    why = f"it was silent for {worker.silent:.0f} seconds"
                    events += self.replace(worker, why, DEATH)
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
      ValueError: ray is not installed, or the address cannot be used.
    """
    if not number:
        yield None
        return
    share = max(1, (os.cpu_count() or 1) // number)
    needs = {"CPU": 1.0, **resources} if resources else {"CPU": float(share)}
    with ray_node.running(needs["CPU"] * number, command) as ray:
        pool = Pool(ray, number, needs)
        try:
            yield pool
        finally:
            pool.end()


def _settings(devices: int, resources: Mapping[str, float]) -> dict[str, Any]:
    """Returns the settings of jax for workers with these resources."""
    settings: dict[str, Any] = {}
    if FORCED not in os.environ.get("XLA_FLAGS", ""):
        settings["jax_num_cpu_devices"] = devices
    if resources.keys() == {"CPU"}:
        settings["jax_platforms"] = "cpu"
    if not os.environ.get(ray_node.ADDRESS):  # on this machine
        settings |= {name: getattr(jax.config, name) for name in CACHE}
    return settings
