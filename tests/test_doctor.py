"""The doctor on real runs: it names planted faults, finds none in healthy runs, and says when it is
too early. Each fault is planted in the code that trains (`tests/faults.py`), never in files."""

import contextlib
import dataclasses
import hashlib
import json

import pytest

from mcts import SearchConfig
from scripts import cli
from selfplay.self_play import SelfPlayConfig
from tests.faults import FAULTS
from training.config import EvaluationConfig, RunConfig
from training.doctor import CHECKS, ORDER, diagnose
from training.learner import LearnerConfig
from training.network import NetworkConfig
from training.replay import ReplayConfig
from training.run import train
from training.run_folder import RunFolder

TIC_TAC_TOE = RunConfig(
    game="tic_tac_toe",
    iterations=24,
    network=NetworkConfig(blocks=1, channels=8, value_hidden=8),
    search=SearchConfig(simulations=8),
    self_play=SelfPlayConfig(
        batch=32, plies_per_call=8, random_opening_plies=4, temperature_plies=4
    ),
    replay=ReplayConfig(capacity=20_000, min_rows=400, reuse=8.0),
    learner=LearnerConfig(batch=64, warmup_steps=20, root_value_weight=0.5),
    evaluation=EvaluationConfig(every=12, simulations=8, positions=500),
)
CONNECT_FOUR = dataclasses.replace(
    TIC_TAC_TOE,
    game="connect_four",
    iterations=40,
    self_play=SelfPlayConfig(batch=32, plies_per_call=16, random_opening_plies=8),
    search=SearchConfig(simulations=16),
    replay=ReplayConfig(capacity=50_000, min_rows=1_000, reuse=6.0),
    learner=LearnerConfig(batch=128, warmup_steps=20, root_value_weight=0.5),
)
# What `make test` has time for: about 450 training steps.
SHORT = dataclasses.replace(
    TIC_TAC_TOE,
    iterations=14,
    evaluation=dataclasses.replace(TIC_TAC_TOE.evaluation, every=7),
)
GAMES = {"tic_tac_toe": TIC_TAC_TOE, "connect_four": CONNECT_FOUR}


def run(path, config, fault=None):
    """Trains in a new folder, with the fault planted meanwhile."""
    folder = RunFolder(path)
    folder.create(fault.config(config) if fault else config)
    with folder.lock(), fault.plant() if fault else contextlib.nullcontext():
        train(
            folder, config if not fault else folder.read_config(), lambda line: None, lambda: False
        )
    return folder


def told(diagnosis):
    return "\n".join(
        [f"{r.check}: {r.verdict}: {r.summary}" for r in diagnosis.results]
        + [f"{f.fault}: {f.sentence}" for f in diagnosis.findings]
    )


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    return run(tmp_path_factory.mktemp("doctor") / "healthy", SHORT)


def everything_in(path):
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {str(f): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_a_healthy_run_has_no_finding_and_is_read_while_its_lock_is_held(healthy, capsys):
    before = everything_in(healthy.path)
    with healthy.lock():  # as if it were still training
        locked = everything_in(healthy.path)
        assert cli.run(["doctor", str(healthy.path), "--json"]) == 0
        assert everything_in(healthy.path) == locked
    assert before.keys() == locked.keys()
    result = json.loads(capsys.readouterr().out)
    assert result["findings"] == [], result
    assert result["healthy"]
    assert len(result["checks"]) == CHECKS
    verdicts = {check["check"]: check["verdict"] for check in result["checks"]}
    assert set(verdicts.values()) <= {"healthy", "too early"}, verdicts
    for name in ("rules", "samples", "games", "weights", "value", "search"):
        assert verdicts[name] == "healthy", verdicts


def test_a_flipped_sign_in_the_value_target_is_named_with_what_to_change(tmp_path, capsys):
    fault = FAULTS["sign"]
    folder = run(tmp_path / "sign", SHORT, fault)
    assert cli.run(["doctor", str(folder.path)]) == 0
    said = capsys.readouterr().out
    first = said.partition("the likeliest cause:\n")[2]
    assert first.startswith("  value-sign: "), said
    assert "sign is flipped in the value target" in " ".join(first.split())
    assert "healthy:" in first
    assert "change:" in first


def test_a_run_that_has_just_begun_is_too_early_to_judge_and_has_no_finding(tiny_run):
    diagnosis = diagnose(RunFolder(tiny_run), seconds=0.1)
    verdicts = {result.check: result.verdict for result in diagnosis.results}
    assert not diagnosis.findings, told(diagnosis)
    assert {verdicts[name] for name in ("weights", "value", "lessons")} == {"too early"}, verdicts
    assert all(r.unjudged for r in diagnosis.results if r.verdict == "too early")


def test_a_folder_without_a_save_is_refused_with_a_sentence(tmp_path, tiny_config):
    RunFolder(tmp_path / "new").create(tiny_config)
    with pytest.raises(ValueError, match="no checkpoint yet"):
        diagnose(RunFolder(tmp_path / "new"))


def test_every_planted_fault_has_a_name_that_the_doctor_knows():
    assert {fault.named for fault in FAULTS.values()} <= set(ORDER)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("game", GAMES)
def test_healthy_runs_have_no_finding(game, seed, tmp_path):
    folder = run(tmp_path / "run", dataclasses.replace(GAMES[game], seed=seed))
    diagnosis = diagnose(folder)
    assert not diagnosis.findings, told(diagnosis)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("game", GAMES)
def test_every_planted_fault_is_named_first(game, fault, tmp_path):
    folder = run(tmp_path / "run", dataclasses.replace(GAMES[game], seed=4), FAULTS[fault])
    diagnosis = diagnose(folder)
    assert diagnosis.findings, told(diagnosis)
    assert diagnosis.findings[0].fault == FAULTS[fault].named, told(diagnosis)
