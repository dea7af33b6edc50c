"""Tables of metrics, matches and ladders as CSV: the columns that docs promise, and the figures."""

import csv
import json

import pytest

from scripts import cli
from scripts.arena_ladder import COLUMNS as LADDER_COLUMNS
from scripts.terminal.match_report import COLUMNS as MATCH_COLUMNS
from training.metrics import KINDS
from training.report import table


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_match_and_a_ladder_say_the_same_as_their_json(tmp_path, capsys):
    words = ["random", "uniform", "--game", "tic_tac_toe", "--games", "8", "--simulations", "2"]
    file = str(tmp_path / "match.csv")
    assert cli.run(["arena", *words, "--json", "--csv", file]) == 0
    told, (row,) = json.loads(capsys.readouterr().out), read(file)
    assert tuple(row) == MATCH_COLUMNS
    assert (row["first"], row["second"]) == ("random", "uniform")
    for name in ("games", "wins", "draws", "losses", "score", "elo", "opening_plies", "openings"):
        assert row[name] == str(told[name]), name
    assert [row["low"], row["high"]] == [str(end) for end in told["interval"]]
    file = str(tmp_path / "ladder.csv")
    store = str(tmp_path / "store")
    words = [*words, "--minutes", "0", "--out", store, "--json", "--csv", file]
    assert cli.run(["arena", "--ladder", *words]) == 0
    told, rows = json.loads(capsys.readouterr().out)["ratings"], read(file)
    assert tuple(rows[0]) == LADDER_COLUMNS
    assert [row["player"] for row in rows] == [row["player"] for row in told]
    for row, expected in zip(rows, told, strict=True):
        ends = map(str, (expected["elo"], *expected["interval"]))
        assert [row["elo"], row["low"], row["high"]] == list(ends)


def test_a_file_that_cannot_be_is_refused_before_anything_is_played(tmp_path, capsys):
    words = ["random", "random", "--game", "tic_tac_toe", "--csv", str(tmp_path / "no" / "file")]
    assert cli.run(["arena", *words]) == 2
    assert "there is no such folder" in capsys.readouterr().err


def test_the_metrics_of_a_run_are_a_row_each_and_its_state_is_json(tiny_run, tmp_path, capsys):
    file = str(tmp_path / "metrics.csv")
    assert cli.run(["runs", str(tiny_run), "--csv", file, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["runs"]
    lines = [json.loads(line) for line in (tiny_run / "metrics.jsonl").read_text().splitlines()]
    rows = read(file)
    assert [row["kind"] for row in rows] == [line["kind"] for line in lines]
    assert tuple(rows[0])[: len(table.COLUMNS)] == table.COLUMNS
    assert [row["kl"] for row in rows] == [str(line.get("kl", "")) for line in lines]
    evaluation = [(row, line) for row, line in zip(rows, lines, strict=True) if "loss" in line]
    for row, line in evaluation:
        assert row["perfect.all.search"] == str(line["perfect"]["all"]["search"])
    assert evaluation
    assert set(KINDS) < set(told)
    assert told["iteration"] == [line for line in lines if line["kind"] == "iteration"][-1]
    assert told["checkpoints"][0] == 0


def test_entries_inside_entries_and_the_ends_of_intervals_have_columns_of_their_own():
    line = {"kind": "evaluation", "random": {"score": 0.5, "interval": [0.25, 0.75]}, "more": [1]}
    assert dict(table._flat(line)) == {
        "kind": "evaluation",
        "random.score": 0.5,
        "random.interval.low": 0.25,
        "random.interval.high": 0.75,
    }


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["runs", "RUN", "--png", "--out", "/proc/x"], "--out: the plots cannot be written to"),
        (["runs", "/nope"], "no such run folder: /nope"),
    ],
)
def test_a_place_that_cannot_be_is_told_in_a_sentence(tiny_run, capsys, words, wanted):
    assert cli.run([str(tiny_run) if word == "RUN" else word for word in words]) in (1, 2)
    said = capsys.readouterr().err
    assert wanted in said
    assert "Errno" not in said
