"""`selfplay train --hosts N`: the commands of several hosts and the processes that they watch."""

import contextlib
import json
import os
import queue
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Client
from typing import ClassVar

import pytest

from scripts import cli
from scripts.hosts import line, parent
from scripts.hosts import rank as rank_module
from scripts.hosts.line import AbsentError
from scripts.hosts.parent import Command
from scripts.hosts.place import Place, first_node, free_port, place_of
from scripts.terminal.signals import INTERRUPTED
from tests.support.hosts import at_once

LOCAL = "127.0.0.1"
NONE = (0, "", -1)

# ---- where this process stands ------------------------------------------------------------------


def slurm(**changes):
    told = {
        "SLURM_STEP_NUM_TASKS": "4",
        "SLURM_PROCID": "2",
        "SLURM_JOB_ID": "70123",
        "SLURM_STEP_NODELIST": "gpu[07-10]",
    }
    return told | changes


@pytest.mark.parametrize(
    ("flags", "environment", "place"),
    [
        (NONE, {}, None),
        ((1, "", -1), {}, None),
        ((3, "", -1), {}, Place(3, (0, 1, 2))),
        ((2, "gpu1:2345", 1), {}, Place(2, (1,), "gpu1", 2345)),
        ((2, "[::1]:2345", 0), {}, Place(2, (0,), "::1", 2345)),
        ((4, "", -1), slurm(), Place(4, (2,), "gpu07", 61000 + 70123 % 4000)),
        ((2, "a:1", 0), slurm(), Place(2, (0,), "a", 1)),
        # A batch script is no step, and one task trains alone, or starts all.
        ((2, "", -1), slurm(SLURM_STEP_NUM_TASKS="1"), Place(2, (0, 1))),
        (NONE, slurm(), None),
    ],
)
def test_the_place_follows_from_flags_or_from_slurm(flags, environment, place):
    assert place_of(*flags, environment) == place


@pytest.mark.parametrize(
    ("flags", "environment", "said"),
    [
        ((0, "a:1", 0), {}, "go together"),
        ((2, "", 0), {}, "go together"),
        ((2, "a:1", -1), {}, "go together"),
        ((2, "a", 0), {}, "--coordinator must be HOST:PORT of rank 0, got 'a'"),
        ((2, "a:0", 0), {}, "got 'a:0'"),
        ((2, ":12", 0), {}, "got ':12'"),
        ((2, "a:1", 2), {}, "--rank must be 0 to 1 with --hosts 2, got 2"),
        ((-1, "", -1), {}, "at least 1, got -1"),
        ((3, "", -1), slurm(), "--hosts 3, but Slurm has started 4 tasks"),
        ((4, "", -1), slurm(SLURM_PROCID=""), "SLURM_PROCID"),
    ],
)
def test_a_place_that_cannot_be_meant_is_refused_with_what_to_do(flags, environment, said):
    with pytest.raises(ValueError, match=said.replace("[", r"\[")):
        place_of(*flags, environment)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("n1", "n1"),
        ("n1,n2", "n1"),
        ("gpu[001-004,009],big1", "gpu001"),
        ("gpu[3,5]", "gpu3"),
        ("r[1-2]n[03-04]", "r1n03"),
        ("a-b-c2", "a-b-c2"),
    ],
)
def test_the_first_of_slurms_nodes_is_where_rank_0_is(nodes, first):
    assert first_node(nodes) == first


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--hosts", "2", "--learner.batch", "33"), "must be a multiple of 2, got 33"),
        (("--hosts", "3", "--self-play.batch", "64"), "must be a multiple of 3, got 64"),
        (("--hosts", "2", "--targets", "nothing"), "there is no target 'nothing'"),
        (("--hosts", "2", "--lockstep", "--workers", "2"), "--hosts and --lockstep"),
        (("--rank", "1"), "go together"),
    ],
)
def test_what_hosts_cannot_share_is_refused_before_any_process_starts(capsys, flags, said):
    assert cli.run(["train", "--game", "tic_tac_toe", *flags]) == 2
    assert said in capsys.readouterr().err


# ---- the line between commands ------------------------------------------------------------------


def test_ranks_that_do_not_come_are_named(monkeypatch):
    monkeypatch.setattr(line, "JOIN_SECONDS", 0.5)
    port, events = free_port(LOCAL), queue.Queue()
    reached = threading.Thread(
        target=lambda: line.reach(LOCAL, port, 4, 2, events, lambda text: None), daemon=True
    )
    reached.start()
    told = []
    with pytest.raises(AbsentError, match=r"rank 1, 3 of 4 did not come .* --hosts 2"):
        line.gather(LOCAL, port, 4, events, told.append)
    reached.join(5.0)
    assert told[-1] == "waiting for rank 1, 3 of 4"


def test_a_coordinator_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(line, "JOIN_SECONDS", 0.2)
    with pytest.raises(AbsentError, match=r"rank 0 did not answer at 127\.0\.0\.1"):
        line.reach(LOCAL, free_port(LOCAL), 2, 1, queue.Queue(), lambda text: None)


@pytest.mark.parametrize(
    ("hosts", "rank", "said"),
    [
        (3, 1, "--hosts 2, and this one with 3"),
        (2, 0, "--rank must be 1 to 1"),
        (2, 5, "--rank must be 1 to 1"),
    ],
)
def test_a_command_that_does_not_belong_is_told_why_and_keeps_nobody_out(hosts, rank, said):
    port, events = free_port(LOCAL), queue.Queue()
    gathered = []
    gathering = threading.Thread(
        target=lambda: gathered.append(line.gather(LOCAL, port, 2, events, lambda text: None)),
        daemon=True,
    )
    gathering.start()
    heard = queue.Queue()
    line.reach(LOCAL, port, hosts, rank, heard, lambda text: None)
    word = heard.get(timeout=5.0).word
    assert (word["kind"], word["code"]) == ("over", 2)
    assert said in word["text"]
    stranger = socket.create_connection((LOCAL, port))  # says nothing
    line.reach(LOCAL, port, 2, 1, queue.Queue(), lambda text: None)
    gathering.join(5.0)
    stranger.close()
    assert sorted(gathered[0][1]) == [0, 1]


@contextlib.contextmanager
def gathering(port, hosts, events):
    """Lets rank 0 wait for the others; yields where its result will be."""
    gathered = []
    thread = threading.Thread(
        target=lambda: gathered.append(line.gather(LOCAL, port, hosts, events, lambda text: None)),
        daemon=True,
    )
    thread.start()
    yield gathered
    thread.join(5.0)


def connected(port):
    end = time.monotonic() + 5.0
    while True:
        try:
            return Client((LOCAL, port), family="AF_INET")
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.02)


@pytest.mark.parametrize(
    "said",
    [
        b'{"kind": "hello"}',
        b"[" * 60_000,  # deeper than a parser goes
        b'{"kind": "hello", "format": "selfplay hosts 1", "hosts": 2, "rank": [1]}',
    ],
)
def test_a_stranger_who_speaks_and_leaves_at_once_keeps_nobody_out(monkeypatch, said):
    monkeypatch.setattr(line, "JOIN_SECONDS", 5.0)
    port = free_port(LOCAL)
    with gathering(port, 2, queue.Queue()) as gathered:
        for _ in range(5):
            connection = connected(port)
            with socket.socket(fileno=os.dup(connection.fileno())) as stranger:
                stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.send_bytes(said)
                connection.close()  # and what is sent to it now breaks
        line.reach(LOCAL, port, 2, 1, queue.Queue(), lambda text: None)
    assert sorted(gathered[0][1]) == [0, 1]


def test_a_host_whose_command_has_ended_before_all_came_may_come_again():
    port = free_port(LOCAL)
    hello = {"kind": "hello", "format": line.FORMAT, "hosts": 3, "rank": 1, "name": "first"}
    with gathering(port, 3, queue.Queue()) as gathered:
        first = connected(port)
        first.send_bytes(json.dumps(hello).encode())
        time.sleep(0.3)
        first.close()
        time.sleep(0.5)
        for rank in (1, 2):
            line.reach(LOCAL, port, 3, rank, queue.Queue(), lambda text: None)
    assert gathered[0][1] == dict.fromkeys(range(3), socket.gethostname())


def test_a_port_that_is_taken_is_named_with_what_to_do():
    with socket.create_server((LOCAL, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=rf"cannot listen at {LOCAL}:{port} .*no other program"):
            line.gather(LOCAL, port, 2, queue.Queue(), lambda text: None)


# ---- commands and stand-ins of their processes --------------------------------------------------


@pytest.fixture
def fates(monkeypatch):
    """Lets processes be stand-ins; the times of patience are short."""
    monkeypatch.setattr(parent, "PROGRAM", [sys.executable, "-m", "tests.planted.ranks"])
    monkeypatch.setattr(parent, "GRACE_SECONDS", 2.0)
    monkeypatch.setattr(parent, "SILENT_SECONDS", 4.0)


def in_one_command(fates, stop=lambda: False):
    return Command(Place(len(fates), tuple(range(len(fates)))), fates).run(stop)


def in_a_command_each(fates, stop=lambda: False):
    port = free_port(LOCAL)

    def run(rank):
        command = Command(Place(len(fates), (rank,), LOCAL, port), fates)
        return command.run(stop if rank else lambda: False)

    return at_once(len(fates), run)


ENDINGS = [
    (["works", "works", "works"], 0, ""),
    (["goes on", "is killed", "sees a loss"], INTERRUPTED, "rank 1 of 3 was ended by SIGKILL"),
    (["is killed", "goes on", "sees a loss"], INTERRUPTED, "rank 0 of 3 was ended by SIGKILL"),
    (["goes on", "fails", "sees a loss"], 2, "rank 1 of 3: komi must be a number"),
    (["fails", "goes on", "goes on"], 2, "rank 0 of 3: komi must be a number"),
    (["goes on", "is silent", "goes on"], INTERRUPTED, "rank 1 of 3 has said nothing for"),
    (["goes on", "goes on", "exits"], 3, "rank 2 of 3 has ended with code 3"),
    (["sees a loss", "goes on", "goes on"], INTERRUPTED, "Gloo: connection reset by peer"),
]


@pytest.mark.parametrize(("told", "code", "said"), ENDINGS)
def test_the_end_of_one_rank_ends_the_command_with_its_reason(fates, capfd, told, code, said):
    assert in_one_command(told) == code
    heard = capfd.readouterr()
    assert said in heard.err
    assert ("the same command goes on" in heard.err) == (code == INTERRUPTED)
    if not code:
        assert sorted(heard.out.splitlines()) == ["0 of 3", "1 of 3", "2 of 3"]


@pytest.mark.parametrize(("told", "code", "said"), ENDINGS[:4])
def test_the_end_of_one_rank_ends_the_commands_of_all_hosts(fates, capfd, told, code, said):
    assert in_a_command_each(told) == [code] * 3
    if said:  # by each of them
        said = said.replace(" of 3", f" of 3 on {socket.gethostname()}")
        assert capfd.readouterr().err.count(said) == 3


def test_a_host_does_not_wait_for_ever_for_one_that_says_nothing(fates, monkeypatch, capfd):
    monkeypatch.setattr(parent, "SILENT_SECONDS", 0.5)
    codes = []
    with socket.create_server((LOCAL, 0)) as other:  # a program that is not ours, or is stopped
        port = other.getsockname()[1]
        command = Command(Place(2, (1,), LOCAL, port), [])
        run = threading.Thread(target=lambda: codes.append(command.run(lambda: False)), daemon=True)
        run.start()
        run.join(10.0)
    assert codes == [INTERRUPTED]
    assert f"who listens at {LOCAL}:{port} has said nothing" in capfd.readouterr().err


def test_a_command_that_was_stopped_itself_blames_nobody_for_silence(fates, monkeypatch):
    take, stopped = Command._take, []

    def take_late(command, event):
        if not stopped:
            stopped.append(time.sleep(parent.SILENT_SECONDS + 0.5))  # as Ctrl-Z and `fg` do
        take(command, event)

    monkeypatch.setattr(Command, "_take", take_late)
    assert in_one_command(["works", "works"]) == 0


def test_a_signal_to_one_command_reaches_the_processes_of_all(fates):
    assert in_a_command_each(["stops", "stops"], stop=lambda: True) == [75, 75]
    assert in_one_command(["stops", "stops"], stop=lambda: True) == 75


def test_a_command_that_a_signal_ends_leaves_no_file_behind(tmp_path):
    where = ("--hosts", "2", "--coordinator", f"{LOCAL}:{free_port(LOCAL)}", "--rank", "0")
    command = subprocess.Popen(
        [*parent.PROGRAM, "train", "--game", "tic_tac_toe", *where],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 60.0
        while not list(tmp_path.iterdir()):  # what libraries will write
            assert time.monotonic() < end
            time.sleep(0.05)
        command.send_signal(signal.SIGTERM)
        assert command.wait(30.0) == INTERRUPTED
    finally:
        command.kill()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("flags", [[], ["--debug"]])
def test_debug_shows_where_a_rank_failed(monkeypatch, capsys, flags):
    class Ended:
        told: ClassVar = {"coordinator": f"{LOCAL}:1", "rank": 0, "hosts": 2, "device": None}

        def fail(self, text, code):
            raise SystemExit(f"{text} {code}")

    def join(*place):
        raise TypeError("planted")

    monkeypatch.setattr(rank_module.store, "join", join)
    monkeypatch.setattr(sys, "argv", ["selfplay", "train", *flags])
    with pytest.raises(SystemExit, match=r"planted.* 1"):
        rank_module.run(Ended(), lambda peers: 0)
    assert ("in join" in capsys.readouterr().err) == bool(flags)
