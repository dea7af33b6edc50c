"""`selfplay analyse` in pipes: answers whole, whoever reads, and an end that says nothing."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from scripts import cli
from scripts.flags.analyse import Args, check
from scripts.terminal import pipes
from tests.support import ROOT

SMALL = ["uniform", "--game", "tic_tac_toe", "--simulations", "2", "--batch", "32"]


@contextlib.contextmanager
def pipes_as_streams(monkeypatch):
    """Puts pipes in the place of stdin and stdout; yields where to write and where to read."""
    # In the test's own body: pytest sets the streams anew between a fixture and its test.
    asked, ask = os.pipe()
    read, answered = os.pipe()
    with os.fdopen(asked) as stdin, os.fdopen(answered, "w") as stdout, monkeypatch.context() as m:
        m.setattr(sys, "stdin", stdin)
        m.setattr(sys, "stdout", stdout)
        yield ask, read


def test_a_thousand_requests_and_malformed_lines_have_an_answer_each(monkeypatch, capfd):
    lines = [
        b'{"id": "%d", "moves": [%d]}\n' % (n, n % 9) if n % 10 else b"nonsense\n"
        for n in range(1000)
    ]

    answers = []

    def talk(ask, read):  # all is written before anything is read, far more than a pipe holds
        with os.fdopen(ask, "wb") as file:
            file.writelines(lines)
        with os.fdopen(read) as file:
            answers.extend(map(json.loads, file))

    with pipes_as_streams(monkeypatch) as ends:
        talking = threading.Thread(target=talk, args=ends, daemon=True)
        talking.start()
        assert cli.run(["analyse", *SMALL]) == 0
    talking.join()
    assert len(answers) == 1000
    assert sorted(a["line"] for a in answers if "error" in a) == list(range(1, 1001, 10))
    assert {int(a["id"]) for a in answers if "move" in a} == {n for n in range(1000) if n % 10}
    assert "ready" in capfd.readouterr().err


def test_whoever_leaves_ends_it_without_a_word(monkeypatch, capfd):
    with pipes_as_streams(monkeypatch) as (ask, read):
        os.close(read)
        os.write(ask, b'{"id": "a"}\n')  # and more might come
        with pytest.raises(BrokenPipeError):
            cli.run(["analyse", *SMALL])
        os.close(ask)
    assert capfd.readouterr().err.splitlines()[-1] == "ready"


def test_a_line_is_written_whole_through_a_pipe_that_is_full():
    read, write = os.pipe()
    outbox = pipes.Outbox(write)
    lines = [bytes([65 + n]) * 100_000 + b"\n" for n in range(3)]
    for line in lines:
        outbox.put(line)
    got = b""
    while len(got) < sum(map(len, lines)):
        got += os.read(read, 1000)
    outbox.close()
    assert got == b"".join(lines)
    os.close(read)
    os.close(write)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"player": "uniform:simulations=8"}, "leave out simulations"),
        ({"batch": 0}, "--batch must be at least 1, got 0"),
        ({"simulations": 4000}, "from 0 to --max-simulations, 2048, got 4000"),
    ],
)
def test_what_cannot_be_is_told_at_once(flags, said):
    with pytest.raises(ValueError, match=said):
        check(Args(**{"player": "uniform", "game": "tic_tac_toe", **flags}))


@pytest.mark.parametrize("player", ["random", "perfect"])
def test_a_player_that_does_not_search_on_the_device_is_refused(player, monkeypatch, capfd):
    with pipes_as_streams(monkeypatch) as (ask, read):
        assert cli.run(["analyse", player, "--game", "tic_tac_toe"]) == 2
        os.close(ask)
        os.close(read)
    assert "does not search on the device" in capfd.readouterr().err


@pytest.mark.slow
def test_a_signal_ends_it_at_once_with_the_last_line_whole_though_nobody_reads():
    command = [sys.executable, "-m", "scripts.cli", "analyse", *SMALL]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=-1, stdout=-1, stderr=-1, bufsize=0, text=False
    )
    while b"ready" not in process.stderr.readline():
        pass
    process.stdin.write(b"".join(b'{"id": "%d"}\n' % n for n in range(1000)))
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert err == b"selfplay analyse: interrupted\n"
    assert out.endswith(b"}\n")
