"""The comparison of rules with pgx's: that the same is measured on both sides. No timings."""

import re
import sys

import numpy as np
import pytest

import games
from games import pgx_adapter
from scripts import bench
from scripts.benchmarks import rules, timing

pytest.importorskip("pgx")
pytestmark = pytest.mark.usefixtures("compile_in_haste")


@pytest.mark.parametrize(
    "name", ["tic_tac_toe", pytest.param("connect_four", marks=pytest.mark.slow)]
)
def test_both_sides_play_the_same_games_and_begin_anew_alike(name):
    game = games.load(name)
    (ours, steps), (theirs, their_steps) = (
        rules.compiled(stepper, 16) for stepper in (rules.stepper(game), pgx_adapter.raw(game))
    )
    assert steps == their_steps
    for call in range(3):
        # Which games ended decided, environment by environment; a single move played otherwise
        # shows sooner or later, and so does a game that is not begun anew.
        mine, other = np.asarray(ours()), np.asarray(theirs())
        np.testing.assert_array_equal(mine, other, err_msg=f"call {call}")
        assert mine.sum(axis=0).min() > 16, "hardly a game was decided"


def test_the_result_has_each_batch_and_the_peer_s_rate_at_the_asked_one(monkeypatch):
    monkeypatch.setattr(rules, "BATCHES", (4,))
    monkeypatch.setattr(timing, "LEAST_SECONDS", 0.0)
    game = games.load("tic_tac_toe")
    found = rules.compare(game, rules.stepper(game), batch=8, rounds=1)
    assert list(found["by_batch"]) == ["4", "8"]
    assert found["env_steps_per_s"] == found["by_batch"]["8"]["theirs"] > 0
    for row in found["by_batch"].values():
        assert row["ratio"] == pytest.approx(row["ours"] / row["theirs"])


@pytest.mark.parametrize("spec", ["go:size=7", "othello:size=6", "hex:size=5", "breakthrough"])
def test_a_game_or_size_that_pgx_has_not_is_refused_before_anything_is_measured(spec, monkeypatch):
    monkeypatch.setattr(bench, "speed", None)
    wanted = re.escape(f"pgx has no {games.load(spec)}; of our games it has ConnectFour, Go of")
    with pytest.raises(ValueError, match=wanted):
        bench.run(bench.Args(game=spec, compare="pgx"))


def test_without_pgx_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pgx", None)
    with pytest.raises(ValueError, match=r"pip install 'selfplay-zero\[pgx\]'"):
        bench.run(bench.Args(game="tic_tac_toe", compare="pgx"))


def test_rules_are_spoken_of_where_a_step_costs_a_good_part_of_an_evaluation():
    assert rules.advice(0.02) == ""
    text = rules.advice(0.154)  # 72,800 steps and 11,200 evaluations a second
    assert "costs 15% of an evaluation" in text
    assert ".at[]" in text
