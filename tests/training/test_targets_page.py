"""The code of docs/targets.md is run as it stands on the page, so that the page cannot drift."""

import dataclasses
import json
import pathlib
import re

import jax
import numpy as np
import pytest

import games
from selfplay import row
from tests.support.runs import assert_same, run_once
from training import metrics, replay, targets
from training.network import HEADS
from training.storage.run_folder import RunFolder

PAGE = (pathlib.Path(games.__file__).parent.parent / "docs" / "targets.md").read_text()
BLOCKS = re.findall(r"^```python (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def entries(monkeypatch):
    """The page's entries in the two tables, and all that its code defines."""
    space = {"row": dict(vars(row)), "targets": dict(vars(targets))}
    space["targets"]["LEARNED"] = {}
    for place, code in BLOCKS:
        exec(compile(code, "docs/targets.md", "exec"), space[place])
    forms = dict(re.findall(r'`"(\w+)": (Target\(Column\(.*?\), at="\w+"\))`', PAGE))
    assert forms.keys() == {"score", "plies_left", "answer"}
    for name, target in space["row"]["TARGETS"].items():
        monkeypatch.setitem(row.TARGETS, name, target)
    for name, form in forms.items():
        monkeypatch.setitem(row.TARGETS, name, eval(form, space["row"]))
    for name, learned in space["targets"]["LEARNED"].items():
        monkeypatch.setitem(targets.LEARNED, name, learned)
    return space["targets"]


def owners(game, moves):
    """Returns the signs of the cells for seat 0, read from the board as it is printed."""
    state = game.init(jax.random.key(0))
    for move in moves:
        state = game.step(state, move)
    assert state.terminated
    lines = [re.findall(r"[xo.*]", line.lower()) for line in game.render(state).splitlines()]
    board = [line for line in lines if len(line) == game.size]
    return np.array([[{"x": 1, "o": -1}.get(cell, 0) for cell in line] for line in board])


def test_the_worked_example_trains_and_every_row_knows_who_owns_the_board(
    entries, tiny_config, tmp_path
):
    [flag] = re.findall(r"--targets (\S+)$", PAGE, re.MULTILINE)
    small = dataclasses.replace(tiny_config.self_play, plies_per_call=30)
    evaluation = dataclasses.replace(tiny_config.evaluation, every=0)
    config = dataclasses.replace(
        tiny_config,
        game="othello:size=4",
        targets=flag,
        self_play=small,
        evaluation=evaluation,
        iterations=2,
    )
    assert run_once(tmp_path, config)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert any(line.get("loss_ownership", 0) > 0 for line in lines)
    game, checked = games.load(config.game), 0
    rows = row.concatenate(
        [
            replay.read_chunk(path, targets=row.target_forms(["ownership"], game))
            for _, _, path in replay.chunks(tmp_path / "replay")
        ]
    )
    for record in (tmp_path / "games" / "self_play.jsonl").read_text().splitlines():
        record = json.loads(record)
        wanted = owners(game, record["moves"])
        assert wanted.any()
        for i in np.flatnonzero(rows.game_id == record["game_id"]):
            seat = rows.ply[i] % 2  # a pass is a ply too
            np.testing.assert_array_equal(rows.targets["ownership"][i], -wanted if seat else wanted)
            checked += 1
    assert checked > 5


def test_a_target_of_some_games_refuses_the_others(entries):
    go = games.load("go:size=5,komi=7.5")
    state = go.init(jax.random.key(0))
    np.testing.assert_allclose(entries["score"](go, state), [-0.3, 0.3], rtol=1e-6)
    with pytest.raises(ValueError, match="as go has"):
        entries["score"](games.load("othello"), state)


def test_the_page_names_every_kind_that_a_target_may_have():
    for kind in HEADS:
        assert f"| `{kind.name}` |" in PAGE


def test_what_only_the_whole_game_tells_is_in_its_rows_and_learned(entries, tiny_config, tmp_path):
    asked = "plies_left=0.1,answer=0.2"
    evaluation = dataclasses.replace(tiny_config.evaluation, every=0)
    config = dataclasses.replace(tiny_config, targets=asked, evaluation=evaluation)
    assert not run_once(tmp_path / "stopped", config, stop_after=2)
    assert run_once(tmp_path / "stopped", config)
    assert run_once(tmp_path / "whole", config)
    assert_same(tmp_path / "stopped", tmp_path / "whole")
    names, game = ("plies_left", "answer"), games.load("tic_tac_toe")
    forms = row.target_forms(names, game)
    chunks = replay.chunks(tmp_path / "whole" / "replay")
    rows = row.concatenate([replay.read_chunk(path, targets=forms) for _, _, path in chunks])
    assert len(rows.ply) > 100
    for number in range(len(rows.ply)):
        later = [
            other
            for other in range(len(rows.ply))
            if rows.game_id[other] == rows.game_id[number] and rows.ply[other] > rows.ply[number]
        ]
        assert rows.targets["plies_left"][number] == pytest.approx(len(later) / 9)
        assert rows.target_weights["answer"][number] == bool(later)
        if later:
            reply = rows.policy_target[min(later, key=lambda other: rows.ply[other])]
            np.testing.assert_array_equal(rows.targets["answer"][number], reply)
    lines = metrics.history(RunFolder(tmp_path / "whole").read_metrics()).iterations
    assert {*lines[-1].target_losses} == {*names}
    assert 0 < lines[-1].target_losses["answer"] < 5


def test_a_computation_of_games_that_gives_another_shape_or_no_number_is_named(
    entries, monkeypatch
):
    rows = row.make(np.zeros((3, 3, 3, 2), bool), legal_action_mask=np.ones((3, 9), bool))
    game = games.load("tic_tac_toe")
    for values, weights, said in (
        (np.zeros((3, 1)), np.ones(3), "values of shape"),
        (np.zeros(3), np.ones(2), "weights of"),
        (np.full(3, np.nan), np.ones(3), "NaN"),
    ):
        learned = targets.LEARNED["plies_left"]._replace(compute=lambda *_, r=(values, weights): r)
        monkeypatch.setitem(targets.LEARNED, "plies_left", learned)
        with pytest.raises(ValueError, match=f"'plies_left'.*{said}"):
            targets.with_targets_of_games(rows, ["plies_left"], game)
