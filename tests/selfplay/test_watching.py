"""A match's folder as onlookers read it: the figures of the match itself, whatever lies there."""

import fcntl
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from selfplay.arena import watching
from selfplay.arena.result import BY_FORFEIT, PlayedGame, result_of
from selfplay.rating import sprt
from selfplay.rating.elo import score_interval
from selfplay.rating.sprt import Sprt
from tests.support import ROOT

TEST = Sprt(0.0, 50.0)
SETTINGS = {
    "format_version": 1,
    "game": "tic_tac_toe",
    "players": ["a", "b"],
    "simulations": 4,
    "seed": 0,
    "games": 8,
    "block": 4,
}


def written(path, games, settings=SETTINGS, end="\n"):
    path.mkdir(exist_ok=True)
    (path / "match.json").write_text(json.dumps(settings))
    about = {"game": "tic_tac_toe", "players": ["a", "b"]}
    lines = [json.dumps({**about, "moves": m, "returns": returns}) for m, returns in games]
    (path / "games.jsonl").write_text("\n".join(lines) + (end if lines else ""))
    return path


def played(count, seed=0):
    rng = np.random.default_rng(seed)
    returns = [(1.0, -1.0), (0.0, 0.0), (-1.0, 1.0)]
    return [
        PlayedGame(tuple(rng.integers(0, 9, 5).tolist()), returns[rng.integers(0, 3)])
        for _ in range(count)
    ]


def test_only_games_of_finished_blocks_count_and_the_rest_is_told(tmp_path):
    game = ([0, 1, 2], [1.0, -1.0])
    for count, finished in ((0, 0), (3, 0), (4, 4), (7, 4), (8, 8)):
        watched = watching.read(written(tmp_path / "m", [game] * count))
        assert (watched.result.games, watched.unfinished) == (finished, count - finished)
        assert watched.problem == ""
    # a line that is being written is no game yet
    assert watching.read(written(tmp_path / "m", [game] * 8, end="")).result.games == 4


def test_a_last_block_that_is_shorter_counts_when_the_match_is_over(tmp_path):
    settings = SETTINGS | {"games": 6}
    watched = watching.read(written(tmp_path / "m", [([0], [0, 0])] * 6, settings))
    assert watched.result.games == 6


def test_the_course_is_the_test_asked_again_after_every_pair():
    result = result_of(("a", "b"), played(120), 60)
    course = watching.course(result, TEST)
    assert course.games.tolist() == list(range(2, 122, 2))
    for i, games in enumerate(course.games.tolist()):
        so_far = result_of(("a", "b"), result.played[:games], 60)
        assert course.llr[i] == pytest.approx(so_far.decide(TEST).llr)
        assert course.score[i] == pytest.approx(so_far.score)
        assert (course.low[i], course.high[i]) == pytest.approx(so_far.interval)
    low, high = score_interval(result.pair_counts, result.distinct_pairs)
    assert (course.low[-1], course.high[-1]) == pytest.approx((float(low), float(high)))


def test_the_course_of_a_long_match_is_thinned_and_says_when_the_test_would_have_ended():
    won = [
        PlayedGame((k % 9, k // 9), (1.0, -1.0) if k % 2 == 0 else (-1.0, 1.0)) for k in range(2000)
    ]
    result = result_of(("a", "b"), won, 1000)
    course = watching.course(result, TEST)
    assert len(course.games) == watching.MOST_POINTS
    assert course.games[-1] == 2000
    by_hand = next(
        games
        for games in range(2, 2002, 2)
        if result_of(("a", "b"), won[:games], 1000).decide(TEST).verdict != "undecided"
    )
    assert course.decided == by_hand >= 2 * sprt.FEWEST_PAIRS
    far = Sprt(0.0, 400.0)  # its bounds are left sooner than it may end
    assert watching.course(result, far).decided == 2 * sprt.FEWEST_PAIRS
    early = result_of(("a", "b"), won[: 2 * sprt.FEWEST_PAIRS - 2], 1000).decide(far)
    assert early.llr > far.bounds[1]
    assert early.verdict == "undecided"


def test_faults_alone_move_no_test():
    lost = [
        PlayedGame((k,), (1.0, -1.0) if k % 2 == 0 else (-1.0, 1.0), BY_FORFEIT) for k in range(40)
    ]
    result = result_of(("a", "b"), lost, 20)
    assert result.decided_by_faults
    course = watching.course(result, TEST)
    assert not course.llr.any()
    assert course.decided is None
    once = [*lost, PlayedGame((9,), (1.0, -1.0)), PlayedGame((9,), (0.0, 0.0))]
    course = watching.course(result_of(("a", "b"), once, 21), TEST)
    assert not course.llr[:-1].any()
    assert course.llr[-1] > 0


def test_games_part_where_their_moves_differ():
    one, two = PlayedGame((1, 2, 3, 4), (0.0, 0.0)), PlayedGame((1, 2, 5), (0.0, 0.0))
    assert watching.parting((one, two)) == 2
    assert watching.parting((one, one)) == 4
    assert watching.parting((one, PlayedGame((1, 2), (0.0, 0.0)))) == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"players": ["a"]}, "players must be two texts"),
        ({"players": [{"a": 1}, "b"]}, "players must be two texts"),
        ({"players": 7}, "players must be two texts"),
        ({"games": 7}, "games must be an even number"),
        ({"games": True}, "games must be an even number"),
        ({"games": 1e400}, "games must be an even number"),
        ({"games": -2}, "games must be an even number"),
        ({"block": 0}, "block must be a number above 0"),
        ({"game": None}, "game must be a text"),
    ],
)
def test_settings_that_no_match_writes_are_named(tmp_path, change, told):
    with pytest.raises(ValueError, match=told):
        watching.read(written(tmp_path / "m", [], SETTINGS | change))


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, '{"games":', "\0", "null"])
def test_a_damaged_match_json_is_an_error_that_names_the_file(tmp_path, text):
    path = written(tmp_path / "m", [])
    (path / "match.json").write_text(text)
    with pytest.raises(ValueError, match=r"match\.json"):
        watching.read(path)


def test_nothing_of_match_json_passes_but_numbers_and_texts(tmp_path):
    extra = {"evil": {"a": [1]}, "note": "<script>alert(1)</script>", "huge": 10**400, "none": None}
    watched = watching.read(written(tmp_path / "m", [], SETTINGS | extra))
    assert watched.settings.keys() == SETTINGS.keys() - {"players"} | {"note"}


@pytest.mark.parametrize(
    "line",
    [
        '{"moves": [0], "returns": [1, NaN]}',
        "not json",
        '{"moves": [' + "0," * 2_000_000 + '0], "returns": [1, -1]}',
    ],
)
def test_games_before_a_damaged_line_count_and_the_line_is_named(tmp_path, line):
    path = written(tmp_path / "m", [([0], [1.0, -1.0])] * 5)
    with open(path / "games.jsonl", "a") as file:
        file.write(line.replace("{", '{"game": "g", "players": ["a", "b"], ') + "\n{}\n")
    watched = watching.read(path)
    assert watched.result.games == 4
    assert "line 6" in watched.problem


def test_links_and_pipes_are_not_followed(tmp_path):
    path = written(tmp_path / "m", [([0], [0, 0])] * 8)
    (path / "games.jsonl").rename(tmp_path / "elsewhere")
    (path / "games.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"games\.jsonl"):
        watching.read(path)
    (path / "games.jsonl").unlink()
    os.mkfifo(path / "games.jsonl")
    with pytest.raises(OSError, match="pipe"):
        watching.read(path)


def test_a_match_is_played_as_long_as_its_lock_is_held(tmp_path):
    path = written(tmp_path / "m", [])
    assert not watching.is_played(path)
    with open(path / "lock", "w") as file:
        assert not watching.is_played(path)
        fcntl.flock(file, fcntl.LOCK_EX)
        assert watching.is_played(path)
    assert not watching.is_played(path)


def test_reading_a_match_imports_no_jax():
    code = "import sys, selfplay.arena.watching; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_a_course_holds_no_nan_even_after_one_pair():
    course = watching.course(result_of(("a", "b"), played(2), 1), TEST)
    for column in (course.llr, course.score, course.low, course.high):
        assert len(column) == 1
        assert math.isfinite(column[0])
