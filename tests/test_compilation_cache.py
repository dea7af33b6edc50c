"""The compilation cache: it may save time, and must change nothing else."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from scripts import compilation_cache
from training.checkpoint import CheckpointStore

ROOT = pathlib.Path(__file__).parent.parent
TINY = [
    *("--game", "tic_tac_toe", "--network.blocks", "1", "--network.channels", "8"),
    *("--search.simulations", "4", "--self-play.batch", "16", "--self-play.plies-per-call", "6"),
    *("--replay.min-rows", "40", "--learner.batch", "32", "--evaluation.every", "0"),
]


@pytest.fixture
def settings(monkeypatch):
    """The settings of jax as the cache sees them: on and not yet placed; nothing really changes."""
    changed = {}

    class Config:
        jax_compilation_cache_dir = None
        jax_enable_compilation_cache = True

        def update(self, name, value):
            changed[name] = value

    monkeypatch.setattr(compilation_cache.jax, "config", Config())
    return changed


def test_the_cache_lies_in_the_users_cache_folder_and_is_theirs_alone(
    settings, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compilation_cache.start()
    folder = pathlib.Path(settings["jax_compilation_cache_dir"])
    assert folder.parent == tmp_path / "selfplay" / "jax"
    assert folder.stat().st_mode & 0o077 == 0
    assert not list(folder.iterdir())
    assert capsys.readouterr().err == ""


def test_a_cache_that_the_user_placed_or_switched_off_is_left_alone(settings, monkeypatch):
    monkeypatch.setattr(compilation_cache.jax.config, "jax_compilation_cache_dir", "/there")
    compilation_cache.start()
    monkeypatch.setattr(compilation_cache.jax.config, "jax_compilation_cache_dir", None)
    monkeypatch.setattr(compilation_cache.jax.config, "jax_enable_compilation_cache", False)
    compilation_cache.start()
    assert not settings


def test_a_cache_without_a_folder_or_space_is_a_warning(settings, tmp_path, monkeypatch, capsys):
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    compilation_cache.start()
    assert "warning: no compilation cache" in capsys.readouterr().err
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compilation_cache, "LEAST_FREE", 10**18)
    compilation_cache.start()
    assert "of space left" in capsys.readouterr().err
    assert not settings


@pytest.mark.slow
def test_a_run_is_the_same_bit_by_bit_without_a_cache_and_with_one_empty_or_full(tmp_path):
    caches = {"none": None, "empty": tmp_path / "cache", "full": tmp_path / "cache"}
    found = {}
    for name, cache in caches.items():
        on = {"JAX_ENABLE_COMPILATION_CACHE": "true" if cache else "false"}
        environment = os.environ | on | {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT)}
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        argv = ["train", *TINY, "--run-dir", str(tmp_path / name), "--iterations", "8"]
        command = [sys.executable, "-c", "from scripts.cli import main; main()", *argv]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        store = CheckpointStore(tmp_path / name)
        saved = store.load(store.steps()[-1])
        found[name] = saved.train_state | saved.games
    assert list((tmp_path / "cache" / "selfplay").rglob("*-cache")), "nothing was cached"
    for name in ("empty", "full"):
        assert found[name].keys() == found["none"].keys()
        for leaf, value in found["none"].items():
            np.testing.assert_array_equal(found[name][leaf], value, err_msg=f"{name}: {leaf}")
