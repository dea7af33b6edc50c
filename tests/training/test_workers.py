"""Workers on Ray: when they are replaced, whose rollouts are taken, and the real command."""

import importlib.util
import json
import os
import signal
import types
import uuid

import jax
import numpy as np
import pytest

from scripts import cli
from selfplay import devices
from tests.support import processes
from training import calls
from training.context import make_context, open_store
from training.metrics_log import MetricsLog
from training.source import LOCAL
from training.start import begin
from training.storage.checkpoint import NonFiniteError
from training.storage.run_folder import RunFolder
from training.workers import identity
from training.workers import pool as pool_module
from training.workers import source as source_module
from training.workers.pool import Answer, Gone, Pool, Worker
from training.workers.ray_node import WorkersError
from training.workers.self_play import GAME_BITS, SelfPlayer
from training.workers.source import WorkerSource

with_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed: pip install '.[ray]'"
)
SECONDS = 240.0  # more is a hang
OURS = identity.alike("tic_tac_toe")


# ---- the pool, on a stand-in of Ray ------------------------------------------------------------


class RayError(Exception):
    pass


class RayTaskError(RayError):
    def __init__(self, cause):
        super().__init__(str(cause))
        self.cause = cause


class FakeRay:
    """Ray whose actors do what `does` says of a call: a result, an exception, or None: nothing."""

    exceptions = types.SimpleNamespace(RayTaskError=RayTaskError, RayError=RayError)

    def __init__(self, does):
        self.does, self.calls, self.killed = does, {}, []

    def put(self, value):
        return value

    def remote(self, **options):
        placed = types.SimpleNamespace(remote=self.actor)
        return lambda kind: types.SimpleNamespace(options=lambda **more: placed)

    def actor(self, *given):
        number = len(self.calls)
        self.calls[number] = 0

        def method(name):
            def ask(*words):
                self.calls[number] += 1
                return (number, name, self.calls[number])

            found = types.SimpleNamespace(remote=ask)
            found.options = lambda **options: found
            return found

        return types.SimpleNamespace(
            number=number, hello=method("hello"), do=method("do"), beat=method("beat")
        )

    def wait(self, references, num_returns=1, timeout=0.0):
        ready = [one for one in references if self.does(*one[:2]) is not None]
        return ready[:num_returns], []

    def get(self, reference):
        result = self.does(*reference[:2])
        if isinstance(result, Exception):
            raise result
        return result

    def kill(self, actor):
        self.killed.append(actor.number)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        self.now += 0.01
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(pool_module, "time", clock)
    monkeypatch.setattr(pool_module.ray_node, "end_with_us", lambda: None)
    return clock


def make_pool(does, number=2):
    """A pool of so many workers, and what it has said."""
    ray, said = FakeRay(does), []
    pool = Pool(ray, number, {"CPU": 1.0})
    monkeypatched = types.SimpleNamespace(remote=ray.actor)
    ray.remote = lambda **options: (
        lambda kind: types.SimpleNamespace(options=lambda **more: monkeypatched)
    )
    pool.begin("tic_tac_toe", 1, ["code"], said.append)
    return pool, ray, said


def joins(actor, method):
    return (OURS, "here") if method == "hello" else () if method == "beat" else None


def look(pool, clock, seconds):
    """All that happens in so many seconds."""
    events, end = [], clock.now + seconds
    while clock.now < end:
        events += pool.look(0.5)
        clock.now += 0.5
    return events


def test_a_worker_that_dies_is_replaced_and_its_tasks_are_named(clock):
    dead = set()

    def does(actor, method):
        return RayError("killed") if actor in dead else joins(actor, method)

    pool, _, said = make_pool(does)
    look(pool, clock, 1)
    first, second = pool.workers()
    job = pool.new_job("job")
    pool.ask(first, "a", job)
    pool.ask(first, "b", job)
    dead.add(first.actor.number)
    (gone,) = look(pool, clock, 1)
    assert gone == Gone(first, ["a", "b"], "killed")
    look(pool, clock, 3)
    assert len(pool.workers()) == 2
    assert second in pool.workers()
    assert first not in pool.workers()
    assert pool.lost == 1
    assert "on here: killed" in said[0]


def test_a_worker_that_answers_is_kept_however_long_its_task_takes(clock):
    pool, ray, _ = make_pool(joins)
    look(pool, clock, 1)
    for worker in pool.workers():
        pool.ask(worker, "long", pool.new_job("job"))
    assert look(pool, clock, 600) == []
    assert ray.killed == []


def test_a_frozen_worker_is_killed_and_replaced(clock):
    frozen = set()

    def does(actor, method):
        return None if actor in frozen else joins(actor, method)

    pool, ray, said = make_pool(does)
    look(pool, clock, 1)
    frozen.add(0)
    events = look(pool, clock, 60)
    assert [event.worker.actor.number for event in events] == [0] == ray.killed
    assert "silent" in said[0]
    assert len(pool.workers()) == 2


def test_seconds_in_which_nobody_looked_are_no_silence(clock):
    slow = set()

    def does(actor, method):
        return None if actor in slow else joins(actor, method)

    pool, ray, _ = make_pool(does)
    look(pool, clock, 1)
    slow.update((0, 1))
    look(pool, clock, 6)
    clock.now += 3600  # this process was stopped, and so were its workers
    look(pool, clock, 4)
    assert ray.killed == []


def test_a_worker_with_other_code_is_refused_and_the_difference_is_named(clock):
    def does(actor, method):
        return (OURS._replace(code="x"), "there") if method == "hello" else joins(actor, method)

    pool, _, said = make_pool(does, number=1)
    with pytest.raises(WorkersError, match="another version of the code"):
        look(pool, clock, 600)
    assert "on there" in said[0]


def test_what_our_code_raises_comes_back_and_ends_the_command_where_it_always_does(clock):
    def does(actor, method):
        return RayTaskError(KeyError("x")) if method == "do" else joins(actor, method)

    pool, _, _ = make_pool(does, number=1)
    told = []

    def go_on():
        while len(told) < 100:
            for worker in pool.workers():
                pool.ask(worker, "task", pool.new_job("job"))
            for event in look(pool, clock, 2):
                assert isinstance(event, Answer)
                told.append(event.error)
                pool.replace(event.worker, f"KeyError: {event.error}")

    with pytest.raises(WorkersError, match="KeyError"):
        go_on()
    assert 1 < len(told) < 10


def test_who_waits_for_room_is_said_once(clock):
    pool, _, said = make_pool(lambda actor, method: None, number=3)
    look(pool, clock, 300)
    assert said == [
        "3 of 3 workers wait for room: each needs CPU=1 (--worker-resources); `ray status` says "
        "what there is"
    ]


# ---- the source: which rollouts a learner takes -------------------------------------------------


class FakePool:
    """Workers whose answers a test gives."""

    resources = {"CPU": 1.0}  # noqa: RUF012

    def __init__(self, count=1):
        self.all = [Worker(number) for number in range(count)]
        self.asked, self.events, self.replaced, self.lost = [], [], [], 0
        self.ray = types.SimpleNamespace(put=lambda value: value)

    def begin(self, game, devices, must_equal, notice):
        pass

    def new_job(self, job):
        return job

    def workers(self):
        return list(self.all)

    def ask(self, worker, task, job, *given):
        self.asked.append((worker, task, given))

    def look(self, seconds):
        events, self.events = self.events, []
        return events

    def worked(self):
        pass

    def replace(self, worker, why, strikes=0):
        self.replaced.append((worker, why))
        self.all.remove(worker)
        return []

    def forget(self):
        pass


@pytest.fixture(scope="module")
def played(tiny_config):
    """Rollouts of one worker, and its games go on between them."""
    player = SelfPlayer(tiny_config)
    network = player._network
    weights = jax.device_get(network.init(jax.random.key(0)))
    return [player(3, 0, weights) for _ in range(4)]


@pytest.fixture
def learner(tmp_path, tiny_config):
    folder = RunFolder(tmp_path / "run")
    folder.create(tiny_config)
    log = MetricsLog(folder, lambda line: None)
    context = make_context(folder, tiny_config, log, open_store(folder, tiny_config))
    yield context, begin(context, LOCAL)
    context.store.close()


def answer(pool, rollout, place=0, error=None):
    """Has the worker that was asked at a place answer."""
    worker, task, _ = pool.asked[place]
    pool.events.append(Answer(worker, task, rollout, error))


def test_a_worker_plays_on_and_its_games_are_whole_and_its_own(played):
    ids = np.concatenate([rollout.call.examples.game_id for rollout in played])
    assert set((ids >> GAME_BITS).tolist()) == {4}  # of worker 3: 0 is the run itself
    assert len(np.unique(ids)) == sum(rollout.call.games for rollout in played)
    for rollout in played:
        examples = rollout.call.examples
        ends = np.flatnonzero(np.diff(examples.game_id, append=-1))
        begins = np.concatenate([[0], ends[:-1] + 1])
        assert (np.diff(examples.ply)[np.diff(examples.game_id) == 0] == 1).all()
        assert (examples.ply[begins] <= 2).all()  # after at most two random moves
    assert max(len(np.unique(r.call.examples.game_id)) for r in played) > 0


def test_examples_go_to_the_replay_once_and_newer_weights_to_the_worker(learner, played):
    context, state = learner
    pool = FakePool()
    source = WorkerSource(pool)
    state.in_flight = source.start(context, 0, state.in_flight.actor, state.in_flight.before)
    assert source.next(context, state, state.in_flight.actor, lambda: True) is None
    assert [given[0] for _, _, given in pool.asked] == [0]  # of worker 0 of the run
    total = 0
    for place, rollout in enumerate(played):
        answer(pool, rollout, place)
        monitors = source.next(context, state, state.in_flight.actor, lambda: False)
        total += len(rollout.call.examples.ply)
        assert monitors["new_examples"] == len(rollout.call.examples.ply)
        assert state.replay.total == total
        source.next(context, state, state.in_flight.actor, lambda: True)
    assert state.progress.games == sum(rollout.call.games for rollout in played)
    assert state.progress.workers == 1


def test_no_rollout_is_taken_below_the_least_number_of_workers(learner, played):
    context, state = learner
    pool = FakePool(count=1)
    source = WorkerSource(pool, least=2)
    state.in_flight = source.start(context, 0, state.in_flight.actor, state.in_flight.before)
    source.next(context, state, state.in_flight.actor, lambda: True)
    answer(pool, played[0])
    left = iter([False] * 5 + [True] * 5)
    assert source.next(context, state, state.in_flight.actor, lambda: next(left)) is None
    pool.all.append(Worker(1))
    assert source.next(context, state, state.in_flight.actor, lambda: False)


def test_a_rollout_that_waited_behind_newer_weights_for_too_long_is_dropped(learner, played):
    context, state = learner
    pool = FakePool()
    source = WorkerSource(pool)
    state.in_flight = source.start(context, 0, state.in_flight.actor, state.in_flight.before)
    actor = state.in_flight.actor
    quick = [rollout._replace(seconds=0.1) for rollout in played]

    def take():
        """The examples of the next rollout; None if none comes."""
        left = iter([False] * 3 + [True] * 3)
        return source.next(context, state, actor, lambda: next(left))

    assert take() is None
    answer(pool, quick[0])
    assert take()
    assert take() is None
    assert len(pool.asked) == 3  # quick: one is played, and one waits in the worker's queue
    for step in range(1, context.config.workers.max_lag + 2):
        source._publish(actor._replace(step=step))
    answer(pool, quick[1], place=1)  # was begun before they were published
    assert take()
    before = state.replay.total
    answer(pool, quick[2], place=2)  # was begun after it, with the same old weights
    assert take() is None
    assert state.replay.total == before


def test_a_slow_learner_takes_all_that_waits_and_training_has_half_of_the_time(
    learner, played, monkeypatch
):
    context, state = learner
    pool, clock = FakePool(count=3), Clock()
    monkeypatch.setattr(source_module, "time", clock)
    source = WorkerSource(pool)
    state.in_flight = source.start(context, 0, state.in_flight.actor, state.in_flight.before)
    given = context, state, state.in_flight.actor
    source.next(*given, lambda: True)
    for place in range(3):
        answer(pool, played[place], place)
    clock.now += 1  # a long training step
    for left in (2, 1, 0):
        assert source.next(*given, lambda: False)
        assert source.should_yield(state) == bool(left)
    take, asked = source_module.take, len(pool.asked)

    def slowly(*words):
        clock.now += 3
        return take(*words)

    monkeypatch.setattr(source_module, "take", slowly)
    source.next(*given, lambda: True)
    for place in range(asked - 3, asked):
        answer(pool, played[0], place)
    assert source.next(*given, lambda: False)
    assert not source.should_yield(state), "training has had no time"
    clock.now += 3
    assert source.should_yield(state)


def test_weights_that_give_nan_are_the_learner_s_fault_where_its_losses_are_nan(learner):
    context, state = learner
    pool = FakePool()
    source = WorkerSource(pool)
    state.in_flight = source.start(context, 0, state.in_flight.actor, state.in_flight.before)
    source.next(context, state, state.in_flight.actor, lambda: True)
    answer(pool, None, error=NonFiniteError("the network gives NaN"))
    source.next(context, state, state.in_flight.actor, lambda: True)
    ((_, why),) = pool.replaced  # the losses are right: it is this worker's
    assert "NonFiniteError" in why
    assert devices.mesh().size  # the learner goes on


def test_counts_of_a_call_need_no_worker(played):
    told = calls.counted(played[0].call, held=5)
    assert told[:2] == (0.0, 5 + len(played[0].call.examples.ply))


# ---- the real command ---------------------------------------------------------------------------


def train(tmp_path, iterations, *more, name="run"):
    mark, log = uuid.uuid4().hex, tmp_path / f"{name}.log"
    words = ["train", *processes.tiny_flags(iterations), "--run-dir", str(tmp_path / name)]
    return processes.start([*words, *more], mark, log), mark, log


def records(folder):
    return [json.loads(x) for x in (folder / "games" / "self_play.jsonl").read_text().splitlines()]


@with_ray
def test_a_worker_on_ray_plays_for_a_run_which_goes_on_alone_and_no_process_is_left(tmp_path):
    process, mark, log = train(tmp_path, 6, "--workers", "1")
    assert process.wait(SECONDS) == 0, log.read_text()
    processes.wait_until("processes are left", lambda: not processes.alive(mark), 20)
    lines = RunFolder(tmp_path / "run").read_metrics()
    assert [line["iteration"] for line in lines if line["kind"] == "iteration"] == [*range(1, 7)]
    assert cli.run(["train", str(tmp_path / "run"), "--iterations", "7"]) == 0
    owners = {record["game_id"] >> GAME_BITS for record in records(tmp_path / "run")}
    assert 1 in owners


@with_ray
@pytest.mark.slow
def test_a_game_that_raises_ends_the_command_with_its_error(tmp_path):
    (tmp_path / "bad_game.py").write_text(
        "import dataclasses, os\n"
        "from games.tic_tac_toe import TicTacToe\n"
        "@dataclasses.dataclass(frozen=True)\n"
        "class Bad(TicTacToe):\n"
        "    def symmetries(self):\n"
        "        return super().symmetries()\n"
        "    def step(self, state, action):\n"
        f"        if os.getppid() != {os.getpid()}: raise KeyError('no such square')\n"
        "        return super().step(state, action)\n"
    )
    mark, log = uuid.uuid4().hex, tmp_path / "log.txt"
    words = ["train", *processes.tiny_flags(6), "--run-dir", str(tmp_path / "run")]
    words[words.index("tic_tac_toe")] = "bad_game:Bad"
    os.environ["PYTHONPATH"] = str(tmp_path)
    try:
        process = processes.start([*words, "--workers", "1"], mark, log)
    finally:
        del os.environ["PYTHONPATH"]
    assert process.wait(SECONDS) in (1, 2), log.read_text()
    assert "no such square" in log.read_text()
    processes.wait_until("processes are left", lambda: not processes.alive(mark), 20)


@with_ray
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_a_learner_that_is_stopped_or_killed(tmp_path, number):
    process, mark, log = train(tmp_path, 10**8, "--workers", "1-2")
    saved = tmp_path / "run" / "checkpoints"

    def has_saved():
        assert process.poll() is None, log.read_text()
        return saved.exists() and any(p.name.isdigit() and p.name != "0" for p in saved.iterdir())

    processes.wait_until(log, has_saved, SECONDS)
    process.send_signal(number)
    assert process.wait(60) == (75 if number == signal.SIGTERM else -number), log.read_text()
    processes.wait_until("processes are left", lambda: not processes.alive(mark), 60)
    ids = [record["game_id"] for record in records(tmp_path / "run")]
    assert len(ids) == len(set(ids))
