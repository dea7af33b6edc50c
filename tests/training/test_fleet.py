"""Batches of elastic workers: each is taken once and in order, whatever happens on its way."""

import dataclasses
import functools
import itertools
import os

import numpy as np
import pytest

from tests.support.fleet import (
    Clock,
    Faults,
    MemoryTransport,
    ScriptedWorker,
    anew,
    hello_to,
    played_calls,
)
from training import replay, start
from training.context import make_context, open_store
from training.metrics_log import MetricsLog
from training.state import Behaviour
from training.storage.run_folder import RunFolder
from training.workers import batch, fleet, identity, ledger, members
from training.workers.fleet import FleetSource
from training.workers.ledger import Taken
from training.workers.transport import Answer, Arrived, Joined, Left

LOOKS = 20_000  # after which a learner that waits is taken for one that waits for ever


@pytest.fixture(scope="module", autouse=True)
def rules_compared_once():
    """All tests here are of one game."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "of_rules", functools.cache(identity.of_rules))
        yield


@pytest.fixture(scope="module")
def calls(tiny_config):
    """Real calls of two workers."""
    return [played_calls(tiny_config, incarnation, count=2) for incarnation in (0, 1)]


@pytest.fixture(scope="module")
def begun(tiny_config, tmp_path_factory):
    """The context of a run, and its state before its first batch; tests use copies."""
    folder = RunFolder(tmp_path_factory.mktemp("fleet") / "run")
    folder.create(tiny_config)
    store = open_store(folder, tiny_config)
    context = make_context(folder, tiny_config, MetricsLog(folder, lambda line: None), store)
    yield context, start.begin(context)
    store.close()


class Learner:
    """A run that takes batches from scripted workers, as the loop would; it does not train."""

    def __init__(self, begun, calls, path, monkeypatch):
        context, state = begun
        self.notices, self.calls, self.clock = [], calls, Clock()
        for module in (fleet, members):
            monkeypatch.setattr(module, "time", self.clock)
        monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # the disk is not what is tested
        folder = RunFolder(path)
        folder.create(context.config)
        log = MetricsLog(folder, self.tell)
        store = open_store(folder, context.config)
        self.context = dataclasses.replace(context, folder=folder, store=store, metrics=log)
        self.state = dataclasses.replace(
            state, replay=start.empty_replay(context), progress=type(state.progress)()
        )
        self.own = fleet.own(self.context)
        self.hello = hello_to(*self.own)
        self.source = self.transport = None

    def begin(self, transport):
        """A process with the run begins."""
        if self.source is not None:
            self.source.close(False)
            assert self.transport.ended is False
        self.transport = transport
        transport.on_acknowledge = self.check_saved
        self.source = FleetSource(lambda context, ours: transport)
        behaviour, games = self.state.in_flight.behaviour, self.state.in_flight.before
        self.state.in_flight = self.source.start(self.context, 0, behaviour, games)

    def tell(self, line):
        if line["kind"] == "notice":
            self.notices.append(line["text"])

    def check_saved(self, worker, seq):
        """What is acknowledged is in the ledger and on the disk."""
        known = self.known()
        [join] = [join for join in known.joins if join.name == worker]
        taken = [line for line in known.taken if line.incarnation == join.incarnation]
        assert taken[-1].seq >= seq, (worker, seq)
        assert not taken[-1].rows or (self.folder / taken[-1].chunk).exists()

    @property
    def folder(self):
        return self.context.store.replay_folder

    def worker(self, name, count, spoil=lambda key, parcel: parcel, **options):
        def make(key, version):
            played = next(turns)
            parcel = anew(played, key, self.own.run_id, version.number, version.step)
            return spoil(key, parcel)

        turns = itertools.cycle(self.calls[len(name) % 2])
        return ScriptedWorker(name, self.hello, make, count, **options)

    def take(self, count):
        """Takes so many batches, with other weights at each."""
        for _ in range(count):
            weights, step = self.state.in_flight.behaviour.weights, self.state.progress.batches
            if self._next(Behaviour(weights, step), self._after(looks=LOOKS)) is None:
                pytest.fail(f"no batch came; {self.notices}")

    def wait(self, seconds):
        """Looks, while there is nothing to take, for so long."""
        assert self._next(self.state.in_flight.behaviour, self._after(seconds=seconds)) is None

    def _next(self, behaviour, stop):
        return self.source.next(self.context, self.state, behaviour, stop)

    def _after(self, looks=0, seconds=0.0):
        last, until = self.transport.looks + looks, self.clock.now + seconds
        if looks:
            return lambda: self.transport.looks > last
        return lambda: self.clock.now > until

    def known(self):
        return ledger.read(self.folder)

    def taken(self):
        """(incarnation, seq) of the batches taken, in the order of their rows in the replay."""
        keys = []
        for _, _, path in replay.chunks(self.folder):
            number = replay.read_chunk(path, self.own.run_id).game_id
            of = number >> batch.GAME_BITS
            [key] = set(zip((of - 1).tolist(), (number >> 16 & 0xFFFFFF).tolist(), strict=True))
            keys.append(key)
        return keys

    def check(self):
        """Ledger, chunks, replay and counters tell the same; nothing is there twice or missing."""
        keys, known, rows = self.taken(), self.known(), 0
        assert [(line.incarnation, line.seq) for line in known.taken] == keys
        for incarnation in {incarnation for incarnation, _ in keys}:
            seqs = [seq for of, seq in keys if of == incarnation]
            assert seqs == list(range(len(seqs))), incarnation
        for line, (first, last, _) in zip(known.taken, replay.chunks(self.folder), strict=True):
            assert (line.first, line.rows) == (first, last + 1 - first) == (rows, line.rows)
            rows += line.rows
        ledger.check_order(known.taken)
        assert self.state.replay.take_unsaved()[1] is None, "a save would write rows again"
        state, progress = self.state, self.state.progress
        assert state.replay.total == rows
        assert progress.batches == len(keys)
        assert progress.games == sum(line.games for line in known.taken)
        assert progress.positions == sum(line.plies for line in known.taken)


@pytest.fixture
def learner(begun, calls, tmp_path, monkeypatch):
    made = Learner(begun, calls, tmp_path / "run", monkeypatch)
    yield made
    made.source.close(True)
    made.context.store.close()


def names(count):
    return [f"worker-{'x' * number}" for number in range(count)]


def poison(key, parcel, seq):
    """The batch `seq` is not what its sum says."""
    return parcel._replace(content=parcel.content[:-1]) if key.seq == seq else parcel


# ---- each batch once ----------------------------------------------------------------------------


def test_batches_that_come_twice_late_and_swapped_are_taken_once_and_in_order(learner):
    counts, speeds = (250, 150, 100), (1, 2, 4)
    workers = [
        learner.worker(name, count, every=every, window=4)
        for name, count, every in zip(names(3), counts, speeds, strict=True)
    ]
    faults = Faults(repeated=0.2, delayed=0.3, swapped=0.3, unacknowledged=0.2)
    learner.begin(MemoryTransport(workers, faults, seed=1))
    learner.take(sum(counts))
    learner.check()
    learner.wait(5)  # until what comes once more has come
    assert sorted(learner.taken()) == [(i, seq) for i, n in enumerate(counts) for seq in range(n)]
    transport, source = learner.transport, learner.source
    assert source.members.duplicates == transport.delivered.total() - sum(counts) > 50
    assert source.members.refused == 0
    assert not any(worker.kept for worker in workers), "a batch was never acknowledged"
    assert min(transport.happened.values()) > 50, transport.happened


def test_the_same_faults_give_the_same_order(begun, calls, tmp_path, monkeypatch):
    orders = []
    for place in ("one", "two"):
        learner = Learner(begun, calls, tmp_path / place, monkeypatch)
        workers = [learner.worker(name, 20, every=n + 1) for n, name in enumerate(names(2))]
        learner.begin(MemoryTransport(workers, Faults(0.2, 0.3, 0.3, 0.2), seed=5))
        learner.take(40)
        orders.append(learner.taken())
        learner.context.store.close()
    assert orders[0] == orders[1]


def test_of_batches_that_wait_the_one_of_the_worker_with_fewest_rows_is_next(learner):
    fast, slow = learner.worker("fast", 40, window=8), learner.worker("slower", 10, every=6)
    learner.begin(MemoryTransport([fast, slow]))
    learner.take(10)
    learner.transport.workers["fast"].every = 1
    for _ in range(30):  # they pile up
        learner.source.is_enough(learner.state)
        learner.clock.sleep(1.0)
    seen = learner.taken()
    behind = min((0, 1), key=lambda of: sum(key[0] == of for key in seen))
    learner.take(1)
    assert learner.taken()[-1][0] == behind
    learner.take(39)
    learner.check()


def test_a_batch_without_rows_is_taken_and_counted(learner, calls):
    def without_rows(key, version):
        header, call = calls[0][0]
        rows = batch.without_rows(learner.context.game, (), header.plies).rows
        empty = dataclasses.replace(header, rows=0, games=0), call._replace(rows=rows, games=0)
        return anew(type(calls[0][0])(*empty), key, learner.own.run_id, version.number, 0)

    worker = dataclasses.replace(learner.worker("worker", 3), make=without_rows)
    learner.begin(MemoryTransport([worker]))
    learner.take(3)
    progress = learner.state.progress
    plies = calls[0][0].header.plies
    assert (progress.batches, progress.positions, progress.games) == (3, 3 * plies, 0)
    assert [line.seq for line in learner.known().taken] == [0, 1, 2]
    assert not replay.chunks(learner.folder)


def test_a_learner_that_is_to_stop_waits_for_no_batch(learner):
    learner.begin(MemoryTransport([learner.worker("worker", 0)]))
    state, behaviour = learner.state, learner.state.in_flight.behaviour
    assert learner.source.next(learner.context, state, behaviour, lambda: True) is None
    assert not learner.source.is_enough(state)
    learner.wait(1)
    assert state.progress.batches == 0


def test_training_goes_on_until_a_batch_waits(learner):
    worker = learner.worker("worker", 1)
    learner.begin(MemoryTransport([worker]))
    worker.frozen = True
    for _ in range(5):
        learner.clock.sleep(1.0)
        assert not learner.source.is_enough(learner.state)
    worker.frozen = False
    answers = []
    for _ in range(5):
        learner.clock.sleep(1.0)
        answers.append(learner.source.is_enough(learner.state))
    assert answers[-1]
    assert not answers[0], "it has not joined yet"


def test_batches_that_are_to_wait_do_so_until_all_training_is_done(learner):
    worker = learner.worker("worker", 9)
    learner.begin(MemoryTransport([worker]))
    context = learner.source._context
    fleet_config = dataclasses.replace(context.config.fleet, surplus="wait")
    config = dataclasses.replace(context.config, fleet=fleet_config)
    learner.source._context = dataclasses.replace(context, config=config)
    for _ in range(9):
        learner.clock.sleep(1.0)
        assert not learner.source.is_enough(learner.state)
    learner.source._context = context
    answers = [
        learner.source.is_enough(learner.state) for _ in range(5) if not learner.clock.sleep(1)
    ]
    assert answers[-1]


def test_training_gets_as_much_time_as_taking_the_last_batch_took(learner, monkeypatch):
    take = fleet.take

    def take_slowly(*given, **named):
        learner.clock.sleep(4.0)
        return take(*given, **named)

    monkeypatch.setattr(fleet, "take", take_slowly)
    learner.begin(MemoryTransport([learner.worker("worker", 9)]))
    learner.take(2)
    looks, answers = learner.transport.looks, []
    for _ in range(80):
        answers.append(learner.source.is_enough(learner.state))
        learner.clock.sleep(0.1)
    assert answers.index(True) in (39, 40, 41), answers
    assert learner.transport.looks > looks
    looks = learner.transport.looks
    for _ in range(50):
        learner.source.is_enough(learner.state)
    assert learner.transport.looks <= looks + 1, "it looked at each training step"


def test_after_a_long_step_several_batches_are_taken_before_the_next(learner, monkeypatch):
    take = fleet.take

    def take_slowly(*given, **named):
        learner.clock.sleep(0.1)
        return take(*given, **named)

    monkeypatch.setattr(fleet, "take", take_slowly)
    learner.begin(MemoryTransport([learner.worker("worker", 40, window=8)]))
    learner.take(2)
    learner.clock.sleep(5.0)  # a step
    taken = 0
    while learner.source.is_enough(learner.state):
        learner.take(1)
        taken += 1
        learner.clock.sleep(1e-6)
    assert taken in (10, 11)  # a second's worth, and no more


def test_weights_are_published_when_they_are_new_and_some_time_has_passed(learner):
    worker = learner.worker("worker", 60, frozen=True)
    learner.begin(MemoryTransport([worker]))
    published = learner.transport.versions
    learner.wait(3)
    learner._next(learner.state.in_flight.behaviour, lambda: True)  # the weights are the same
    assert [version.step for version in published] == [0]
    worker.frozen = False
    began = learner.clock.now
    for _ in range(60):
        learner.take(1)
        learner.clock.sleep(0.1)
    numbers = [version.number for version in published]
    assert numbers == list(range(fleet.VERSIONS, fleet.VERSIONS + len(numbers)))
    most = (learner.clock.now - began) / fleet.PUBLISH_SECONDS
    assert 8 < len(published) <= 2 + most, (len(published), most)
    steps = [version.step for version in published]
    assert steps == sorted(set(steps))


# ---- workers that are given up ------------------------------------------------------------------


def test_a_batch_that_is_refused_ends_its_worker_alone_and_is_counted_once(learner):
    bad = learner.worker("bad", 10, functools.partial(poison, seq=2))
    good = learner.worker("good-one", 20, every=2)
    learner.begin(MemoryTransport([bad, good]))
    learner.take(22)
    learner.wait(60)
    learner.check()
    assert learner.taken().count((0, 1)) == 1
    assert sorted(learner.taken()) == [(0, 0), (0, 1), *((1, seq) for seq in range(20))]
    assert learner.source.members.refused == 1
    assert "its batch 2 was refused: it is damaged" in bad.answers[-1].refused
    assert not bad.answers[-1].again
    assert good.answers == [Answer(1, 1)], "the other one was told something"
    [notice] = [text for text in learner.notices if "was refused" in text]
    assert "worker bad was given up" in notice


def test_batches_of_a_worker_that_was_refused_are_not_taken_later(learner):
    bad = learner.worker("bad", 4, functools.partial(poison, seq=1), window=4)
    good = learner.worker("good-one", 30)
    learner.begin(MemoryTransport([bad, good]))
    learner.take(10)
    for seq, parcel in sorted(bad.kept.items()):
        learner.transport.bring(Arrived("bad", parcel))
        learner.take(1)
        assert (0, seq) not in learner.taken()
    assert learner.source.members.refused >= len(bad.kept) == 3
    learner.check()


def test_a_silent_worker_is_given_up_and_its_late_batch_refused_while_others_go_on(learner):
    frozen, other = learner.worker("frozen", 10), learner.worker("other", 500, every=4)
    learner.begin(MemoryTransport([frozen, other]))
    learner.take(6)
    frozen.frozen = True
    since, was = learner.clock.now, len(learner.taken())
    while len(frozen.answers) == 1 and learner.clock.now < since + 100:
        learner.take(1)
        learner.clock.sleep(1.0)
    assert members.SILENT_SECONDS < learner.clock.now - since < members.SILENT_SECONDS + 5
    assert frozen.answers[-1].again
    assert "it was silent for 3" in frozen.answers[-1].refused
    before = [key for key in learner.taken() if key[0] == 0]
    assert len(learner.taken()) > was
    late = frozen.make(batch.Key(0, 0, len(before)), learner.transport.versions[-1])
    refused = learner.source.members.refused
    learner.transport.bring(Arrived("frozen", late))
    learner.take(3)
    assert learner.source.members.refused == refused + 1
    assert [key for key in learner.taken() if key[0] == 0] == before
    # Its slot is free, its incarnation is nobody's again.
    learner.transport.add(third := learner.worker("the next", 5))
    learner.take(8)
    assert third.answers == [Answer(0, 2)]
    assert {key for key in learner.taken() if key[0] == 2}
    learner.check()


def test_a_silent_worker_is_given_up_though_a_batch_waits_for_one_that_never_came(learner):
    frozen, other = learner.worker("frozen", 3), learner.worker("other", 500, every=4)
    learner.begin(MemoryTransport([frozen, other]))
    learner.take(6)
    frozen.frozen = True
    seq = sum(key[0] == 0 for key in learner.taken())
    early = frozen.make(batch.Key(0, 0, seq + 10), learner.transport.versions[-1])
    learner.transport.bring(Arrived("frozen", early))
    for _ in range(60):
        learner.take(1)
        learner.clock.sleep(1.0)
    assert frozen.answers[-1].refused, "it was silent for a minute, and keeps its slot"
    assert frozen.answers[-1].again


def test_a_worker_whose_calls_take_long_may_be_silent_for_five_of_them(learner):
    worker = learner.worker("worker", 4, window=1)
    learner.begin(MemoryTransport([worker]))
    for _ in range(4):
        learner.take(1)
        learner.clock.sleep(20.0)
    worker.frozen = True
    learner.clock.sleep(-20.0)
    learner.wait(99)
    assert worker.let_in is not None
    learner.wait(3)
    assert "silent for 100 seconds" in worker.answers[-1].refused


def test_a_worker_that_leaves_frees_its_slot_and_nobody_gets_its_incarnation(learner):
    first, second = learner.worker("first", 2), learner.worker("second", 2)
    learner.begin(MemoryTransport([first, second]))
    learner.take(4)
    first.frozen = True
    learner.transport.bring(Left("first", "it left"))
    learner.transport.bring(Left("first", "it left"))  # twice
    learner.wait(1)
    learner.transport.add(third := learner.worker("third", 2))
    learner.take(2)
    assert third.answers == [Answer(0, 2)]
    assert [(join.incarnation, join.slot) for join in learner.known().joins] == [
        (0, 0),
        (1, 1),
        (2, 0),
    ]
    learner.check()


# ---- who may join -------------------------------------------------------------------------------

UNLIKE = {
    "format_version": (99, "it speaks format 99, the learner 1"),
    "run_id": ("other", "it is for another run (other)"),
    "digest": ("00", "other settings than the run"),
    "code": ("00", "its code differs from the learner's"),
    "rules": ("00", "its game plays by other rules"),
}


def test_a_worker_that_differs_is_told_why_it_may_not_join_and_nothing_of_it_is_taken(learner):
    workers = []
    for field, (value, _) in UNLIKE.items():
        worker = learner.worker(field, 5)
        worker.hello = dataclasses.replace(worker.hello, **{field: value})
        workers.append(worker)
    same = learner.worker("same", 3)
    learner.begin(MemoryTransport([*workers, same]))
    learner.transport.bring(
        Arrived("code", same.make(batch.Key(0, 0, 0), learner.transport.versions[-1]))
    )
    learner.take(3)
    assert same.answers == [Answer(0, 0)]
    for worker in workers:
        [answer] = worker.answers
        assert not answer.again
        assert UNLIKE[worker.name][1] in answer.refused
    assert [join.name for join in learner.known().joins] == ["same"]
    assert learner.source.members.refused == len(UNLIKE) + 1
    learner.check()


def test_a_greeting_that_comes_twice_makes_one_incarnation(learner):
    worker = learner.worker("worker", 6)
    learner.begin(MemoryTransport([worker]))
    learner.take(2)
    learner.transport.bring(Joined("worker", worker.hello))
    learner.take(4)
    assert [join.incarnation for join in learner.known().joins] == [0]
    assert {(answer.slot, answer.incarnation) for answer in worker.answers} == {(0, 0)}
    learner.check()


# ---- another process with the run ---------------------------------------------------------------


def test_a_restarted_learner_knows_its_workers_and_tells_them_what_was_taken(learner):
    deaf = Faults(unacknowledged=1.0)  # what is taken, workers do not learn
    workers = [learner.worker("one", 12, window=5), learner.worker("another", 12, window=5)]
    learner.begin(MemoryTransport(workers, deaf))
    learner.take(6)
    seqs = {worker.name: set(worker.kept) for worker in workers}
    assert all(0 in kept for kept in seqs.values())
    learner.begin(MemoryTransport([*reversed(workers), learner.worker("new", 2)]))
    learner.wait(0)
    learner.take(1)
    for number, worker in enumerate(workers):
        assert worker.answers == [Answer(number, number)] * 2, worker.name
        assert 0 not in worker.kept, "it was not told what was taken"
    learner.take(24 + 2 - 7)
    learner.check()
    assert len(learner.taken()) == 26
    assert learner.transport.workers["new"].answers == [Answer(2, 2)]
    known = learner.known()
    assert known.starts == 2
    assert [join.incarnation for join in known.joins] == [0, 1, 2]
    assert learner.source.members.refused == 0
    assert learner.transport.versions[0].number == 2 * fleet.VERSIONS
    earlier = {line.version < 2 * fleet.VERSIONS for line in known.taken[6:]}
    assert earlier == {True, False}, "batches of weights from before and after the restart"


def test_a_new_worker_of_a_restarted_learner_gets_no_slot_of_one_that_comes_back(learner):
    old = [learner.worker("old", 4), learner.worker("older", 4)]
    learner.begin(MemoryTransport(old))
    learner.take(2)
    learner.begin(MemoryTransport([learner.worker("new", 4), *old]))
    learner.wait(0)
    learner.take(2)
    answers = [worker.let_in for worker in learner.transport.workers.values()]
    slots = [answer.slot for answer in answers]
    assert len(set(slots)) == 3, slots
    assert len({answer.incarnation for answer in answers}) == 3


def test_a_learner_that_was_closed_and_begun_anew_in_one_process_forgets_who_left(learner):
    gone, stays = learner.worker("gone", 2), learner.worker("stays", 30)
    learner.begin(MemoryTransport([gone, stays]))
    learner.take(4)
    # As after a rollback: the same source begins once more, and one worker has left meanwhile.
    learner.source.close(False)
    learner.transport = MemoryTransport([stays])
    learner.source._open = lambda context, ours: learner.transport
    flight = learner.state.in_flight
    learner.source.start(learner.context, 0, flight.behaviour, flight.before)
    for _ in range(20):
        learner.take(1)
        learner.clock.sleep(3.0)
    learner.check()


def test_lines_of_the_ledger_tell_at_which_step_and_weights_each_batch_was_taken(learner):
    learner.begin(MemoryTransport([learner.worker("worker", 5)]))
    for number in range(5):
        learner.state.progress.step = 10 * number
        learner.state.progress.horizon = 100.0 + number
        learner.take(1)
    taken = learner.known().taken
    assert all(isinstance(line, Taken) for line in taken)
    assert [line.step for line in taken] == [0, 10, 20, 30, 40]
    assert [line.horizon for line in taken] == [100.0, 101.0, 102.0, 103.0, 104.0]
    numbers = {version.number for version in learner.transport.versions}
    assert {line.version for line in taken} <= numbers
    for line in taken:
        content = (learner.folder / line.chunk).read_bytes()
        assert batch.digest(content) == line.sha256
        assert np.load(learner.folder / line.chunk)["game_id"].size == line.rows
