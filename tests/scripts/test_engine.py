"""`selfplay engine` in pipes: answers whole, whoever reads, and an end that says nothing."""

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
from scripts.flags.engine import Args, check
from scripts.terminal import pipes
from tests.support import ROOT
from training.config import RunConfig
from training.settings import NetworkConfig
from training.storage.run_folder import RunFolder

JSON = ["engine", "uniform", "--protocol", "json", "--simulations", "2", "--batch", "32"]
SMALL = [*JSON, "--game", "tic_tac_toe"]


@contextlib.contextmanager
def pipes_as_streams(monkeypatch):
    """Puts pipes in the place of stdin and stdout; yields where to write and where to read."""
    # In the test's own body: pytest sets the streams anew between a fixture and its test.
    asked, ask = os.pipe()
    read, answered = os.pipe()
    before = set(threading.enumerate())
    with os.fdopen(asked) as stdin:
        with os.fdopen(answered, "w") as stdout, monkeypatch.context() as m:
            m.setattr(sys, "stdin", stdin)
            m.setattr(sys, "stdout", stdout)
            yield ask, read
        # A reader that has not seen the end yet would read from whatever has this number next.
        for thread in set(threading.enumerate()) - before:
            thread.join()


def test_a_thousand_requests_and_malformed_lines_have_an_answer_each(monkeypatch, capfd):
    lines = [
        b'{"id": "%d", "moves": [["b", "a%d"]]}\n' % (n, n % 3 + 1) if n % 10 else b"nonsense\n"
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
        assert cli.run(SMALL) == 0
    talking.join()
    assert len(answers) == 1000
    assert sum("error" in answer for answer in answers) == 100
    found = {int(a["id"]) for a in answers if "moveInfos" in a}
    assert found == {n for n in range(1000) if n % 10}
    assert "ready" in capfd.readouterr().err


class KataGoClient:
    """A client as KataGo's example python/query_analysis_engine_example.py is one."""

    def __init__(self, stdin, stdout):
        self.stdin, self.stdout, self.count = stdin, stdout, 0

    def query(self, stones, moves, komi, **more):
        """Asks for the position after all moves, and waits for the response."""
        query = {
            "id": str(self.count),
            "moves": moves,
            "initialStones": stones,
            "rules": "Chinese-ogs",
            "komi": komi,
            "boardXSize": 5,
            "boardYSize": 5,
            "includePolicy": True,
            **more,
        }
        self.count += 1
        self.stdin.write((json.dumps(query) + "\n").encode())
        self.stdin.flush()
        return json.loads(self.stdout.readline())


def test_a_client_of_katago_can_play_by_its_answers(monkeypatch):
    answers = []

    def talk(ask, read):
        with os.fdopen(ask, "wb") as stdin, os.fdopen(read) as stdout:
            client, stones, moves = KataGoClient(stdin, stdout), [("B", "C3"), ("B", "D3")], []
            for colour in "WBWB":
                answers.append(client.query(stones, moves, 0.5, maxVisits=4))
                moves.append((colour, answers[-1]["moveInfos"][0]["move"]))
            client.stdin.write(b'{"id": "v", "action": "query_version"}\n')
            client.stdin.flush()
            answers.append(json.loads(client.stdout.readline()))
            turns = {"analyzeTurns": [0, 1, 2, 3], "maxVisits": 4}
            known = [client.query(stones, moves, 0.5, **turns)]
            known += [json.loads(client.stdout.readline()) for _ in range(3)]
            answers.append(known)

    with pipes_as_streams(monkeypatch) as ends:
        talking = threading.Thread(target=talk, args=ends, daemon=True)
        talking.start()
        assert cli.run([*JSON, "--game", "go:size=5,komi=0.5"]) == 0
    talking.join()
    *alone, version, together = answers
    assert version.keys() == {"id", "action", "version", "git_hash"}
    for turn, answer in enumerate(alone):
        assert (answer["id"], answer["turnNumber"]) == (str(turn), turn)
        assert answer["rootInfo"]["currentPlayer"] == "WBWB"[turn]
        assert sum(info["visits"] for info in answer["moveInfos"]) == 3
        policy = answer["policy"]
        assert len(policy) == 5 * 5 + 1
        assert policy.count(-1) == 2 + turn  # by stones: the uniform player never passes so early
        assert sum(share for share in policy if share >= 0) == pytest.approx(1, abs=1e-5)
        # The same numbers among other turns of one query.
        [again] = [one for one in together if one["turnNumber"] == turn]
        assert again == answer | {"id": "4"}


def test_a_game_is_served_by_what_its_front_ends_speak(monkeypatch):
    for game, line, said in (
        ("breakthrough", b"uci\nquit\n", "id name selfplay"),
        ("tic_tac_toe", b"name\nquit\n", "= selfplay"),
    ):
        with pipes_as_streams(monkeypatch) as (ask, read):
            os.write(ask, line)
            os.close(ask)
            assert cli.run(["engine", "random", "--game", game, "--simulations", "0"]) == 0
            sys.stdout.flush()
            assert os.read(read, 1000).decode().startswith(said)
            os.close(read)


@pytest.mark.parametrize("value", ["tanh", "wdl"])
def test_draws_are_offered_by_a_network_that_tells_them(value, tmp_path, monkeypatch):
    network = NetworkConfig(value=value)
    RunFolder(tmp_path / "run").create(RunConfig(game="breakthrough", network=network))
    with pipes_as_streams(monkeypatch) as (ask, read):
        os.write(ask, b"uci\nquit\n")
        os.close(ask)
        assert cli.run(["engine", str(tmp_path / "run")]) == 0
        sys.stdout.flush()
        assert ("UCI_ShowWDL type check" in os.read(read, 1000).decode()) == (value == "wdl")
        os.close(read)


def test_whoever_leaves_ends_it_without_a_word(monkeypatch, capfd):
    with pipes_as_streams(monkeypatch) as (ask, read):
        os.close(read)
        os.write(ask, b'{"id": "a", "moves": []}\n')  # and more might come
        with pytest.raises(BrokenPipeError):
            cli.run(SMALL)
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
        ({"simulations": 4000}, "must be below --max-visits, 2049,"),
        ({"game": "", "protocol": ""}, "uniform"),
        ({"resign": 2.0}, "--resign must be a winrate"),
    ],
)
def test_what_cannot_be_is_told_at_once(flags, said):
    usual = {"player": "uniform", "game": "tic_tac_toe", "protocol": "json"}
    with pytest.raises(ValueError, match=said):
        check(Args(**{**usual, **flags}))


@pytest.mark.parametrize("player", ["random", "perfect"])
def test_a_player_that_does_not_search_on_the_device_is_refused(player, monkeypatch, capfd):
    with pipes_as_streams(monkeypatch) as (ask, read):
        assert cli.run([*JSON[:1], player, *JSON[2:], "--game", "tic_tac_toe"]) == 2
        os.close(ask)
        os.close(read)
    assert "does not search on the device" in capfd.readouterr().err


@pytest.mark.slow
def test_a_signal_ends_it_at_once_though_nobody_reads():
    command = [sys.executable, "-m", "scripts.cli", *SMALL]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=-1, stdout=-1, stderr=-1, bufsize=0, text=False
    )
    while b"ready" not in process.stderr.readline():
        pass
    process.stdin.write(b"".join(b'{"id": "%d", "moves": []}\n' % n for n in range(1000)))
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert err == b"selfplay engine: interrupted\n"
