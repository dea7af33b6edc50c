"""`selfplay train --hosts N` with real processes, which die, hang, and are told to stop."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from scripts.hosts.place import free_port
from scripts.terminal.signals import INTERRUPTED
from training import checkpoint_steps, replay

LOCAL = "127.0.0.1"
TINY = (
    *("--game", "tic_tac_toe", "--network.blocks", "1", "--network.channels", "8"),
    *("--network.value-hidden", "8", "--search.simulations", "4", "--self-play.batch", "16"),
    *("--self-play.plies-per-call", "6", "--replay.min-rows", "40", "--learner.batch", "32"),
    *("--evaluation.every", "0", "--checkpoint.every-seconds", "2"),
)
CLI = (sys.executable, "-m", "scripts.cli", "train")
READY = "policy loss"  # in what rank 0 says once it trains
WATCHDOG = 240.0


class Gang:
    """Commands of hosts, each a process of this machine."""

    def __init__(self, folder, count, *flags):
        self.folder, self.port = folder, free_port(LOCAL)
        self.logs = [folder.parent / f"rank-{rank}.txt" for rank in range(count)]
        self.commands = [self.start(rank, count, *flags) for rank in range(count)]

    def start(self, rank, count, *flags):
        where = ("--coordinator", f"{LOCAL}:{self.port}", "--rank", str(rank))
        with self.logs[rank].open("w") as log:
            return subprocess.Popen(
                [*CLI, str(self.folder), *TINY, "--hosts", str(count), *where, *flags],
                env={**os.environ, "XLA_FLAGS": ""},
                stdout=log,
                stderr=log,
            )

    def said(self, rank):
        return self.logs[rank].read_text()

    def wait_until(self, text, rank=0):
        end = time.monotonic() + WATCHDOG
        while text not in self.said(rank):
            assert time.monotonic() < end, self.said(rank)
            assert self.commands[rank].poll() is None, self.said(rank)
            time.sleep(0.1)

    def wait_until_saved(self):
        self.wait_until(READY)
        end = time.monotonic() + WATCHDOG
        while checkpoint_steps(self.folder)[-1] == 0:
            assert time.monotonic() < end, self.said(0)
            time.sleep(0.1)

    def child(self, rank):
        """Returns the process that trains, of a command."""
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                owner = int(path.with_name("stat").read_text().rpartition(") ")[2].split()[1])
                mine = owner == self.commands[rank].pid and b"scripts.cli" in path.read_bytes()
            except OSError:
                continue
            if mine:
                return int(path.parent.name)
        raise AssertionError("no process trains")

    def end(self, within=WATCHDOG):
        """Returns the exit codes, and how long it took."""
        began = time.monotonic()
        try:
            codes = [c.wait(max(0.1, began + within - time.monotonic())) for c in self.commands]
        finally:
            for command in self.commands:
                command.kill()
        return codes, time.monotonic() - began


def test_hosts_stop_together_and_another_number_of_them_goes_on(tmp_path):
    folder = tmp_path / "run"
    gang = Gang(folder, 2, "--iterations", "100000")
    gang.wait_until_saved()
    gang.commands[1].send_signal(signal.SIGTERM)
    codes, seconds = gang.end()
    assert codes == [INTERRUPTED] * 2, gang.said(0) + gang.said(1)
    assert seconds < 60.0
    assert f"--coordinator {LOCAL}:{gang.port} --rank 0 goes on" in gang.said(0)
    assert "of which the exchange of" in gang.said(0)
    stopped = checkpoint_steps(folder)[-1]
    assert stopped > 0
    alone = subprocess.run(
        [*CLI, str(folder), *TINY, "--minutes", "0.02", "--iterations", "0"],
        capture_output=True,
        text=True,
        timeout=WATCHDOG,
    )
    assert alone.returncode == 0, alone.stderr
    assert checkpoint_steps(folder)[-1] >= stopped


FAULTS = {
    "the process of rank 0 is killed": lambda gang: os.kill(gang.child(0), signal.SIGKILL),
    "the process of rank 1 is killed": lambda gang: os.kill(gang.child(1), signal.SIGKILL),
    "the command of rank 0 is killed": lambda gang: gang.commands[0].kill(),
    "the command of rank 1 is killed": lambda gang: gang.commands[1].kill(),
    "the process of rank 0 is stopped": lambda gang: os.kill(gang.child(0), signal.SIGSTOP),
    "the process of rank 1 is stopped": lambda gang: os.kill(gang.child(1), signal.SIGSTOP),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_loss_ends_all_hosts_within_a_minute_and_the_same_command_goes_on(tmp_path, fault):
    folder = tmp_path / "run"
    gang = Gang(folder, 2, "--iterations", "100000")
    gang.wait_until_saved()
    FAULTS[fault](gang)
    codes, seconds = gang.end(60.0)
    assert seconds < 60.0
    assert set(codes) <= {INTERRUPTED, -signal.SIGKILL}
    saved = checkpoint_steps(folder)[-1]
    again = Gang(folder, 2, "--iterations", "100000")
    again.wait_until(READY)  # within the watchdog
    again.commands[0].send_signal(signal.SIGTERM)
    assert again.end()[0] == [INTERRUPTED] * 2, again.said(0) + again.said(1)
    assert checkpoint_steps(folder)[-1] >= saved


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_an_exception_of_one_rank_is_the_sentence_of_all(tmp_path, rank):
    gang = Gang(
        tmp_path / "run",
        2,
        *("--iterations", "100000", "--distil", f"tests.planted.rank_losses:fails_on_{rank}"),
    )
    codes, _ = gang.end()
    assert codes == [1, 1]
    for other in (0, 1):
        assert "no loss of mine" in gang.said(other)
        assert f"rank {rank} of 2" in gang.said(other)


@pytest.mark.slow
def test_a_run_of_hosts_that_was_killed_ends_as_one_that_was_not(tmp_path):
    limit = ("--iterations", "300")
    whole = Gang(tmp_path / "whole", 2, *limit)
    assert whole.end()[0] == [0, 0], whole.said(0) + whole.said(1)
    killed = Gang(tmp_path / "killed", 2, *limit)
    for rank in (1, 0):
        killed.wait_until_saved()
        os.kill(killed.child(rank), signal.SIGKILL)
        assert killed.end(60.0)[0] == [INTERRUPTED] * 2
        killed = Gang(tmp_path / "killed", 2, *limit)
    assert killed.end()[0] == [0, 0], killed.said(0) + killed.said(1)
    step = checkpoint_steps(whole.folder)[-1]
    assert step == checkpoint_steps(killed.folder)[-1] > 0
    for file in ("train_state/arrays.npz", "games.npz"):
        arrays, others = (
            np.load(gang.folder / "checkpoints" / str(step) / file) for gang in (whole, killed)
        )
        assert arrays.files == others.files
        for name in arrays.files:
            np.testing.assert_array_equal(arrays[name], others[name])
    assert_same_rows(whole.folder / "replay", killed.folder / "replay")


def assert_same_rows(folder, other):
    """Both hold the same rows under the same numbers, in whatever chunks."""
    rows, others = (
        {
            int(path.stem[:12]) + place: (int(game), int(ply))
            for path in sorted(where.glob("*.npz"))
            for columns in [replay.read_chunk(path)]
            for place, (game, ply) in enumerate(zip(columns.game_id, columns.ply, strict=True))
        }
        for where in (folder, other)
    )
    common = rows.keys() & others.keys()
    assert len(common) > 300
    assert {number: rows[number] for number in common} == {n: others[n] for n in common}
