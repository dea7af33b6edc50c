"""A run as data for pages: curves thinned, what happened, what a run is."""

import dataclasses
import json
import math
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys

import pytest

from selfplay.files import durable
from tests.support import ROOT, long_runs
from training import metrics
from training.config import RunConfig
from training.evaluation.train_run import train_folder
from training.report import described, events, history, listing, measured, verdict
from training.report.thinning import Thinned, strided
from training.storage import starts
from training.storage.run_folder import RunFolder
from training.storage.tail import Tail

DIAGNOSIS = {
    **{"step": 40, "healthy": False, "too_early": []},
    "findings": [{"fault": "value-sign", "sentence": "it is", "change": "that", "new": 1}],
    "checks": [
        {
            **{"check": "rules", "healthy": "none differ", "summary": "12 differ", "unjudged": ""},
            **{"verdict": "finding", "notes": ["a note"], "measured": {"loss": math.nan}},
        }
    ],
}


def lines(count, **more):
    rng = random.Random(count)
    return [long_runs.iteration(number, rng, **more) for number in range(1, count + 1)]


def write(folder, made, mode="w"):
    with folder.metrics_file.open(mode) as file:
        file.write("".join(json.dumps(line) + "\n" for line in made))


@pytest.fixture
def folder(tmp_path):
    """A run without metrics yet."""
    run = RunFolder(tmp_path / "run")
    run.create(RunConfig(game="tic_tac_toe", iterations=9))
    return run


@pytest.mark.parametrize("most", [7, 8])
@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 16, 17, 100, 1_000])
def test_a_thinned_curve_has_means_of_equal_buckets_and_the_last_value_of_a_counter(count, most):
    rng = random.Random(count)
    rows = [{"n": i, "a": rng.random(), "b": rng.choice([None, 2.0, 4.0])} for i in range(count)]
    for row in rows[6:]:
        row["late"] = row["n"]
    thinned = Thinned(("n",), most)
    for row in rows:
        thinned.add(row)
    width = 1
    while width * most < count:
        width *= 2
    assert (thinned.width, thinned.lines) == (width, count)

    def mean(values):
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    buckets = [rows[first : first + width] for first in range(0, count, width)]
    columns = thinned.columns()
    assert columns["n"] == [bucket[-1]["n"] for bucket in buckets]
    for name in ("a", "b", "late"):
        expected = [mean([row.get(name) for row in bucket]) for bucket in buckets]
        assert columns.get(name, [None] * len(buckets)) == pytest.approx(expected), name


def test_of_many_rows_every_so_many_th_is_kept_and_always_the_newest():
    for count in (0, 1, 4, 5, 6, 100, 1_001):
        kept = strided(list(range(count)), 4)
        step = max(1, math.ceil(count / 4))
        assert kept == sorted({*range(0, count, step), *([count - 1] if count else [])})
        assert len(kept) <= 5


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_null_in_its_point_and_counted(folder, bad):
    made = lines(3_000)
    made[1_000]["kl"] = bad
    write(folder, made)
    told = history.curves(folder)
    at = 1_000 // told["width"]
    assert told["columns"]["kl"][at] is None
    assert told["columns"]["kl"].count(None) == 1
    assert told["non_finite"] == {"kl": 1}
    assert told["damaged"] == []
    json.dumps(told, allow_nan=False)
    assert described.describe(folder)["problems"] == []


def test_game_lengths_of_no_games_are_none_and_speeds_are_between_points(folder):
    made = lines(3)
    made[1] |= {"new_games": 0, "game_plies": 0.0}
    write(folder, made)
    columns = history.curves(folder)["columns"]
    assert columns["game_plies"][1] is None
    assert columns["games_per_second"] == [None, *[pytest.approx(100 / 1.7, rel=1e-3)] * 2]
    assert columns["positions_per_second"][2] == pytest.approx(2_048 / 1.7, rel=1e-3)


def test_a_run_of_50_000_iterations_is_read_whole_and_its_json_stays_small(tmp_path):
    run = long_runs.write(tmp_path / "run", loss_score=0.5, loss_answer=0.25)
    assert len(run.logs["metrics"].parts()) == 2
    told = history.curves(run)
    columns = told["columns"]
    assert len(json.dumps(told, separators=(",", ":"))) < 300_000
    assert 800 <= len(columns["step"]) <= 2_000
    assert {len(values) for values in columns.values()} == {len(columns["step"])}
    assert told["lines"] == columns["iteration"][-1] == 50_000
    assert columns["loss_score"][0] == 0.5
    assert told["evaluations"]["step"][-1] == 32 * 50_000
    assert told["simulations"] == run.read_config().search.simulations


def test_a_reader_that_followed_a_run_tells_what_a_new_one_does(folder):
    made, rng = lines(60), random.Random(3)
    for i in range(10, 60, 10):
        made.insert(i, long_runs.evaluation(i, rng))
    write(folder, made[:20])
    at = 20
    while at < len(made):
        history.curves(folder)
        step = rng.randrange(1, 6)
        write(folder, made[at : at + step], "a")
        at += step
    followed = history.curves(folder)
    history._readers.clear()
    assert history.curves(folder) == followed


def test_a_line_that_is_being_written_is_left_for_the_next_question(folder):
    made = lines(3)
    write(folder, made[:2])
    before = history.curves(folder)
    text = json.dumps(made[2]) + "\n"
    for part in (text[:40], text[40:-1]):
        with folder.metrics_file.open("a") as file:
            file.write(part)
        assert history.curves(folder) == before
    with folder.metrics_file.open("a") as file:
        file.write("\n")
    assert history.curves(folder)["columns"]["step"][-1] == made[2]["step"]


def test_a_damaged_line_is_told_with_its_place_and_left_out(folder):
    made = lines(4)
    write(folder, made[:1])
    with folder.metrics_file.open("ab") as file:
        file.write(b'{"kind": "iteration", "step": \xff}\n[]\n')
    write(folder, [made[1], made[2] | {"kl": "high"}, {"kind": "newer", "kl": "x"}], "a")
    told = history.curves(folder)
    assert told["columns"]["step"] == [32, 64]
    assert len(told["damaged"]) == 3
    for number, sentence in zip((2, 3, 5), told["damaged"], strict=True):
        assert f"{folder.metrics_file}, line {number}: " in sentence
    with folder.metrics_file.open("a") as file:
        file.write("{\n")
    write(folder, made[3:], "a")
    came = history.curves(folder)
    assert came["columns"]["step"] == [32, 64, 128]
    assert len(came["damaged"]) == 4
    assert len(described.describe(folder)["problems"]) == 4


def test_a_part_that_is_full_is_read_once_and_one_that_is_gone_is_forgotten(folder):
    made = lines(40)
    log = folder.logs["metrics"]
    log.max_bytes = 4_000
    for line in made:
        log.append(json.dumps(line) + "\n")
        history.curves(folder)
    assert len(log.parts()) > 2
    assert history.curves(folder)["columns"]["iteration"] == list(range(1, 41))
    log.parts()[0].unlink()
    assert history.curves(folder)["columns"]["iteration"][0] > 1


@pytest.mark.parametrize("regrown", [0, 5, 30])
def test_a_log_that_a_resume_cut_is_read_anew_however_far_it_has_grown_again(folder, regrown):
    made = lines(30)
    write(folder, made[:20])
    history.curves(folder)
    again = [line | {"seconds": line["seconds"] + 1.5} for line in made[10 : 10 + regrown]]
    write(folder, made[:10])
    write(folder, again, "a")
    told = history.curves(folder)["columns"]["minutes"]
    assert told == pytest.approx([line["seconds"] / 60 for line in made[:10] + again], abs=1e-3)


def test_evaluations_have_columns_for_all_that_they_measured(folder):
    rng = random.Random(5)
    made = [long_runs.evaluation(i, rng) for i in range(100, 2_000, 100)]
    write(folder, made)
    told = history.curves(folder)["evaluations"]
    assert len(told["gained"]) == len(told["minutes"]) == len(made)
    assert told["gap/probe"] == pytest.approx(
        [line["fixed_point"]["probe"]["kl"] for line in made], rel=1e-3
    )
    assert told["mistakes/quiet/search"] == pytest.approx(
        [line["perfect"]["quiet"]["search"] for line in made], rel=1e-3
    )


def test_reading_leaves_the_folder_as_it_is(tiny_run):
    def seen():
        return {
            str(path): (path.stat().st_mtime_ns, path.stat().st_size)
            for path in sorted(tiny_run.rglob("*"))
        }

    before, run = seen(), RunFolder(tiny_run)
    history.curves(run)
    json.dumps([described.describe(run), listing.as_json(tiny_run)], allow_nan=False)
    assert seen() == before


@pytest.mark.parametrize("module", ["history", "described", "listing", "verdict", "measured"])
def test_what_a_server_reads_runs_with_imports_nothing_that_computes(module):
    heavy = ("jax", "flax", "optax", "scipy", "matplotlib", "mctx", "pgx")
    code = f"import sys, training.report.{module}; print(*(set({heavy}) & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


@pytest.mark.slow
def test_a_resume_is_an_event_where_the_run_went_on_and_so_is_a_rollback(tiny_config, tmp_path):
    run = RunFolder(tmp_path / "run")
    run.create(tiny_config)
    with run.lock():
        train_folder(run, tiny_config, lambda line: None, lambda: False)
        more = dataclasses.replace(tiny_config, iterations=6)
        train_folder(run, more, lambda line: None, lambda: False)
    first, second = starts.read(run.path)
    assert (first["why"], first["step"], second["why"]) == ("new", 0, "resume")
    [event] = history.curves(run)["events"]
    assert (event["kind"], event["iteration"]) == ("resume", tiny_config.iterations)
    assert f"process {os.getpid()} on " in event["text"]
    [device] = described.describe(run)["devices"]
    assert device.startswith("2 x ")
    starts.note(run.path, second, device, "rollback")
    assert [event["kind"] for event in events.of_files(run)] == ["resume", "rollback"]


def test_decisions_are_events_at_the_step_of_the_network_that_they_were_made_beside(folder):
    write(folder, lines(9))
    decided = {"game": "tic_tac_toe", "moves": [], "weights": {"4": 1.0}, "value": 0.0}
    for player, by in (("runs/x@96", "ann"), ("runs/x@96", "ann"), ("runs/x@9999", "<b>bo</b>")):
        line = decided | {"player": player, "by": by}
        durable.make_folder(folder.decisions.parent)
        durable.append(folder.decisions, json.dumps(line) + "\n")
    two, one = history.curves(folder)["events"]
    assert two["text"] == "2 decisions by ann, beside step 96"
    minutes = history.curves(folder)["columns"]["minutes"]
    assert [two["minutes"], one["minutes"]] == pytest.approx([minutes[2], minutes[-1]], rel=1e-4)
    assert "<b>bo</b>" in one["text"], "text goes in as it is: whoever draws it escapes it"


def test_gates_and_the_fixed_point_are_events(folder):
    write(folder, lines(2))
    gate = {"kind": "gate", "iteration": 3, "step": 96, "seconds": 25.0, "actor_step": 32}
    gate |= {"simulations": 4, "opening_plies": 2}
    gate |= {"games": 8, "score": 0.25, "interval": [0.1, 0.5], "promoted": False}
    ended = long_runs.evaluation(4, random.Random(0))
    ended["fixed_point"]["verdict"] = "fixed point: nothing more to learn"
    write(folder, [gate, ended], "a")
    came = history.curves(folder)
    assert [event["kind"] for event in came["events"]] == ["gate", "verdict"]
    assert not came["events"][0]["promoted"]


def test_a_run_is_described_with_the_settings_that_are_not_its_presets(tiny_run, tiny_config):
    told = described.describe(RunFolder(tiny_run))
    last = [x for x in RunFolder(tiny_run).read_metrics() if x["kind"] == "iteration"][-1]
    for name in ("step", "games", "positions"):
        assert told[name] == last[name]
    assert told["problems"] == []
    differs = {one["name"]: (one["value"], one["preset"]) for one in told["differs"]}
    assert differs["network.channels"] == (8, 32)
    assert differs["iterations"] == (4, 0)
    assert "game" not in differs
    assert all(own != usual for own, usual in differs.values())
    assert all(told["settings"][name] == own for name, (own, _) in differs.items())
    assert set(told["checkpoints"]) >= {0, last["step"]}
    assert {
        "file": "games/self_play.jsonl",
        "bytes": ((tiny_run / "games" / "self_play.jsonl").stat().st_size),
    } in told["games_files"]
    assert told["evaluation"]["figures"]
    assert told["host"].startswith("process ")


def test_what_else_was_measured_is_plots_and_tables_of_finite_numbers(tiny_run, tmp_path):
    told = measured.measured(RunFolder(tiny_run))
    assert told["problems"] == []
    json.dumps(told, allow_nan=False)
    plots = {plot["name"]: plot for plot in told["plots"]}
    assert plots.keys() >= {"calibration", "bias", "squared_error", "correlation"}
    for plot in plots.values():
        for one in plot["series"]:
            assert one["label"]
            assert {len(one[name]) for name in ("x", "values", "low", "high") if name in one} == {
                len(one["x"])
            }
    [table] = told["tables"]
    assert {len(row) for row in table["rows"]} == {len(table["head"])}
    empty = RunFolder(tmp_path / "run")
    empty.create(RunConfig(game="tic_tac_toe", iterations=9))
    assert measured.measured(empty) == {"plots": [], "tables": [], "problems": []}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("config.json", "config.json is damaged"),
        ("report/doctor.json", "doctor.json"),
        ("metrics.jsonl", "metrics.jsonl, line 1"),
    ],
)
def test_damage_to_a_part_is_a_sentence_and_the_rest_is_described(tiny_run, tmp_path, damage, said):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "report").mkdir(exist_ok=True)
    (run / damage).write_text('{"step": [\n')
    told = described.describe(RunFolder(run))
    assert any(said in problem for problem in told["problems"]), told["problems"]
    assert told["checkpoints"]
    assert history.curves(RunFolder(run))["columns"].keys() >= {"step"}
    json.dumps(told)


@pytest.mark.parametrize("content", ["[]", "{}", '{"step": 1}', "null", '{"step": "x"', "\x00"])
def test_a_diagnosis_that_is_none_of_ours_is_refused_with_its_file(tmp_path, content):
    run = RunFolder(tmp_path)
    assert verdict.read(run) is None
    run.report.mkdir()
    (run.report / "doctor.json").write_text(content)
    with pytest.raises(ValueError, match=r"doctor\.json"):
        verdict.read(run)


def test_a_diagnosis_is_kept_for_pages_and_lists_and_never_through_a_link(tiny_run, tmp_path):
    run = RunFolder(shutil.copytree(tiny_run, tmp_path / "run"))
    assert verdict.keep(run, DIAGNOSIS) == ""
    told = verdict.read(run)
    assert (told["step"], told["healthy"], told["sentence"]) == (40, False, "value-sign")
    assert told["checks"][0]["summary"] == "12 differ"
    assert json.loads((run.report / "doctor.json").read_text())["checks"][0]["measured"] == {
        "loss": None
    }
    listed = listing.as_json(run.path)
    assert listed["verdict"] == {"step": 40, "healthy": False, "sentence": "value-sign"}
    shutil.rmtree(run.report)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run.report.symlink_to(elsewhere)
    assert "doctor.json" in verdict.keep(run, DIAGNOSIS)
    assert not list(elsewhere.iterdir())


def test_a_tail_gives_each_whole_line_once_in_whatever_pieces_it_comes(folder):
    content = b"".join(json.dumps({"kind": "x", "i": i}).encode() + b"\n" for i in range(50))
    tail, rng, at, seen = Tail(folder.logs["metrics"]), random.Random(1), 0, []
    while at < len(content):
        step = rng.randrange(1, 60)
        with folder.metrics_file.open("ab") as file:
            file.write(content[at : at + step])
        at += step
        assert not tail.is_changed()
        seen += tail.lines()
    assert b"".join(line.raw for line in seen) == content
    assert [line.place.rpartition(" ")[2] for line in seen] == [str(i) for i in range(1, 51)]
    assert seen[-1].end == tail.offset == len(content)


def test_a_list_of_runs_names_the_process_of_each(tiny_run, tmp_path):
    run = RunFolder(shutil.copytree(tiny_run, tmp_path / "run"))
    with run.lock():
        told = listing.as_json(run.path)
        assert told["state"] == "running"
        assert told["host"] == f"process {os.getpid()} on {socket.gethostname()}"
    (run.path / "lock").unlink()
    (run.path / "lock").symlink_to(pathlib.Path("/etc/passwd"))
    assert listing.as_json(run.path)["host"] == ""


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"minutes": 4.0}, [("minutes", 4.0, 1.0, 180.0)]),
        ({"iterations": 40}, [("iterations", 40, 10, 180.0)]),
        (
            {"flops": 3e9, "minutes": 4.0},
            [("flops", 3e9, 1e9, 120.0), ("minutes", 4.0, 1.0, 180.0)],
        ),
        ({"minutes": 0.5}, [("minutes", 0.5, 1.0, 0.0)]),
        ({}, []),
    ],
)
def test_what_is_left_of_a_run_goes_by_its_mean_speed_and_what_ends_first_comes_first(limits, told):
    config = dataclasses.replace(RunConfig(), **limits)
    line = {"kind": "iteration", "iteration": 10, "step": 20, "seconds": 60.0, "games": 5}
    line |= {"positions": 50, "examples": 40, "flops": 10**9, "flops_measured": 0}
    seen = described.limits(config, metrics.history([line]))
    assert [(x["name"], x["limit"], x["done"], x["left"]) for x in seen] == told
    not_begun = described.limits(config, metrics.history([]))
    assert all(one["left"] is None for one in not_begun)
