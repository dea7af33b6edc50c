"""A fleet through a folder: what each end writes, the other reads, and a whole run through it."""

import dataclasses
import json
import os
import pathlib
import shutil
import threading
import time

import jax
import numpy as np
import pytest

import games
from tests.support.fleet import hello_to
from training.context import make_context, open_store
from training.metrics_log import MetricsLog
from training.players import network_of
from training.run import train
from training.settings import CheckpointConfig, EvaluationConfig
from training.state import Behaviour
from training.storage.checkpoint import CheckpointStore
from training.storage.run_folder import RunFolder
from training.workers import batch, fleet, ledger, members
from training.workers.fleet import FleetSource
from training.workers.folder import (
    ENDED,
    KEPT_WEIGHTS,
    PLAYING,
    WAITING,
    FolderTransport,
    FolderWorker,
    invite,
)
from training.workers.serve import RefusedError, Shown, serve
from training.workers.transport import Answer, Arrived, Heard, Joined, Left, Own
from training.workers.worker import Parcel, Version

OWN = Own("this run", "settings", "code", "rules")
HELLO = hello_to(*OWN)
MOST_SECONDS = 240  # that a run of this file may take before it is taken for one that hangs


@pytest.fixture(scope="module")
def network(tiny_config):
    return network_of(tiny_config, games.load(tiny_config.game))


@pytest.fixture(scope="module")
def weights(network):
    """Some, all different."""
    first = network.init(jax.random.key(0))
    return [jax.tree.map(lambda leaf, n=n: np.asarray(leaf) + n, first) for n in range(12)]


@pytest.fixture
def opened(tiny_config, tmp_path):
    """A function that opens the fleet's folder as a learner does; what it opens is closed."""
    open_now = []

    def open_as(own=OWN, folder=tmp_path / "fleet"):
        transport = FolderTransport(folder, invite(tiny_config, own))
        open_now.append(transport)
        return transport

    yield open_as
    for transport in open_now:
        transport.end(False)


def joined(transport, **options):
    """A worker that was let in, its greeting delivered."""
    worker = FolderWorker(transport.folder)
    worker.join(HELLO)
    assert Joined(worker.name, HELLO) in transport.poll()
    transport.answer(worker.name, Answer(0, 0))
    return worker


def parcel(seq, content=b"some bytes"):
    return Parcel(seq, batch.digest(content), content)


def arrived(events):
    return [event.parcel.seq for event in events if isinstance(event, Arrived)]


# ---- weights ------------------------------------------------------------------------------------


def test_weights_are_read_as_they_were_published(opened, network, weights):
    transport = opened()
    worker = FolderWorker(transport.folder)
    assert worker.current() is None
    for number in range(3):
        transport.publish(Version(number, 10 * number, weights[number]), max_lag=2)
        current = worker.current()
        assert (current.state, current.number, current.max_lag) == (PLAYING, number, 2)
        version = worker.weights(network, current)
        assert version[:2] == (number, 10 * number)
        assert jax.tree.structure(version.weights) == jax.tree.structure(weights[number])
        for one, two in zip(
            jax.tree.leaves(version.weights), jax.tree.leaves(weights[number]), strict=True
        ):
            assert one.dtype == two.dtype
            np.testing.assert_array_equal(one, two)


def test_of_published_weights_those_that_may_be_played_with_stay_and_older_files_go(
    opened, network, weights
):
    transport, max_lag = opened(), 2
    worker, seen = FolderWorker(transport.folder), []
    for number, some in enumerate(weights):
        transport.publish(Version(number, number, some), max_lag)
        seen.append(worker.current())
    files = list((transport.folder / "weights").iterdir())
    assert len(files) == max_lag + KEPT_WEIGHTS < len(weights)
    for current in seen[-1 - max_lag :]:
        assert worker.weights(network, current).step == current.step
    assert worker.weights(network, seen[0]) is None
    for number in range(12, 30):  # the same ones again: published anew, not gone
        transport.publish(Version(number, number, weights[-1]), max_lag)
    assert worker.weights(network, worker.current()).number == 29


def test_damaged_weights_are_refused(opened, network, weights):
    transport = opened()
    transport.publish(Version(0, 0, weights[0]), max_lag=2)
    worker = FolderWorker(transport.folder)
    [file] = (transport.folder / "weights").iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match="are damaged"):
        worker.weights(network, worker.current())


# ---- workers ------------------------------------------------------------------------------------


def test_a_worker_is_greeted_once_and_gets_the_answer_that_was_meant_for_it(opened):
    transport = opened()
    one, two = (FolderWorker(transport.folder) for _ in range(2))
    assert one.name != two.name
    assert transport.poll() == []
    one.join(HELLO)
    two.join(dataclasses.replace(HELLO, host="another"))
    greetings = [event for event in transport.poll() if isinstance(event, Joined)]
    assert sorted(greetings) == sorted(
        [Joined(one.name, HELLO), Joined(two.name, dataclasses.replace(HELLO, host="another"))]
    )
    assert one.answer() is two.answer() is None
    transport.answer(two.name, Answer(3, 5))
    assert one.answer() is None
    assert two.answer() == Answer(3, 5)
    transport.answer(two.name, Answer(refused="it was silent", again=True))
    assert two.answer() == Answer(refused="it was silent", again=True)
    assert not [event for event in transport.poll() if isinstance(event, Joined)]


def test_batches_are_delivered_once_in_their_order_and_removed_when_acknowledged(opened):
    transport = opened()
    worker = joined(transport)
    for seq in (2, 0, 1, 10):
        worker.send(parcel(seq, b"batch %d" % seq))
    events = [event for event in transport.poll() if isinstance(event, Arrived)]
    assert events == [Arrived(worker.name, parcel(seq, b"batch %d" % seq)) for seq in (0, 1, 2, 10)]
    assert arrived(transport.poll()) == []
    assert worker.unacknowledged() == 4
    transport.acknowledge(worker.name, 1)
    assert worker.unacknowledged() == 2
    transport.acknowledge(worker.name, 1)
    worker.send(parcel(11))
    assert arrived(transport.poll()) == [11]
    transport.acknowledge(worker.name, 11)
    assert worker.unacknowledged() == 0


def test_a_batch_that_was_not_acknowledged_is_delivered_to_the_next_learner(opened):
    first = opened()
    worker = joined(first)
    worker.send(parcel(0))
    worker.send(parcel(1))
    assert arrived(first.poll()) == [0, 1]
    first.acknowledge(worker.name, 0)
    first.end(False)
    second = opened()
    events = second.poll()
    assert events[0] == Joined(worker.name, HELLO)
    assert arrived(events) == [1]


def test_what_is_not_named_as_a_batch_is_left_alone_and_no_link_is_followed(opened, tmp_path):
    transport = opened()
    worker = joined(transport)
    own = transport.folder / "workers" / worker.name
    secret = tmp_path / "secret"
    secret.write_bytes(b"a secret")
    (own / f"{0:012d}-{batch.digest(b'a secret')}.npz").symlink_to(secret)
    (own / f"{1:012d}-{'0' * 64}.npz.1-abcdef01.partial").write_bytes(b"half")
    (own / f"1-{'0' * 64}.npz").write_bytes(b"other name")
    (transport.folder / "workers" / "a-file").write_bytes(b"")
    (link,) = [event for event in transport.poll() if isinstance(event, Arrived)]
    assert link.parcel.content == b""
    assert secret.exists()


def test_a_worker_is_heard_when_its_beat_has_changed(opened):
    transport = opened()
    worker = joined(transport)
    transport.poll()
    assert transport.poll() == []
    worker.beat()
    assert transport.poll() == [Heard(worker.name)]
    assert transport.poll() == []


def test_a_worker_that_leaves_is_gone_once_its_batches_are_taken(opened):
    transport = opened()
    worker = joined(transport)
    worker.send(parcel(0))
    worker.leave()
    events = transport.poll()
    assert arrived(events) == [0]
    assert not [event for event in events if isinstance(event, Left)]
    transport.acknowledge(worker.name, 0)
    assert transport.poll() == [Left(worker.name, "it left")]
    assert not (transport.folder / "workers" / worker.name).exists()
    assert transport.poll() == []
    assert worker.answer().again, "its folder is gone: it may join anew"


def test_a_refused_worker_that_leaves_takes_its_folder_with_it(opened):
    transport = opened()
    worker = joined(transport)
    transport.answer(worker.name, Answer(refused="no"))
    worker.leave()
    assert not (transport.folder / "workers" / worker.name).exists()
    assert transport.poll() == []


DAMAGED = {
    "not JSON": b"{",
    "not text": b"\xff\xff",
    "no object": b"[]",
    "an entry less": json.dumps({"format_version": 1}).encode(),
    "too long": b" " * ((1 << 20) + 1),
    "a number for a text": json.dumps(dataclasses.asdict(HELLO) | {"host": 3}).encode(),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_greeting_is_refused_and_said_to_its_worker_alone(opened, kind):
    transport = opened()
    bad, good = FolderWorker(transport.folder), FolderWorker(transport.folder)
    bad.join(HELLO)
    (transport.folder / "workers" / bad.name / "hello.json").write_bytes(DAMAGED[kind])
    good.join(HELLO)
    bad.send(parcel(0))
    greeted = [event.worker for event in transport.poll() if isinstance(event, Joined)]
    assert greeted == [good.name]
    assert "its hello is damaged: " in bad.answer().refused
    assert not bad.answer().again
    assert good.answer() is None
    assert not [event for event in transport.poll() if isinstance(event, Joined)]


def test_a_greeting_that_is_a_folder_does_not_stop_the_learner(opened):
    transport = opened()
    bad, good = FolderWorker(transport.folder), FolderWorker(transport.folder)
    (transport.folder / "workers" / bad.name / "hello.json").mkdir(parents=True)
    good.join(HELLO)
    greeted = [event.worker for event in transport.poll() if isinstance(event, Joined)]
    assert greeted == [good.name]


def test_a_worker_that_comes_after_the_end_ends_and_one_before_a_new_begin_waits(opened, weights):
    transport = opened()
    transport.publish(Version(0, 0, weights[0]), max_lag=2)
    transport.end(finished=True)
    shown = Shown(lambda batches, text: None, lambda text: None)
    assert serve(lambda: FolderWorker(transport.folder), lambda: False, shown)
    opened()  # another process with the run, which has published nothing yet
    looks = iter([False] * 3 + [True] * 9)
    assert not serve(lambda: FolderWorker(transport.folder), lambda: next(looks), shown)


def test_a_worker_that_was_silent_joins_anew_and_one_that_is_refused_says_why_and_ends(opened):
    transport, names, told = opened(), [], []
    answers = iter([Answer(refused="it was silent", again=True), Answer(refused="other code")])

    def look_as_a_learner():
        for event in transport.poll():
            if isinstance(event, Joined):
                names.append(event.worker)
                transport.answer(event.worker, next(answers))
        return False

    shown = Shown(lambda batches, text: None, told.append)
    with pytest.raises(RefusedError, match="refused this worker: other code"):
        serve(lambda: FolderWorker(transport.folder), look_as_a_learner, shown)
    assert len(names) == len(set(names)) == 2
    assert told == ["this worker was silent for too long: it joins anew"]
    assert not list((transport.folder / "workers").iterdir())


# ---- whose folder it is -------------------------------------------------------------------------


def test_the_folder_of_another_run_is_refused(opened):
    opened().end(False)
    with pytest.raises(ValueError, match=r"the fleet of another run \(of tic_tac_toe, .*this run"):
        opened(OWN._replace(run_id="other run"))
    opened()  # the run's own goes on


def test_a_folder_that_holds_other_things_is_refused_and_left_as_it_is(opened, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="is not empty and no fleet's"):
        opened(folder=folder)
    assert [path.name for path in folder.iterdir()] == ["a.jpg"]
    (folder / "a.jpg").rename(folder / "lock")  # what a kill in between leaves
    opened(folder=folder)


def test_a_second_learner_is_refused_until_the_first_one_lets_go(opened, weights):
    first = opened()
    first.publish(Version(0, 0, weights[0]), max_lag=2)
    with pytest.raises(BlockingIOError, match="is in use by process"):
        opened()
    worker = FolderWorker(first.folder)
    first.end(False)
    assert worker.current().state == WAITING
    second = opened()
    second.publish(Version(1, 0, weights[0]), max_lag=2)
    assert worker.current().state == PLAYING
    second.end(True)
    assert worker.current().state == ENDED


def test_a_worker_refuses_what_is_no_folder_of_a_fleet_it_knows(opened, tmp_path):
    with pytest.raises(ValueError, match="is no fleet's folder"):
        FolderWorker(tmp_path)
    folder = opened().folder
    run = folder / "run.json"
    known = json.loads(run.read_text())
    run.write_text(json.dumps(known | {"format_version": 99}))
    with pytest.raises(ValueError, match="has format 99, this version knows 1"):
        FolderWorker(folder)
    run.write_text("{")
    with pytest.raises(ValueError, match=r"run\.json is damaged"):
        FolderWorker(folder)


# ---- a learner and its folder -------------------------------------------------------------------


@pytest.fixture(scope="module")
def context(tiny_config, tmp_path_factory):
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "run")
    folder.create(tiny_config)
    store = open_store(folder, tiny_config)
    yield make_context(folder, tiny_config, MetricsLog(folder, lambda line: None), store)
    store.close()


@pytest.fixture
def learner(context, weights, tmp_path, monkeypatch):
    """A source that looks at a folder when it is called."""

    def open_transport(context, ours):
        return FolderTransport(tmp_path / "fleet", invite(context.config, ours))

    monkeypatch.setattr(context.store, "replay_folder", tmp_path / "replay")
    monkeypatch.setattr(fleet, "POLL_SECONDS", 0.0)
    source = FleetSource(open_transport)
    source.folder = tmp_path / "fleet"
    source.start(context, 0, Behaviour(weights[0], 0), None)
    source.look = lambda: source.is_enough(None)
    source.hello = hello_to(*fleet.own(context))
    yield source
    source.close(True)


def test_a_worker_that_came_and_left_before_the_learner_looked_does_not_stop_it(learner):
    worker = FolderWorker(learner.folder)
    worker.join(learner.hello)
    worker.leave()
    other = FolderWorker(learner.folder)
    other.join(learner.hello)
    learner.look()
    learner.look()
    assert other.answer().incarnation >= 0
    assert not other.answer().refused


def test_a_worker_whose_folder_was_erased_is_given_up_and_does_not_stop_the_learner(
    learner, monkeypatch
):
    worker, other = FolderWorker(learner.folder), FolderWorker(learner.folder)
    worker.join(learner.hello)
    learner.look()
    assert worker.answer() == Answer(0, 0)
    shutil.rmtree(learner.folder / "workers" / worker.name)
    monkeypatch.setattr(members, "SILENT_SECONDS", -1.0)
    learner.look()
    monkeypatch.setattr(members, "SILENT_SECONDS", 30.0)
    other.join(learner.hello)
    learner.look()
    assert other.answer() == Answer(0, 1)
    assert worker.answer().again


# ---- all of it ----------------------------------------------------------------------------------


class Fleet:
    """A run's folder and a fleet's; workers are threads of this process."""

    def __init__(self, path, config):
        self.folder, self.fleet, self.config = RunFolder(path / "run"), path / "fleet", config
        self.folder.create(config)
        self.began = time.monotonic()
        self.is_over = threading.Event()
        self.ended, self.told = [], []
        self.threads = []

    def stop_worker(self):
        return self.is_over.is_set() or time.monotonic() - self.began > MOST_SECONDS

    def work(self):
        """A worker's life; it may begin before the learner."""
        while not (self.fleet / "run.json").exists():
            if self.stop_worker():
                return
            time.sleep(0.05)
        shown = Shown(lambda batches, text: None, self.told.append)
        self.ended.append(serve(lambda: FolderWorker(self.fleet), self.stop_worker, shown))

    def begin_worker(self):
        self.threads.append(threading.Thread(target=self.work))
        self.threads[-1].start()

    def join_workers(self):
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()

    def learn(self, iterations, stop_after=None):
        """Trains to so many iterations, or stops after some; returns whether it reached them."""
        lines = []

        def stop():
            assert time.monotonic() - self.began < MOST_SECONDS, f"it hangs: {self.told}"
            return stop_after is not None and len(lines) + 1 >= stop_after

        def watch(line):
            if line["kind"] == "iteration":
                lines.append(line)
            if line["kind"] == "notice":
                self.told.append(line["text"])

        def open_transport(context, ours):
            return FolderTransport(self.fleet, invite(context.config, ours))

        config = dataclasses.replace(self.config, iterations=iterations)
        source = FleetSource(open_transport)
        with self.folder.lock():
            return train(self.folder, config, watch, stop, source=source)


def saves(path):
    """All that each checkpoint holds, minus clocks, by the number of batches before it."""
    store = CheckpointStore(path)
    clocks = {"seconds", "trained_from", "iteration_seconds", "evaluation_seconds"}
    held = {}
    for step in store.steps():
        saved = store.load(step, with_replay=False)
        counters = {name: value for name, value in saved.counters.items() if name not in clocks}
        held[counters["batches"]] = (counters, saved.train_state, saved.games)
    store.close()
    return held


def test_a_run_of_workers_resumed_from_an_older_save_comes_to_the_same_weights_bit_by_bit(
    tiny_config, tmp_path, monkeypatch
):
    monkeypatch.setattr(fleet, "PUBLISH_SECONDS", 0.05)
    # A learner too slow for its worker, however fast this machine is: steps are left for later.
    monkeypatch.setattr(
        FleetSource, "is_enough", lambda _, state: state.progress.step >= 2 * state.progress.batches
    )
    config = dataclasses.replace(
        tiny_config,
        iterations=12,
        evaluation=EvaluationConfig(every=0),
        checkpoint=CheckpointConfig(every_seconds=1e-9, keep_newest=50),
    )
    run = Fleet(tmp_path, config)
    path = pathlib.Path(run.folder.path)
    run.begin_worker()
    try:
        assert not run.learn(16, stop_after=10)
        first, order = saves(path), ledger.read(path / "replay")
        assert len(order.taken) == max(first) >= 8
        # A kill after an early save: the later ones are not there, what was taken is.
        early = sorted(first)[len(first) // 3]
        later = [number for number in first if number > early]
        assert len(later) >= 3, first.keys()
        for number in later:
            shutil.rmtree(path / "checkpoints" / str(first[number][0]["step"]))
        assert run.learn(16)
        run.join_workers()
    finally:
        run.is_over.set()
        run.join_workers()
    assert run.ended == [True], "the worker did not see the end of the run"
    second, known = saves(path), ledger.read(path / "replay")
    assert known.taken[: len(order.taken)] == order.taken
    assert len(known.taken) == 16 == max(second)
    assert known.starts == 2
    assert [join.incarnation for join in known.joins] == [0], "the worker joined anew"
    # How long training went on after the last batch, only the next one would have told.
    compared = [number for number in later if number in second and number < max(first)]
    assert len(compared) >= 2
    for number in compared:
        counters, state, games_then = first[number]
        counters_now, state_now, games_now = second[number]
        assert counters_now == counters, number
        assert state_now.keys() == state.keys()
        for name in state:
            np.testing.assert_array_equal(state_now[name], state[name], err_msg=f"{number} {name}")
        for name in games_then:
            np.testing.assert_array_equal(games_now[name], games_then[name], err_msg=name)
    counters = [first[number][0] for number in compared]
    assert all(0 < counted["step"] == 2 * counted["batches"] for counted in counters), counters
    assert counters[-1]["passed"] > 0, "no steps were given up"
    lines = [line for line in run.folder.read_metrics() if line["kind"] == "iteration"]
    assert [line["iteration"] for line in lines] == list(range(1, 17))
    assert sum(line.games for line in known.taken) == lines[-1]["games"]
    assert not list((path / "discarded").rglob("*.npz")), "rows of workers were thrown away"


# ---- what strangers leave in the folder ---------------------------------------------------------


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_what_is_no_file_but_named_as_a_batch_is_a_damaged_batch(opened, kind, tmp_path):
    transport = opened()
    worker = joined(transport)
    path = transport.folder / "workers" / worker.name / f"{0:012d}-{'0' * 64}.npz"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path)
    arrived = [event for event in transport.poll() if isinstance(event, Arrived)]
    assert [event.parcel.content for event in arrived] == [b""]
    transport.acknowledge(worker.name, 0)  # and nothing is raised


def test_a_pipe_as_a_beat_is_no_sign_of_life_and_holds_up_nobody(opened):
    transport = opened()
    worker = joined(transport)
    beat = transport.folder / "workers" / worker.name / "beat"
    beat.unlink()
    os.mkfifo(beat)
    transport.poll()
    assert transport.poll() == []


def test_what_others_put_among_the_weights_stays_and_stops_nobody(opened, weights):
    transport = opened()
    (transport.folder / "weights" / "sub").mkdir()
    (transport.folder / "weights" / "notes.txt").write_text("mine")
    (transport.folder / "weights" / f"{'0' * 64}.npz").mkdir()
    transport.publish(Version(0, 0, weights[0]), max_lag=0)
    names = {path.name for path in (transport.folder / "weights").iterdir()}
    assert {"sub", "notes.txt"} < names


def test_a_damaged_greeting_is_told_once(opened):
    transport = opened()
    folder = transport.folder / "workers" / "bad"
    folder.mkdir()
    (folder / "hello.json").write_text('{"a":')
    (told,) = [event for event in transport.poll() if isinstance(event, Left)]
    assert told.worker == "bad"
    assert "its hello is damaged" in told.why
    assert not [event for event in transport.poll() if isinstance(event, Left)]
