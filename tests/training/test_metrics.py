"""Lines of metrics.jsonl: their types, their docs, and damage, which ends no run."""

import copy
import dataclasses
import inspect
import json
import pathlib
import random
import subprocess
import sys
import types

import pytest

from selfplay.files import json_objects
from training import metrics
from training.config import RunConfig
from training.doctor.evidence import recent_mean
from training.evaluation import fixed_point
from training.evaluation.train_run import train_folder
from training.report import described, text
from training.storage.log import Log
from training.storage.run_folder import RunFolder

ROOT = pathlib.Path(__file__).parent.parent.parent
TYPES = (
    *metrics.KINDS.values(),
    *(metrics.MistakeRates, metrics.MistakesAtPly, metrics.AgainstRandom, metrics.Rating),
    *(metrics.FixedPoint, metrics.Gap, metrics.GapAtPlies, metrics.Match),
    metrics.WorkerFigures,
)
FLIPS = 600
WHERE = {"step": 40, "seconds": 31.5, "games": 90, "positions": 700}
WHERE |= {"flops": 10**12, "flops_measured": 10**11}
MATCH = {"games": 4, "score": 0.5, "interval": [0.1, 0.9], "elo": 0.5, "elo_interval": [-9.5, 9.5]}
GAP = {"kl": 0.15, "value": 0.25, "changed": 0.0625, "regret": 0.01, "blunders": 0.0}
EXAMPLES = [
    {"ply": i, "positions": 8, "raw": 0.25, "budgets": {"2": 0.125, "4": 0.0}} for i in (0, 1)
]
RATES = {"positions": 16, "raw": 0.25, "search": 0.125, "budgets": {"2": 0.125, "4": 0.0}}
# As runs write them, of all kinds, with all that any of them may hold.
ITERATION = {
    **{"kind": "iteration", "iteration": 1, **WHERE, "kl": 0.5, "entropy": 1.5, "new_games": 9},
    **{"new_examples": 80, "game_plies": 7.5, "value_error": None, "examples": 600, "window": 300},
    **{"learning_rate": 0.001, "policy_loss": 1.5, "value_loss": 0.75, "gradient_norm": 1.25},
}
EVALUATION = {
    **{"kind": "evaluation", "iteration": 1, **WHERE, "loss": 0.125, "simulations": 4},
    "perfect": {"all": RATES | {"by_ply": EXAMPLES}, "old": {"raw": 0.5, "search": 0.5}},
    "ladder": {"elo": 100.5, "interval": [50.5, 150.5], "games": 32},
    "fixed_point": {
        **{"own": GAP, "fresh": GAP, "probe": GAP},
        **{"stage": "settled", "verdict": "fixed point: nothing more"},
        **{"strength": {"2": MATCH, "4": MATCH}, "distilled": {"amplified_step": 20, **MATCH}},
    },
    "seconds_per_move": {"amplified": 0.001, "policy": 0.0001},
}
AGAINST = {"games": 16, "score": 0.75, "interval": [0.5, 0.9]}
OTHER = {key: value for key, value in EVALUATION.items() if key != "perfect"} | {"random": AGAINST}
GATE = {
    **{"kind": "gate", "iteration": 2, "step": 40, "seconds": 32.5, "actor_step": 20},
    **{"games": 8, "score": 0.625, "interval": [0.5, 0.75], "promoted": True},
    **{"simulations": 4, "opening_plies": 2},
}
IMITATION = {"kind": "imitation", "iteration": 0, "step": 0, "seconds": 9.5, "top1": 0.5}
WHOLE = [IMITATION, ITERATION, EVALUATION, GATE, ITERATION, OTHER, ITERATION]


@pytest.fixture
def folder(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.create(RunConfig(game="tic_tac_toe", iterations=1))
    run.metrics_file.write_text("".join(json.dumps(line) + "\n" for line in WHOLE))
    return run


def read_all(folder):
    """Reads the metrics in every way that a command does."""
    text.text_report([folder])
    lines = folder.read_metrics()
    history = metrics.history(lines)
    described.describe(folder)
    for entry in ("kl", "entropy", "value_error", "policy_loss", "value_loss", "learning_rate"):
        recent_mean(getattr(line, entry) for line in history.iterations)
    for line, previous in zip(history.iterations[1:], history.iterations, strict=False):
        if line.seconds > previous.seconds and line.kl is not None:
            text.describe_iteration(line, previous, 8)
    for line in history.evaluations:
        text.describe_evaluation(line, "search")
    for line in history.gates:
        text.describe_gate(line)
    return lines


def sentence(folder):
    """Returns what reading complains about; any other exception fails the test."""
    try:
        read_all(folder)
    except ValueError as error:
        return str(error)
    return ""


def test_whole_lines_of_all_kinds_are_read_in_every_way(folder):
    assert read_all(folder) == WHOLE


def test_a_flipped_bit_is_an_error_with_file_and_line_and_costs_a_run_few_lines(folder):
    content, rng, refused = folder.metrics_file.read_bytes(), random.Random(5), 0
    for _ in range(FLIPS):
        place, bit = rng.randrange(len(content)), 1 << rng.randrange(8)
        flipped = content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]
        folder.metrics_file.write_bytes(flipped)
        told = []
        kept = folder.logs["metrics"].read(told.append)
        assert sum(line in kept for line in WHOLE) >= len(WHOLE) - 3  # a line comes three times
        said = sentence(folder)
        assert bool(said) == bool(told), (place, bit)
        assert not said or f"{folder.metrics_file}, line " in said, (place, bit)
        refused += bool(said)
    assert refused > FLIPS / 3


def entries(value, path=()):
    """Yields the path of each entry of nested objects."""
    for name, item in value.items():
        yield (*path, name)
        if isinstance(item, dict):
            yield from entries(item, (*path, name))


@pytest.mark.parametrize("line", [ITERATION, EVALUATION, OTHER, GATE], ids=lambda x: x["kind"])
@pytest.mark.parametrize("damage", [None, [], {}, "x", "absent"])
def test_a_line_without_an_entry_is_read_in_every_way_or_named_with_it(folder, line, damage):
    named = 0
    for path in entries(line):
        changed = copy.deepcopy(line)
        inner = changed
        for name in path[:-1]:
            inner = inner[name]
        if damage == "absent":
            del inner[path[-1]]
        else:
            inner[path[-1]] = damage
        folder.metrics_file.write_text(f"{json.dumps(ITERATION)}\n{json.dumps(changed)}\n")
        if said := sentence(folder):
            named += 1
            assert "metrics.jsonl, line 2: " in said, path
            assert path[-1] in said or path == ("perfect",), (path, said)
    assert named > 3


def test_entries_that_a_newer_version_adds_are_no_damage():
    more = {"new": [1], "newer": {"a": None}}
    for line in WHOLE:
        text = json.dumps(line | more)
        assert metrics.parse(text, "here") == line | more
    assert metrics.parse(json.dumps({"kind": "new", "perfect": 3}), "here")["kind"] == "new"


@pytest.mark.parametrize("damage", [b"\xff\xff\n", b"{\n", b"[]\n", b"x" * (1 << 20) + b"y\n"])
def test_a_log_is_read_without_its_damaged_lines_in_any_of_its_parts(tmp_path, damage):
    text = [json.dumps(IMITATION | {"top1": i}).encode() + b"\n" for i in range(4)]
    (tmp_path / "m-000001.jsonl").write_bytes(text[0] + damage + text[1])
    (tmp_path / "m.jsonl").write_bytes(text[2] + damage + text[3] + b'{"cut')
    told = []
    lines = Log(tmp_path / "m.jsonl").read(told.append)
    assert [line["top1"] for line in lines] == [0, 1, 2, 3]
    assert any("m-000001.jsonl, line 2" in problem for problem in told)
    assert any("m.jsonl, line 2" in problem for problem in told)


def test_the_monitor_reads_its_history_once_without_damaged_lines_and_says_so_once(folder):
    with folder.metrics_file.open("ab") as file:
        file.write(b"{damaged\n\xff\n" + json.dumps(OTHER | {"step": 80}).encode() + b"\n")
    told = []
    monitor = object.__new__(fixed_point.FixedPointMonitor)
    log = types.SimpleNamespace(notice=told.append)
    monitor.context = types.SimpleNamespace(folder=folder, metrics=log)
    assert [point.step for point in monitor._history] == [40, 40, 80]
    monitor._history.append(fixed_point.Point(120, 0.1, 0.1, 0.0, 0.1))
    folder.metrics_file.unlink()
    assert [point.step for point in monitor._history] == [40, 40, 80, 120]
    assert len(told) == 1
    assert "without 2 damaged lines" in told[0]
    assert f"{folder.metrics_file}, line {len(WHOLE) + 1}: not JSON" in told[0]


@pytest.mark.slow
def test_a_run_that_measures_itself_goes_on_beside_a_damaged_line(tiny_config, tmp_path):
    evaluation = dataclasses.replace(tiny_config.evaluation, every=1, gap_positions=16)
    config = dataclasses.replace(tiny_config, evaluation=evaluation, iterations=2)
    folder = RunFolder(tmp_path / "run")
    folder.create(config)
    told = []

    def watch(line):
        if line["kind"] == "notice":
            told.append(line["text"])

    with folder.lock():
        assert train_folder(folder, config, watch, lambda: False)
        content = folder.metrics_file.read_bytes()
        folder.metrics_file.write_bytes(content.replace(b'"kind"', b'"kinx"', 1))
        more = dataclasses.replace(config, iterations=5)
        assert train_folder(folder, more, watch, lambda: False)
    assert sum("damaged lines" in text for text in told) == 1
    assert len(folder.logs["metrics"].read(lambda problem: None)) == 2 * 5 - 1


def test_lines_of_a_kind_that_a_newer_version_adds_are_passed_over(folder):
    newer = {"kind": "newer", "perfect": 3, "fixed_point": {"fresh": 3}, "random": None}
    with folder.metrics_file.open("a") as file:
        file.write(json.dumps(newer) + "\n")
    assert read_all(folder) == [*WHOLE, newer]


def test_every_entry_says_what_it_is_and_the_docs_have_every_kind_of_line():
    page = (ROOT / "docs" / "metrics.md").read_text()
    for kind in TYPES:
        if "kind" in vars(kind):
            assert f"\n| {kind.kind} | " in page
        lines = inspect.getsource(kind).splitlines()
        for field in dataclasses.fields(kind):
            [line] = [line for line in lines if line.startswith(f"    {field.name}: ")]
            assert "  # " in line, line


def unnamed(kind, value, path=""):
    """Yields the entries of a value of JSON that its type does not name."""
    made = json_objects.read(kind, value)
    for name, inner in value.items():
        one = getattr(made, name, None)
        if not hasattr(made, name):
            yield f"{path}{name}"
        elif dataclasses.is_dataclass(one):
            yield from unnamed(type(one), inner, f"{path}{name}.")
        elif isinstance(inner, dict | list):
            for key in inner if isinstance(inner, dict) else range(len(inner)):
                if dataclasses.is_dataclass(one[key]):
                    yield from unnamed(type(one[key]), inner[key], f"{path}{name}.{key}.")


def test_an_entry_without_a_name_is_seen():
    assert list(unnamed(metrics.EvaluationLine, EVALUATION)) == []
    changed = copy.deepcopy(EVALUATION)
    changed["perfect"]["all"]["by_ply"][0]["new"] = 1
    assert list(unnamed(metrics.EvaluationLine, changed)) == ["perfect.all.by_ply.0.new"]


def test_lines_of_metrics_are_read_without_jax():
    script = (
        "import sys, types; training = types.ModuleType('training');"
        f"training.__path__ = [{str(ROOT / 'training')!r}]; sys.modules['training'] = training;"
        "import training.metrics; print(sorted({'jax', 'flax', 'numpy'} & sys.modules.keys()))"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert told.stdout == "[]\n"


@pytest.mark.parametrize(
    ("plies", "said"), [(1, " (32 simulations, games from 1 random ply)"), (4, "4 random plies)")]
)
def test_a_measurement_names_the_search_and_the_openings_of_its_games(plies, said):
    known = {"simulations": 32, "opening_plies": plies}
    evaluation = json_objects.read(metrics.EvaluationLine, EVALUATION | known)
    gate = json_objects.read(metrics.GateLine, GATE | known)
    assert text.describe_evaluation(evaluation, "search").endswith(said)
    assert text.describe_gate(gate).endswith(said)
    match, *_ = text.sentences([evaluation], "search")
    assert match.endswith(said)
