"""Configuration: all problems at once, every change named, files exact."""

import dataclasses
import re

import pytest

from training import config, presets
from training.config import RunConfig


def test_every_preset_works_and_survives_json():
    for name, table in presets.PRESETS.items():
        for game in (*table, "hex", "my_pkg.my_game:MyGame:size=5"):
            made = presets.preset(name, game or "hex")
            made.check()
            assert made.minutes > 0
            assert config.from_dict(config.to_dict(made)) == made


def test_problems_of_all_parts_come_together():
    bad = dataclasses.replace(
        RunConfig(),
        minutes=-1.0,
        network=config.NetworkConfig(channels=0),
        search=config.SearchConfig(simulations=0),
        learner=config.LearnerConfig(learning_rate=0.0),
    )
    with pytest.raises(ValueError, match="cannot work") as caught:
        bad.check()
    for text in (
        "minutes",
        "-1",
        "network.channels",
        "search.simulations",
        "learner.learning_rate",
    ):
        assert text in str(caught.value), text


def test_differences_name_fields_that_change_what_is_computed_and_no_others():
    stored = RunConfig()
    free = dataclasses.replace(
        stored,
        minutes=9.0,
        iterations=5,
        flops=1e13,
        checkpoint=config.CheckpointConfig(every_seconds=5.0),
    )
    assert config.differences(stored, free) == []
    changed = dataclasses.replace(stored, seed=1, network=config.NetworkConfig(blocks=9))
    found = config.differences(stored, changed)
    assert len(found) == 2
    assert any("seed: 0 in the run, 1 asked for" in line for line in found)
    assert any("network.blocks" in line for line in found)


def test_a_file_with_fields_missing_unknown_or_of_another_type_is_refused_by_their_names():
    for part, change, said in (
        ("search", {"magic": 3}, r"unknown fields search\.magic: .*by another version$"),
        ("learner", {"batch": "many"}, r"learner\.batch must be a int, got 'many'"),
    ):
        data = config.to_dict(RunConfig())
        data[part] |= change
        with pytest.raises(ValueError, match=said):
            config.from_dict(data)
    for name in config.leaves_of(config.to_dict(RunConfig())):
        data = config.to_dict(RunConfig())
        section, _, field = name.rpartition(".")
        del (data[section] if section else data)[field]
        with pytest.raises(ValueError, match=rf"missing fields {re.escape(name)}: the run was"):
            config.from_dict(data)
