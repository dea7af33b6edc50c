"""`selfplay train --hosts N` with real processes, which die, and are told to stop."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from scripts import cli, hosts
from scripts.flags.train import Args, check, script
from scripts.terminal.signals import INTERRUPTED
from tests.support import ROOT
from training import checkpoint_steps

TINY = (
    *("--game", "tic_tac_toe", "--network.blocks", "0", "--network.channels", "8"),
    *("--network.value-hidden", "8", "--search.simulations", "2", "--self-play.batch", "16"),
    *("--self-play.plies-per-call", "6", "--replay.min-examples", "40", "--learner.batch", "32"),
    *("--evaluation.every", "0", "--checkpoint.every-seconds", "1"),
)
LOSS_SECONDS = 45.0  # in which the others notice that a process is gone
WATCHDOG = 240.0


def start(*words, log):
    env = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=1"}
    command = [sys.executable, "-m", "scripts.cli", "train", *map(str, words)]
    with log.open("w") as file:
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=file, stderr=file)


def run(*words, log):
    return start(*words, log=log).wait(WATCHDOG)


class Processes:
    """Those of a run, one a host; `other`: the folder that process 1 names instead."""

    def __init__(self, folder, *flags, other=None):
        where = ("--hosts", 2, "--coordinator", f"127.0.0.1:{free_port()}", *flags)
        self.folder = folder
        self.logs = [folder.parent / f"process-{rank}.txt" for rank in range(2)]
        folders = (folder, other or folder)
        self.all = [
            start(folders[rank], *TINY, *where, "--rank", rank, log=self.logs[rank])
            for rank in range(2)
        ]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for process in self.all:
            process.kill()
            process.wait()

    def wait_until_saved(self):
        """Waits for a save of this start."""
        before, end = steps_of(self.folder), time.monotonic() + WATCHDOG
        while steps_of(self.folder) <= max(before, 0):
            assert time.monotonic() < end, self.said()
            assert all(process.poll() is None for process in self.all), self.said()
            time.sleep(0.1)

    def codes(self, seconds):
        end = time.monotonic() + seconds
        return [process.wait(max(end - time.monotonic(), 0)) for process in self.all]

    def said(self):
        return "\n".join(log.read_text() for log in self.logs)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def steps_of(folder):
    return checkpoint_steps(folder)[-1] if (folder / "checkpoints").exists() else -1


def test_hosts_that_start_on_one_machine_train_and_one_process_goes_on_from_their_save(tmp_path):
    folder, log = tmp_path / "run", tmp_path / "log.txt"
    local = ("--hosts", 2, "--local", "--json", "--iterations", 3)
    assert run(folder, *TINY, *local, log=log) == 0, log.read_text()
    result = json.loads(log.read_text().splitlines()[-1])
    assert (result["finished"], result["iteration"]) == (True, 3)
    saved = folder / "checkpoints" / str(result["step"])
    assert {"games.npz", "games-1.npz"} <= {path.name for path in saved.iterdir()}
    assert cli.run(["train", str(folder), "--iterations", "4"]) == 0
    assert steps_of(folder) > result["step"]


@pytest.mark.slow
def test_a_signal_to_one_process_saves_and_ends_all_and_a_kill_ends_the_others(tmp_path):
    folder = tmp_path / "run"
    for rank in (1, 0):
        with Processes(folder) as processes:
            processes.wait_until_saved()
            before = steps_of(folder)
            processes.all[rank].send_signal(signal.SIGTERM)
            assert processes.codes(30) == [INTERRUPTED] * 2, processes.said()
            assert steps_of(folder) > before
        with Processes(folder) as processes:
            processes.wait_until_saved()
            processes.all[rank].kill()
            assert 0 not in processes.codes(LOSS_SECONDS), processes.said()
    records = map(json.loads, (folder / "games" / "self_play.jsonl").read_text().splitlines())
    games = [record["game_id"] for record in records]
    assert len(games) == len(set(games)) > 10


@pytest.mark.slow
def test_a_process_that_does_not_see_the_run_is_refused_before_anything_is_compiled(tmp_path):
    with Processes(tmp_path / "run", other=tmp_path / "elsewhere") as processes:
        assert processes.codes(hosts.SEEN_SECONDS + WATCHDOG) == [2, 2]
        assert "process 1 does not find this run" in processes.logs[1].read_text()
        assert "compiling" not in processes.said()


def test_hosts_without_rank_or_launcher_are_refused_by_a_sentence(tmp_path):
    log = tmp_path / "log.txt"
    assert run("--run-dir", tmp_path / "run", *TINY, "--hosts", 2, log=log) == 2
    last = log.read_text().splitlines()[-1]
    for named in ("Slurm", "Open MPI", "Kubernetes", "--coordinator", "--rank", "--local"):
        assert named in last
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"hosts": 2}, "--run-dir"),
        ({"local": True}, "--local needs --hosts"),
        ({"rank": 1, "run_dir": "r"}, "--rank needs --hosts"),
        ({"hosts": 2, "run_dir": "r", "rank": 1}, "go together"),
        ({"hosts": 2, "run_dir": "r", "coordinator": "gpu1", "rank": 0}, "HOST:PORT"),
        ({"hosts": 2, "run_dir": "r", "coordinator": "gpu1:1", "rank": 2}, "0 to 1"),
        ({"hosts": 3, "run_dir": "r"}, "multiple of 3"),
        ({"hosts": 2, "run_dir": "r", "workers": "2"}, "--workers"),
    ],
)
def test_hosts_that_cannot_be_meant_are_refused_at_once(tiny_config, given, said):
    with pytest.raises(ValueError, match=said):
        check(Args(tiny_config, **given))


def test_local_starts_processes_and_a_process_with_its_place_trains(tiny_config):
    given = {"hosts": 2, "local": True, "run_dir": "r"}
    assert script(Args(tiny_config, **given)) == "local_hosts"
    placed = Args(tiny_config, **given, coordinator="127.0.0.1:1", rank=0)
    assert script(placed) == script(Args(tiny_config)) == "train"


def test_the_id_of_a_run_travels_as_numbers():
    one, other = hosts._words("0" * 31 + "1"), hosts._words("f" * 32)
    assert one == [1.0, 0.0, 0.0, 0.0]
    assert other == [float(2**32 - 1)] * 4
