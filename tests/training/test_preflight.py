"""Forecasts of a run: it takes what they say, and what cannot work is refused with advice."""

import dataclasses
import json
import re

import jax
import numpy as np
import pytest

import games
from mcts import Evaluation, SearchConfig, search, tree_bytes
from scripts import cli
from scripts.terminal import out_of_memory
from selfplay import example
from tests.support.checkpoints import read_chunk
from training import context
from training.config import RunConfig
from training.preflight import estimate, machine, trial
from training.preflight.machine import Machine, this_machine
from training.replay import chunks
from training.storage.checkpoint import CheckpointStore
from training.storage.run_folder import RunFolder

PLENTY = 10**15
CARD = Machine(1, 1, False, PLENTY, PLENTY, PLENTY)
TINY = [
    *("--game", "tic_tac_toe", "--network.blocks", "0", "--network.channels", "4"),
    *("--search.simulations", "2", "--self-play.batch", "4", "--self-play.plies-per-call", "2"),
    *("--replay.min-examples", "40", "--learner.batch", "8", "--evaluation.every", "0"),
]


def apply_advice(config, sentence):
    """Returns the configuration after doing what `lower --part.field from X to Y` says."""
    steps = re.findall(r"--([a-z-]+)\.([a-z-]+) from (\d+) to (\d+)", sentence)
    assert steps, sentence
    for part, field, old, new in steps:
        part, field = part.replace("-", "_"), field.replace("-", "_")
        section = getattr(config, part)
        assert getattr(section, field) == int(old), sentence
        section = dataclasses.replace(section, **{field: int(new)})
        config = dataclasses.replace(config, **{part: section})
    return config


def test_a_replay_example_and_a_checkpoint_take_the_bytes_that_were_foreseen(tiny_config, tiny_run):
    game = games.load("tic_tac_toe")
    examples = read_chunk(chunks(tiny_run / "replay")[0][2])
    real = sum(column.nbytes for column in example.flat(examples).values())
    assert estimate.example_bytes(game) * len(examples.ply) == real
    saved = CheckpointStore(tiny_run).load(0)
    real = sum(leaf.nbytes for leaf in saved.train_state.values())
    assert estimate.needs(tiny_config, game, CARD).checkpoint == real


def test_the_compiled_search_holds_the_tree_that_was_foreseen_and_little_more():
    """The compiler's own plan, for a tree that outweighs all else."""
    game, batch, config = games.load("connect_four"), 64, SearchConfig(simulations=200)

    def evaluate(_, observation):
        sums = observation.sum(axis=(1, 2, 3), dtype=np.float32)
        return Evaluation(sums[:, None] * np.ones((1, 7), np.float32), sums / 1000)

    states = jax.eval_shape(jax.vmap(game.init), jax.random.split(jax.random.key(0), batch))
    run = jax.jit(lambda s, key: search(game, evaluate, (), s, key, config))
    planned = run.lower(states, jax.random.key(0)).compile().memory_analysis().temp_size_in_bytes
    foreseen = tree_bytes(game, config, batch)
    assert foreseen <= planned < 1.5 * foreseen, (foreseen, planned)


@pytest.mark.parametrize(
    ("room", "complains_of"),
    [
        ({"device_bytes": 600_000}, {"--self-play.batch"}),
        ({"device_bytes": 150_000}, {"--self-play.batch", "--learner.batch"}),
        ({"host_bytes": 1_000_000}, {"--replay.capacity"}),
        ({"on_host": True, "host_bytes": 3_000_000}, {"--replay.capacity"}),
        ({"on_host": True, "players": 2, "host_bytes": 500_000}, {"--replay.capacity"}),
    ],
)
def test_advice_makes_it_fit_and_twice_as_much_would_not(tiny_config, room, complains_of):
    game = games.load("tic_tac_toe")
    config = dataclasses.replace(
        tiny_config,
        search=SearchConfig(simulations=64),
        self_play=dataclasses.replace(tiny_config.self_play, batch=100),
        learner=dataclasses.replace(tiny_config.learner, batch=256),
        replay=dataclasses.replace(tiny_config.replay, capacity=30_000),
    )
    has = CARD._replace(**room)
    assert not estimate.problems(config, game, CARD)
    found = estimate.problems(config, game, has)
    assert all(flag in " ".join(found) for flag in complains_of), found
    fits = config
    for sentence in found:
        fits = apply_advice(fits, sentence)
    assert not estimate.problems(fits, game, has)
    for part, field in (("self_play", "batch"), ("learner", "batch"), ("replay", "capacity")):
        section = getattr(fits, part)
        value = getattr(section, field)
        if value != getattr(getattr(config, part), field):
            doubled = dataclasses.replace(section, **{field: 2 * value})
            assert estimate.problems(dataclasses.replace(fits, **{part: doubled}), game, has)


def test_a_disk_that_cannot_hold_the_checkpoints_is_a_problem(tiny_config):
    game = games.load("tic_tac_toe")
    one = estimate.needs(tiny_config, game, CARD).checkpoint
    assert not estimate.problems(tiny_config, game, CARD._replace(disk_bytes=7 * one))
    found = estimate.problems(tiny_config, game, CARD._replace(disk_bytes=7 * one - 1))
    assert len(found) == 1
    assert "of disk" in found[0]


def test_this_machine_has_memory_and_disk(tmp_path):
    has = this_machine(tmp_path / "runs" / "none", 128)
    assert has.on_host
    assert has.players == len(jax.local_devices())
    assert 10**7 < has.host_bytes < 10**14
    assert 10**5 < has.disk_bytes < 10**17


def test_train_and_bench_refuse_what_cannot_fit_and_leave_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "_host_bytes", lambda: 50_000)
    assert cli.run(["train", *TINY]) == 2
    said = capsys.readouterr().err
    assert "this run cannot work here: the run needs" in said
    assert "there is 50 kB: " in said
    bench = ["bench", "--game", "connect_four", "--batch", "4096", "--network.channels", "1"]
    assert cli.run(bench) == 2
    said = capsys.readouterr().err
    assert "memory: tree" in said
    assert "there is 25 kB: lower --batch from 4096 to " in said
    assert not list(tmp_path.iterdir())


def test_a_dry_run_tells_memory_disk_speed_and_hours_and_writes_nothing(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scripts.dry_run.SECONDS", 0.1)
    assert cli.run(["train", *TINY, "--iterations", "100", "--dry-run", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert not list(tmp_path.iterdir())
    assert result["needs"]["tree"] == tree_bytes(
        games.load("tic_tac_toe"), SearchConfig(simulations=2), 2
    )
    measured, outlook = result["rehearsal"], result["outlook"]
    assert measured["play_bytes"] > result["needs"]["tree"]
    assert 0 < measured["compressed"] <= 1
    assert outlook["iterations"] == 100
    np.testing.assert_allclose(outlook["hours"], 100 * measured["iteration_s"] / 3600)
    hours = [result["hours_to_games"][games] for games in ("10000", "100000", "1000000")]
    assert 0 < hours[0] < hours[1] < hours[2]


@pytest.mark.slow
def test_a_call_that_would_take_minutes_is_timed_in_part_and_the_figures_are_of_the_whole(
    tiny_config, tmp_path, monkeypatch
):
    def one_second(work, least):
        work()
        return 1.0

    monkeypatch.setattr(trial, "_env_seconds", lambda *_: 1e9)
    monkeypatch.setattr(trial, "_seconds", one_second)
    found = trial.run_trial(RunFolder(tmp_path / "run"), tiny_config, seconds=5.0)
    envs = jax.local_device_count()
    assert found.timed_share == envs / (16 * 6)
    assert found.call_s == 16 * 6 / envs
    assert found.step_s == 32
    assert found.iteration_s == found.call_s + found.step_s * 16 * 6 * 2 / 32
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("of_a_few", "of_all"), [(1e-3, 1e-5), (9.0, 9.0)])
def test_a_device_that_takes_for_a_few_positions_as_long_as_for_all_is_timed_on_all(
    of_a_few, of_all, tiny_config, tmp_path, monkeypatch
):
    config = dataclasses.replace(
        tiny_config, self_play=dataclasses.replace(tiny_config.self_play, batch=1024)
    )
    run = trial._prepared(RunFolder(tmp_path / "run"), config)
    taken = iter([of_a_few * trial.ENVS * jax.local_device_count(), of_all * 1024])
    monkeypatch.setattr(trial, "_seconds", lambda work, least: next(taken))
    found = trial._env_seconds(run, None, seconds=5.0)
    np.testing.assert_allclose(found, of_all)


@pytest.mark.parametrize("env_seconds", [1e-7, 1e-3, 3e-3, 1e-1, 10.0])
def test_what_is_timed_takes_the_seconds_that_were_asked_for_and_no_less_than_it_must(
    env_seconds,
):
    config = RunConfig()

    def seconds(config):
        played = config.self_play.batch * config.self_play.plies_per_call
        evaluations = played * (config.search.simulations + 1) + 3 * config.learner.batch
        return env_seconds * evaluations

    part = trial._part(config, env_seconds, 5.0)
    whole, least = seconds(config), jax.local_device_count() * 33 * env_seconds
    assert part == config if whole < 20 else 1 < seconds(part) <= max(5.0, 1.1 * least)


def test_the_length_of_random_games_is_that_of_the_literature():
    """Tic-tac-toe at random lasts 7.47 plies on average, by counting all its games."""
    found = trial.random_game_plies(games.load("tic_tac_toe"), jax.random.key(1))
    assert abs(found - 7.47) < 0.6


def real_exhaustion():
    """Returns the error that jax raises when a device cannot give the memory."""
    with pytest.raises(jax.errors.JaxRuntimeError) as caught:
        jax.block_until_ready(jax.numpy.zeros(2**46, np.int8))
    return caught.value


def test_memory_that_runs_out_in_training_is_a_sentence_with_a_setting_to_change(
    tmp_path, capsys, monkeypatch
):
    error = real_exhaustion()

    def make_play(*_):
        def play(*_):
            raise error

        return play

    monkeypatch.setattr(context.self_play, "make_amplified_play", make_play)
    monkeypatch.chdir(tmp_path)
    assert cli.run(["train", *TINY, "--iterations", "1"]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "a device has no memory left for 70.4 TB more: lower --learner.batch" in said, said
    assert "from 8 to 4 or --self-play.batch from 4 to 2" in said, said
    assert "RESOURCE" not in said


def test_memory_that_runs_out_elsewhere_names_the_flags_of_the_command(capsys, monkeypatch):
    error = real_exhaustion()

    def fail(*_, **__):
        raise error

    monkeypatch.setattr("scripts.bench.speed.measure", fail)
    assert cli.run(["bench", "--game", "tic_tac_toe", "--batch", "64"]) == 1
    assert "lower --batch from 64 to 32" in capsys.readouterr().err
    monkeypatch.setattr("scripts.arena.announce_devices", fail)
    assert cli.run(["arena", "random", "random", "--game", "tic_tac_toe"]) == 1
    said = capsys.readouterr().err
    assert "lower --simulations from 32 to 16 or --games from 100 to 50" in said


def test_other_errors_of_the_device_are_left_as_they_are():
    error = jax.errors.JaxRuntimeError("INTERNAL: something else")
    caught = pytest.raises(jax.errors.JaxRuntimeError, match="something else")
    with caught, out_of_memory.advise(lambda: "no"):
        raise error
