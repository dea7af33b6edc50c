"""The server where names, bodies and its worker are not as they should be."""

import json
import os
import signal
import subprocess
import threading
import time

import pytest

from tests.support import long_runs
from tests.support.web import serving


def workers_of(server):
    """Returns the processes that search for a server."""
    told = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(server)], capture_output=True, text=True
    )
    rows = [line.split(maxsplit=1) for line in told.stdout.splitlines()]
    return [int(pid) for pid, words in rows if "scripts.web.worker" in words]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    long_runs.write(folder / "good", 3, every=3)
    return folder


@pytest.fixture(scope="module")
def server(runs):
    with serving(runs) as client:
        yield client


def test_names_that_are_no_text_hide_no_other_run(server, runs):
    odd = os.fsencode(runs) + b"/odd\xff\xfe"
    os.mkdir(odd)
    (runs / os.fsdecode(odd) / "config.json").write_text('{"game": "\\ud800:G"}')
    (runs / "good" / "games" / os.fsdecode(b"\xff.jsonl")).write_text("{}\n")
    status, told = server.get("runs")
    assert status == 200
    assert {os.path.basename(run["name"])[:3] for run in told["runs"]} == {"goo", "odd"}
    assert server.get("run", run=runs / "good")[0] == 200
    assert server.get("games", run=runs / "good")[0] == 200


@pytest.mark.parametrize("name", ["", ".", "..", "/", "/etc", "{runs}", "{runs}/good/..", "\0"])
def test_a_run_is_one_of_those_that_the_command_named(server, runs, name):
    status, told = server.get("run", run=name.format(runs=runs))
    assert status == 404, told


def test_what_a_link_in_a_run_leads_to_is_not_read(server, runs, tmp_path):
    long_runs.write(tmp_path / "other", 3, every=3)
    run = runs / "linked"
    long_runs.write(run, 3, every=3)
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").symlink_to(tmp_path / "other" / "metrics.jsonl")
    status, told = server.get("curves", run=run)
    assert status == 404
    assert "is a link" in told["error"]


def test_players_come_from_the_same_folders(server, tmp_path):
    long_runs.write(tmp_path / "elsewhere", 3, every=3)
    [answer] = server.lines(
        "analyse", game="connect_four", moves=[], player=str(tmp_path / "elsewhere")
    )
    assert "there is no run" in answer["error"]
    assert answer["status"] == 404


def test_a_record_that_is_nested_too_deeply_is_one_damaged_line(server, runs):
    line = {"game": "connect_four", "moves": [1], "returns": [0, 0], "players": ["a", "b"]}
    deep = json.dumps({**line, "x": 0}).replace("0}", "[" * 700 + "]" * 700 + "}")
    file = runs / "good" / "games" / "deep.jsonl"
    file.write_text(json.dumps(line) + "\n" + deep + "\n")
    status, told = server.get("games", run=runs / "good", file="games/deep.jsonl")
    assert status == 200
    assert told["damaged"] == 1
    assert "nested" in told["damage"]
    last = server.lines("parse", text=deep, name="x.jsonl")[-1]
    assert "nested" in json.dumps(last)


def test_a_worker_that_stands_still_stops_no_page(runs):
    with serving(runs) as client:
        client.ask("names", game="tic_tac_toe", moves=[])
        [worker] = workers_of(client.process.pid)
        os.kill(worker, signal.SIGSTOP)
        large = {"text": "x" * 1_000_000, "name": "x.jsonl"}
        asking = threading.Thread(target=client.lines, args=("parse",), kwargs=large)
        asking.start()
        time.sleep(0.2)
        assert client.get("runs")[0] == 200
        assert client.send("POST", "/api/restart", "{}")[0] == 200
        asking.join(timeout=60)
        assert client.ask("names", game="tic_tac_toe", moves=[4])["names"]
