"""What a recording says: intervals by hand, and one real recording of a tiny loop."""

import dataclasses

import pytest

import games
from scripts.benchmarks import iteration, loop
from training import presets

STAGES = {"amplify": [(100.0, 110.0), (500.0, 520.0)], "record": [(110.0, 500.0)]}


def test_covered_counts_overlaps_once_whatever_the_order():
    assert loop.covered([]) == 0
    assert loop.covered([(0, 10), (5, 20), (6, 7), (30, 31)]) == 21
    assert loop.covered([(30, 31), (6, 7), (5, 20), (0, 10)]) == 21


def test_the_idle_share_counts_from_the_first_stage_to_the_last():
    """420 ns of loop; work outside does not count, work on two devices at once counts once."""
    work = [(0.0, 200.0), (150.0, 205.0), (300.0, 405.0), (515.0, 900.0)]
    found = loop.summary(work, STAGES)
    assert found["iteration_s"] == pytest.approx(420e-9 / loop.ITERATIONS)
    assert found["idle_share"] == pytest.approx(1 - (105 + 105 + 5) / 420)
    assert found["stages"] == pytest.approx({"amplify": 15e-9, "record": 390e-9})


def test_a_dispatch_holds_the_loop_up_only_while_nothing_else_is_done_meanwhile():
    """A dispatch of 300 ns, of which 250 pass while the loop records, and one of 40 before that."""
    stages = {"amplify": [(0.0, 40.0), (100.0, 400.0)], "record": [(90.0, 350.0)]}
    found = loop.summary([(0.0, 400.0)], stages)
    assert found["dispatch_s"] == pytest.approx(170e-9)
    assert found["dispatch_alone_s"] == pytest.approx((40 + 50) / 2 * 1e-9)


def test_what_evaluation_leaves_idle_is_no_gap():
    stages = STAGES | {"evaluate": [(405.0, 505.0)]}
    found = loop.summary([(100.0, 300.0), (500.0, 520.0)], stages)
    assert found["gaps_s"] == pytest.approx((405 - 300) * 1e-9 / loop.ITERATIONS)
    assert found["iteration_s"] == pytest.approx((420 - 100) * 1e-9 / loop.ITERATIONS)


def test_a_recorded_loop_shows_every_stage_and_work_of_the_devices(tiny_config):
    config = dataclasses.replace(
        tiny_config, checkpoint=dataclasses.replace(tiny_config.checkpoint, every_seconds=1e-3)
    )
    found = loop.measure(config)
    assert 0 < found["idle_share"] < 1
    assert all(seconds > 0 for seconds in found["stages"].values()), found
    assert set(found["stages"]) == set(loop.NAMES)
    # What is part of something takes no longer.
    each = found["stages"]
    assert each["wait"] + each["fetch"] < each["record"]
    assert found["draw_s"] >= each["draw"]
    assert 0 <= found["dispatch_alone_s"] <= found["dispatch_s"]
    for part, figures in found["parts"].items():
        assert set(figures) == {"h100_computed_s", "measured_s"}, part
    assert found["parts"][iteration.WHOLE]["measured_s"] > found["iteration_s"]
    text = "\n".join(iteration.table(found["parts"], "a CPU"))
    assert text.startswith("| part of an iteration | computed for an H100 | measured on a CPU |")
    assert text.count("100.0%") == 2  # the whole, computed and measured


def test_what_is_computed_for_a_card_follows_from_counts():
    """Connect Four: 16 plies of 1,984 games, 33 evaluations each, 5 blocks of 64 channels."""
    config = presets.preset("gpu", "connect_four")
    config = dataclasses.replace(
        config,
        search=dataclasses.replace(config.search, simulations=32),
        replay=dataclasses.replace(config.replay, samples_per_example=4.0),
    )
    found = iteration.computed(config, games.load("connect_four"))
    cells, channels = 42, 64
    convolutions = cells * 9 * (2 * channels + 10 * channels**2) + cells * channels * 12
    dense = cells * (8 * 7 + 4 * 128) + 128
    work = 16 * 33 * 1984 * 2 * (convolutions + dense)
    # Half of a tile is filled, and 45% of the peak reached.
    assert found[iteration.NETWORK] == pytest.approx(work / (989e12 * 0.45 / 2))
    assert found[iteration.RULES] == pytest.approx(16 * 33 * 4 * 3.7e-6)
    assert found[iteration.SEARCH] == pytest.approx(16 * 33 * 24 * 3.7e-6)
    parts = [iteration.NETWORK, iteration.RULES, iteration.SEARCH, iteration.TRAINING]
    parts += [iteration.GAPS, iteration.EVALUATION]
    assert found[iteration.WHOLE] == pytest.approx(sum(found[part] for part in parts))
    # A host that is slower than the card leaves it idle for the difference.
    host = sum(found[part] for part in (iteration.RECORD, iteration.FETCH, iteration.DRAW))
    assert found[iteration.GAPS] >= host - sum(found[part] for part in parts[:4])
