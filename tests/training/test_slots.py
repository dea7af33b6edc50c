"""The slots in a run: the page's examples work, and every mode resumes bit by bit after a stop."""

import dataclasses
import pathlib
import re
import sys

import numpy as np
import pytest

import games
from scripts import train as train_command
from tests.support.runs import assert_same, run_once
from training.storage.run_folder import RunFolder

PAGE = (pathlib.Path(games.__file__).parent.parent / "docs" / "ida.md").read_text()
CODE = "".join(re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture
def my_slots(tmp_path, monkeypatch):
    """The page's `my_slots.py` in the current folder, and the same amplifier for the host."""
    on_host = "\n\ndef hosted(variables, states, key, history, *, game, evaluate):\n"
    on_host += "    return one_ply(variables, states, key, game=game, evaluate=evaluate)\n"
    (tmp_path / "my_slots.py").write_text(CODE + on_host)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    sys.modules.pop("my_slots", None)


@pytest.mark.slow
@pytest.mark.usefixtures("my_slots")
@pytest.mark.parametrize(
    ("amplify", "distil"),
    [
        ("my_slots:hosted", "my_slots:soft_imitation"),
        pytest.param("my_slots:one_ply", "cloning", marks=pytest.mark.slow),
        pytest.param("policy", "reinforce", marks=pytest.mark.slow),
        pytest.param("committee:members=2", "action_values", marks=pytest.mark.slow),
        pytest.param("player:uniform", "imitation", marks=pytest.mark.slow),
    ],
)
def test_every_mode_that_is_stopped_and_resumed_equals_one_that_was_not(
    tiny_config, tmp_path, amplify, distil
):
    config = dataclasses.replace(
        tiny_config,
        amplify=amplify,
        distil=distil,
        iterations=3,
        evaluation=dataclasses.replace(tiny_config.evaluation, every=0),
    )
    assert not run_once(tmp_path / "stopped", config, stop_after=2)
    assert run_once(tmp_path / "stopped", config)
    assert run_once(tmp_path / "whole", config)
    assert_same(tmp_path / "stopped", tmp_path / "whole")
    last = RunFolder(tmp_path / "whole").read_metrics()[-1]
    assert np.isfinite(last["policy_loss"])
    if amplify == "policy":
        assert abs(last["kl"]) < 1e-5
    else:
        assert last["kl"] > 1e-3


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"amplify": "serach"}, "amplify must be search, .*got 'serach'"),
        ({"amplify": "committee:members=1"}, "at least 2 members, got 1"),
        ({"amplify": "nowhere:f"}, "amplify 'nowhere:f': there is no module 'nowhere'"),
        ({"amplify": "player:nobody"}, "player 'nobody': there is no such run folder"),
        ({"distil": "copying"}, "distil must be imitation.* or module:function, got 'copying'"),
        ({"distil": "json:dump"}, "distil 'json:dump' is called with .*does not take that"),
    ],
)
def test_a_slot_that_cannot_work_is_refused_before_a_folder_is_made(
    tiny_config, tmp_path, setting, sentence
):
    config = dataclasses.replace(tiny_config, **setting)
    with pytest.raises(ValueError, match=sentence):
        train_command.run(train_command.Args(config, run_dir=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_a_resume_with_another_slot_is_refused(tiny_config, tiny_run):
    for setting in ({"amplify": "policy"}, {"distil": "json:loads"}):
        config = dataclasses.replace(tiny_config, **setting)
        with pytest.raises(ValueError, match="computes with other settings"):
            RunFolder(tiny_run).check_same(config)
