"""Sweeps: what their file says, what is made of it after any interruption, and what it shows."""

import json
import os
import pathlib
import shutil
import signal
import sys
import threading
import uuid

import pytest

from scripts import cli
from scripts import sweep as command
from selfplay import devices
from tests.support import processes as of_tests
from tests.support.runs import assert_same
from training.sweep import check, intervals, job, plan, processes, summary, table
from training.sweep.measure import Measured
from training.sweep.plan import Job
from training.sweep.processes import Ended

SECONDS = 240.0  # more is a hang
TINY = """
game = "tic_tac_toe"
iterations = 4
seeds = [1, 2]
positions = 64
simulations = 4
against = "random"
games = 4

[base]
"network.channels" = 8
"network.value_hidden" = 8
"search.simulations" = 4
"self_play.batch" = 16
"self-play.plies-per-call" = 6
"self-play.random-opening-plies" = 2
"replay.capacity" = 300
"replay.min_examples" = 40
"replay.samples_per_example" = 2.0
learner.batch = 32
learner.learning_rate = 2e-3
learner.dense_rate = 1.0
learner.root_value_weight = 0.0
evaluation.every = 2
evaluation.simulations = 4
evaluation.positions = 64
evaluation.games = 16
evaluation.gap_positions = 0

[variants.today]

[variants.fast.learner]
learning_rate = 4e-3
"""


@pytest.fixture
def write(tmp_path):
    """Returns a function that writes a sweep's file, with some text replaced."""

    def of(text=TINY, **replaced):
        for old, new in replaced.items():
            assert old in text
            text = text.replace(old, new)
        file = tmp_path / "tiny.toml"
        file.write_text(text)
        return file

    return of


def make(planned, one, out, **given):
    assert job.train(planned, one, out, **given)
    job.measure(planned, one, out)
    return job.result(planned, one, out)


# ---- the file -----------------------------------------------------------------------------------


def test_settings_are_read_by_any_of_their_spellings(write):
    text = TINY + 'ema-decay = 0.9\n[variants.other]\n"learner.ema_decay" = 0.9\n'
    planned = plan.read(write(text + 'learner = { "learning-rate" = 4e-3 }\n'))
    assert planned.variants["fast"].config == planned.variants["other"].config
    config = planned.config(Job("fast", 2))
    assert (config.seed, config.iterations, config.minutes) == (2, 4, 0.0)
    assert (config.learner.learning_rate, config.learner.ema_decay) == (4e-3, 0.9)
    assert config.self_play.plies_per_call == 6
    assert planned.baseline == "today"
    assert [one.place for one in planned.jobs()][:3] == [
        "today/seed-1",
        "fast/seed-1",
        "other/seed-1",
    ]


def test_all_that_cannot_work_is_named_at_once_with_its_variant(write, capsys, tmp_path):
    bad = """
game = "tic_tac_toe"
iterations = 4
flops = 1e9
seeds = [1, 1]
colour = "red"
positions = 0
baseline = "todya"
[base]
learner.rate = 1
[variants.today]
gate = 0.3
[variants."../up"]
[variants.a]
seed = 3
"search.policy" = "magic"
[variants.b]
"learner.batch" = "many"
"learner.final-rate-fraction" = 0.1
"learner.final_rate_fraction" = 0.1
flops = 3
"""
    named = [
        "needs one limit of flops, iterations, minutes, got flops and iterations",
        "seeds must be different",
        "unknown entry 'colour'",
        "positions must be at least 1",
    ]
    with pytest.raises(ValueError, match="needs one limit of flops") as error:
        plan.read(write(bad))
    assert not [text for text in named if text not in str(error.value)]
    named = [
        "[base]: unknown setting 'learner.rate'",
        "baseline 'todya' is no variant (did you mean today?)",
        "variant 'today': gate must be",
        "variant '../up': its name is that of a folder",
        "variant 'a': seed: the sweep's seeds",
        "variant 'a': search.policy must be gumbel or puct, got 'magic'",
        "variant 'b': learner.batch must be a int, got 'many'",
        "variant 'b': learner.final_rate_fraction is given twice",
        "variant 'b': flops: all variants have the limit",
    ]
    file = write(bad.replace("flops = 1e9\n", ""))
    out = tmp_path / "out"
    assert cli.run(["sweep", str(file), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert not [text for text in named if text not in said]
    assert not out.exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[base]", 'baseline = ["today"]\n[base]', "baseline \"['today']\" is no variant"),
        ("[variants.today]", "[variants.today]\nsearch = 3", "search must be a table of settings"),
        ("[variants.today]", "[variants.today.serach]", "unknown setting 'serach'"),
        ("[variants.today]", "[variants.lock]", "'lock': beside its folder"),
        ("[variants.today]", '[variants."sweep.json"]', "'sweep.json': beside its folder"),
        ("4e-3", "inf", "learner.learning_rate must be above 0 and below inf, got inf"),
    ],
)
def test_what_would_fail_late_is_a_sentence_at_once(old, new, said, write):
    with pytest.raises(ValueError, match="cannot work") as error:
        plan.read(write(TINY, **{old: new}))
    assert said in str(error.value)
    assert plan.read(write(TINY + "[variants.empty.search]\n")).variants["empty"].settings == {}


def test_no_variant_can_have_the_name_of_a_file_that_the_sweep_writes():
    for name in (command.SUMMARY, "check.log", "lock"):
        assert plan.FILES.fullmatch(name), name


def test_what_this_machine_or_the_files_refuse_is_named_for_each_variant(write, tmp_path):
    text = (
        TINY
        + """
[variants.odd]
"self_play.batch" = 15
[variants.overseen]
"overseer.decisions" = "/nowhere"
[variants.huge]
"replay.capacity" = 2_000_000_000
[variants.owning]
targets = "reply=0.15,final_board=1.5"
"""
    )
    planned = plan.read(write(text))
    assert check.problems(plan.read(write()), tmp_path) == []
    (tmp_path / "today" / "seed-2").mkdir(parents=True)
    (tmp_path / "today" / "seed-2" / "mine.txt").touch()
    faults = check.problems(planned, tmp_path)
    named = [
        "variant 'odd': self_play.batch must be a multiple of the 2 devices, got 15",
        "variant 'overseen': overseer.decisions: there is no file",
        "variant 'huge': the run needs",
        "variant 'owning': target 'final_board' needs final_planes(state)",
        "is not empty and holds no run",
    ]
    assert [sum(text in fault for fault in faults) for text in named] == [1] * 5
    assert len(faults) == 5
    unknown = plan.read(write(TINY, tic_tac_toe="hex:size=7", **{'against = "random"': ""}))
    assert "perfect play of hex:size=7 is not known" in check.problems(unknown, tmp_path / "x")[0]


def test_code_that_the_file_names_needs_consent_all_of_it(write, tmp_path, capsys):
    text = TINY.replace('"random"', '"gtp:engine --mode gtp"')
    file = write(text + '[variants.own]\ndistil = "my_loss:loss"\n')
    argv = ["sweep", str(file), "--out", str(tmp_path / "out")]
    assert cli.run(argv) == 2
    said = capsys.readouterr().err
    assert "add --allow my_loss:loss" in said
    assert "add --allow 'engine:engine --mode gtp'" in said
    assert not (tmp_path / "out").exists()


# ---- runs, and what interrupts them -------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tiny_config, tiny_run, tmp_path_factory):
    """The folder of a sweep whose first run, the tiny one, is finished; do not write to it."""
    out, one = tmp_path_factory.mktemp("sweep"), Job("today", 0)
    file = out / "tiny.toml"
    file.write_text(TINY)
    planned = plan.read(file)
    assert planned.config(one) == tiny_config
    shutil.copytree(tiny_run, out / "out" / one.place)
    job.measure(planned, one, out / "out")
    return out / "out"


def test_a_run_stopped_killed_and_resumed_gives_the_result_of_one_that_was_not(
    write, whole, tmp_path
):
    planned, one = plan.read(write()), Job("today", 0)
    lines = []
    assert not job.train(planned, one, tmp_path, lines.append, lambda: len(lines) > 0)
    assert job.result(planned, one, tmp_path) is None

    def interrupt(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job.train(planned, one, tmp_path, interrupt)
    resumed, straight = make(planned, one, tmp_path), job.result(planned, one, whole)
    assert_same(tmp_path / one.place, whole / one.place)
    assert resumed["measures"] == straight["measures"]
    assert resumed["details"]["match"]["wins"] == straight["details"]["match"]["wins"]
    assert resumed["run"]["flops"] == straight["run"]["flops"] > 0
    assert resumed["run"]["devices"] == devices.described()
    assert resumed["run"]["devices"].startswith("2 x ")


def test_a_result_holds_while_the_measuring_is_the_same_and_a_changed_run_is_refused(
    write, whole, tmp_path
):
    one = Job("today", 0)
    assert job.result(plan.read(write(TINY + "[variants.new]\n")), one, whole)
    assert job.result(plan.read(write(**{"games = 4\n": "games = 6\n"})), one, whole) is None
    for changed, named in (
        ({"[variants.today]": "[variants.today]\nlearner.batch = 64"}, "learner.batch: 32 in"),
        ({"iterations = 4": "iterations = 5"}, "iterations: 4 in the run, 5 asked for"),
    ):
        planned = plan.read(write(**changed, **{"[1, 2]": "[0, 1]"}))
        with pytest.raises(ValueError, match=named):
            job.train(planned, one, whole)
        assert any(named in fault for fault in check.problems(planned, whole))


def test_a_run_that_had_no_time_for_an_iteration_is_no_result_and_a_sentence_says_so(
    write, tmp_path, monkeypatch
):
    planned = plan.read(write(**{"iterations = 4": "minutes = 1e-9"}))
    monkeypatch.setattr("training.sweep.measure.measure", lambda *_: Measured({}, {}))
    assert job.train(planned, Job("today", 1), tmp_path)
    with pytest.raises(ValueError, match="its limit before the end of its first iteration"):
        job.measure(planned, Job("today", 1), tmp_path)
    assert job.result(planned, Job("today", 1), tmp_path) is None


@pytest.fixture
def fake_runs(monkeypatch, whole):
    """Lets the command's processes only copy a result, or end as it is told; notes their names."""
    started, codes = [], {}

    def run_all(work, cores, stop, show, ended):
        for name, _, log in work:
            started.append(name)
            code, said = codes.get(name, (0, ""))
            folder = pathlib.Path(log).with_suffix("")
            if name != "check" and code == 0:
                planned = plan.read(started_with[0])
                source = json.loads((whole / "today/seed-0" / job.RESULT).read_text())
                folder.mkdir(parents=True, exist_ok=True)
                from training.storage.run_folder import RunFolder

                if not RunFolder(folder).exists():
                    RunFolder(folder).create(planned.config(Job(name.split("/")[0], int(name[-1]))))
                source["run"]["run_id"] = RunFolder(folder).run_id()
                source["measuring"] = planned.measuring.identity()
                (folder / job.RESULT).write_text(json.dumps(source))
            elif name == "check":
                pathlib.Path(log).touch()
            ended(Ended(name, code, said))

    started_with = []
    monkeypatch.setattr(command.processes, "run_all", run_all)
    return started, codes, started_with


def test_a_failed_run_ends_no_other_and_the_same_command_makes_what_is_left(
    write, fake_runs, tmp_path, capsys
):
    started, codes, started_with = fake_runs
    file, out = write(), tmp_path / "out"
    started_with.append(file)
    argv = ["sweep", str(file), "--out", str(out)]
    codes["fast/seed-1"] = (-9, "")
    codes["today/seed-2"] = (1, "selfplay sweep: NaN at training step 3")
    assert cli.run([*argv, "--json"]) == 1
    captured = capsys.readouterr()
    assert started == [
        "check",
        "today/seed-1",
        "fast/seed-1",
        "today/seed-2",
        "fast/seed-2",
    ]
    assert "failed: fast/seed-1 (killed by signal 9)" in captured.err
    assert "failed: today/seed-2 (selfplay sweep: NaN at training step 3)" in captured.err
    printed = json.loads(captured.out)
    assert printed == json.loads((out / command.SUMMARY).read_text())
    assert list(printed["runs"]) == ["today/seed-1", "fast/seed-2"]
    assert "2 of 4 runs are left out: fast/seed-1, today/seed-2" in printed["notes"]
    codes.clear()
    started.clear()
    assert cli.run(argv) == 0
    assert started == ["check", "fast/seed-1", "today/seed-2"]
    write(**{"[1, 2]": "[1, 2, 3]"})
    started.clear()
    assert cli.run([*argv, "--markdown"]) == 0
    assert started == ["check", "today/seed-3", "fast/seed-3"]
    rows = capsys.readouterr().out.splitlines()[-2:]
    assert rows[0].startswith("| tic_tac_toe | 4 iterations | 3 | today | ")
    assert "no difference" in rows[1]
    started.clear()
    assert cli.run(argv) == 0
    assert started == []


@pytest.mark.parametrize("flag", ["--dry-run", "--markdown", "--json"])
def test_one_run_alone_is_neither_tried_first_nor_printed(flag, write, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "_make_one", lambda *_: 0)
    argv = ["sweep", str(write()), "--out", str(tmp_path / "out"), "--only", "today/seed-1"]
    assert cli.run(argv) == 0
    assert cli.run([*argv, flag]) == 2


def test_an_interrupted_sweep_says_so_by_its_exit_code(write, fake_runs, tmp_path):
    started, codes, started_with = fake_runs
    started_with.append(write())
    codes["fast/seed-2"] = (75, "")
    argv = ["sweep", str(started_with[0]), "--out", str(tmp_path / "out")]
    assert cli.run(argv) == 75
    codes["check"] = (2, "selfplay sweep: tiny.toml cannot work here: variant 'fast': too large")
    started.clear()
    assert cli.run(argv) == 2
    assert started == ["check"]


def test_runs_at_once_are_refused_where_they_cannot_be(write, monkeypatch, capsys, tmp_path):
    argv = ["sweep", str(write()), "--out", str(tmp_path / "out"), "--workers"]
    assert cli.run([*argv, "-1"]) == 2
    assert "--workers must be at least 1, got -1" in capsys.readouterr().err
    assert cli.run([*argv, "10000"]) == 2
    assert "--workers 10000: there are" in capsys.readouterr().err
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert cli.run([*argv, "2"]) == 2
    said = capsys.readouterr().err
    assert "--workers 2 are processes of this machine, and RAY_ADDRESS=head:6379 names" in said
    assert "\n" not in said.strip()
    assert not list(tmp_path.glob("out/*/"))


@pytest.mark.parametrize("limit", ["minutes", "iterations"])
def test_runs_at_once_that_end_by_the_clock_compare_badly(limit, write, fake_runs, capsys):
    *_, started_with = fake_runs
    file = write(**{"iterations = 4": f"{limit} = 4"})
    started_with.append(file)
    for workers in (1, 2):
        argv = ["sweep", str(file), "--out", str(file.parent / f"{workers}"), "--workers"]
        assert cli.run([*argv, str(workers)]) == 0
        told = "only flops or iterations compare fairly" in capsys.readouterr().err
        assert told == (limit == "minutes" and workers > 1), (limit, workers)


def test_runs_of_other_devices_are_named_in_a_note(write):
    planned = plan.read(write())
    found = results_of({("today", 1): (1e9, {"x": 0.2}), ("fast", 1): (1e9, {"x": 0.1})})
    one, other = (result["run"] for result in found.values())
    one["devices"] = other["devices"] = "2 x cpu, cores: 2"
    assert not any("devices" in note for note in summary.notes(planned, found))
    other["devices"] = "1 x cpu, cores: 1"
    assert "the runs were made by 2 sets of devices, not by one" in summary.notes(planned, found)


# ---- processes ----------------------------------------------------------------------------------


def words(code):
    return [sys.executable, "-c", code]


def test_processes_have_their_own_cores_and_one_that_crashes_ends_no_other(tmp_path):
    cores = processes.shares(len(os.sched_getaffinity(0)))
    assert sorted(core for share in cores for core in share) == sorted(os.sched_getaffinity(0))
    see = "import os, sys; print(sorted(os.sched_getaffinity(0)), file=sys.stderr)"
    work = [
        ("crash", words("import os; os.abort()"), tmp_path / "a" / "crash.log"),
        ("one", words(see), tmp_path / "a" / "one.log"),
        ("two", words(see), tmp_path / "b" / "two.log"),
    ]
    before, ends = os.sched_getaffinity(0), []
    processes.run_all(work, cores[:1], lambda: False, lambda running: None, ends.append)
    assert [(end.name, end.code) for end in ends] == [("crash", -6), ("one", 0), ("two", 0)]
    assert ends[1].said == ends[2].said == str(sorted(cores[0]))
    assert os.sched_getaffinity(0) == before
    with pytest.raises(ValueError, match="each run needs its own"):
        processes.shares(10_000)


def test_a_process_that_was_killed_is_told_from_one_that_gave_up(tmp_path):
    say = "import os, sys; print('devices: 2', file=sys.stderr, flush=True); "
    work = [
        ("killed", words(say + "os.kill(os.getpid(), 9)"), tmp_path / "killed.log"),
        ("silent", words("import os; os.kill(os.getpid(), 9)"), tmp_path / "silent.log"),
        ("ended", words(say + "sys.exit('selfplay sweep: no')"), tmp_path / "ended.log"),
    ]
    ends = []
    processes.run_all(work, [frozenset()], lambda: False, lambda running: None, ends.append)
    assert [end.how for end in ends] == [
        "killed by signal 9; it last said: devices: 2",
        "killed by signal 9",
        "selfplay sweep: no",
    ]


def test_a_wish_to_stop_ends_what_runs_by_sigterm_and_starts_nothing_more(tmp_path):
    wait = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
print('{"share": 0.25}', flush=True)
time.sleep(60)
"""
    wish, ends = threading.Event(), []

    def show(running):
        if running.get("first") == 0.25:
            wish.set()

    work = [(name, words(wait), tmp_path / f"{name}.log") for name in ("first", "second")]
    processes.run_all(work, [frozenset()], wish.is_set, show, ends.append)
    assert [(end.name, end.code) for end in ends] == [("first", 75)]


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="each run needs a core of its own")
def test_runs_at_once_are_saved_killed_and_go_on_and_each_has_its_log(write, tmp_path):
    file, out, mark = write(**{"iterations = 4": "iterations = 40"}), tmp_path / "out", uuid.uuid4()
    words = ["sweep", str(file), "--out", str(out), "--workers", "2", "--json"]
    log, jobs = tmp_path / "log", [job.place for job in plan.read(file).jobs()]

    def begun(name):
        metrics = out / name / "metrics.jsonl"
        return metrics.exists() and metrics.read_text().count('"iteration"') > 0

    for number, code in ((signal.SIGINT, 75), (signal.SIGKILL, -signal.SIGKILL), (None, 0)):
        log.unlink(missing_ok=True)
        process = of_tests.start(words, mark.hex, log)
        if number:
            of_tests.wait_until(log, lambda: all(map(begun, jobs[:2])), SECONDS)
            process.send_signal(number)
        assert process.wait(SECONDS) == code, log.read_text()
        of_tests.wait_until("processes are left", lambda: not of_tests.alive(mark.hex), 30)
    runs = json.loads((out / command.SUMMARY).read_text())["runs"]
    assert list(runs) == jobs
    assert {run["run"]["iteration"] for run in runs.values()} == {40}
    assert {run["run"]["devices"].partition(", ")[2] for run in runs.values()} == {cores_of_half()}
    for name in jobs:
        assert "devices: " in (out / f"{name}.log").read_text()


def cores_of_half():
    return f"cores: {len(os.sched_getaffinity(0)) // 2}"


# ---- what it shows ------------------------------------------------------------------------------


def test_the_quantile_is_students_as_published():
    published = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 9: 2.262, 30: 2.042, 120: 1.980}
    assert {freedom: round(intervals.quantile(freedom), 3) for freedom in published} == published


def results_of(values):
    run = dict.fromkeys((*summary.COUNTS, *summary.MAKERS), 1.0)
    return {
        Job(name, seed): {"measures": measures, "run": run | {"flops": flops}}
        for (name, seed), (flops, measures) in values.items()
    }


def test_differences_are_paired_by_seed_as_computed_by_hand(write):
    planned = plan.read(write(**{"[1, 2]": "[1, 2, 3]"}))
    rates = {"today": (0.30, 0.14, 0.25), "fast": (0.27, 0.12, 0.21)}
    found = results_of(
        {
            (name, seed): (1e9, {"mistakes, all, raw": rate, "score against random": rate})
            for name, column in rates.items()
            for seed, rate in enumerate(column, 1)
        }
    )
    measured = summary.summarize(planned, found)["variants"]["fast"]["measures"]
    # -0.03, -0.02, -0.04: mean -0.03, deviation 0.01, and 4.302653 * 0.01 / sqrt(3) = 0.024841
    mistakes, score = measured["mistakes, all, raw"], measured["score against random"]
    assert mistakes["to_baseline"]["mean"] == pytest.approx(-0.03)
    assert mistakes["to_baseline"]["interval"] == pytest.approx([-0.054841, -0.005159], abs=1e-6)
    assert (mistakes["to_baseline"]["verdict"], score["to_baseline"]["verdict"]) == (
        "better",
        "worse",
    )
    # Unpaired, the seeds' own differences would hide it.
    low, high = mistakes["interval"]
    assert low < 0.23 < high
    del found[Job("today", 3)]
    two = summary.summarize(planned, found)["variants"]["fast"]["measures"]["mistakes, all, raw"]
    assert two["to_baseline"]["mean"] == pytest.approx(-0.025)
    assert (two["to_baseline"]["seeds"], two["to_baseline"]["verdict"]) == (2, "no difference")


def test_one_seed_has_no_interval_and_unequal_compute_is_said(write):
    planned = plan.read(write(**{"[1, 2]": "[1]"}))
    found = results_of(
        {
            ("today", 1): (1e9, {"mistakes, x, raw": 0.2}),
            ("fast", 1): (3e9, {"mistakes, x, raw": 0.1}),
        }
    )
    summed, notes = summary.summarize(planned, found), summary.notes(planned, found)
    measured = summed["variants"]["fast"]["measures"]["mistakes, x, raw"]
    assert measured["interval"] is None
    assert measured["to_baseline"]["verdict"] == ""
    text = table.table(summed, notes)
    assert "one seed gives no interval" in text
    assert "compute is not equal, in operations of today: fast 3.00 times" in text
    assert json.loads(json.dumps(summed)) == summed
