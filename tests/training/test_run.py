"""The loop as a whole: it learns, it can be stopped and resumed bit by bit, and it refuses."""

import dataclasses
import json
import threading
import time

import jax
import numpy as np
import pytest

import games
import training
from selfplay.records.game_record import read_records
from tests.support.runs import NEVER_SAVE_BETWEEN, assert_same, run_once
from training import metrics, source, stages, start
from training.context import make_context, open_store
from training.metrics_log import MetricsLog
from training.storage import leaves
from training.storage.checkpoint import CheckpointStore
from training.storage.manifest import CheckpointError
from training.storage.run_folder import RunFolder


def test_a_run_stopped_and_resumed_equals_one_that_was_not_bit_by_bit(
    tiny_config, tiny_run, tmp_path
):
    path = tmp_path / "stopped"
    assert not run_once(path, tiny_config, stop_after=2)
    assert not run_once(path, tiny_config, stop_after=1)
    assert run_once(path, tiny_config)
    assert_same(path, tiny_run)


def test_a_run_of_several_steps_a_dispatch_takes_those_that_are_due_and_resumes_bit_by_bit(
    tiny_config, tmp_path, monkeypatch
):
    monkeypatch.setattr(stages, "steps_a_dispatch", lambda: 3)  # as of an accelerator
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    assert not run_once(stopped, tiny_config, stop_after=3)
    assert run_once(stopped, tiny_config)
    assert run_once(whole, tiny_config)
    assert_same(stopped, whole)
    lines = [line for line in RunFolder(whole).read_metrics() if line["kind"] == "iteration"]
    assert [line["step"] for line in lines] == [2 * line["examples"] // 32 for line in lines]


def test_a_dispatch_that_blocks_does_not_keep_the_last_rollout_from_being_recorded(
    tiny_config, tiny_run, tmp_path, monkeypatch
):
    """As a GPU's does, whose queue is full: this one returns when the last rollout is recorded."""
    recorded, waited = threading.Semaphore(0), []

    def blocking(context, index, actor, before):
        if index:  # the first is dispatched before there is one to record
            waited.append(recorded.acquire(timeout=20))
        return stages.amplify(context, index, actor, before)

    def record(context, state):
        monitors = stages.record(context, state)
        recorded.release()
        return monitors

    monkeypatch.setattr(source, "amplify", blocking)
    monkeypatch.setattr(source, "record", record)
    assert run_once(tmp_path / "run", tiny_config)
    assert waited == [True] * len(waited) != []
    assert_same(tmp_path / "run", tiny_run)


def test_a_run_made_from_python_equals_one_of_the_command_and_refuses_other_settings(
    tiny_config, tiny_run, tmp_path
):
    path, lines = tmp_path / "python", []
    assert not training.train_run(path, tiny_config, lines.append, stop=lambda: len(lines) > 1)
    assert training.train_run(path, tiny_config, lines.append)
    assert_same(path, tiny_run)
    written = [line for line in lines if line["kind"] != "notice"]
    assert json.loads(json.dumps(written)) == RunFolder(path).read_metrics()
    other = dataclasses.replace(tiny_config, seed=1)
    with pytest.raises(ValueError, match="seed: 0 in the run, 1 asked for"):
        training.train_run(path, other)
    with pytest.raises(ValueError, match="is not empty and holds no run"):
        training.train_run(path / "games", tiny_config)
    with pytest.raises(ValueError, match="iterations must be at least 0"):
        training.train_run(path, dataclasses.replace(tiny_config, iterations=-1))


def test_the_clock_counts_the_compilation_of_the_first_call(tiny_config, tmp_path, monkeypatch):
    dispatch = source.amplify

    def slowly(*given):
        time.sleep(0.3)
        return dispatch(*given)

    monkeypatch.setattr(source, "amplify", slowly)
    folder = RunFolder(tmp_path / "run")
    store, log = open_store(folder, tiny_config), MetricsLog(folder, lambda line: None)
    state = start.begin(make_context(folder, tiny_config, log, store))
    store.close()
    assert state.progress.elapsed() >= 0.3


def test_a_run_killed_after_its_last_save_does_the_lost_work_again_bit_by_bit(
    tiny_config, tiny_run, tmp_path
):
    path = tmp_path / "killed"
    # Bounded by what the whole run computed, so that such a limit is seen to end it there too.
    [*_, last] = metrics.history(RunFolder(tiny_run).read_metrics()).iterations
    config = dataclasses.replace(
        tiny_config, iterations=0, flops=float(last.flops), checkpoint=NEVER_SAVE_BETWEEN
    )
    run_once(path, config, stop_after=2)
    kept = CheckpointStore(path).steps()[-1]
    # A kill between a save and the next: later lines, games and a chunk exist, no checkpoint does.
    later = {"kind": "iteration", "iteration": 3, "step": 10**6}
    RunFolder(path).append_metrics(later)
    with RunFolder(path).metrics_file.open("a") as file:
        file.write('{"kind": "iter')
    (path / "replay" / "000000099000-000000099999.npz").write_bytes(b"half a chunk")
    (path / "checkpoints" / f"{kept + 1}.partial").mkdir()
    assert run_once(path, config)
    assert_same(path, tiny_run)
    discarded = [file.name for file in (path / "discarded").rglob("*") if file.is_file()]
    assert sorted(discarded) == ["000000099000-000000099999.npz", "metrics.jsonl"]


def test_a_limit_of_steps_an_iteration_leaves_the_others_for_later(tiny_config, tmp_path):
    learner = dataclasses.replace(tiny_config.learner, steps_per_iteration=2)
    evaluation = dataclasses.replace(tiny_config.evaluation, every=0)
    config = dataclasses.replace(tiny_config, learner=learner, evaluation=evaluation)
    lines = []
    assert training.train_run(tmp_path / "run", config, lines.append)
    steps = [line["step"] for line in lines if line["kind"] == "iteration"]
    assert max(np.diff([0, *steps])) == 2
    assert steps[-1] < int(2.0 * lines[-1]["examples"]) // 32  # what the examples allow by now


def test_no_game_is_lost_between_calls_and_every_example_is_in_the_replay_once(tiny_run):
    files = sorted((tiny_run / "replay").iterdir())
    examples = [np.load(file) for file in files]
    game_id = np.concatenate([example["game_id"] for example in examples])
    ply = np.concatenate([example["ply"] for example in examples])
    assert len(set(zip(game_id.tolist(), ply.tolist(), strict=True))) == len(ply)
    lines = [
        example for example in RunFolder(tiny_run).read_metrics() if example["kind"] == "iteration"
    ]
    store = CheckpointStore(tiny_run)
    pending = len(store.load(store.steps()[-1]).games["pending/ply"])
    assert len(ply) + pending == lines[-1]["positions"]
    assert len(set(game_id.tolist())) == lines[-1]["games"]


def test_the_metrics_tell_what_a_person_needs(tiny_run):
    lines = RunFolder(tiny_run).read_metrics()
    iterations = [line for line in lines if line["kind"] == "iteration"]
    assert [line["iteration"] for line in iterations] == [1, 2, 3, 4]
    for name in ("policy_loss", "value_loss", "kl", "entropy", "games", "learning_rate", "seconds"):
        assert np.isfinite(iterations[-1][name]), name
    evaluations = [line for line in lines if line["kind"] == "evaluation"]
    assert [line["iteration"] for line in evaluations] == [2, 4]
    measured = {"positions", "possible", "raw", "search", "budgets", "by_ply"}
    assert set(evaluations[0]["perfect"]["all"]) == measured


def test_sampled_games_of_self_play_are_valid_records(tiny_run):
    records = read_records(tiny_run / "games" / "self_play.jsonl")
    assert len(records) >= 3


def test_load_player_plays_the_stored_average_and_says_which_steps_exist(tiny_run):
    steps = training.checkpoint_steps(tiny_run)
    assert steps[0] == 0
    game = games.load("tic_tac_toe")
    states = jax.vmap(game.init)(jax.random.split(jax.random.key(0), 3))
    newest = training.load_player(tiny_run, simulations=0)
    named = training.load_player(tiny_run, simulations=0, checkpoint=steps[-1])
    first = training.load_player(tiny_run, simulations=0, checkpoint=0)
    weights = [
        player(states, jax.random.key(1)).action_weights for player in (newest, named, first)
    ]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.abs(np.asarray(weights[0]) - np.asarray(weights[2])).max() > 1e-3
    searching = training.load_player(tiny_run, simulations=8)(states, jax.random.key(1))
    assert searching.action.shape == (3,)
    assert searching.action.dtype == np.int32
    assert (np.asarray(searching.visit_counts).sum(1) == 8).all()
    with pytest.raises(ValueError, match="no checkpoint of step 123456; it has 0"):
        training.load_player(tiny_run, checkpoint=123456)
    with pytest.raises(ValueError, match="no such run folder"):
        training.load_player(tiny_run / "nowhere")


def test_a_damaged_checkpoint_is_refused_with_its_path(tiny_run, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(tiny_run, copy)
    step = training.checkpoint_steps(copy)[-1]
    file = copy / "checkpoints" / str(step) / "games.npz"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"games\.npz is damaged"):
        training.load_player(copy)


def test_new_weights_from_an_old_run_start_at_its_average(tiny_config, tiny_run, tmp_path):
    source = (RunFolder(tiny_run), training.checkpoint_steps(tiny_run)[-1])
    config = dataclasses.replace(tiny_config, seed=9)
    run_once(tmp_path / "new", config, stop_after=1, source=source)
    old = CheckpointStore(tiny_run).load(source[1]).train_state
    new = CheckpointStore(tmp_path / "new").load(0).train_state
    name = "params/policy/kernel"
    np.testing.assert_array_equal(new[f"state/{name}"], old[f"state/average_{name}"])
    assert int(new["state/step"]) == 0


def test_two_processes_cannot_hold_one_run(tiny_run):
    with (
        RunFolder(tiny_run).lock(),
        pytest.raises(CheckpointError, match="in use by process"),
        RunFolder(tiny_run).lock(),
    ):
        pass


def test_other_weights_in_a_checkpoint_are_named(tiny_run):
    saved = CheckpointStore(tiny_run).load(0)
    with pytest.raises(CheckpointError, match="arrays differ"):
        leaves.unflatten({"state": {"step": np.int32(0)}}, saved.train_state)


def test_config_json_tells_format_versions_and_settings(tiny_run, tiny_config):
    content = json.loads((tiny_run / "config.json").read_text())
    assert content["format_version"] == 1
    assert content["versions"]["jax"] == jax.__version__
    assert RunFolder(tiny_run).read_config() == tiny_config
