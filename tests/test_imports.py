"""Imports that must stay light: who reads a run, or makes a mistake, does not wait for jax."""

import subprocess
import sys

import pytest

from tests.support import ROOT

HEAVY = ("jax", "flax", "optax", "scipy", "matplotlib", "mctx", "pgx")


@pytest.mark.parametrize(
    "module",
    [
        "games.registry",
        "games.plug_in",
        "mcts",
        "selfplay.records.game_index",
        "selfplay.arena.watching",
        "selfplay.files.game_lines",
        "selfplay.player_spec",
        "selfplay.recorder",
        "selfplay.example",
        "training",
        "training.config",
        "training.metrics",
        "training.presets",
        "training.replay",
        "training.storage.run_folder",
        "scripts.cli",
        "scripts.web.serve",
        "scripts.web.reading",
    ],
)
def test_a_module_that_readers_of_a_run_need_imports_neither_jax_nor_other_heavy_libraries(module):
    code = f"import sys, {module}; print(*(set({HEAVY}) & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [], done.stdout


def test_what_packages_offer_late_is_what_their_modules_have():
    code = """
import mcts, training, games
import mcts.search
assert callable(mcts.search) and mcts.search is mcts.search.__globals__["search"]
from mcts import search
assert search is mcts.search
for package in (mcts, training, games):
    for name in package.__all__:
        assert getattr(package, name) is not None, name
    assert not hasattr(package, "no_such_name")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
