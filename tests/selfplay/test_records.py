"""Game records: round trip, and each kind of broken line refused with its place."""

import dataclasses
import errno
import gzip
import json
import os
import tracemalloc

import numpy as np
import pytest

import games
from selfplay import positions
from selfplay.arena.result import MatchResult, PlayedGame, match_records
from selfplay.files.game_lines import GameRecord, in_words
from selfplay.records import game_record
from selfplay.records.game_record import (
    append_records,
    check_path,
    read_records,
    record_pages,
    scan_records,
    write_records,
)

WON = GameRecord("tic_tac_toe", (0, 3, 1, 4, 2), (1.0, -1.0), ("a", "b"), {"seed": 7})
DRAWN = GameRecord("tic_tac_toe", (0, 1, 2, 4, 3, 5, 7, 6, 8), (0.0, 0.0), ("a", "random"))
COLUMN = GameRecord("connect_four", (6, 3, 0, 3, 6, 3, 0, 3), (-1.0, 1.0), ("x", "o"))


def test_records_survive_writing_appending_and_reading(tmp_path):
    path = tmp_path / "games.jsonl"
    write_records(path, [DRAWN])
    write_records(path, [WON])  # replaces
    append_records(path, [COLUMN, DRAWN])
    assert read_records(path) == [WON, COLUMN, DRAWN]
    first = json.loads(path.read_text().splitlines()[0])
    assert first == {
        "game": "tic_tac_toe",
        "moves": [0, 3, 1, 4, 2],
        "returns": [1.0, -1.0],
        "players": ["a", "b"],
        "seed": 7,
    }


def test_the_games_of_a_match_are_valid_records_with_the_players_by_seat(tmp_path):
    match = MatchResult(
        players=("a", "b"),
        played=tuple(PlayedGame(game.moves, game.returns) for game in (WON, DRAWN, DRAWN, WON)),
        distinct_openings=2,
    )
    path = tmp_path / "games.jsonl"
    write_records(path, match_records(match, "tic_tac_toe", seed=0))
    read = read_records(path)
    assert [record.players for record in read] == [("a", "b"), ("b", "a")] * 2
    own = [record.returns[record.players.index("a")] for record in read]
    assert own == match.results.tolist() == [1, 0, 0, -1]
    assert read[0].extra == {"seed": 0}


def line(**changes):
    fields = {"game": "tic_tac_toe", "moves": [0, 3, 1, 4, 2], "returns": [1, -1]}
    return json.dumps({**fields, "players": ["a", "b"], **changes})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{", "line 3: not JSON"),
        ("[1]", "line 3: a record is a JSON object"),
        (line(game="no_such_game"), "line 3: unknown game 'no_such_game'"),
        (line(moves=[0, 3, 1, 3, 2]), "line 3: move 4, action 3, is illegal"),
        (line(moves=[0, 3, 1, 9]), "line 3: move 4, action 9, is illegal"),
        (line(moves=[0, 3, -1]), "line 3: move 3, action -1, is illegal"),
        (line(moves=[0, 3, 1, 4, 2, 5]), "line 3: move 6, action 5, is illegal"),
        (line(moves=[0, 3, 1, 4]), "line 3: the game is not over after its 4 moves"),
        (line(moves=[]), "line 3: the game is not over after its 0 moves"),
        (line(moves=[0.5]), "line 3: 'moves' must be a list of action numbers"),
        (line(returns=[-1, 1]), r"line 3: the result is \[-1.0, 1.0\], by the rules \[1.0, -1.0\]"),
        (line(returns=[1]), "line 3: 'returns' must be two numbers"),
        (line(players="ab"), "line 3: 'players' must be two names"),
    ],
)
def test_a_broken_line_is_refused_with_its_place(tmp_path, text, wanted):
    path = tmp_path / "games.jsonl"
    path.write_text(f"{line()}\n\n{text}\n")
    with pytest.raises(ValueError, match=wanted) as caught:
        read_records(path)
    assert str(path) in str(caught.value)


def test_a_rendered_game_shows_players_moves_boards_and_result():
    text = "\n\n".join(record_pages(WON))
    assert "tic_tac_toe: a - b" in text
    assert "2. b (seat 1): a2" in text
    assert "3 X X X\n2 O O .\n1 . . .\n  a b c" in text
    assert in_words(WON) == "seat 0 won"
    assert in_words(dataclasses.replace(WON, returns=(0.0, 0.0))) == "drawn"


def test_good_lines_are_read_beside_bad_ones(tmp_path):
    path = tmp_path / "games.jsonl"
    path.write_bytes(
        b"\n".join(
            [
                line().encode(),
                b"\xff\xfe",
                b"[" * 100_000,
                line(moves=[10**30]).encode(),
                b'{"game": ' + b"9" * 5000 + b"}",
                line(moves=list(range(9)) * 1000).encode(),
                line(returns=[float("nan"), 1], ended_by="resignation").encode(),
                line(moves=[0, 3], returns=[-1, 1], ended_by="resignation").encode(),
                line(game="hex:size=2", moves=[0, 1, 2]).encode(),
                line(moves=[0, 3, 1, 4, 2], more="x" * (1 << 20)).encode(),
            ]
        )
    )
    scan = scan_records(path, only="tic_tac_toe")
    assert [record.moves for record in scan.records] == [(0, 3, 1, 4, 2), (0, 3)]
    places = [problem.partition(":")[0] for problem in scan.problems]
    assert places == [f"{path}, line {n}" for n in (2, 3, 4, 5, 6, 7, 9, 10)], scan.problems
    assert "a game of hex:size=2, not of tic_tac_toe" in scan.problems[-2]
    assert "longer than 1,048,576 bytes" in scan.problems[-1]


def test_a_gzipped_file_is_read_up_to_where_it_is_damaged(tmp_path):
    rng = np.random.default_rng(0)
    lines = [line(more=rng.bytes(30).hex()) for _ in range(2000)]
    whole = gzip.compress("\n".join(lines).encode())
    path = tmp_path / "games.jsonl"
    path.write_bytes(whole)
    assert len(scan_records(path).records) == 2000
    for damaged, least in ((whole[: len(whole) // 2], 900), (whole[:-8] + bytes(8), 1900)):
        path.write_bytes(damaged)
        scan = scan_records(path)
        assert len(scan.records) >= least
        assert f"{path}, its end: not a whole gzip file" in scan.problems[-1]


def test_a_file_that_unpacks_without_end_is_refused_in_bounded_memory(tmp_path):
    path = tmp_path / "games.jsonl.gz"
    path.write_bytes(gzip.compress(bytes(1 << 20)) * 1000)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"games\.jsonl\.gz is larger than 64 MiB"):
        scan_records(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200 << 20


def test_reading_a_file_imports_no_module_that_it_names(tmp_path, monkeypatch):
    (tmp_path / "evil_game.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "games.jsonl"
    path.write_text(line(game="evil_game:Game") + "\n" + line(game="evil_game:Game:size=5"))
    scan = scan_records(path)
    assert len(scan.problems) == 2
    assert "would import a module" in scan.problems[0]
    assert scan.problems[1].endswith("give --game evil_game:Game:size=5")
    with pytest.raises(SystemExit, match="imported"):  # it would have been
        scan_records(path, plug_in="evil_game:Game")


def test_a_file_of_many_games_compiles_few_and_says_which_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(game_record, "MAX_GAMES", 3)
    loaded = []
    load = games.load
    monkeypatch.setattr(games, "load", lambda spec: loaded.append(spec) or load(spec))
    specs = ["tic_tac_toe", "no_such_game", *(f"go:size=5,komi={k}.5" for k in range(4))]
    path = tmp_path / "games.jsonl"
    path.write_text("\n".join(line(game=spec) for spec in [*specs, *specs]))
    scan = scan_records(path)
    assert loaded == specs[:3], "each once, and no more than three"
    assert len(scan.records) == 2
    assert len(scan.problems) == 10
    left_out = [
        problem for problem in scan.problems if "give each game a file of its own" in problem
    ]
    assert len(left_out) == 6
    assert "line 4: a game of go:size=5,komi=1.5, and the file has named 3 games" in left_out[0]
    expected = scan_records(path, only=specs[-1])  # it counts for none of them
    assert "line 6: the game is not over" in expected.problems[5]


def test_unknown_games_count_as_problems_while_a_file_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(game_record, "MAX_PROBLEMS", 20)
    path = tmp_path / "games.jsonl"
    path.write_text("\n".join(line(game=f"no_such_game_{i}") for i in range(1000)))
    problems = scan_records(path).problems
    assert len(problems) == 21
    assert "reading stopped here, after 20 bad games" in problems[-1]
    path.write_text(line(game="x" * 100_000))
    (problem,) = scan_records(path).problems
    assert len(problem) < 300


def test_games_of_all_lengths_keep_their_order_and_compile_once_a_game(tmp_path):
    path = tmp_path / "games.jsonl"
    mixed = [WON, COLUMN] * 140 + [DRAWN, COLUMN] * 10  # the short ones fill the first chunk
    write_records(path, mixed)
    positions._replay.clear_cache()
    assert read_records(path) == mixed
    assert positions._replay._cache_size() == 2


@pytest.mark.parametrize("name", ["games.jsonl", "games.sgf"])
def test_a_full_disk_leaves_the_old_records_and_names_the_file(name, tmp_path, monkeypatch):
    path = tmp_path / name
    old = (
        WON if name == "games.jsonl" else GameRecord("go:size=5", (25, 25), (-1.0, 1.0), ("a", "b"))
    )
    write_records(path, [old])
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=f"{name} .*No space left"):
        write_records(path, [old, old])
    assert path.read_bytes() == before


def test_records_are_not_written_through_links(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    link = tmp_path / "games.jsonl"
    for target in (precious, tmp_path / "nothing"):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        for refused in (
            lambda: check_path(link, "tic_tac_toe"),
            lambda: write_records(link, [WON]),
        ):
            with pytest.raises(ValueError, match=r"games\.jsonl is a symbolic link"):
                refused()
    assert precious.read_text() == "mine"
    assert not (tmp_path / "nothing").exists()


def test_a_file_that_cannot_be_written_is_refused_before_the_match_and_none_is_left(tmp_path):
    with pytest.raises(OSError, match="is a folder"):
        check_path(tmp_path, "tic_tac_toe")
    check_path(tmp_path / "new.jsonl", "tic_tac_toe")
    assert not any(tmp_path.iterdir())
    old = tmp_path / "old.jsonl"
    write_records(old, [WON])
    os.utime(old, ns=(1, 1))
    before = old.stat().st_ino, old.stat().st_mtime_ns, old.read_bytes()
    check_path(old, "tic_tac_toe")
    assert (old.stat().st_ino, old.stat().st_mtime_ns, old.read_bytes()) == before
    assert list(tmp_path.iterdir()) == [old]
