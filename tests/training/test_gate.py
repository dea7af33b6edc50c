"""Gating and in-run ratings: what plays, what is measured, and that a resume decides alike."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

import games
from selfplay.arena.result import PlayedGame, result_of
from training.evaluation import gate, ladder
from training.evaluation.train_run import train_folder
from training.players import checkpoint_steps, load_player, network_of
from training.progress import Progress
from training.storage.checkpoint import CheckpointStore
from training.storage.run_folder import RunFolder


@pytest.fixture
def scores(monkeypatch):
    """Gate matches end with the next of these scores, whoever plays; the last one repeats."""
    given = []

    def play_match(first, second, game, count, seed):
        assert count == 4
        asked = (first.name, second.name, seed)
        wins = round(given[min(len(play_match.asked), len(given) - 1)] * count)
        play_match.asked.append(asked)
        played = [
            PlayedGame((i,), (1.0, -1.0) if (i < wins) == (i % 2 == 0) else (-1.0, 1.0))
            for i in range(count)
        ]
        return result_of((first.name, second.name), played, 2)

    play_match.asked = []
    monkeypatch.setattr(gate, "play_match", play_match)
    return given, play_match.asked


def run(path, config, stops=()):
    """Trains, stopping after these iterations and going on; returns metrics, weights, what acts."""
    folder = RunFolder(path)
    folder.create(config)
    for stop_at in (*stops, None):
        seen = []

        def stop(stop_at=stop_at, seen=seen):
            return bool(seen) and seen[-1] == stop_at

        def watch(line, seen=seen):
            if line["kind"] == "iteration":
                seen.append(line["iteration"] + 1)

        with folder.lock():
            train_folder(folder, config, watch, stop)
    store = CheckpointStore(folder.path)
    saved = store.load(store.steps()[-1])
    return folder.read_metrics(), saved


@pytest.mark.slow
def test_only_weights_that_pass_play_on_and_a_stopped_run_decides_alike(
    tmp_path, tiny_config, scores
):
    given, asked = scores
    given += [0.5, 0.75, 0.25]
    evaluation = dataclasses.replace(tiny_config.evaluation, every=2, gate_games=4, positions=16)
    config = dataclasses.replace(tiny_config, iterations=7, gate=0.6, evaluation=evaluation)
    metrics, saved = run(tmp_path / "whole", config)
    lines = [line for line in metrics if line["kind"] == "gate"]
    assert [line["promoted"] for line in lines] == [False, True, False][: len(lines)]
    assert len(lines) == 3
    first, second, third = lines
    assert first["actor_step"] == second["actor_step"] == 0 < second["step"]
    assert third["actor_step"] == second["step"] == saved.counters["actor_step"]
    assert [names[:2] for names in asked] == [
        (f"step {line['step']}", f"step {line['actor_step']}") for line in lines
    ]
    whole = asked.copy()
    asked.clear()
    again, resumed = run(tmp_path / "stopped", config, stops=(5,))
    timeless = [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
    found = [line for line in again if line["kind"] == "gate"]
    assert [{k: v for k, v in line.items() if k != "seconds"} for line in found] == timeless
    assert asked == whole
    jax.tree.map(np.testing.assert_array_equal, saved.train_state, resumed.train_state)


def test_a_run_rates_itself_among_its_checkpoints(tiny_run, tiny_config, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "run")
    folder, game = RunFolder(tmp_path / "run"), games.load(tiny_config.game)
    evaluation = dataclasses.replace(tiny_config.evaluation, ladder_games=40, simulations=1)
    config = dataclasses.replace(tiny_config, evaluation=evaluation)
    network = network_of(config, game)
    steps = checkpoint_steps(folder.path)
    newest = load_player(folder.path, 1, steps[-1]).variables
    progress = Progress(step=steps[-1] + 1, best_step=steps[-1])
    rated = ladder.rate(folder, config, game, network, newest, progress, games=40)
    found = rated.entry
    assert found["best_step"] == steps[-1]
    assert rated.is_best == (found["over_best"] >= 0)
    assert found["interval"][0] < found["elo"] < found["interval"][1], found
    lines = (folder.path / "ladder" / "games.jsonl").read_text().splitlines()
    assert len(lines) == 40  # a round of 32 and one cut short
    assert 0 < found["games"] <= 40
    names = {name for line in lines for name in json.loads(line)["players"]}
    known = {f".@{step}:simulations=1" for step in (*steps, steps[-1] + 1)}
    assert names <= known | {"random"}
    now = f".@{steps[-1] + 1}:simulations=1"
    assert all(now in json.loads(line)["players"] for line in lines), "games that rate others"
    again = ladder.rate(folder, config, game, network, newest, progress, games=40)
    assert again == rated, "a resumed run plays no more games, and is rated alike"
    assert len((folder.path / "ladder" / "games.jsonl").read_text().splitlines()) == 40


def test_settings_of_gate_and_ladder_are_checked(tiny_config):
    evaluation = dataclasses.replace(tiny_config.evaluation, every=0, gate_games=3, ladder_games=-2)
    found = dataclasses.replace(tiny_config, gate=0.3, evaluation=evaluation).problems()
    for wanted in ("gate must be 0", "gate needs evaluation.every", "gate_games", "ladder_games"):
        assert any(wanted in problem for problem in found), (wanted, found)
