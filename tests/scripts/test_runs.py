"""`selfplay runs`: what it says of runs in every state, of foreign folders and of damage."""

import dataclasses
import json
import shutil

import pytest

from scripts import cli
from training.storage.run_folder import RunFolder


@pytest.fixture
def listed(tiny_run, tmp_path, capsys, monkeypatch):
    """A folder of copies of a finished run, and a function that lists it by name."""
    monkeypatch.chdir(tmp_path)

    def copy(name):
        return shutil.copytree(tiny_run, tmp_path / name)

    def read():
        assert cli.run(["runs", ".", "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)["runs"]
        return {row["path"]: row for row in rows}

    return copy, read


def test_a_run_is_listed_with_its_state_and_how_far_it_is(listed, tiny_config):
    copy, read = listed
    config = tiny_config
    copy("ended")
    going_on = RunFolder(copy("group/stopped"))
    RunFolder("new").create(config)
    with going_on.lock():
        assert read()["group/stopped"]["state"] == "running"
        going_on.write_config(dataclasses.replace(config, iterations=config.iterations + 1))
    rows = read()
    assert {path: row["state"] for path, row in rows.items()} == {
        "ended": "limit reached",
        "group/stopped": "stopped",
        "new": "new",
    }
    last = [line for line in going_on.read_metrics() if line["kind"] == "iteration"][-1]
    evaluations = [line for line in going_on.read_metrics() if line["kind"] == "evaluation"]
    row = rows["group/stopped"]
    assert (row["game"], row["step"]) == ("tic_tac_toe", last["step"])
    assert row["iterations"] == last["iteration"] == config.iterations
    assert row["minutes"] == pytest.approx(last["seconds"] / 60, abs=1.0)
    assert row["loss"] == (evaluations[-1]["loss"] if evaluations else None)
    assert row["bytes"] > (going_on.path / "metrics.jsonl").stat().st_size


def test_the_time_is_of_the_line_that_has_counted_most(listed):
    copy, read = listed
    run = RunFolder(copy("run"))
    shutil.rmtree(run.path / "checkpoints")
    lines = {line["kind"]: line for line in run.read_metrics()}
    longer, shorter = lines["evaluation"] | {"seconds": 600.0}, lines["iteration"]
    run.metrics_file.write_text("".join(json.dumps(one) + "\n" for one in (longer, shorter)))
    assert read()["run"]["minutes"] == 10.0


def test_damage_is_told_and_what_is_no_run_is_left_out(listed, tmp_path, capsys):
    copy, read = listed
    (copy("no config") / "config.json").unlink()
    (copy("cut config") / "config.json").write_text('{"format')
    (copy("cut log") / "metrics.jsonl").write_bytes(b'\xff\x00{"kind": 3}\n{"ki')
    for counters in copy("cut checkpoint").glob("checkpoints/*/counters.json"):
        counters.write_text("[]")
    (tmp_path / "photos" / "2024").mkdir(parents=True)
    (tmp_path / "a file").touch()
    (tmp_path / "nowhere").symlink_to("gone")
    rows = read()
    assert rows.keys() == {"no config", "cut config", "cut log", "cut checkpoint"}
    for name in ("no config", "cut config", "cut checkpoint"):
        assert rows[name]["state"] == "damaged"
        assert rows[name]["problem"]
    assert rows["cut log"]["state"] == "limit reached"


def test_the_list_fits_a_narrow_terminal(listed, capsys, monkeypatch):
    copy, _ = listed
    copy("runs/a-run-with-a-name")
    monkeypatch.setenv("COLUMNS", "60")
    assert cli.run(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    assert "tic_tac_toe, limit reached" in lines[1]
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.run(["runs"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.index("game") == row.index("tic_tac_toe")


def test_no_runs_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["runs"]) == 0
    assert "no runs in runs" in capsys.readouterr().out
    assert cli.run(["runs", "elsewhere"]) == 2
