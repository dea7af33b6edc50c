"""A run on boards of several sizes: one network learns and plays them all."""

import dataclasses

import jax
import numpy as np
import pytest

import games
import training
from selfplay.records.game_record import read_records
from tests.support.runs import assert_same, run_once
from training import players
from training.players import load_weights, network_of
from training.storage.leaves import flatten
from training.storage.run_folder import RunFolder

SPEC = "hex:size=2+3"


@pytest.fixture(scope="module")
def config(tiny_config):
    network = dataclasses.replace(tiny_config.network, name="convolutional")
    return dataclasses.replace(tiny_config, game=SPEC, network=network)


@pytest.fixture(scope="module")
def run(config, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "sizes"
    assert run_once(path, config)
    return path


def test_every_game_begins_with_a_board_that_is_drawn_and_only_boards_are_learned(run):
    games_played = list(read_records(run / "games" / "self_play.jsonl"))
    boards = {record.moves[0] for record in games_played}
    assert boards == {9, 10}  # the two last actions
    examples = [np.load(file) for file in sorted((run / "replay").iterdir())]
    assert examples
    assert all(part["ply"].min() >= 1 for part in examples)


def test_it_resumes_bit_by_bit(config, run, tmp_path):
    assert not run_once(tmp_path / "stopped", config, stop_after=2)
    assert run_once(tmp_path / "stopped", config)
    assert_same(tmp_path / "stopped", run)


@pytest.mark.parametrize("spec", ["hex:size=2", "hex:size=3", "hex:size=4", "hex:size=2+4"])
def test_its_network_plays_boards_of_any_size_and_begins_runs_on_them(run, config, spec):
    game = games.load(spec)
    player = training.load_player(run, simulations=2, game=game)
    assert player.game == game
    states = jax.vmap(game.init)(jax.random.split(jax.random.key(0), 2))
    weights = player(states, jax.random.key(1)).action_weights
    np.testing.assert_allclose(np.sum(weights, axis=1), 1, atol=1e-5)
    folder = RunFolder(run)
    network = network_of(dataclasses.replace(config, game=spec), game)
    loaded = load_weights(folder, training.checkpoint_steps(run)[-1], network)
    fresh = network.init(jax.random.key(0))
    assert {n: x.shape for n, x in flatten(loaded.params).items()} == {
        n: x.shape for n, x in flatten(fresh.params).items()
    }


@pytest.mark.parametrize("spec", ["hex:size=3,swap=true", "go:size=5", "tic_tac_toe"])
def test_it_plays_no_other_game(run, spec):
    assert training.load_player(run, game=games.load(spec)).game == games.load(SPEC)


def test_rules_that_differ_in_more_than_size_are_another_game(config):
    """Whose weights would fit: it is Go of any size to the network, but with another komi."""
    own = dataclasses.replace(config, game="go:size=5")
    go, larger, komi = map(games.load, ("go:size=5", "go:size=7", "go:size=7,komi=5.5"))
    assert players._fits(own, go, larger)
    assert not players._fits(own, go, komi)


def test_a_network_of_one_size_plays_its_own(tiny_run):
    player = training.load_player(tiny_run, game=games.load("hex:size=3"))
    assert player.game == games.load("tic_tac_toe")
