"""The idle share of a recording: intervals by hand, and one real recording of a tiny loop."""

import dataclasses

import pytest

from scripts.benchmarks import loop

STAGES = {"amplify": [(100.0, 110.0), (500.0, 520.0)], "record": [(110.0, 500.0)]}


def test_covered_counts_overlaps_once_whatever_the_order():
    assert loop.covered([]) == 0
    assert loop.covered([(0, 10), (5, 20), (6, 7), (30, 31)]) == 21
    assert loop.covered([(30, 31), (6, 7), (5, 20), (0, 10)]) == 21


def test_the_idle_share_counts_from_the_first_stage_to_the_last():
    """420 ns of loop; work outside does not count, work on two devices at once counts once."""
    work = [(0.0, 200.0), (150.0, 205.0), (300.0, 405.0), (515.0, 900.0)]
    found = loop.summary(work, STAGES)
    assert found["seconds"] == pytest.approx(420e-9)
    assert found["idle_share"] == pytest.approx(1 - (105 + 105 + 5) / 420)
    assert found["stages"] == pytest.approx({"amplify": 30e-9, "record": 390e-9})


def test_a_recorded_loop_shows_every_stage_and_work_of_the_devices(tiny_config):
    config = dataclasses.replace(
        tiny_config, checkpoint=dataclasses.replace(tiny_config.checkpoint, every_seconds=1e-3)
    )
    found = loop.measure(config)
    assert 0 < found["idle_share"] < 1
    assert set(found["stages"]) == {"amplify", "record", "distil", "evaluate", "save"}
    assert all(0 < seconds <= found["seconds"] for seconds in found["stages"].values()), found
