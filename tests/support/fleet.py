"""A fleet in memory: workers that do as told, a transport that loses and repeats as told.

Its batches are made from calls that were really played.
"""

import dataclasses
import io
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import numpy as np

from selfplay import row
from selfplay.files import npz
from training.calls import PlayedCall
from training.config import RunConfig
from training.replay import HEADER
from training.workers import batch
from training.workers.batch import GAME_BITS, Header, Key
from training.workers.transport import FORMAT_VERSION, Answer, Arrived, Event, Heard, Hello, Joined
from training.workers.worker import Parcel, Version, Worker

SEQ_BITS = 16  # of a game's number in `anew`; below them is its number in the call
RESEND = 7  # looks between those at which a worker sends again what was not acknowledged


class Played(NamedTuple):
    """A real batch, taken apart."""

    header: Header
    call: PlayedCall


def columns_of(parcel: Parcel) -> tuple[Header, dict[str, np.ndarray]]:
    """Returns what a batch holds, unchecked."""
    columns = npz.parse(parcel.content, 1 << 30)
    return batch.parse_header(columns.pop(HEADER)), columns


def parcel_of(seq: int, header: bytes | None, columns: dict[str, np.ndarray]) -> Parcel:
    """Returns a batch of these arrays, whatever they are, whose SHA-256 is right."""
    file = io.BytesIO()
    last = {} if header is None else {HEADER: np.frombuffer(header, np.uint8)}
    npz.write(file, columns | last)
    return Parcel(seq, batch.digest(file.getvalue()), file.getvalue())


def played_calls(config: RunConfig, incarnation: int, count: int) -> list[Played]:
    """Returns calls of a worker with fresh weights, those in which no game ended left out."""
    worker = Worker(config, "a run", incarnation, incarnation)
    version = Version(0, 0, worker.network.init(jax.random.key(incarnation)))
    parts: list[Played] = []
    while len(parts) < count:
        header, columns = columns_of(worker.play(version))
        if header.rows:
            parts.append(Played(header, batch.played(row.nested(row.Sample, columns), header)))
    return parts


def anew(played: Played, key: Key, run_id: str, version: int, step: int) -> Parcel:
    """Returns a call as another batch of a run, its games numbered by that batch and in it."""
    header, call = played
    numbers = np.unique(call.rows.game_id)
    first = (key.incarnation + 1 << GAME_BITS) + (key.seq << SEQ_BITS)
    rows = call.rows._replace(game_id=first + np.searchsorted(numbers, call.rows.game_id))
    names = {"run_id": run_id, "version": version, "weights_step": step, "watched": ()}
    header = dataclasses.replace(header, **names, **dataclasses.asdict(key))
    content = batch.pack(call._replace(rows=rows), header)
    return Parcel(key.seq, batch.digest(content), content)


class Clock:
    """Time that passes as the learner looks and sleeps; stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


Make = Callable[[Key, Version], Parcel]


@dataclasses.dataclass(eq=False)
class ScriptedWorker:
    """A worker that, once let in, has a batch at every so many looks of the learner."""

    name: str
    hello: Hello
    make: Make
    count: int  # batches that it makes
    every: int = 1
    window: int = 2  # batches that may be unacknowledged
    frozen: bool = False
    answers: list[Answer] = dataclasses.field(default_factory=list)
    made: int = 0
    kept: dict[int, Parcel] = dataclasses.field(default_factory=dict)  # unacknowledged

    @property
    def let_in(self) -> Answer | None:
        """The answer, unless it was refused or there is none yet."""
        return self.answers[-1] if self.answers and not self.answers[-1].refused else None


@dataclasses.dataclass(frozen=True)
class Faults:
    """The shares of deliveries that go wrong."""

    repeated: float = 0.0
    delayed: float = 0.0
    swapped: float = 0.0
    unacknowledged: float = 0.0
    longest_delay: int = 5  # looks


NO_FAULTS = Faults()


class MemoryTransport:
    """The learner's end of a transport to scripted workers; the same seed gives the same faults.

    `on_acknowledge` is called with a worker's name and a batch's number before any is forgotten.
    """

    def __init__(
        self, workers: Iterable[ScriptedWorker], faults: Faults = NO_FAULTS, seed: int = 0
    ) -> None:
        self.workers = {worker.name: worker for worker in workers}
        self.faults, self._rng = faults, np.random.default_rng(seed)
        self._mail: list[tuple[int, Event]] = []  # with the look at which it comes
        self._greeted: set[str] = set()
        self.looks = 0
        self.versions: list[Version] = []
        self.delivered: Counter[str] = Counter()  # batches, repeated ones too
        self.happened: Counter[str] = Counter()  # faults, by kind
        self.on_acknowledge: Callable[[str, int], None] = lambda worker, seq: None
        self.ended: bool | None = None

    def add(self, worker: ScriptedWorker) -> None:
        """Lets one more worker see the learner."""
        self.workers[worker.name] = worker

    def publish(self, version: Version, max_lag: int) -> None:
        self.versions.append(version)

    def poll(self) -> list[Event]:
        self.looks += 1
        for worker in self.workers.values():
            if not worker.frozen:
                self._let_live(worker)
        due = [event for look, event in self._mail if look <= self.looks]
        self._mail = [(look, event) for look, event in self._mail if look > self.looks]
        for place in range(1, len(due)):
            if self._happens("swapped"):
                due[place - 1], due[place] = due[place], due[place - 1]
        for event in due:
            self.delivered[event.worker] += isinstance(event, Arrived)
        return due

    def answer(self, worker: str, answer: Answer) -> None:
        self.workers[worker].answers.append(answer)

    def acknowledge(self, worker: str, seq: int) -> None:
        self.on_acknowledge(worker, seq)
        if not self._happens("unacknowledged"):
            kept = self.workers[worker].kept
            for old in [number for number in kept if number <= seq]:
                del kept[old]

    def end(self, finished: bool) -> None:
        self.ended = finished

    def bring(self, event: Event) -> None:
        """Lets something come at the next look."""
        self._mail.append((self.looks, event))

    def _let_live(self, worker: ScriptedWorker) -> None:
        if worker.name not in self._greeted:
            self._greeted.add(worker.name)
            self.bring(Joined(worker.name, worker.hello))
        if worker.let_in is None:
            return
        self.bring(Heard(worker.name))
        if self.looks % RESEND == 0:
            for parcel in worker.kept.values():
                self._send(worker, parcel)
        has_room = worker.made < worker.count and len(worker.kept) < worker.window
        if self.looks % worker.every == 0 and has_room:
            key = Key(worker.let_in.slot, worker.let_in.incarnation, worker.made)
            parcel = worker.kept[worker.made] = worker.make(key, self.versions[-1])
            worker.made += 1
            self._send(worker, parcel)

    def _send(self, worker: ScriptedWorker, parcel: Parcel) -> None:
        for _ in range(2 if self._happens("repeated") else 1):
            late = self._happens("delayed")
            wait = int(self._rng.integers(1, self.faults.longest_delay + 1)) if late else 0
            self._mail.append((self.looks + wait, Arrived(worker.name, parcel)))

    def _happens(self, fault: str) -> bool:
        happens = bool(self._rng.random() < getattr(self.faults, fault))
        self.happened[fault] += happens
        return happens


def hello_to(run_id: str, digest: str, code: str, rules: str) -> Hello:
    """Returns what a worker says that has in common with the learner what it must."""
    return Hello(FORMAT_VERSION, run_id, digest, code, rules, "a host", 1, "cpu", 1, "any", 1)
