"""A fleet on Ray: its actors are the workers.

Ray places the actors, starts them again where they die, and moves arrays. What a batch is, and that
it is taken once, is decided in `fleet.py` as for any transport. The learner pulls: an actor has at
most two calls in flight, and keeps what it has sent until that is acknowledged.
"""

import contextlib
import dataclasses
import math
import os
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from games import consent
from training import config as config_module
from training.config import RunConfig
from training.context import Context
from training.workers import ray_node
from training.workers.ray_node import WorkersError
from training.workers.serve import hello_of
from training.workers.transport import (
    Answer,
    Arrived,
    Event,
    Heard,
    Hello,
    Joined,
    Left,
    Own,
)
from training.workers.worker import Parcel, Version, Worker, weights_as_arrays, weights_of

PING_SECONDS = 5.0
PATIENCE_SECONDS = 60.0  # after which it is said who has not been given a process
MOST_IN_FLIGHT = 2  # calls of a worker
QUICK_SECONDS = 0.5  # calls below it are asked for ahead
KEPT_WEIGHTS = 4  # versions, beyond those that may be played with
RETRY_SECONDS = 2.0  # after a process of a worker has died
MOST_FAILURES = 3  # of a worker, one after the other


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The workers that a user asks for."""

    number: int
    resources: Mapping[str, float]  # of each: CPU, GPU, or one of the cluster's own


class Actor:
    """What runs in a Ray actor: a worker that can be asked twice."""

    def __init__(
        self, config: dict[str, Any], run_id: str, devices: int, allowed: list[str]
    ) -> None:
        """Prepares a worker that is not yet let in."""
        with contextlib.suppress(RuntimeError):  # devices have started, in a process used again
            jax.config.update("jax_num_cpu_devices", devices)
        consent.close([], allowed)
        self._config, self._run_id = config_module.from_dict(config), run_id
        self._worker: Worker | None = None
        self._version: Version | None = None
        self._unacknowledged: dict[int, Parcel] = {}

    def hello(self) -> tuple[str, Hello]:
        """Returns a new name, and what this process says of itself."""
        name = f"{os.uname().nodename}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        return name, hello_of(self._config, self._run_id)

    def begin(self, slot: int, incarnation: int) -> None:
        """Becomes a worker of the run."""
        self._unacknowledged = {}
        self._worker = Worker(self._config, self._run_id, slot, incarnation)

    def play(self, number: int, step: int, weights: Mapping[str, Any], acknowledged: int) -> Parcel:
        """Plays a call; forgets batches up to `acknowledged`."""
        assert self._worker is not None
        for seq in [seq for seq in self._unacknowledged if seq <= acknowledged]:
            del self._unacknowledged[seq]
        if self._version is None or self._version.number != number:
            self._version = Version(number, step, weights_of(self._worker.network, weights))
        parcel = self._worker.play(self._version)
        self._unacknowledged[parcel.seq] = parcel
        return parcel

    def again(self, seq: int) -> Parcel | None:
        """Returns a batch whose result was lost on its way, None if it is acknowledged."""
        return self._unacknowledged.get(seq)


class _Asked(NamedTuple):
    """A call of an actor that has not returned."""

    what: str  # the method
    reference: Any
    seq: int
    when: float


class _Place:
    """One actor of ours, whatever process it is in by now."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.name = ""  # of the process; empty until it has said hello
        self.asked: list[_Asked] = []
        self.is_in = False
        self.seq = 0  # of the next call
        self.acknowledged = -1
        self.pinged = 0.0
        self.retry_at = 0.0  # when a process that follows one that died is asked
        self.failures = 0  # since its last batch
        self.is_gone = False  # it does not come back
        self.call_seconds = QUICK_SECONDS  # that the newest took


class RayTransport:
    """The learner's end."""

    def __init__(
        self,
        ray: Any,
        config: RunConfig,
        run_id: str,
        wanted: Wanted,
        allowed: list[str],
        notice: Callable[[str], None],
    ) -> None:
        """Asks `ray`, which was started, for workers; `notice` takes what people should know."""
        self._ray = ray
        self._version: Version | None = None
        self._weights: dict[int, Any] = {}
        self._needs, self._notice = wanted.resources, notice
        self._tell_at = time.monotonic() + PATIENCE_SECONDS
        devices = max(1, int(wanted.resources["CPU"]))
        remote = self._ray.remote(max_restarts=-1, concurrency_groups={"beat": 1})(
            ray_node.beating(Actor)
        )
        placed = remote.options(**ray_node.needs(wanted.resources))
        given = (config_module.to_dict(config), run_id, devices, allowed)
        self._places = [_Place(placed.remote(*given)) for _ in range(wanted.number)]

    def publish(self, version: Version, max_lag: int) -> None:
        """Makes weights known; see `Transport`."""
        self._version = version
        self._weights[version.number] = self._ray.put(weights_as_arrays(version.weights))
        for old in list(self._weights)[: -max_lag - KEPT_WEIGHTS]:
            del self._weights[old]

    def poll(self) -> list[Event]:
        """Returns what has happened since the last call."""
        events: list[Event] = []
        by_reference = {asked.reference: (p, asked) for p in self._places for asked in p.asked}
        if by_reference:
            references = list(by_reference)
            ready, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
            for reference in ready:
                events += self._settle(*by_reference[reference])
        for place in self._places:
            self._keep_busy(place)
        self._tell_who_waits()
        return events

    def _tell_who_waits(self) -> None:
        """Says it once if the cluster has had no room for a worker for a while."""
        if time.monotonic() < self._tell_at:
            return
        self._tell_at = math.inf
        if waiting := sum(not (place.name or place.is_gone) for place in self._places):
            needs = ", ".join(f"{name}={count:g}" for name, count in self._needs.items())
            self._notice(
                f"{waiting} of {len(self._places)} workers wait for room on the cluster: each "
                f"needs {needs} (--worker-resources); `ray status` says what there is"
            )

    def answer(self, worker: str, answer: Answer) -> None:
        """Lets a worker in; or ends its process, after which Ray starts another."""
        place = self._place(worker)
        if place is None:
            return
        if answer.refused:
            # One that differs from us would differ again.
            self._ray.kill(place.actor, no_restart=not answer.again)
            self._lose(place, answer.refused, RETRY_SECONDS if answer.again else None)
            if all(other.is_gone for other in self._places):
                raise WorkersError(f"no worker is left; the last one: {answer.refused}")
            return
        ray_node.end_with_us()
        place.is_in, place.seq, place.acknowledged = True, 0, -1
        self._ask(place, "begin", answer.slot, answer.incarnation)

    def acknowledge(self, worker: str, seq: int) -> None:
        """Notes that batches up to `seq` are on the disk; the worker is told with its next call."""
        place = self._place(worker)
        if place is not None:
            place.acknowledged = max(place.acknowledged, seq)

    def end(self, finished: bool) -> None:
        """Ends the workers."""
        for place in self._places:
            with contextlib.suppress(Exception):
                self._ray.kill(place.actor)

    def _place(self, worker: str) -> _Place | None:
        return next((place for place in self._places if worker and place.name == worker), None)

    def _ask(self, place: _Place, method: str, *given: Any, seq: int = -1) -> None:
        reference = getattr(place.actor, method).remote(*given)
        place.asked.append(_Asked(method, reference, seq, time.monotonic()))

    def _keep_busy(self, place: _Place) -> None:
        """Asks a worker for its next calls, and whether it is alive."""
        is_new = not (place.name or place.asked or place.is_gone)
        if is_new and time.monotonic() >= place.retry_at:
            self._ask(place, "hello")
        if not place.is_in or self._version is None:
            return
        now = time.monotonic()
        if now - place.pinged > PING_SECONDS and not any(a.what == "beat" for a in place.asked):
            place.pinged = now
            self._ask(place, "beat")
        playing = sum(asked.what in ("play", "again") for asked in place.asked)
        # Weights are those of when a call is asked for: long ones are not asked for ahead.
        most = MOST_IN_FLIGHT if place.call_seconds < QUICK_SECONDS else 1
        if playing < most and place.seq - place.acknowledged <= MOST_IN_FLIGHT:
            version = self._version
            weights = self._weights[version.number]
            self._ask(
                place,
                *("play", version.number, version.step, weights, place.acknowledged),
                seq=place.seq,
            )
            place.seq += 1

    def _settle(self, place: _Place, asked: _Asked) -> list[Event]:
        """Returns what follows from a call that has returned."""
        if asked not in place.asked:
            return []
        place.asked.remove(asked)
        errors = self._ray.exceptions
        try:
            result = self._ray.get(asked.reference)
        except errors.ObjectLostError:  # and of several kinds; the actor may live on
            if asked.what in ("play", "again"):
                self._ask(place, "again", asked.seq, seq=asked.seq)
            return []
        except errors.ActorUnavailableError:  # Ray starts it again
            return self._lose(place, "its process died", RETRY_SECONDS)
        except (errors.RayActorError, errors.RayTaskError) as error:
            place.failures += 1
            gone = isinstance(error, errors.ActorDiedError) or place.failures >= MOST_FAILURES
            events = self._lose(place, ray_node.why(error), None if gone else RETRY_SECONDS)
            if all(other.is_gone for other in self._places):
                raise WorkersError(
                    f"no worker is left; the last one: {ray_node.why(error)}"
                ) from None
            return events
        if asked.what == "hello":
            place.name, hello = result
            return [Joined(place.name, hello)]
        if asked.what == "play":
            place.call_seconds, place.failures = time.monotonic() - asked.when, 0
        if asked.what in ("play", "again") and result is not None:
            return [Arrived(place.name, Parcel(*result))]
        return [Heard(place.name)] if place.name else []

    def _lose(self, place: _Place, why: str, retry: float | None) -> list[Event]:
        """Notes that an actor's process is gone; asks the next one to say hello, after a pause.

        Args:
          retry: the pause in seconds; None: there is none.
        """
        name, place.name, place.is_in, place.asked = place.name, "", False, []
        place.is_gone = retry is None
        place.retry_at = time.monotonic() + (retry or 0.0)
        if not name and retry is not None:
            return []  # it was said when it died, or will be if it does not come back
        return [Left(name or f"of place {self._places.index(place)}", why)]


def opener(ray: Any, wanted: Wanted, allowed: list[str]) -> Callable[[Context, Own], RayTransport]:
    """Returns what opens a run's transport on `ray`, which is running."""

    def open_transport(context: Context, ours: Own) -> RayTransport:
        notice = context.metrics.notice
        return RayTransport(ray, context.config, ours.run_id, wanted, allowed, notice)

    return open_transport
