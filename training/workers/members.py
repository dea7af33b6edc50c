"""The members of a fleet: who joins, who is given up, and whose batch is next.

Which worker had which incarnation stands in the ledger: so a worker outlives the learner's process.
"""

import pathlib
import statistics
import time
from collections.abc import Callable

from training.workers import ledger
from training.workers.batch import Key
from training.workers.figures import WorkerFigures
from training.workers.ledger import Gone, Join
from training.workers.transport import (
    FORMAT_VERSION,
    Answer,
    Arrived,
    Event,
    Hello,
    Joined,
    Left,
    Own,
    Transport,
)
from training.workers.worker import Parcel

SILENT_SECONDS = 30.0  # a worker that says nothing for so long, and for five calls, is given up
SILENT_CALLS = 5
MOST_CALLS = 10  # whose seconds are kept


class Member:
    """A worker that has joined."""

    def __init__(self, join: Join, hello: Hello, seq: int, restarts: int) -> None:
        self.name, self.slot, self.incarnation = join.name, join.slot, join.incarnation
        self.hello = hello
        self.seq = seq  # of the batch that is to be taken next
        self.heard = self.arrived = time.monotonic()
        self.left = ""  # why it is gone
        self.waiting: dict[int, Parcel] = {}  # batches that have come, by number
        self.calls: list[float] = []  # seconds between batches, of the newest
        self.figures = WorkerFigures(join, hello, restarts)

    @property
    def key(self) -> Key:
        """The key of its next batch."""
        return Key(self.slot, self.incarnation, self.seq)

    @property
    def is_ready(self) -> bool:
        """Whether its next batch has come."""
        return self.seq in self.waiting

    def silent_after(self) -> float:
        """Returns the seconds after which it is given up."""
        call = statistics.median(self.calls) if self.calls else 0.0
        return max(SILENT_SECONDS, SILENT_CALLS * call)


def refusal(hello: Hello, ours: Own) -> str:
    """Returns why a worker may not join, an empty text if it may."""
    if hello.format_version != FORMAT_VERSION:
        return f"it speaks format {hello.format_version}, the learner {FORMAT_VERSION}"
    if hello.run_id != ours.run_id:
        return f"it is for another run ({hello.run_id})"
    if hello.digest != ours.digest:
        return "it computes with other settings than the run"
    if hello.code != ours.code:
        return "its code differs from the learner's: install the same version on both"
    if hello.rules != ours.rules:
        return "its game plays by other rules than the learner's: the same moves look otherwise"
    return ""


class Members:
    """All workers of one process with the run."""

    def __init__(
        self, folder: pathlib.Path, transport: Transport, ours: Own, notice: Callable[[str], None]
    ) -> None:
        """Knows the workers of earlier processes from the ledger in the replay folder."""
        self._folder, self._transport, self._ours = folder, transport, ours
        self._notice = notice
        known = ledger.read(folder)
        self._seqs = ledger.next_seqs(known)
        self._joins = {join.name: join for join in known.joins}
        self._gone = set(known.gone)  # incarnations
        self._began = time.monotonic()
        self._by_name: dict[str, Member] = {}
        self.duplicates = self.refused = 0  # batches that came again; batches and workers refused
        self.refusals: list[str] = []

    def hear(self) -> None:
        """Takes in what has happened; nothing of a batch but that it came."""
        for event in self._transport.poll():
            self._handle(event)
        now = time.monotonic()
        for member in self.all():
            silent = now - member.heard
            if member.left and not member.is_ready:
                self._forget(member, member.left)
                self._notice(f"worker {member.name} left: {member.left}")
            elif silent > member.silent_after() and not member.is_ready:
                self.give_up(member, f"it was silent for {silent:.0f} seconds", again=True)
        if now - self._began > SILENT_SECONDS:
            self._let_go_of_earlier_ones()

    def all(self) -> list[Member]:
        """Returns the members, by slot."""
        return sorted(self._by_name.values(), key=lambda member: member.slot)

    def ready(self) -> list[Member]:
        """Returns the workers whose next batch has come, first whose rows are fewest."""
        ready = filter(lambda member: member.is_ready, self.all())
        return sorted(ready, key=lambda member: (member.figures.rows, member.slot))

    def took(self, member: Member) -> None:
        """A worker's next batch is on the disk: acknowledges it."""
        self._transport.acknowledge(member.name, member.seq)
        member.seq += 1
        self._seqs[member.incarnation] = member.seq

    def give_up(self, member: Member, why: str, again: bool = False) -> None:
        """Takes nothing more from a worker; `again`: it may join anew."""
        self._forget(member, why)
        self._transport.answer(member.name, Answer(refused=why, again=again))
        self._refuse(f"worker {member.name} was given up: {why}")

    def _handle(self, event: Event) -> None:
        member = self._by_name.get(event.worker)
        if isinstance(event, Joined):
            self._join(event)
        elif member is None:
            self.refused += isinstance(event, Arrived)  # of one that was given up, or never joined
            if isinstance(event, Left):
                self._notice(f"worker {event.worker} left: {event.why}")
        elif isinstance(event, Left):
            member.left = event.why
        else:
            member.heard = time.monotonic()
            if isinstance(event, Arrived):
                self._arrive(member, event.parcel)

    def _arrive(self, member: Member, parcel: Parcel) -> None:
        if parcel.seq < member.seq or parcel.seq in member.waiting:
            self.duplicates += 1
            if parcel.seq < member.seq:  # it was not told
                self._transport.acknowledge(member.name, member.seq - 1)
        else:
            member.waiting[parcel.seq] = parcel
            member.calls = [*member.calls[1 - MOST_CALLS :], member.heard - member.arrived]
            member.arrived = member.heard

    def _join(self, event: Joined) -> None:
        hello, join = event.hello, self._joins.get(event.worker)
        if why := refusal(hello, self._ours):
            self._transport.answer(event.worker, Answer(refused=why))
            self._refuse(f"worker {event.worker} was refused: {why}")
            self.refused += 1
            return
        if join is not None and join.incarnation in self._gone:
            self._transport.answer(event.worker, Answer(refused="it was given up", again=True))
            return
        if join is None:  # else it joined an earlier process with the run, or greets twice
            join = Join(
                incarnation=max(self._seqs, default=-1) + 1,
                slot=self._free_slot(),
                name=event.worker,
                host=hello.host,
            )
            ledger.append(self._folder, join)
            self._joins[join.name], self._seqs[join.incarnation] = join, 0
        seq = self._seqs[join.incarnation]
        if event.worker not in self._by_name:
            restarts = sum(known.slot == join.slot for known in self._joins.values()) - 1
            self._by_name[event.worker] = Member(join, hello, seq, restarts)
            self._notice(
                f"worker {event.worker} joined in slot {join.slot}: {hello.devices} x "
                f"{hello.device} on {hello.host}"
            )
        self._transport.answer(event.worker, Answer(join.slot, join.incarnation))
        if seq:  # it may not know what was taken
            self._transport.acknowledge(event.worker, seq - 1)

    def _free_slot(self) -> int:
        """Returns the first slot of nobody who is here, or may come back."""
        taken = {join.slot for join in self._joins.values() if join.incarnation not in self._gone}
        return next(slot for slot in range(len(taken) + 1) if slot not in taken)

    def _let_go_of_earlier_ones(self) -> None:
        """Frees the slots of those who joined an earlier process and have not come back."""
        for join in self._joins.values():
            if join.incarnation not in self._gone and join.name not in self._by_name:
                self._write_gone(join.incarnation, "it did not come back")

    def _forget(self, member: Member, why: str) -> None:
        del self._by_name[member.name]
        self._write_gone(member.incarnation, why)

    def _write_gone(self, incarnation: int, why: str) -> None:
        ledger.append(self._folder, Gone(incarnation=incarnation, why=why))
        self._gone.add(incarnation)

    def _refuse(self, text: str) -> None:
        self.refusals.append(text)
        self._notice(text)
