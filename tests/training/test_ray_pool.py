"""Workers on Ray: the real command, on this machine and on a cluster that loses nodes."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
import uuid

import pytest

from tests.support import ROOT, processes
from training.storage.run_folder import RunFolder
from training.workers import ledger

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed: pip install '.[ray]'"
)
SECONDS = 240.0  # more is a hang


def train(tmp_path, iterations, workers, name="run", before=(), more=()):
    """Starts a run with workers; returns its process, its mark and what it says."""
    mark, log = uuid.uuid4().hex, tmp_path / f"{name}.log"
    words = ["train", *processes.tiny_flags(iterations), "--run-dir", str(tmp_path / name)]
    words += ["--workers", workers, *more]
    return processes.start(words, mark, log, before), mark, log


def check_taken(path, batches=None):
    """Checks that each batch was taken once, in order, with all of its rows."""
    known = ledger.read(path / "replay")
    ledger.check_order(known.taken)
    keys = [line.key for line in known.taken]
    assert len(set(keys)) == len(keys)
    for incarnation in {key.incarnation for key in keys}:
        seqs = [key.seq for key in keys if key.incarnation == incarnation]
        assert seqs == list(range(len(seqs)))
    assert batches is None or len(keys) == batches
    return known


def test_a_worker_on_ray_plays_for_a_run_and_no_process_is_left(tmp_path):
    process, mark, log = train(tmp_path, 6, "1")
    assert process.wait(SECONDS) == 0, log.read_text()
    assert "RuntimeWarning" not in log.read_text()
    check_taken(tmp_path / "run", batches=6)
    processes.wait_until("processes are left", lambda: not processes.alive(mark), 20)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_a_learner_that_is_stopped_or_killed(tmp_path, number):
    process, mark, log = train(tmp_path, 100_000, "2")

    def has_begun():
        assert process.poll() is None, log.read_text()
        return len(ledger.read(tmp_path / "run" / "replay").taken) > 3

    processes.wait_until(log, has_begun, SECONDS)
    process.send_signal(number)
    assert process.wait(60) == (75 if number == signal.SIGTERM else -number), log.read_text()
    processes.wait_until("processes are left", lambda: not processes.alive(mark), 60)
    before = check_taken(tmp_path / "run")
    more = [str(len(before.taken) + 10)]
    words = ["train", str(tmp_path / "run"), "--workers", "2", "--iterations", *more]
    process = processes.start(words, mark, log)
    assert process.wait(SECONDS) == 0, log.read_text()
    after = check_taken(tmp_path / "run", batches=int(more[0]))
    assert after.taken[: len(before.taken)] == before.taken
    assert RunFolder(tmp_path / "run").read_metrics()[-1]["iteration"] == int(more[0])


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [2.0, 5.0, 8.0, 11.0, 14.0])
def test_ctrl_c_while_all_is_starting_leaves_no_process(tmp_path, seconds):
    process, mark, log = train(tmp_path, 100_000, "2")
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) in (75, 130), log.read_text()
    processes.wait_until("processes are left", lambda: not processes.alive(mark), 30)


def players_of(mark):
    """Returns the numbers of the processes that play."""
    lines = processes.alive(mark)
    return [int(line.partition(":")[0]) for line in lines if "ray::Actor" in line]


@pytest.mark.slow
@pytest.mark.skipif(not processes.can_be_alone(), reason="no network namespace can be made here")
def test_a_worker_that_freezes_is_replaced_and_needs_no_network_for_it(tmp_path):
    process, mark, log = train(tmp_path, 100_000, "2", before=processes.ALONE)
    replay = tmp_path / "run" / "replay"

    def wait_for(what, holds):
        def look():
            assert process.poll() is None, log.read_text()
            return holds()

        processes.wait_until(f"{what}: {log.read_text()}", look, SECONDS)

    def batches_of(incarnation):
        return sum(line.incarnation == incarnation for line in ledger.read(replay).taken)

    wait_for("both play", lambda: min(batches_of(0), batches_of(1)) > 3)
    frozen = players_of(mark)[0]
    os.kill(frozen, signal.SIGSTOP)
    wait_for("nobody follows it", lambda: batches_of(2) > 3)
    assert "silent for" in log.read_text()
    gone = ledger.read(replay).gone
    assert len(gone) == 1
    before = batches_of(1 - gone[0])
    wait_for("the other does not go on", lambda: batches_of(1 - gone[0]) > before + 20)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 75, log.read_text()
    processes.wait_until("processes are left", lambda: not processes.alive(mark), 60)
    check_taken(tmp_path / "run")


@pytest.fixture
def cluster():
    """Asks a cluster on this machine: `ask("add")`, `ask("kill 0")`; its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.ray_cluster"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    def ask(line=""):
        if line:
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
        return process.stdout.readline().strip()

    yield ask, ask()
    process.stdin.close()
    process.wait(60)
    process.stdout.close()


@pytest.mark.slow
def test_nodes_of_a_cluster_come_and_are_lost_and_the_run_goes_on(tmp_path, cluster, monkeypatch):
    ask, address = cluster
    assert ask("add") == "0"
    monkeypatch.setenv("RAY_ADDRESS", address)
    process, mark, log = train(tmp_path, 100_000, "1-2")
    replay = tmp_path / "run" / "replay"

    def taken(of):
        return [line for line in ledger.read(replay).taken if line.incarnation in of]

    def wait_for(what, holds):
        def look():
            assert process.poll() is None, log.read_text()
            return holds()

        processes.wait_until(f"{what}: {log.read_text()}", look, SECONDS)

    wait_for("no batch of the first node", lambda: len(taken({0})) > 3)
    assert ask("add") == "1"
    wait_for("no batch of the second node", lambda: len(taken({1})) > 3)
    assert ask("kill 0") == "killed"
    before = len(taken({1}))
    wait_for("the other node does not go on", lambda: len(taken({1})) > before + 20)
    assert ask("add") == "2"
    wait_for("nobody takes the place of the lost one", lambda: len(taken({2})) > 3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 75, log.read_text()
    check_taken(tmp_path / "run")
    ours = [line for line in processes.alive(mark) if "scripts.cli" in line or "ray::Actor" in line]
    assert not ours
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 75, log.read_text()
    processes.wait_until("processes are left", lambda: not processes.alive(mark), 60)


@pytest.mark.slow
def test_two_runs_on_one_cluster_take_each_their_own(tmp_path, cluster, monkeypatch):
    ask, address = cluster
    assert [ask("add"), ask("add")] == ["0", "1"]
    monkeypatch.setenv("RAY_ADDRESS", address)
    more = ("--worker-resources", "CPU=1")
    begun = [train(tmp_path, 300, "1", name, more=more) for name in ("one", "two")]
    for process, mark, log in begun:
        assert process.wait(SECONDS) == 0, log.read_text()
        processes.wait_until("processes are left", lambda: not processes.alive(mark), 60)  # noqa: B023
    ids = [RunFolder(tmp_path / name).run_id() for name in ("one", "two")]
    assert ids[0] != ids[1]
    for name in ("one", "two"):
        known = check_taken(tmp_path / name, batches=300)
        assert [join.incarnation for join in known.joins] == [0]
