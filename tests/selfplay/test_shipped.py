"""Players that come with the package: whole, small, checked as any checkpoint, never written to."""

import pathlib
import shutil

import jax
import numpy as np
import pytest

import games
import training
from games import consent
from scripts.flags import checks, play
from scripts.flags import train as train_flags
from scripts.train import _find_source
from selfplay import player_spec, shipped
from selfplay.perfect import mistakes
from training.players import find_game, load_weights, network_of
from training.storage.manifest import CheckpointError, read_manifest
from training.storage.run_folder import RunFolder

LARGEST = 1_100_000  # bytes, in all: what the package may grow by
NAMES = shipped.names()


def files_of(folder):
    return sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file())


@pytest.mark.parametrize("name", NAMES)
def test_each_is_small_plays_the_game_that_its_recipe_names_and_says_how_it_was_made(name):
    folder = pathlib.Path(shipped.folder_of(f"shipped:{name}"))
    assert sum(path.stat().st_size for path in files_of(folder)) < LARGEST
    recipe = shipped.recipe(name)
    assert {"game", "command", "machine", "seed", "minutes", "operations"} <= recipe.keys()
    assert f"--seed {recipe['seed']}" in recipe["command"]
    config = RunFolder(folder).read_config()
    assert config.game == recipe["game"]
    assert games.load(config.game), "by our rules: no code of anybody's own"
    assert consent.code_of_player(f"player:shipped:{name}") is None
    [step] = training.checkpoint_steps(folder)
    with np.load(folder / f"checkpoints/{step}/train_state/arrays.npz", allow_pickle=False) as file:
        assert all(np.isfinite(file[leaf]).all() for leaf in file.files)


def test_one_that_was_altered_by_a_byte_is_refused_or_is_the_very_same(tmp_path, monkeypatch):
    whole = pathlib.Path(shipped.folder_of("shipped:tic_tac_toe"))
    network = network_of(RunFolder(whole).read_config(), games.load("tic_tac_toe"))
    [step] = training.checkpoint_steps(whole)
    expected = load_weights(RunFolder(whole), step, network)
    manifest = read_manifest(whole / f"checkpoints/{step}")
    rng = np.random.default_rng(0)
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    refused, listed = 0, {whole / f"checkpoints/{step}" / name for name in manifest["files"]}
    for file in files_of(whole):
        for _ in range(6):
            shutil.rmtree(tmp_path / "x", ignore_errors=True)
            shutil.copytree(whole, tmp_path / "x")
            other = tmp_path / "x" / file.relative_to(whole)
            data = bytearray(other.read_bytes())
            data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
            other.write_bytes(data)
            try:
                folder = RunFolder(player_spec.run_of("shipped:x")[0])
                folder.read_config()
                [found] = training.checkpoint_steps(folder.path)
                weights = load_weights(folder, found, network)
            except (CheckpointError, ValueError):
                refused += 1
                continue
            assert file not in listed, "its sum tells"
            for one, two in zip(weights, expected, strict=True):
                for leaf, same in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
                    np.testing.assert_array_equal(leaf, same)
    assert refused > 20


def test_a_damaged_one_is_to_be_installed_again(tmp_path, monkeypatch):
    whole = pathlib.Path(shipped.folder_of("shipped:tic_tac_toe"))
    network = network_of(RunFolder(whole).read_config(), games.load("tic_tac_toe"))
    [step] = training.checkpoint_steps(whole)
    shutil.copytree(whole, tmp_path / "x")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    (tmp_path / "x/checkpoints" / str(step) / "train_state/arrays.npz").write_bytes(b"")
    with pytest.raises(CheckpointError, match="shipped:x comes with selfplay: install it again"):
        load_weights(RunFolder(tmp_path / "x"), step, network)
    (tmp_path / "x/recipe.json").write_text("{}")
    with pytest.raises(ValueError, match="names no game; it comes with selfplay: install it again"):
        shipped.recipe("x")
    (tmp_path / "x/recipe.json").write_text('{"game": "ludo"}')
    with pytest.raises(ValueError, match=r"x/recipe\.json is damaged: .*'ludo'.*install it again"):
        shipped.of_game("tic_tac_toe")


def test_tic_tac_toe_makes_no_mistake_in_any_position():
    [(name, solved)] = mistakes.load_positions("tic_tac_toe").items()
    folder, step = player_spec.run_of("shipped:tic_tac_toe")
    raw = training.load_player(folder, 0, step)
    rate = mistakes.measure(raw, {8: training.load_player(folder, 8, step)}, solved)
    assert (name, rate["positions"]) == ("all", 4520)
    assert rate["raw"] == 0
    assert rate["budgets"] == {"8": 0}


def test_a_name_stands_for_the_folder_its_checkpoint_and_its_game():
    folder, step = player_spec.run_of("shipped:tic_tac_toe:simulations=8")
    assert step is None
    player = training.load_player(folder)
    [only] = training.checkpoint_steps(folder)
    assert player.name == f"shipped:tic_tac_toe@{only}"
    assert player_spec.run_of(player.name) == (folder, only)
    assert find_game(["uniform", "shipped:tic_tac_toe"], "") == "tic_tac_toe"
    meant = r"shipped:tictactoe.*did you mean tic_tac_toe\?.*there are"
    with pytest.raises(ValueError, match=meant):
        checks.players(["shipped:tictactoe"], "")


def test_the_name_of_a_game_is_its_player():
    assert shipped.of_game("tic_tac_toe") == ["tic_tac_toe"]
    assert shipped.of_game("hex:size=5")[0] == "hex_5x5"
    assert play.names_a_game("hex:size=5")
    assert not play.names_a_game("runs/hex")
    with pytest.raises(ValueError, match="unknown option"):
        play.check(play.Args(player="tic_tac_toe:size=4"))


def test_a_run_begins_from_one_and_none_is_trained_itself():
    args = train_flags.defaults(["--from", "shipped:tic_tac_toe"])
    assert args.config.network.blocks == 1
    assert args.config.game == "tic_tac_toe"
    folder, step = _find_source("shipped:tic_tac_toe", None)
    assert shipped.name_of(folder.path) == "shipped:tic_tac_toe"
    assert [step] == training.checkpoint_steps(folder.path)
    again, _ = _find_source(f"shipped:tic_tac_toe@{step}", None)
    assert again.path == folder.path
    with pytest.raises(ValueError, match="stays as it is"):
        train_flags.check(train_flags.Args(args.config, run="shipped:tic_tac_toe"))
