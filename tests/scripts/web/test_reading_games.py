"""What the server reads of games: files, filters and pages, whatever lies there; without jax."""

import json

import pytest

from scripts.web import reading_games
from scripts.web.app import Json
from scripts.web.shelf import NotThereError, Shelf
from tests.support.lines import line_of, write_lines

FILE = "games/self_play.jsonl"
HALF = "\\ud800"  # half a character, as JSON may write it


@pytest.fixture
def run(tmp_path):
    """A run's folder with games, and the server's shelf."""
    folder = tmp_path / "run"
    lines = [
        line_of([n % 9], winner=n % 2, players=("self", f"<script>{n % 3}"), iteration=n)
        for n in range(250)
    ]
    write_lines(folder / "config.json", [{}])
    write_lines(folder / FILE, lines)
    write_lines(folder / "games/self_play-000001.jsonl", lines[:3])
    write_lines(folder / "games/played.jsonl", lines[:2])
    write_lines(folder / "ladder/games.jsonl", lines[:1])
    return Shelf([str(tmp_path)]), {"run": str(folder)}


def answered(reader, shelf, args):
    """Returns what a browser gets: the server's own answer refuses what JSON has no word for."""
    return json.loads(Json(reader(shelf, args)).body)


def test_the_files_of_a_run_are_listed_with_what_they_are(run):
    files = answered(reading_games.games, *run)["files"]
    assert {file["file"]: file["kind"] for file in files} == {
        FILE: "self-play",
        "games/self_play-000001.jsonl": "self-play, part 1",
        "games/played.jsonl": "played here",
        "ladder/games.jsonl": "ladder",
    }


def test_pages_hold_all_games_once_the_newest_first(run):
    shelf, args = run
    rows = []
    for page in range(4):
        answer = answered(reading_games.games, shelf, args | {"file": FILE, "page": str(page)})
        rows += answer["rows"]
    assert (answer["pages"], answer["found"], answer["total"]) == (3, 250, 250)
    assert [row["extra"]["iteration"] for row in rows] == list(range(249, -1, -1))
    assert [row["number"] for row in rows] == list(range(250, 0, -1))


def test_a_row_leads_to_its_game_and_filters_leave_some_out(run):
    shelf, args = run
    wanted = {"file": FILE, "player": "<script>1", "seat": "1", "winner": "0", "moves": "4"}
    answer = answered(reading_games.games, shelf, args | wanted)
    expected = [n for n in range(250) if n % 3 == 1 and n % 2 == 0 and n % 9 == 4]
    assert [row["extra"]["iteration"] for row in answer["rows"]] == expected[::-1]
    assert answer["found"] == len(expected) > 0
    for row in answer["rows"]:
        place = {"file": FILE, "index": str(row["index"])}
        record = answered(reading_games.record, shelf, args | place)
        assert record["moves"] == [4]
        assert record["extra"] == row["extra"]
    newest = answered(reading_games.record, shelf, args | {"file": FILE})
    assert newest["extra"]["iteration"] == 249


def test_openings_count_the_games_of_a_file(run):
    shelf, args = run
    node = answered(reading_games.openings, shelf, args | {"file": FILE})
    assert (node["games"], node["ended"], node["wins"]) == (250, 0, [125, 125])
    assert sum(move["games"] for move in node["moves"]) == 250
    after = answered(reading_games.openings, shelf, args | {"file": FILE, "moves": "3"})
    assert (after["games"], after["ended"], after["moves"]) == (28, 28, [])


@pytest.mark.parametrize("asked", [
    {"file": "config.json"}, {"file": "../run/config.json"}, {"file": "/etc/passwd"},
    {"file": FILE, "index": "1"}, {"file": FILE, "index": "9" * 4000},
    {"file": FILE, "index": "-1"}, {"file": FILE, "page": "1e3"}, {"file": FILE, "page": "²"},
    {"file": FILE, "winner": "2"}, {"file": FILE, "seat": "2"}, {"file": FILE, "moves": "1,x"},
    {"file": FILE, "length_min": "NaN"}, {"run": "elsewhere", "file": FILE},
])  # fmt: skip
def test_what_cannot_be_is_refused_and_no_path_from_outside_is_followed(run, asked):
    shelf, args = run
    reader = reading_games.record if "index" in asked else reading_games.games
    with pytest.raises(ValueError):  # noqa: PT011  # `NotThereError` is one, too
        reader(shelf, args | asked)


def test_a_link_out_of_the_run_is_not_followed(run, tmp_path):
    shelf, args = run
    write_lines(tmp_path / "secret.jsonl", [line_of([1])])
    link = tmp_path / "run" / "games" / "evaluation.jsonl"
    link.symlink_to(tmp_path / "secret.jsonl")
    with pytest.raises(NotThereError):
        reading_games.games(shelf, args | {"file": "games/evaluation.jsonl"})


def test_hostile_lines_are_counted_and_the_answer_is_json_all_the_same(run, tmp_path):
    shelf, args = run
    good = json.dumps(line_of([1], players=("<script>", "b"), deep={"x": [1e300]}))
    lines = [
        good, good[:30], good.replace("[1]", "[1e999]"), good.replace("1e+300", "NaN"),
        good.replace("1e+300", "1e999"),
        good.replace("<script>", HALF), good.replace('"deep"', f'"{HALF}"'), "\x00" * 50,
        good.replace("[1]", "[" + "9" * 5000 + "]"),
        good.replace("1e+300", "9" * 400),
    ]  # fmt: skip
    write_lines(tmp_path / "run" / FILE, lines)
    answer = answered(reading_games.games, shelf, args | {"file": FILE})
    assert answer["damaged"] == 6
    assert answer["damage"].startswith("at byte ")
    assert answer["found"] == len(answer["rows"]) == 4
    assert answer["rows"][-1]["players"] == ["<script>", "b"]
    assert answered(reading_games.openings, shelf, args | {"file": FILE})["games"] == 4
    for row in answer["rows"]:
        answered(reading_games.record, shelf, args | {"file": FILE, "index": str(row["index"])})


def test_a_folder_that_is_deleted_under_the_page_is_said(run, tmp_path):
    shelf, args = run
    (tmp_path / "run").rename(tmp_path / "gone")
    (tmp_path / "gone" / "config.json").unlink()
    with pytest.raises(NotThereError, match="deleted"):
        reading_games.games(shelf, args)
