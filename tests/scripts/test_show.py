"""`selfplay show`: the list of a file's games, one game, one position, and what is wrong."""

import dataclasses

import pytest

from scripts import cli
from selfplay.records.game_record import GameRecord, append_records

WON = GameRecord("tic_tac_toe", (0, 3, 1, 4, 2), (1.0, -1.0), ("a", "b"))
STOPPED = GameRecord("tic_tac_toe", (0, 3), (-1.0, 1.0), ("a", "b"), {"ended_by": "resignation"})
WRONG = GameRecord("tic_tac_toe", (0, 0), (-1.0, 1.0), ("a", "b"))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "games.jsonl"
    append_records(path, [WON, WRONG, STOPPED])
    return str(path)


def test_show_lists_the_good_games_and_names_the_bad(file, capsys):
    assert cli.run(["show", file]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "1. tic_tac_toe: a - b, 5 moves, result by seat 1 -1",
        "2. tic_tac_toe: a - b, 2 moves, result by seat -1 1 by resignation",
    ]
    assert f"{file}, line 2: move 2, action 0, is illegal" in err


def test_show_renders_one_game_or_one_position_of_it(file, capsys):
    assert cli.run(["show", file, "--number", "2"]) == 0
    assert "result by seat: -1 1 by resignation" in capsys.readouterr().out
    assert cli.run(["show", file, "--number", "1", "--ply", "2"]) == 0
    assert capsys.readouterr().out.strip().endswith("3 X . .\n2 O . .\n1 . . .\n  a b c")


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (["--number", "3"], "--number must be from 1 to 2, got 3"),
        (["--number", "1", "--ply", "6"], "--ply must be at most 5"),
    ],
)
def test_show_refuses_what_is_not_there(file, capsys, flags, wanted):
    assert cli.run(["show", file, *flags]) == 2
    assert wanted in capsys.readouterr().err


def test_show_of_a_folder_says_which_file_to_give(tmp_path, capsys):
    assert cli.run(["show", str(tmp_path)]) == 2
    assert f"{tmp_path}/games/self_play.jsonl" in capsys.readouterr().err


def test_a_game_of_ones_own_is_refused_once_with_the_flag_that_lets_it_run(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "own_game.py").write_text("from games.tic_tac_toe import TicTacToe")
    monkeypatch.chdir(tmp_path)
    own = dataclasses.replace(WON, game="own_game:TicTacToe")
    append_records("own.jsonl", [own] * 20)
    append_records("mixed.jsonl", [own, WRONG, own])
    assert cli.run(["show", "mixed.jsonl"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3, "one fault hides another"
    assert cli.run(["show", "own.jsonl"]) == 2
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("own.jsonl, line 1: ")
    assert first.endswith("give --game own_game:TicTacToe (and so 19 more)")
    assert "no game that can be shown" in last
    assert cli.run(["show", "own.jsonl", "--game", "own_game:TicTacToe"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 20
