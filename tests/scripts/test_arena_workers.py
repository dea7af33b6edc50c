"""`arena --workers` and `ladder --workers`: processes that are killed, and the games are right."""

import importlib.util
import json
import os
import signal
import uuid

import pytest

from scripts.flags import arena, evaluate
from tests.support import processes
from training.workers import identity

SECONDS = 240.0  # more is a hang
GAME = ("--game", "tic_tac_toe", "--opening-plies", "2", "--block", "16", "--seed", "2")
with_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed: pip install '.[ray]'"
)


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (("random", "uniform", "--workers", -1), "at least 0, got -1"),
        (("random", "gtp:gnugo --mode gtp", "--workers", 2), "not for engines, got gtp:gnugo"),
        (("random", "uci:nodes=5:x", "--workers", 2), "not for engines, got uci:nodes=5:x"),
    ],
)
def test_workers_that_cannot_be_are_refused_with_one_sentence(args, wanted):
    specs, number = args[:2], args[3]
    with pytest.raises(ValueError, match=wanted) as caught:
        arena.check(arena.Args(specs, game="tic_tac_toe", workers=number))
    assert "\n" not in str(caught.value)


def test_no_worker_measures_against_perfect_play(tmp_path):
    with pytest.raises(ValueError, match="plays no games"):
        evaluate.check(evaluate.Args(str(tmp_path), against="perfect", workers=2))


def test_a_worker_that_differs_is_told_in_what():
    ours = identity.alike("tic_tac_toe")
    assert identity.difference(ours, ours) == ""
    said = identity.difference(ours._replace(devices=7, jax="0.1"), ours)
    assert f"devices 7 there, {ours.devices} here" in said
    assert "jax 0.1 there" in said
    assert "code" not in said


def start(tmp_path, name, *words, command="arena"):
    """Starts a match or a ladder; returns its process, its mark and what it says."""
    mark, log = uuid.uuid4().hex, tmp_path / f"{name}.log"
    return processes.start([command, *map(str, words)], mark, log), mark, log


def finish(started):
    process, mark, log = started
    assert process.wait(SECONDS) == 0, log.read_text()
    assert "Warning" not in log.read_text()
    processes.wait_until("processes are left", lambda: not processes.alive(mark), 30)
    return log.read_text()


def players_of(mark):
    """Returns the numbers of the processes that play blocks."""
    lines = processes.alive(mark)
    return [int(line.partition(":")[0]) for line in lines if "ray::Actor" in line]


@with_ray
@pytest.mark.slow
def test_a_match_on_ray_has_the_records_and_the_stop_of_one_without(tmp_path, tiny_run):
    specs = (f"{tiny_run}:simulations=8", "uniform:simulations=2", *GAME, "--games", 800)
    for options in ((), ("--sprt", 0, 60)):
        told = []
        for name, workers in (("here", ()), ("there", ("--workers", 2))):
            file = tmp_path / f"{name}.jsonl"
            words = (*specs, *options, "--json", "--records", file, *workers)
            said = finish(start(tmp_path, name, *words))
            told.append((said.splitlines()[-1], file.read_bytes()))
            (tmp_path / f"{name}.log").unlink()
        assert told[0] == told[1], options
        games = told[0][1].count(b"\n")
        assert 31 < games < 800 if options else games == 800


@with_ray
@pytest.mark.slow
def test_a_match_survives_its_workers_and_leaves_no_process_when_it_is_stopped(tmp_path):
    match = ("uniform:simulations=96", "random", *GAME, "--games", 2000, "--json")
    finish(start(tmp_path, "whole", *match, "--out", tmp_path / "whole"))
    words = (*match, "--out", tmp_path / "match", "--workers", 2)
    file = tmp_path / "match" / "games.jsonl"

    def games():
        return file.read_bytes().count(b"\n") if file.exists() else 0

    for number, code in ((signal.SIGINT, 75), (signal.SIGKILL, -signal.SIGKILL)):
        before = games()
        process, mark, log = start(tmp_path, f"stopped{number}", *words)
        processes.wait_until(log, lambda before=before: games() >= before + 64, SECONDS)
        process.send_signal(number)
        assert process.wait(60) == code, log.read_text()
        processes.wait_until("processes are left", lambda: not processes.alive(mark), 60)  # noqa: B023
        assert games() < 2000, "it had ended before it was stopped"
    began = process, mark, log = start(tmp_path, "killed", *words)
    before = games()
    processes.wait_until(log, lambda: games() >= before + 32, SECONDS)
    os.kill(players_of(mark)[0], signal.SIGKILL)
    assert "a worker is gone" in finish(began)
    assert file.read_bytes() == (tmp_path / "whole" / "games.jsonl").read_bytes()


@with_ray
@pytest.mark.slow
def test_a_ladder_on_ray_loses_no_stored_game_and_is_the_same_where_a_worker_dies(tmp_path):
    players = ("uniform:simulations=96", "uniform:simulations=8", "random")
    words = (*players, "--game", "tic_tac_toe", "--workers", 2, "--games")

    def begin(name, games):
        store = tmp_path / name / "games.jsonl"
        given = (*words, games, "--ladder", "--out", store.parent)
        return start(tmp_path, name, *given), store

    def stored(store):
        return store.read_bytes().split(b"\n") if store.exists() else [b""]

    def wait_for(games, store, log):
        processes.wait_until(log, lambda: len(stored(store)) > games, SECONDS)

    whole, store = begin("whole", 320)
    finish(whole)
    wanted = store.read_bytes()
    (process, mark, log), store = killed = begin("killed", 320)
    wait_for(32, store, log)
    os.kill(players_of(mark)[0], signal.SIGKILL)
    assert "a worker is gone" in finish(killed[0])
    assert store.read_bytes() == wanted
    for number, code in ((signal.SIGINT, 75), (signal.SIGKILL, -signal.SIGKILL)):
        before = len(stored(store))
        (process, mark, log), store = begin("killed", 100_000)
        wait_for(before + 64, store, log)
        process.send_signal(number)
        assert process.wait(60) == code, log.read_text()
        processes.wait_until("processes are left", lambda: not processes.alive(mark), 60)  # noqa: B023
    assert "the games are kept, the same command goes on" in log.read_text()
    held = [line for line in stored(store) if line]
    assert wanted.splitlines() == held[:320]
    assert all(json.loads(line)["game"] == "tic_tac_toe" for line in held[:-1])
