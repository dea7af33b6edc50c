"""The code of docs/targets.md is run as it stands on the page, so that the page cannot drift."""

import dataclasses
import pathlib
import re
import textwrap

import jax.numpy as jnp
import numpy as np
import pytest

import games
from games.conformance import check
from games.game import Territorial
from scripts.new_game import GAME
from selfplay import row
from selfplay.recorder import FinishedGame
from tests.support.runs import run_once
from training import metrics, replay, targets
from training.network import HEADS
from training.storage.run_folder import RunFolder

PAGE = (pathlib.Path(games.__file__).parent.parent / "docs" / "targets.md").read_text()
BLOCKS = re.findall(r"^```python (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FLAGS = re.findall(r"--targets (\S+)$", PAGE, re.MULTILINE)
NAMES = ("plies_left", "mobility")


@pytest.fixture
def entries(monkeypatch):
    """The page's entries in the two tables."""
    space = {"row": dict(vars(row)), "targets": dict(vars(targets))}
    space["row"]["TARGETS"], space["targets"]["LEARNED"] = {}, {}
    for place, code in BLOCKS:
        exec(compile(code, "docs/targets.md", "exec"), space[place])
    forms, learned = space["row"]["TARGETS"], space["targets"]["LEARNED"]
    assert {*forms} == {*learned} == {*NAMES}
    assert not {*NAMES} & {*row.TARGETS}, "the example must not be one that is shipped"
    for name in NAMES:
        monkeypatch.setitem(row.TARGETS, name, forms[name])
        monkeypatch.setitem(targets.LEARNED, name, learned[name])


def test_the_worked_example_trains_goes_on_and_is_in_its_rows(entries, tiny_config, tmp_path):
    asked = next(flag for flag in FLAGS if "mobility" in flag)
    evaluation = dataclasses.replace(tiny_config.evaluation, every=0)
    config = dataclasses.replace(tiny_config, targets=asked, evaluation=evaluation)
    assert not run_once(tmp_path / "whole", config, stop_after=2)
    assert run_once(tmp_path / "whole", config)
    forms = row.target_forms(NAMES, games.load("tic_tac_toe"))
    chunks = replay.chunks(tmp_path / "whole" / "replay")
    rows = row.concatenate([replay.read_chunk(path, targets=forms) for _, _, path in chunks])
    assert len(rows.ply) > 100
    last = {game: max(rows.ply[rows.game_id == game]) for game in rows.game_id.tolist()}
    for number, (game, ply) in enumerate(zip(rows.game_id, rows.ply, strict=True)):
        left = last[int(game)] - ply
        assert rows.targets["plies_left"][number] == pytest.approx(left / 9)
        free = 8 - ply if left else 0  # cells that are empty after the move
        assert rows.targets["mobility"][number] == pytest.approx(free / 9)
    lines = metrics.history(RunFolder(tmp_path / "whole").read_metrics()).iterations
    assert {*lines[-1].target_losses} == {*NAMES}


def test_the_pages_methods_of_a_game_obey_the_law():
    [code] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    space = {"jnp": jnp}
    exec(compile(textwrap.dedent(code), "docs/targets.md", "exec"), space)
    template = {"__name__": "lines"}
    exec(GAME.replace("CLASS", "Lines"), template)
    methods = {"final_planes": space["final_planes"]}
    game = type("WithMethods", (template["Lines"],), methods)()
    assert isinstance(game, Territorial)
    report = check(game, games=16, fresh_process=False)
    assert not report.violations
    # Its margin is of games that are won by more stones.
    board = jnp.array([[0, 0, 1], [-1, 0, 1], [-1, -1, -1]])
    state = type("State", (), {"board": board})
    assert float(space["margin"](None, state)) == 1
    np.testing.assert_array_equal(
        space["final_planes"](None, state)[1], [[-1, -1, 1], [0, -1, 1], [0, 0, 0]]
    )


def test_the_page_names_every_kind_and_every_shipped_target_with_what_it_needs():
    for kind in HEADS:
        assert f"| `{kind.name}` |" in PAGE
    for name, learned in targets.LEARNED.items():
        [line] = re.findall(rf"^\| `{name}` \|.*$", PAGE, re.MULTILINE)
        assert all(f"`{need}` |" in line for need in learned.needs)
        assert bool(learned.needs) != line.endswith("| |")
    for flag in FLAGS:
        named = [part.partition("=")[0] for part in flag.split(",")]
        assert {*named} <= {*targets.LEARNED, *NAMES}


def test_a_computation_of_games_that_gives_another_shape_or_no_number_is_named(
    entries, monkeypatch
):
    rows = row.make(np.zeros((3, 3, 3, 2), bool), legal_action_mask=np.ones((3, 9), bool))
    game = games.load("tic_tac_toe")
    finished = FinishedGame(0, [0] * 3, (0.0, 0.0), (0, 1, 0))
    for values, weights, said in (
        (np.zeros((3, 1)), np.ones(3), "values of shape"),
        (np.zeros(3), np.ones(2), "weights of"),
        (np.full(3, np.nan), np.ones(3), "NaN"),
    ):
        learned = targets.LEARNED["plies_left"]._replace(compute=lambda *_, r=(values, weights): r)
        monkeypatch.setitem(targets.LEARNED, "plies_left", learned)
        with pytest.raises(ValueError, match=f"'plies_left'.*{said}"):
            targets.of_games(rows, [finished], ["plies_left"], game)
