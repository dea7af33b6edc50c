"""Players split their batch over devices, whatever its size; here two CPU devices in a process."""

import os
import pathlib
import subprocess
import sys

SCRIPT = """
import jax, numpy as np
import games
from mcts import SearchConfig
from selfplay import arena
from selfplay.players import random_player, uniform_player
from tests.test_arena import FIRST, SECOND, PILE, first_rule, second_rule, expected_games

assert jax.device_count() == 2
before = arena._ply._cache_size()
match = arena.play_match(FIRST, SECOND, PILE, 14, seed=3, opening_plies=2)  # 7 on two devices
assert arena._ply._cache_size() == before + 1, "a ply was compiled again"
openings = [moves[:2] for moves in match.moves[::2]]
for i, (moves, result) in enumerate(expected_games(openings, (first_rule, second_rule))):
    assert list(match.moves[i]) == moves, i
game = games.load("tic_tac_toe")
state = jax.tree.map(lambda leaf: np.stack([leaf] * 600), game.init(jax.random.key(0)))
actions = np.asarray(random_player(game)(state, jax.random.key(0)).action)
assert (actions[:300] != actions[300:]).any(), "both devices drew the same numbers"
"""


def test_a_match_on_two_devices_is_that_of_plain_python_and_compiles_once():
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        cwd=pathlib.Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
