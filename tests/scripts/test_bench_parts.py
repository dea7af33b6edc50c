"""What `bench` measures: that each figure is what its name says. No timings."""

import jax
import pytest

import games
from mcts import SearchConfig
from scripts.benchmarks import memory, speed, timing
from training import cards
from training.settings import NetworkConfig

TINY = SearchConfig(simulations=4)


@pytest.fixture
def setup(monkeypatch):
    """Tic-tac-toe and a network of one block; a single call of each work is timed."""
    monkeypatch.setattr(timing, "LEAST_SECONDS", 0.0)
    return speed.prepare(games.load("tic_tac_toe"), NetworkConfig(blocks=1, channels=8), 16)


@pytest.mark.slow
@pytest.mark.usefixtures("compile_in_haste")
def test_mctx_is_measured_beside_ours_and_visits_as_it_does(setup):
    found = speed.beside_mctx(setup, TINY, rounds=1)
    assert min(found["search_to_network"], found["ours_to_mctx"]) > 0
    assert found["same_visit_counts"] == 1.0


def test_where_mctx_fails_the_error_says_why_and_ours_is_kept(setup, monkeypatch):
    def fails(setup, config):
        raise ModuleNotFoundError("No module named 'mctx'")

    monkeypatch.setattr(speed, "network_work", lambda *_: None)
    monkeypatch.setattr(speed, "search_work", fails)
    found = speed.beside_mctx(setup, TINY, rounds=1)
    assert found == {"error": "ModuleNotFoundError: No module named 'mctx'"}


@pytest.mark.parametrize("peak", [1e9, None])
def test_shares_of_the_peak_are_rates_times_operations_by_the_peak_of_all_devices(
    peak, setup, monkeypatch
):
    monkeypatch.setattr(cards, "peak", lambda kind: peak)
    rates = {"network": [50.0, 100.0, 900.0], "search": [25.0, 80.0, 90.0], "self_play": [7.0]}
    monkeypatch.setattr(speed, "rates_of", lambda *_: rates | {"env": [1000.0]})
    for name in ("network_work", "search_work", "play_work", "_peak_bytes"):
        monkeypatch.setattr(speed, name, lambda *_: None)
    monkeypatch.setattr(speed, "compile_play", lambda *_: (None, 1.0))
    found = speed.measure(setup, TINY, rounds=3)
    assert found["search_to_network"] == 0.5  # the median of the rounds' ratios, 0.5, 0.8 and 0.1
    assert found["step_to_evaluation"] == 0.1
    shares = found["network_share_of_peak"], found["self_play_share_of_peak"]
    if peak is None:
        assert shares == (None, None)
        return
    # 3x3 cells: the stem, two convolutions, both heads' 1x1, then the dense layers.
    convolutions = 2 * 9 * (9 * 2 * 8 + 2 * 9 * 8 * 8 + 8 * 12)
    operations = convolutions + 2 * (9 * 8 * 9 + 9 * 4 * 64 + 64)
    evaluations = 4 + 1  # the root is one
    wanted = 100 * operations, 7 * evaluations * operations
    assert shares == pytest.approx([each / (peak * len(jax.devices())) for each in wanted])


def test_works_take_turns_and_the_first_round_only_warms_up(monkeypatch):
    turns, seconds = [], iter([9.0, 9.0, 1.0, 2.0, 4.0, 2.0])
    monkeypatch.setattr(timing, "seconds_of", lambda call: turns.append(call) or next(seconds))
    rates = timing.rates_of({"a": ("A", 1), "b": ("B", 3)}, batch=8, rounds=2)
    assert turns == ["A", "B"] * 3
    assert rates == {"a": [8.0, 2.0], "b": [12.0, 12.0]}


def test_memory_used_is_what_the_process_grew_by_or_what_the_device_says(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "STATUS", tmp_path / "status")
    assert memory._used(None) == (None, "neither the device nor the system tells")
    memory.STATUS.write_text("VmPeak:  900 kB\nVmHWM:\t     100 kB\nVmRSS:  70 kB\n")
    before = memory._resident()
    memory.STATUS.write_text("VmPeak:  900 kB\nVmHWM:\t     400 kB\nVmRSS:  70 kB\n")
    assert memory._used(before)[0] == 300 * 1024

    class Device:
        def memory_stats(self):
            return {"peak_bytes_in_use": 7}

    monkeypatch.setattr(memory.jax, "local_devices", lambda: [Device()])
    assert memory._used(before) == (7, "peak of the first device, by its own count")
