"""What the parts of `bench --suite` measure: that each figure is what its name says. No timings."""

import jax
import numpy as np
import pytest

import training
from scripts.benchmarks import (
    command_buffers,
    determinism,
    learned,
    memory,
    rules_beside_pgx,
    searching,
    settings,
    speed,
)
from scripts.benchmarks.child import ChildError
from scripts.benchmarks.searching import PLAYED, PLAYS, ROWS, Row
from scripts.terminal import console
from training import cards

NO_GNUGO = "shrunk: no accelerator; GNU Go is not here: apt-get install gnugo"
TINY = Row("tic_tac_toe", 1, 8, 16, "gumbel", 4, 0.9)


def values(found):
    return {one["figure"]: one["value"] for one in found["figures"]}


def test_the_rows_are_those_that_we_have_aims_for():
    aims = {str(row): row.aim for row in [*ROWS.values(), PLAYS]}
    assert aims == {
        "go:size=9 6x128 B=1024 gumbel 32": 0.90,
        "go:size=9 6x128 B=512 puct 200": 0.90,
        "connect_four 4x64 B=4096 gumbel 32": 0.95,
        "othello 6x128 B=1024 gumbel 32": 0.90,
        "go:size=19 20x256 B=256 puct 400": 0.97,
        "go:size=9 6x128 B=4096 gumbel 32": 0.50,
    }


@pytest.fixture
def in_a_moment(monkeypatch):
    """Times one call of each work; the rows are small enough."""
    monkeypatch.setitem(ROWS, "tiny", TINY)
    monkeypatch.setattr(searching, "shrink", lambda row: TINY)
    timed = speed._seconds
    monkeypatch.setattr(speed, "_seconds", lambda call: timed(call, least=0.0))


@pytest.mark.slow
@pytest.mark.usefixtures("compile_in_haste", "in_a_moment")
def test_a_row_has_ratio_aim_mctx_and_equal_visit_counts_and_no_share_of_an_unknown_peak():
    found = searching.measure("tiny", shrunk=True)
    ratio, share, same = found["figures"]
    assert ratio["value"] > 0
    assert ratio["aim"] == 0.9
    assert ratio["beside"] > 0
    assert ratio["note"] == "shrunk: no accelerator (tic_tac_toe 1x8 B=16 gumbel 4)"
    assert share["value"] is None
    assert "the peak of 'cpu' is not known" in share["note"]
    assert same["value"] == 1.0


def test_shares_of_the_peak_are_rates_times_operations_by_the_peak_of_all_devices(monkeypatch):
    monkeypatch.setitem(ROWS, "tiny", TINY._replace(beside_mctx=False))
    monkeypatch.setattr(cards, "peak", lambda kind: 1e9)
    rates = {"network": [50.0, 100.0, 900.0], "search": [25.0, 80.0, 90.0], "self_play": [7.0]}
    monkeypatch.setattr(speed, "rates_of", lambda work, *_: {name: rates[name] for name in work})
    for name in ("network_work", "visits_work", "play_work"):
        monkeypatch.setattr(speed, name, lambda *_: None)
    monkeypatch.setattr(speed, "compile_play", lambda *_: (None, 1.0))
    monkeypatch.setattr(searching, "PLAYS", TINY)
    # 3x3 cells: the stem, two convolutions, both heads' 1x1, then the dense layers.
    convolutions = 2 * 9 * (9 * 2 * 8 + 2 * 9 * 8 * 8 + 8 * 12)
    operations = convolutions + 2 * (9 * 8 * 9 + 9 * 4 * 64 + 64)
    peak = 1e9 * len(jax.devices())
    found = values(searching.measure("tiny", shrunk=False))
    assert found["search_to_network"] == 0.5  # the median of the rounds' ratios, 0.5, 0.8 and 0.1
    assert found["network alone, share of peak"] == pytest.approx(100 * operations / peak)
    evaluations = 4 + 1  # the root is one
    found = values(searching.measure(PLAYED, shrunk=False))
    assert found["self-play, share of peak"] == pytest.approx(7 * evaluations * operations / peak)


def test_where_mctx_fails_ours_is_measured_and_the_note_says_why(monkeypatch):
    monkeypatch.setitem(ROWS, "tiny", TINY)

    def visits_work(setup, config):
        if config.engine == "mctx":
            raise ModuleNotFoundError("No module named 'mctx'")

    monkeypatch.setattr(speed, "network_work", lambda *_: None)
    monkeypatch.setattr(speed, "visits_work", visits_work)
    monkeypatch.setattr(speed, "rates_of", lambda work, *_: {name: [4.0] for name in work})
    ratio, _ = searching.measure("tiny", shrunk=False)["figures"]
    assert (ratio["value"], ratio["beside"]) == (1.0, None)
    assert ratio["note"] == "mctx does not work here: No module named 'mctx'"


def test_command_buffers_compare_a_child_with_them_to_one_without(monkeypatch):
    asked = []

    def result(words, log, seconds):
        asked.append(words[-1])
        with_them = command_buffers.FLAG in words[-1]
        return {"evaluations_per_s": {"search": 300.0 if with_them else 200.0}}

    monkeypatch.setattr(command_buffers.child, "result", result)
    [found] = command_buffers.measure("go9-gumbel", shrunk=False)["figures"]
    assert found["value"] == 1.5
    assert [command_buffers.FLAG in word for word in asked] == [False, True]
    [found] = command_buffers.measure("go9-gumbel", shrunk=True)["figures"]
    assert (found["value"], found["note"]) == (None, "not applicable: no accelerator")
    assert len(asked) == 2

    def crashes(words, log, seconds):
        raise ChildError("killed by signal 11")

    monkeypatch.setattr(command_buffers.child, "result", crashes)
    with pytest.raises(ChildError, match="signal 11"):
        command_buffers.measure("go9-gumbel", shrunk=False)


@pytest.mark.parametrize(("digests", "equal"), [("aaa", "yes"), ("aab", "no"), ("baa", "yes")])
def test_determinism_compares_two_runs_with_it_and_times_them_against_one_without(
    digests, equal, monkeypatch
):
    runs = iter(zip(digests, (10.0, 12.0, 13.0), strict=True))

    def result(words, log, seconds):
        digest, took = next(runs)
        with_it = words[-1].startswith("--xla=")
        assert with_it == (took > 10)
        return {"digest": digest, "seconds": took, "step": 8}

    monkeypatch.setattr(determinism.child, "result", result)
    cost, same = determinism.measure("connect_four", shrunk=True)["figures"]
    assert cost["value"] == pytest.approx(0.25)
    assert same["value"] == equal
    same_without = "the same" if digests[0] == digests[1] else "others"
    assert same["note"] == f"after 8 training steps; without it: {same_without}"


def test_a_digest_tells_a_single_bit():
    tree = {"a": np.zeros(3, np.float32), "b": [np.arange(4)]}
    other = {"a": np.array([0, 0, -0.0], np.float32), "b": [np.arange(4)]}
    assert determinism.digest(tree) == determinism.digest(jax.tree.map(np.copy, tree))
    assert determinism.digest(tree) != determinism.digest(other)


def test_mistakes_and_a_match_against_the_half_are_measured_of_a_real_run(tiny_run, monkeypatch):
    found = learned.measure(f"mistakes-{tiny_run}", shrunk=True)["figures"]
    assert [one["figure"] for one in found] == [
        "mistakes of the network alone",
        "mistakes of a search of 4",
    ]
    assert all(0 <= one["value"] <= 1 for one in found)
    steps = training.checkpoint_steps(tiny_run)
    monkeypatch.setattr(learned.training, "checkpoint_steps", lambda folder: [0, *steps[-1:]])
    [score] = learned.measure(f"half-{tiny_run}", shrunk=True)["figures"]
    assert score["figure"] == f"score, step {steps[-1]} against step 0"
    assert score["note"].startswith("shrunk: no accelerator; 4 games, 95% interval ")
    monkeypatch.setattr(learned.training, "checkpoint_steps", lambda folder: steps[-1:])
    with pytest.raises(ValueError, match=f"has one checkpoint, of step {steps[-1]}"):
        learned.measure(f"half-{tiny_run}", shrunk=True)


def test_the_half_of_a_run_is_the_checkpoint_nearest_to_half_of_its_steps(monkeypatch):
    chosen = []
    monkeypatch.setattr(learned.training, "checkpoint_steps", lambda folder: [0, 90, 130, 210])
    monkeypatch.setattr(
        learned.training, "load_player", lambda folder, *how: chosen.append(how) or folder
    )
    monkeypatch.setattr(learned, "_match", lambda player, other, games: None)
    monkeypatch.setattr(learned, "_scored", lambda folder, against, result: {"figure": against})
    found = learned.measure("half-some/run-1", shrunk=False)
    assert found == {"figures": [{"figure": "step 210 against step 90"}]}
    assert chosen == [(32,), (32, 90)]


def test_without_an_engine_or_library_there_is_a_note_and_no_figure(tiny_run, monkeypatch):
    monkeypatch.setattr(learned.shutil, "which", lambda name: None)
    [found] = learned.measure(f"gnugo-{tiny_run}", shrunk=True)["figures"]
    assert (found["value"], found["note"]) == (None, NO_GNUGO)
    [found] = rules_beside_pgx.measure("go:size=7", shrunk=True)["figures"]
    assert found["value"] is None
    assert "pgx has no" in found["note"]


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


@pytest.mark.parametrize("shrunk", [False, True])
def test_the_flags_that_a_run_is_trained_with_give_the_settings_that_are_measured(shrunk):
    from scripts.flags import train

    words = settings.flags_of("connect_four", shrunk, 4.0)
    given = console.parse(train.Args, words, "train", train.defaults(words), train.IN_SIGHT).config
    wanted = settings.config_of("connect_four", shrunk)
    assert given == settings.dataclasses.replace(wanted, minutes=4.0)
