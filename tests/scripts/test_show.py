"""`selfplay show`: the list of a file's games, one game, one position, and what is wrong."""

import dataclasses
import json

import pytest

from scripts import cli
from selfplay.files.game_lines import GameRecord
from selfplay.records.game_record import append_records
from training.config import RunConfig
from training.storage.run_folder import RunFolder

WON = GameRecord("tic_tac_toe", (0, 3, 1, 4, 2), (1.0, -1.0), ("a", "b"))
STOPPED = GameRecord("tic_tac_toe", (0, 3), (-1.0, 1.0), ("a", "b"), {"ended_by": "resignation"})
WRONG = GameRecord("tic_tac_toe", (0, 0), (-1.0, 1.0), ("a", "b"))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "games.jsonl"
    append_records(path, [WON, WRONG, STOPPED])
    return str(path)


def test_show_lists_the_good_games_and_names_the_bad(file, capsys):
    assert cli.run(["runs", file]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "1. tic_tac_toe: a - b, 5 moves, seat 0 won",
        "2. tic_tac_toe: a - b, 2 moves, seat 1 won by resignation",
    ]
    assert f"{file}, line 2: move 2, action 0, is illegal" in err


def test_show_renders_one_game_or_one_position_of_it(file, capsys):
    assert cli.run(["runs", file, "--number", "2"]) == 0
    assert "seat 1 won by resignation" in capsys.readouterr().out
    assert cli.run(["runs", file, "--number", "1", "--ply", "2"]) == 0
    assert capsys.readouterr().out.strip().endswith("3 X . .\n2 O . .\n1 . . .\n  a b c")


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (["--number", "3"], "--number must be from 1 to 2, or last, got 3"),
        (["--number", "first"], "--number must be from 1 to 2, or last, got first"),
        (["--number", "1", "--ply", "6"], "--ply must be at most 5"),
    ],
)
def test_show_refuses_what_is_not_there(file, capsys, flags, wanted):
    assert cli.run(["runs", file, *flags]) == 2
    assert wanted in capsys.readouterr().err


def test_show_of_a_run_shows_its_newest_game_and_of_another_folder_what_to_give(tmp_path, capsys):
    assert cli.run(["runs", str(tmp_path), "--number", "last"]) == 2
    assert f"{tmp_path}/games/self_play.jsonl" in capsys.readouterr().err

    run = RunFolder(tmp_path / "run")
    run.create(dataclasses.replace(RunConfig(), game="tic_tac_toe"))
    assert cli.run(["runs", str(run.path), "--number", "last"]) == 2
    assert "has no game yet" in capsys.readouterr().err
    run.games.mkdir(exist_ok=True)
    append_records(run.games / "self_play.jsonl", [WON, STOPPED])
    assert cli.run(["runs", str(run.path), "--number", "last"]) == 0
    assert capsys.readouterr().out.endswith("seat 1 won by resignation\n")
    assert cli.run(["runs", str(run.path), "--number", "1"]) == 0
    assert capsys.readouterr().out.endswith("seat 0 won\n")


def test_show_steps_through_a_game_there_and_back(file, capsys, monkeypatch):
    words = iter(["", "", "b", "q"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)  # what was typed is on the screen
    monkeypatch.setattr("builtins.input", lambda prompt: next(words))
    assert cli.run(["runs", file, "--number", "last", "--step"]) == 0
    pages = capsys.readouterr().out.split("\n\n")
    assert [page.partition("\n")[0] for page in pages[2:]] == [
        "1. a (seat 0): a3",
        "2. b (seat 1): a2",
        "1. a (seat 0): a3",
    ]


def test_show_prints_games_as_json(file, capsys):
    assert cli.run(["runs", file, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["games"]
    assert [game["notation"] for game in listed] == [["a3", "a2", "b3", "b2", "c3"], ["a3", "a2"]]
    assert cli.run(["runs", file, "--json", "--number", "last"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert one == {"file": file, "number": 2, **listed[1]}
    assert (one["returns"], one["ended_by"]) == ([-1.0, 1.0], "resignation")


def test_a_game_of_ones_own_is_refused_once_with_the_flag_that_lets_it_run(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "own_game.py").write_text("from games.tic_tac_toe import TicTacToe")
    monkeypatch.chdir(tmp_path)
    own = dataclasses.replace(WON, game="own_game:TicTacToe")
    append_records("own.jsonl", [own] * 20)
    append_records("mixed.jsonl", [own, WRONG, own])
    assert cli.run(["runs", "mixed.jsonl"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3, "one fault hides another"
    assert cli.run(["runs", "own.jsonl"]) == 2
    *_, first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("own.jsonl, line 1: ")
    assert first.endswith("give --game own_game:TicTacToe (and so 19 more)")
    assert "no game that can be shown" in last
    assert cli.run(["runs", "own.jsonl", "--game", "own_game:TicTacToe"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 20
