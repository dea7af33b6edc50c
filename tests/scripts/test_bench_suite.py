"""`bench --suite`: measurements as children, what is kept of them, and how a call ends."""

import json
import os
import pathlib
import sys
import time

import pytest

from scripts import cli
from scripts.benchmarks import child, figures, plan, suite
from scripts.benchmarks.figures import figure
from scripts.benchmarks.plan import Measurement, Where

CPU = {"platform": "cpu", "kind": "cpu", "count": 2, "peak": None, "driver": "", "jax": "0"}
CARD = CPU | {"platform": "gpu", "kind": "H100", "count": 1, "peak": 989e12, "driver": "570.1"}


def python(code):
    return [sys.executable, "-c", code]


def printing(name, value, after=""):
    """A measurement that prints one figure, and notes in a file that it ran."""
    found = {"figures": [figure(name, "speed", value, aim=0.9)]}
    code = f"import pathlib, os, signal, time; pathlib.Path(f'ran-{name[-1]}').open('a').write('x')"
    return Measurement(name, python(f"{code}; print({json.dumps(found)!r}); {after}"), 5.0)


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """Lets a test say which measurements there are; the device is asked of no child."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(suite.child, "result", lambda *_: CPU)

    def use(*measurements):
        monkeypatch.setattr(plan, "PARTS", {"search": lambda where: list(measurements)})

    return use


def run(minutes=0.0):
    return suite.run(pathlib.Path("out"), ["search"], minutes, False)


def times_run(name):
    path = pathlib.Path(f"ran-{name}")
    return len(path.read_text()) if path.exists() else 0


def test_a_measurement_that_crashes_or_fails_is_noted_with_its_words_and_leaves_the_others(
    planned, capsys
):
    crash = "os.kill(os.getpid(), signal.SIGSEGV)"
    fails = python("import sys; print('OutOfMemory: 3 GB too few', file=sys.stderr); sys.exit(1)")
    planned(
        printing("search/a", 1.0, crash),
        Measurement("search/b", fails, 5.0),
        Measurement("search/c", python("pass"), 5.0),
        printing("search/d", 0.5),
    )
    code, held = run()
    assert code == 1
    errors = {name: one["error"] for name, one in held["measurements"].items()}
    assert errors == {
        "search/a": "killed by signal 11",
        "search/b": "OutOfMemory: 3 GB too few",
        "search/c": "printed no result: ''",
        "search/d": "",
    }
    assert "failed: search/b (OutOfMemory: 3 GB too few)" in capsys.readouterr().err
    table = pathlib.Path("out/suite.md").read_text()
    assert "| search | search/a | failed | - | - | - | killed by signal 11 |" in table
    assert "| search | search/d | speed | 0.5 | - | - |  |" in table


def test_what_is_done_is_not_repeated_and_what_failed_is_tried_again_last(planned):
    planned(printing("search/a", 1.0, "raise SystemExit(3)"), printing("search/b", 0.5))
    assert run()[0] == 1
    planned(printing("search/a", 1.0), printing("search/b", 0.5), printing("search/c", 0.7))
    code, held = run()
    assert code == 0
    assert [times_run(name) for name in "abc"] == [2, 1, 1]
    assert list(held["measurements"]) == ["search/b", "search/c", "search/a"]


def test_a_call_stops_before_what_does_not_fit_and_says_how_to_go_on(planned, capsys):
    planned(printing("search/a", 1.0), printing("search/b", 0.5)._replace(seconds=70.0))
    code, held = run(minutes=1.0)
    assert code == 75
    assert list(held["measurements"]) == ["search/a"]
    assert "search/b takes about 70 s, and " in (said := capsys.readouterr().err)
    assert "go on with --minutes 3" in said  # more than a whole call has
    assert run(minutes=2.5)[0] == 0
    assert [times_run(name) for name in "ab"] == [1, 1]


def test_what_the_end_of_a_call_cuts_short_has_not_failed(planned):
    planned(printing("search/a", 1.0, "time.sleep(60)")._replace(seconds=0.5))
    began = time.monotonic()
    code, held = run(minutes=1.0 / 60)
    assert code == 75
    assert held["measurements"] == {}
    assert time.monotonic() - began < 20


def test_a_measurement_that_takes_far_longer_than_thought_has_failed(planned):
    planned(printing("search/a", 1.0, "time.sleep(60)")._replace(seconds=0.25), printing("b/b", 1))
    code, held = run()
    assert code == 1
    assert held["measurements"]["search/a"]["error"].startswith("not done after 1 s")
    assert held["measurements"]["b/b"]["error"] == ""


def test_ctrl_c_ends_the_child_and_keeps_what_was_measured(planned):
    stop = f"os.kill({os.getpid()}, signal.SIGINT); time.sleep(60)"
    planned(printing("search/a", 1.0), printing("search/b", 0.5, stop), printing("search/c", 0.7))
    began = time.monotonic()
    code, held = run()
    assert code == 75
    assert time.monotonic() - began < 20
    assert list(held["measurements"]) == ["search/a"]
    assert json.loads(pathlib.Path("out/suite.json").read_text()) == held
    assert [times_run(name) for name in "abc"] == [1, 1, 0]


def test_a_run_is_asked_to_save_at_its_time_and_goes_on_from_there(planned):
    saves = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(75)); time.sleep(60)"
    ends = Measurement("search/b", python("pass"), 5.0, trains=True)
    planned(Measurement("search/a", python(saves), 5.0, trains=True, stop_after=1.5), ends)
    code, held = run()
    assert code == 0, held
    assert [one["figures"] for one in held["measurements"].values()] == [[], []]
    planned(Measurement("search/c", python("raise SystemExit(2)"), 5.0, trains=True))
    assert run()[0] == 1


def test_figures_of_two_machines_are_not_mixed(planned, monkeypatch):
    planned(printing("search/a", 1.0))
    assert run()[0] == 0
    monkeypatch.setattr(suite.child, "result", lambda *_: CARD)
    with pytest.raises(ValueError, match=r"measured on 2 x cpu.* and this is 1 x H100"):
        run()


def test_the_table_says_which_card_and_where_sizes_are_shrunk(tmp_path):
    held = {"format_version": 1, "device": CARD, "measurements": {}}
    text = figures.table(held)
    assert text.startswith("1 x H100, driver 570.1, peak 989 TFLOP/s in bfloat16, jax 0")
    assert "shrunk" not in text
    assert "shrunk: no accelerator" in figures.table(held | {"device": CPU})


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--suite --parts search,sarch", "--parts: unknown 'sarch'; known: search, rules, train"),
        ("--suite --parts=", "--parts: names none; known: all, search"),
        ("--suite --loop", "leave out --loop and --compare"),
        ("--suite --minutes -1", "--minutes must be at least 0, got -1.0"),
        ("--parts search", "are for --suite: add it"),
    ],
)
def test_a_mistake_in_the_flags_of_the_suite_is_told_at_once(
    flags, said, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["bench", *flags.split()]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_parts_are_measured_in_their_own_order():
    assert plan.chosen("memory,search") == ["search", "memory"]
    assert plan.chosen("all") == ["search", "rules", "training", "learning", "memory"]


@pytest.mark.parametrize("shrunk", [False, True])
def test_two_calls_of_nine_minutes_have_room_for_all_but_the_long_part(shrunk, tmp_path):
    """By the estimates: in order, none begun that does not fit, a call's start taken off."""
    calls, left = 1, 9 * 60.0 - 20
    for part in plan.PARTS.values():
        for one in part(Where(shrunk, tmp_path, long=False)):
            if one.seconds > left:
                calls, left = calls + 1, 9 * 60.0 - 20
            assert one.seconds <= left, one.name
            left -= one.seconds
    assert calls <= 2


def test_every_measurement_of_the_long_part_fits_in_a_call_and_names_are_unique(tmp_path):
    where = Where(False, tmp_path, long=True)
    listed = [one for part in plan.PARTS.values() for one in part(where)]
    assert len({one.name for one in listed}) == len(listed)
    assert max(one.seconds for one in listed) < 9 * 60 - 20


def test_a_real_child_measures_and_its_error_is_one_sentence(tmp_path):
    log = tmp_path / "log"
    found = child.result(child.measuring("device", "all", shrunk=True), log, 60.0)
    assert found["platform"] == "cpu"
    assert found["peak"] is None
    with pytest.raises(child.ChildError, match=r"^KeyError: 'nothing'$"):
        child.result(child.measuring("searching", "nothing", shrunk=True), log, 60.0)


def test_flags_reach_xla_before_its_first_device_starts_and_a_crash_over_them_is_told(tmp_path):
    """XLA ends the process at a flag that it does not know."""
    words = child.measuring("device", "all", True, "--xla_no_such_flag=1")
    with pytest.raises(child.ChildError, match="Unknown flag in XLA_FLAGS: --xla_no_such"):
        child.result(words, tmp_path / "log", 60.0)
