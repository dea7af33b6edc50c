"""The fleet: rows from elastic workers, each batch taken exactly once.

Workers come, go, freeze, send what is damaged, and send twice. The rules, whatever the transport:

- a worker that joins gets a slot and an incarnation that no other ever has; one whose code,
  settings or rules differ is refused;
- its batches are numbered, and taken in that order: one that comes again is dropped, one that comes
  early waits;
- a batch is on the disk, with its line in the ledger, before it is acknowledged;
- one that cannot be right is refused with its worker; so is what comes from a worker that was
  silent for so long that its slot was given away.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from selfplay.files import durable
from selfplay.self_play import SelfPlayState
from training import shares
from training.context import Context
from training.stages import take
from training.state import Behaviour, InFlight, State
from training.workers import batch, identity, ledger
from training.workers.audit import Auditor
from training.workers.batch import BatchError, Expected
from training.workers.ledger import Taken
from training.workers.members import Member, Members
from training.workers.pace import pass_over
from training.workers.reader import Reader
from training.workers.transport import Own, Transport
from training.workers.worker import Version

PUBLISH_SECONDS = 0.5  # between versions, at least; and ten times what publishing takes
POLL_SECONDS = 0.02
AHEAD = 4  # batches that are read at the same time: they may be large in memory
MOST_CREDIT = 1.0  # seconds
LINE_SECONDS = 10.0  # between lines of metrics
FIRST_SECONDS = 2.0  # before the first
MOST_TOLD = 10  # refusals that a line names
BEHIND = 0.95  # of the samples a row that are wanted: with fewer the learner cannot keep up
VERSIONS = 1 << 20  # of one process with the run: those of the next begin after them
MOST_KNOWN = 100_000  # versions whose batches may still come: a slow call outlasts many


class _Told(NamedTuple):
    """When a line was written, and how far the run was then."""

    when: float
    rows: int
    step: int


def own(context: Context) -> Own:
    """Returns what workers of a run must have in common with its learner."""
    return Own(
        context.folder.run_id(),
        identity.of_settings(context.config),
        identity.of_code(context.game),
        identity.of_rules(context.game),
    )


class FleetSource:
    """Rows from the workers of a transport."""

    def __init__(self, open_transport: Callable[[Context, Own], Transport], least: int = 1) -> None:
        """Opens nothing yet.

        Args:
          least: workers without which no batch is taken.
        """
        self._open, self._least = open_transport, least
        self._transport: Transport | None = None
        self._published = self._heard = self._took = 0.0  # when that was done last
        self._credit = 0.0  # seconds that training had more than batches took, up to a bound
        self._pause = PUBLISH_SECONDS
        self._told: _Told | None = None

    # ---- as the loop sees it --------------------------------------------------------------------

    def start(
        self, context: Context, index: int, behaviour: Behaviour, games: SelfPlayState
    ) -> InFlight:
        """Opens the transport and publishes the weights; the run's own games wait."""
        self._context, self._folder = context, context.store.replay_folder
        durable.make_folder(self._folder)
        start = ledger.read(self._folder).starts + 1
        ledger.append(self._folder, ledger.Start(number=start))
        self._own = own(context)
        self._forms = batch.forms(context.game, context.targets)
        self._transport, self._reader = self._open(context, self._own), Reader(AHEAD)
        notice = context.metrics.notice
        self.members = Members(self._folder, self._transport, self._own, notice)
        self._auditor = Auditor(context.config, self._own.run_id, notice)
        self._number = self._oldest = start * VERSIONS
        self._versions: dict[int, int] = {}  # the step of each, newest last
        self._publish(behaviour)
        self._told, self._has_told = None, False
        return InFlight(behaviour, games, games, None)

    def next(
        self, context: Context, state: State, behaviour: Behaviour, stop: Callable[[], bool]
    ) -> dict[str, Any] | None:
        """Takes the next batch; waits for one, unless it is to stop."""
        state.in_flight = state.in_flight._replace(behaviour=behaviour)
        due = time.monotonic() - self._published >= self._pause
        if due and behaviour.step != list(self._versions.values())[-1]:
            self._publish(behaviour)
        while not stop():
            self._hear()
            member = self._ready()
            if member is None:
                context.metrics.activity("waiting for workers")
                time.sleep(POLL_SECONDS)
                continue
            began = time.monotonic()
            self._credit = min(self._credit + began - self._took, MOST_CREDIT)
            monitors = self._take(state, member)
            self._took = time.monotonic()
            self._credit = max(self._credit, 0.0) - (self._took - began)
            if monitors is not None:
                pass_over(context, state)
                self._report(state)
                return monitors
        if context.peers.count > 1:
            shares.no_batch(context.peers)
        return None

    def is_enough(self, state: State) -> bool:
        """Whether batches wait, and training has had at least as much time as they took."""
        if self._context.config.fleet.surplus == "wait":
            return False
        now = time.monotonic()
        if self._credit + now - self._took <= 0:
            return False
        if now - self._heard >= POLL_SECONDS:
            self._hear()
        return self._ready() is not None

    def close(self, finished: bool) -> None:
        """Tells the workers to end, or to wait for the next process with the run."""
        if self._transport is not None:
            transport, self._transport = self._transport, None
            self._reader.close()
            transport.end(finished)

    # ---- weights --------------------------------------------------------------------------------

    def _publish(self, behaviour: Behaviour) -> None:
        assert self._transport is not None
        began = time.monotonic()
        weights = jax.device_get(behaviour.weights)  # once, for the transport and for audits
        version = Version(self._number, behaviour.step, weights)
        self._transport.publish(version, self._context.config.fleet.max_lag)
        self._auditor.published(version)
        self._versions[version.number] = version.step
        for old in list(self._versions)[:-MOST_KNOWN]:
            del self._versions[old]
        self._number += 1
        self._published = time.monotonic()
        self._pause = max(PUBLISH_SECONDS, 10 * (self._published - began))

    # ---- batches --------------------------------------------------------------------------------

    def _hear(self) -> None:
        self.members.hear()
        self._heard = time.monotonic()

    def _ready(self) -> Member | None:
        """Returns whose batch is next, and begins to read it and those after it."""
        if len(self.members.all()) < self._least:
            return None
        ready = self.members.ready()
        for member in ready[:AHEAD]:
            parcel = member.waiting[member.seq]
            self._reader.begin(parcel.content, parcel.sha256, self._expected(member))
        return ready[0] if ready else None

    def _take(self, state: State, member: Member) -> dict[str, Any] | None:
        """Takes a worker's next batch; None if that was refused, and the worker with it."""
        context, parcel = self._context, member.waiting.pop(member.seq)
        try:
            read = self._reader.result(member.key)
            self._auditor.check(member, read, parcel.content)
        except BatchError as error:
            self.members.refused += 1
            self.members.give_up(member, f"its batch {member.seq} was refused: {error}")
            return None
        progress, header, call = state.progress, read.header, read.call
        line = Taken(
            slot=member.slot,
            incarnation=member.incarnation,
            seq=header.seq,
            version=header.version,
            weights_step=header.weights_step,
            first=state.replay.total,
            rows=header.rows,
            plies=header.plies,
            games=header.games,
            sha256=parcel.sha256,
            step=progress.step,
            horizon=progress.horizon,
        )
        if header.rows:
            durable.write_whole(self._folder / line.chunk, parcel.content)
            context.store.add_chunk(line.chunk, line.sha256)
        ledger.append(self._folder, line)
        self.members.took(member)
        member.figures.took(header, call, max(0, progress.step - header.weights_step))
        progress.batches += 1
        return take(context, state, call, is_saved=True)

    def _expected(self, member: Member) -> Expected:
        config, game = self._context.config, self._context.game
        lanes, plies = config.self_play.batch, config.self_play.plies_per_call
        return Expected(
            run_id=self._own.run_id,
            digest=self._own.digest,
            code=self._own.code,
            game=config.game,
            forms=self._forms,
            plies=lanes * plies,
            max_rows=lanes * (game.max_plies + plies),
            max_plies=game.max_plies,
            key=member.key,
            versions=self._versions,
            oldest=self._oldest,
            first=VERSIONS,
        )

    # ---- what it does, in figures ---------------------------------------------------------------

    def _report(self, state: State) -> None:
        """Writes a line of metrics, now and then."""
        progress, rows = state.progress, state.replay.total
        now = _Told(time.monotonic(), rows, progress.step)
        told = self._told = self._told or now
        seconds = now.when - told.when
        if seconds < (LINE_SECONDS if self._has_told else FIRST_SECONDS):
            return
        self._has_told = True
        settings, new, members = self._context.config, rows - told.rows, self.members.all()
        trained = (progress.step - told.step) * settings.learner.batch
        reuse = trained / new if new else None
        wanted = settings.replay.samples_per_row
        is_behind = reuse is not None and reuse < BEHIND * wanted and progress.step > 0
        self._context.metrics.write(
            {
                "kind": "fleet",
                "iteration": progress.iteration,
                "step": progress.step,
                "seconds": round(progress.elapsed(), 3),
                "rate": round(new / seconds, 1),
                "reuse": reuse,
                "wanted_reuse": wanted,
                "is_learner_bound": is_behind and any(member.is_ready for member in members),
                "duplicates": self.members.duplicates,
                "refused": self.members.refused,
                "audited": self._auditor.done,
                "workers": [member.figures.line(seconds) for member in members],
                "refusals": self.members.refusals[-MOST_TOLD:],
            }
        )
        self._told = now
