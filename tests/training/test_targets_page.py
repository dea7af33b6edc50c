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
from scripts.game_new import GAME
from selfplay import example
from selfplay.recorder import FinishedGames
from tests.support.checkpoints import read_chunk
from tests.support.runs import run_once
from training import metrics, replay, targets
from training.networks.layers import HEADS
from training.storage.run_folder import RunFolder

PAGE = (pathlib.Path(games.__file__).parent.parent / "docs" / "targets.md").read_text()
BLOCKS = re.findall(r"^```python (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FLAGS = re.findall(r"--targets (\S+)$", PAGE, re.MULTILINE)
NAMES = ("plies_left", "mobility")


@pytest.fixture
def entries(monkeypatch):
    """The page's entries in the two tables."""
    space = {"example": dict(vars(example)), "targets": dict(vars(targets))}
    space["example"]["TARGETS"], space["targets"]["LEARNED"] = {}, {}
    for place, code in BLOCKS:
        exec(compile(code, "docs/targets.md", "exec"), space[place])
    forms, learned = space["example"]["TARGETS"], space["targets"]["LEARNED"]
    assert {*forms} == {*learned} == {*NAMES}
    assert not {*NAMES} & {*example.TARGETS}, "the example must not be one that is shipped"
    for name in NAMES:
        monkeypatch.setitem(example.TARGETS, name, forms[name])
        monkeypatch.setitem(targets.LEARNED, name, learned[name])


def test_the_worked_example_trains_and_is_in_its_examples(entries, tiny_config, tmp_path):
    asked = next(flag for flag in FLAGS if "mobility" in flag)
    evaluation = dataclasses.replace(tiny_config.evaluation, every=0)
    config = dataclasses.replace(tiny_config, targets=asked, evaluation=evaluation)
    assert run_once(tmp_path / "whole", config)
    forms = example.target_forms(NAMES, games.load("tic_tac_toe"))
    chunks = replay.chunks(tmp_path / "whole" / "replay")
    examples = example.concatenate([read_chunk(path, targets=forms) for _, _, path in chunks])
    assert len(examples.ply) > 100
    last = {game: max(examples.ply[examples.game_id == game]) for game in examples.game_id.tolist()}
    for number, (game, ply) in enumerate(zip(examples.game_id, examples.ply, strict=True)):
        left = last[int(game)] - ply
        assert examples.targets["plies_left"][number] == pytest.approx(left / 9)
        free = 8 - ply if left else 0  # cells that are empty after the move
        assert examples.targets["mobility"][number] == pytest.approx(free / 9)
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
    examples = example.make(np.zeros((3, 3, 3, 2), bool), legal_action_mask=np.ones((3, 9), bool))
    game = games.load("tic_tac_toe")
    seats, no_opening = np.array([0, 1, 0], np.int8), np.zeros((1, 0), np.int16)
    finished = FinishedGames(examples, seats, no_opening, np.array([3]))
    for values, weights, said in (
        (np.zeros((3, 1)), np.ones(3), "values of shape"),
        (np.zeros(3), np.ones(2), "weights of"),
        (np.full(3, np.nan), np.ones(3), "NaN"),
    ):
        learned = targets.LEARNED["plies_left"]._replace(compute=lambda *_, r=(values, weights): r)
        monkeypatch.setitem(targets.LEARNED, "plies_left", learned)
        with pytest.raises(ValueError, match=f"'plies_left'.*{said}"):
            targets.of_games(examples, finished, ["plies_left"], game)
