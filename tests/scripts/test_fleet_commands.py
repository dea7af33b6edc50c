"""`selfplay fleet`, `selfplay worker`, and the flags of `train` that ask for workers."""

import json
import shutil
import socket

import pytest

from scripts import cli
from scripts.flags.train import number_of_workers, resources
from training.storage.run_folder import RunFolder

WORKER = {
    "slot": 1,
    "incarnation": 4,
    "worker": "host-12-ab",
    "host": "host",
    "device": "2 x cpu",
    "restarts": 3,
    "batches": 1234,
    "rows": 56789,
    "rate": 321.0,
    "best_rate": 400.4,
    "silent": 0.25,
    "lag": 17,
    "call_seconds": 0.5,
    "games": 12,
}
LINE = {
    "kind": "fleet",
    "iteration": 7,
    "step": 40,
    "seconds": 12.5,
    "rate": 321.0,
    "reuse": 1.9,
    "wanted_reuse": 4.0,
    "is_learner_bound": True,
    "duplicates": 3,
    "refused": 2,
    "workers": [WORKER],
    "refusals": ["worker x was refused: its code differs"],
}


@pytest.fixture
def run(tiny_run, tmp_path):
    """A run with a line about its workers."""
    shutil.copytree(tiny_run, tmp_path / "run")
    RunFolder(tmp_path / "run").append_metrics(LINE)
    return str(tmp_path / "run")


def test_fleet_shows_each_worker_what_was_refused_and_who_is_behind(run, capsys):
    assert cli.run(["fleet", run]) == 0
    first, head, row, refusal = capsys.readouterr().out.splitlines()
    assert first == (
        "step 40: fleet 1 worker, 321 rows/s, lag 17 steps, refused 2, duplicates 3, "
        "learner-bound: reuse 1.9 of 4"
    )
    assert head.split() == [
        *("slot", "worker", "device", "restarts", "batches"),
        *("rows", "rows/s", "best", "silent", "lag"),
    ]
    assert row.split("  ")[0] == "1"
    for figure in ("host-12-ab", "2 x cpu", "1,234", "56,789", "321", "400", "0.2 s", "17 steps"):
        assert figure in row
    assert refusal == LINE["refusals"][0]
    assert cli.run(["fleet", run, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["workers"][0]["worker"] == "host-12-ab"


def test_fleet_of_a_run_that_plays_by_itself_says_how_to_get_one(tiny_run, capsys):
    assert cli.run(["fleet", str(tiny_run)]) == 2
    assert "train it with --fleet FOLDER" in capsys.readouterr().err


@pytest.mark.parametrize("make", [True, False])
def test_a_worker_without_a_fleet_says_what_makes_one(tmp_path, capsys, make):
    folder = tmp_path / "fleet"
    if make:
        folder.mkdir()
        (folder / "notes.txt").write_text("mine")
    assert cli.run(["worker", str(folder)]) == 2
    said = capsys.readouterr().err
    assert f"--fleet {folder}" in said
    assert "makes" in said


@pytest.mark.parametrize(
    ("text", "wanted"), [("", (0, 0)), ("1", (1, 1)), ("8", (1, 8)), ("4-32", (4, 32))]
)
def test_numbers_of_workers_are_read(text, wanted):
    assert number_of_workers(text) == wanted


@pytest.mark.parametrize("text", ["0", "-3", "a", "4-", "8-4", "1.5", "0-4", "4-x", "4-8-9"])
def test_other_numbers_of_workers_are_refused_by_name(text, tmp_path, capsys):
    words = ["train", "--game", "tic_tac_toe", "--run-dir", str(tmp_path / "run")]
    assert cli.run([*words, f"--workers={text}"]) == 2
    assert "--workers" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_resources_are_read_and_others_refused():
    assert resources("GPU=1,CPU=4.5") == {"GPU": 1.0, "CPU": 4.5}
    assert resources("") == {}
    for text in ("GPU", "GPU=", "GPU=0", "=1", "GPU=nan", "GPU=inf", "GPU=x"):
        with pytest.raises(ValueError, match="NAME=AMOUNT"):
            resources(text)


@pytest.mark.parametrize(
    "words",
    [
        ["--workers", "2", "--fleet", "f"],
        ["--workers", "2", "--replay-of", "RUN"],
        ["--worker-resources", "GPU=1"],
        ["--lockstep"],
        ["--lockstep", "--workers", "2-4"],
        ["--lockstep", "--fleet", "f"],
        ["--play-again"],
    ],
)
def test_flags_that_exclude_each_other_are_refused(words, tiny_run, tmp_path, capsys):
    words = [word.replace("RUN", str(tiny_run)) for word in words]
    assert cli.run(["train", "--run-dir", str(tmp_path / "run"), *words]) == 2
    assert "--" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_clients_address_of_ray_is_refused_with_the_reason(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    words = ["train", "--game", "tic_tac_toe", "--run-dir", str(tmp_path / "run")]
    assert cli.run([*words, "--workers", "2"]) == 2
    assert "not made for jobs that run for hours" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_an_address_at_which_nobody_answers_is_told_at_once(tmp_path, capsys, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)  # closed by now
    words = ["train", "--game", "tic_tac_toe", "--run-dir", str(tmp_path / "run")]
    assert cli.run([*words, "--workers", "2"]) == 2
    assert f"RAY_ADDRESS={address}: nobody answers there" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_that_played_alone_cannot_be_learned_again(tiny_run, tmp_path, capsys):
    words = ["train", "--replay-of", str(tiny_run), "--run-dir", str(tmp_path / "again")]
    assert cli.run(words) == 2
    assert "took nothing from workers" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()
