"""Workers in lockstep: with them a run is, bit by bit, what it is without, whoever is lost."""

import dataclasses
import functools
import importlib.util
import os
import random
import re
import signal
import time
import uuid

import pytest

from selfplay import devices
from selfplay.tasks import Done, Lost, TaskError
from tests.support import processes
from tests.support.runs import NEVER_SAVE_BETWEEN, assert_same, run_once
from training import config as config_module
from training.run import train
from training.source import LOCAL
from training.storage.run_folder import RunFolder
from training.workers.lockstep import LockstepSource, SelfPlay

SECONDS = 300.0  # more is a hang
with_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed: pip install '.[ray]'"
)


class Here:
    """Workers in this process, one device each; they bring shares in any order, and lose some."""

    devices = 1

    def __init__(self, context, workers=2, losses=0.0, seed=0):
        self.workers, self.size = workers, workers
        self._losses, self._draw = losses, random.Random(seed)
        self.calls = self.lost = 0
        self._do = self._open(context)

    def _open(self, context):
        with devices.only(1):
            return SelfPlay(config_module.to_dict(context.config), self.workers).open()

    def crew(self, call):
        self._call, self._tasks = call, []
        self.calls += 1
        return self

    def free(self):
        return self.size - len(self._tasks)

    def begin(self, task):
        assert self.free() > 0
        self._tasks.append(task)

    def ended(self):
        if not self._tasks:
            return []
        task = self._tasks.pop(self._draw.randrange(len(self._tasks)))
        if self._draw.random() < self._losses:
            self.lost += 1
            return [Lost(task, "its process died")]
        shares = self._call.shares
        with devices.only(1):
            share = shares[task] if shares else None
            return [Done(task, self._do(task, self._call.key, self._call.weights, share))]


def in_lockstep(found, **options):
    """Returns a source whose workers are here; they come into a list."""

    def find(context):
        found.append(Here(context, **options))
        return found[-1]

    return LockstepSource(find)


@pytest.fixture(scope="module")
def config(tiny_config):
    return dataclasses.replace(tiny_config, iterations=6, checkpoint=NEVER_SAVE_BETWEEN)


@pytest.fixture(scope="module")
def plain(config, tmp_path_factory):
    """The folder of a run without workers, on two devices."""
    assert devices.mesh().size == 2
    path = tmp_path_factory.mktemp("runs") / "plain"
    assert run_once(path, config)
    return path


def test_two_workers_of_a_device_each_play_what_one_process_with_two_devices_plays(
    tmp_path, config, plain
):
    found = []
    assert run_once(tmp_path / "run", config, rows_from=in_lockstep(found, losses=0.3, seed=1))
    assert found[0].lost > 2, "the double loses nothing"
    assert found[0].calls == config.iterations + 2  # the opening, and the call ahead
    assert_same(tmp_path / "run", plain)


def test_a_run_goes_from_one_process_to_workers_and_back_and_is_the_same(tmp_path, config, plain):
    path, sources = tmp_path / "run", [LOCAL, in_lockstep([]), LOCAL, in_lockstep([])]
    for stop_after, source in zip((2, 1, 2, None), sources, strict=True):
        assert run_once(path, config, stop_after, rows_from=source) == (stop_after is None)
    assert_same(path, plain)


def test_a_worker_that_is_lost_again_and_again_ends_the_run_with_a_sentence(tmp_path, config):
    with pytest.raises(TaskError, match=r"share [01] was lost 4 times; the last time: its pro"):
        run_once(tmp_path / "run", config, rows_from=in_lockstep([], losses=1.0))


def test_games_that_cannot_be_shared_equally_are_refused(tmp_path, config):
    said = re.escape("self_play.batch must be a multiple of the 3 devices of 3 workers, got 16")
    with pytest.raises(ValueError, match=said):
        run_once(tmp_path / "run", config, rows_from=in_lockstep([], workers=3))


def test_a_stop_is_heard_while_no_worker_comes(tmp_path, config):
    class Nobody(Here):
        def ended(self):
            return [] if self.calls > 2 else super().ended()

    seen = []

    def find(context):
        context.metrics.activity = seen.append
        return Nobody(context)

    folder = RunFolder(tmp_path / "run")
    folder.create(config)
    with folder.lock():
        stop = lambda: len(seen) > 50  # noqa: E731
        assert not train(folder, config, lambda line: None, stop, source=LockstepSource(find))
    assert set(seen) >= {"waiting for workers"}


ITERATIONS = 600


def start(tmp_path, name, *words):
    """Starts the tiny run; returns its process, its mark and what it says."""
    mark, log = uuid.uuid4().hex, tmp_path / f"{name}.log"
    flags = (*processes.tiny_flags(ITERATIONS), "--run-dir", str(tmp_path / name))
    return processes.start(["train", *flags, *words], mark, log), mark, log


def iterations_of(path):
    lines = RunFolder(path).read_metrics() if (path / "metrics.jsonl").exists() else []
    return lines[-1]["iteration"] if lines else 0


def workers_of(mark):
    """Returns the numbers of the processes that play."""
    return [int(line.partition(":")[0]) for line in processes.alive(mark) if "ray::Actor" in line]


@with_ray
@pytest.mark.slow
def test_a_run_in_lockstep_is_the_same_after_twenty_kills_of_workers_and_learner(tmp_path):
    process, mark, log = start(tmp_path, "whole")  # two devices, no worker
    assert process.wait(SECONDS) == 0, log.read_text()
    draw, path, kills = random.Random(3), tmp_path / "killed", 0
    for _ in range(4):
        before = iterations_of(path)
        process, mark, log = start(tmp_path, "killed", "--workers", "2", "--lockstep")
        goes_on = functools.partial(lambda n: iterations_of(path) > n + 10, before)
        processes.wait_until(f"it does not go on: {log.read_text()}", goes_on, SECONDS)
        for _ in range(4):
            victims = functools.partial(workers_of, mark)
            processes.wait_until("no worker comes back", victims, SECONDS)
            os.kill(draw.choice(victims()), signal.SIGKILL)
            time.sleep(draw.uniform(0.0, 2.0))
        process.kill()
        assert process.wait(60) == -signal.SIGKILL, log.read_text()
        gone = functools.partial(lambda of: not processes.alive(of), mark)
        processes.wait_until("processes are left", gone, 60)
        kills += 5
    assert kills == 20
    assert iterations_of(path) < ITERATIONS, "it had ended before the last kill"
    process, mark, log = start(tmp_path, "killed", "--workers", "2", "--lockstep")
    assert process.wait(SECONDS) == 0, log.read_text()
    assert "a worker died" in log.read_text()
    assert_same(path, tmp_path / "whole")


@with_ray
@pytest.mark.slow
def test_a_share_of_a_worker_that_freezes_is_played_by_another(tmp_path):
    process, mark, log = start(tmp_path, "run", "--workers", "2", "--lockstep")
    path = tmp_path / "run"
    processes.wait_until(log.read_text, lambda: iterations_of(path) > 10, SECONDS)
    os.kill(workers_of(mark)[0], signal.SIGSTOP)
    processes.wait_until(log.read_text, lambda: "was given up" in log.read_text(), SECONDS)
    assert process.wait(SECONDS) == 0, log.read_text()
    processes.wait_until("processes are left", lambda: not processes.alive(mark), 60)
