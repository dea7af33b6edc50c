"""`bench --measure suite`: measurements as processes, what is kept of them, how a call ends."""

import json
import os
import pathlib
import sys
import time

import pytest

from scripts import cli
from scripts.benchmarks import suite
from scripts.benchmarks.suite import Measurement
from scripts.flags import bench
from scripts.terminal import console

CPU = {"platform": "cpu", "kind": "cpu", "count": 2, "peak": None, "driver": "", "jax": "0"}
CARD = CPU | {"platform": "gpu", "kind": "H100", "count": 1, "peak": 989e12, "driver": "570.1"}


def printing(name, value, before="pass", seconds=5.0):
    """A measurement that notes in a file that it ran, and prints one figure."""
    code = f"import os, pathlib, signal, sys, time; pathlib.Path('ran-{name}').open('a').write('x')"
    printed = json.dumps({"speed": {"best": value}})
    return Measurement(name, f"{code}; {before}; print({printed!r})", seconds, {"speed.best": 0.9})


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """Lets a test say which measurements there are: flags stand for code of Python."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(suite, "TINY", "")
    device = f"print({json.dumps(CPU)!r})"

    def command(flags):
        code = device if isinstance(flags, dict) else flags
        return [sys.executable, "-c", code, "bench", "--json"]

    monkeypatch.setattr(suite, "command", command)

    def use(*measurements):
        made = [one._replace(flags=Code(one.flags)) for one in measurements]
        monkeypatch.setattr(suite, "MEASUREMENTS", made)

    return use


class Code(str):
    """Code in place of flags, to which a CPU adds nothing."""

    def __or__(self, other):
        return self


def run(minutes=0.0):
    return suite.run(pathlib.Path("out"), minutes)


def times_run(name):
    path = pathlib.Path(f"ran-{name}")
    return len(path.read_text()) if path.exists() else 0


def test_a_measurement_that_fails_is_noted_with_its_words_and_leaves_the_others(planned, capsys):
    planned(
        printing("a", 1.0, "os.kill(os.getpid(), signal.SIGSEGV)"),
        printing("b", 1.0, "sys.exit('OutOfMemory: 3 GB too few')"),
        Measurement("c", "pass", 5.0, {}),
        printing("d", 1.0, "time.sleep(60)", seconds=0.25),
        printing("e", 0.5),
    )
    code, held = run()
    assert code == 1
    assert {name: one["error"] for name, one in held["measurements"].items()} == {
        "a": "killed by signal 11",
        "b": "OutOfMemory: 3 GB too few",
        "c": "printed no result: ''",
        "d": "not done after 1 s; it last said: ",
        "e": "",
    }
    assert "failed: b (OutOfMemory: 3 GB too few)" in capsys.readouterr().err
    text = pathlib.Path("out/suite.md").read_text()
    assert "| a | failed | killed by signal 11 |  |" in text
    assert "| e | speed.best | 0.5 |  |" in text  # no aim is meant for a CPU


def test_what_is_done_is_not_repeated_and_what_failed_is_tried_again_last(planned):
    planned(printing("a", 1.0, "sys.exit(3)"), printing("b", 0.5))
    assert run()[0] == 1
    planned(printing("a", 1.0), printing("b", 0.5), printing("c", 0.7))
    code, held = run()
    assert code == 0
    assert [times_run(name) for name in "abc"] == [2, 1, 1]
    assert pathlib.Path("ran-c").stat().st_mtime_ns < pathlib.Path("ran-a").stat().st_mtime_ns
    assert held["measurements"]["a"]["error"] == ""


def test_a_call_stops_before_what_does_not_fit_and_what_its_end_cuts_short_has_not_failed(planned):
    planned(printing("a", 1.0), printing("b", 0.5, "time.sleep(60)", seconds=2.0))
    began = time.monotonic()
    code, held = run(minutes=6.0 / 60)
    assert (code, list(held["measurements"])) == (75, ["a"])
    assert time.monotonic() - began < 20
    planned(printing("a", 1.0), printing("b", 0.5, seconds=70.0))
    assert run(minutes=1.0)[0] == 75
    assert run()[0] == 0
    assert times_run("a") == 1


def test_ctrl_c_ends_the_process_and_keeps_what_was_measured(planned):
    stop = f"os.kill({os.getpid()}, signal.SIGINT); time.sleep(60)"
    planned(printing("a", 1.0), printing("b", 0.5, stop), printing("c", 0.7))
    began = time.monotonic()
    code, held = run()
    assert (code, list(held["measurements"])) == (75, ["a"])
    assert time.monotonic() - began < 20
    assert json.loads(pathlib.Path("out/suite.json").read_text()) == held
    assert [times_run(name) for name in "abc"] == [1, 1, 0]


def test_figures_of_two_machines_are_not_mixed(planned, monkeypatch):
    planned(printing("a", 1.0))
    assert run()[0] == 0
    monkeypatch.setitem(CPU, "count", 3)
    with pytest.raises(ValueError, match=r"no figures of this machine \(3 x cpu"):
        suite.read(pathlib.Path("out"), CPU)


def test_the_table_says_which_card_and_our_aims_and_where_sizes_are_shrunk(monkeypatch):
    monkeypatch.setattr(suite, "MEASUREMENTS", [Measurement("a", {}, 1.0, {"x": 0.9, "y": None})])
    kept = {"a": {"error": "", "date": "2026-12-01", "result": {"x": 0.5}}}
    text = suite.table({"device": CARD, "measurements": kept})
    assert text.startswith("1 x H100, driver 570.1, peak 989 TFLOP/s in bfloat16, jax 0")
    assert "| a | x | 0.5 | 0.9 | 2026-12-01 |" in text
    assert "| a | y | not known |  |" in text
    assert "shrunk" not in text
    assert "shrunk: no accelerator" in suite.table({"device": CPU, "measurements": {}})


@pytest.mark.parametrize("shrunk", [False, True])
def test_every_measurement_is_a_command_and_those_with_aims_are_the_documented_ones(shrunk):
    for one in suite.MEASUREMENTS:
        words = suite.command(one.flags | (suite.TINY if shrunk else {}))
        argv = words[words.index("bench") + 1 :]
        args = console.parse(bench.Args, argv, "bench", bench.defaults(argv), bench.IN_SIGHT)
        bench.check(args)
        assert args.network.problems() + args.search.problems() == [], one.name
        assert not shrunk or (args.batch, args.search.simulations) == (16, 4)
    aims = {one.name: aim for one in suite.MEASUREMENTS for aim in one.shown.values() if aim}
    assert aims == {
        "search: Go 9x9 6x128, gumbel 32, 1024 games": 0.90,
        "search: Go 9x9 6x128, puct 200, 512 games": 0.90,
        "search: Connect Four 4x64, gumbel 32, 4096 games": 0.95,
        "search: Othello 6x128, gumbel 32, 1024 games": 0.90,
        "search: Go 19x19 20x256, puct 400, 256 games": 0.97,
        "self-play: Go 9x9 6x128, gumbel 32, 4096 games": 0.50,
    }


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--measure loop --compare mctx", "--compare is for --measure speed"),
        ("--measure suite --minutes -1", "--minutes must be at least 0, got -1.0"),
        ("--minutes 3", "are for --measure suite"),
        ("--rounds 0", "rounds at least 1, got 0, 0"),
    ],
)
def test_a_mistake_in_the_flags_is_told_at_once(flags, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["bench", *flags.split()]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_real_process_measures_and_its_error_is_one_sentence(tmp_path):
    log, never = tmp_path / "log", lambda: False
    found = suite._measured(suite.command({"measure": "device"}), log, 60.0, never)
    assert (found["platform"], found["peak"]) == ("cpu", None)
    with pytest.raises(suite.ChildError, match=r"^selfplay bench: unknown game 'nothing'"):
        suite._measured(suite.command({"game": "nothing"}), log, 60.0, never)
