"""The games of pgx behind our contract."""

import random
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pyspiel
import pytest

from games import load
from games.game import identity
from games.pgx_adapter import GAMES, _environment

pytest.importorskip("pgx")


@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four"])
def test_a_game_of_both_libraries_is_the_same_at_every_ply(name):
    ours, theirs = load(name), load(f"pgx:{name}")
    assert (ours.num_actions, ours.max_plies) == (theirs.num_actions, theirs.max_plies)
    assert ours.observation_shape == theirs.observation_shape
    keys, rng = jax.random.split(jax.random.key(0), 64), np.random.default_rng(0)
    states = [jax.vmap(game.init)(keys) for game in (ours, theirs)]
    steps = [jax.jit(jax.vmap(game.step)) for game in (ours, theirs)]
    views = [jax.jit(jax.vmap(lambda s, g=g: (g.observe(s), g.returns(s)))) for g in (ours, theirs)]
    for ply in range(ours.max_plies + 2):  # the last steps are all past the end
        a, b = (jax.tree.map(np.asarray, state) for state in states)
        seen = [np.asarray(view(state)[0]) for view, state in zip(views, states, strict=True)]
        results = [np.asarray(view(state)[1]) for view, state in zip(views, states, strict=True)]
        differs = (a.legal_action_mask != b.legal_action_mask).any(axis=1)
        differs |= (a.terminated != b.terminated) | (results[0] != results[1]).any(axis=1)
        live = ~a.terminated  # who would move next, and what it would see, is then left open
        differs |= live & ((a.to_play != b.to_play) | (seen[0] != seen[1]).any(axis=(1, 2, 3)))
        for env in np.flatnonzero(differs):
            pytest.fail(f"ply {ply}\n{ours.render(one(a, env))}\n{theirs.render(one(b, env))}")
        actions = [rng.choice(np.flatnonzero(row)) for row in a.legal_action_mask | ~live[:, None]]
        states = [step(s, jnp.array(actions)) for step, s in zip(steps, states, strict=True)]
    assert states[0].terminated.all()


def one(state, env):
    return jax.tree.map(lambda leaf: np.asarray(leaf[env]), state)


@pytest.mark.slow
@pytest.mark.parametrize("name", GAMES)
def test_a_game_is_pgx_s_own_but_obeys_our_laws(name):
    game, environment = load(f"pgx:{name}"), _environment(name)
    rng, step, observe = random.Random(0), jax.jit(game.step), jax.jit(game.observe)
    opening = jax.jit(game.init)
    state = opening(jax.random.key(1))
    jax.tree.map(np.testing.assert_array_equal, state, opening(jax.random.key(5)))
    with jax.numpy_rank_promotion("allow"):
        other = jax.jit(environment.init)(jax.random.key(1))
        their_step = jax.jit(environment.step)
        swapped = int(other.current_player)  # whether pgx's first player is its player 1
        assert int(state.to_play) == 0
        plies = 0
        while not state.terminated:
            np.testing.assert_array_equal(state.legal_action_mask, other.legal_action_mask)
            np.testing.assert_array_equal(observe(state), other.observation)
            np.testing.assert_array_equal(game.returns(state), [0.0, 0.0])
            assert int(state.to_play) == int(other.current_player) ^ swapped
            action = rng.choice(np.flatnonzero(state.legal_action_mask).tolist())
            text = game.action_to_string(state, action)
            assert game.string_to_action(state, text) == action, text
            state, other = step(state, jnp.int32(action)), their_step(other, jnp.int32(action))
            plies += 1
    assert plies <= game.max_plies
    assert observe(state).shape == game.observation_shape
    assert other.terminated
    assert not state.legal_action_mask.any()
    rewards = np.asarray(other.rewards)
    np.testing.assert_array_equal(game.returns(state), rewards[::-1] if swapped else rewards)
    assert float(game.returns(state).sum()) == 0.0
    for action in (0, game.num_actions - 1):
        jax.tree.map(np.testing.assert_array_equal, state, step(state, jnp.int32(action)))
    stored = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    whole = sum(leaf.nbytes for leaf in jax.tree.leaves(other))
    assert stored <= whole - other.observation.nbytes


@pytest.mark.slow
def test_chess_moves_have_the_names_that_openspiel_gives_them():
    game, rng = load("pgx:chess"), random.Random(1)
    step, kinds = jax.jit(game.step), set()
    opening = jax.jit(game.init)(jax.random.key(0))
    for _ in range(3):
        state, other = opening, pyspiel.load_game("chess").new_initial_state()
        while not (state.terminated or other.is_terminal()):
            board = other.board()
            theirs = {
                pyspiel.chess.action_to_move(action, board).to_lan(): action
                for action in other.legal_actions()
            }
            legal = np.flatnonzero(state.legal_action_mask).tolist()
            ours = {game.action_to_string(state, action): action for action in legal}
            assert set(ours) == set(theirs), board.to_fen()
            rows = [line[2:].replace(" ", "") for line in game.render(state).split("\n")[:8]]
            fen = re.sub(r"\d", lambda digit: "." * int(digit[0]), board.to_fen().split()[0])
            assert rows == fen.split("/"), board.to_fen()
            name = rng.choice([name for name in ours if len(name) == 5] or list(ours))
            kinds.add(name[4:])
            other.apply_action(theirs[name])
            state = step(state, jnp.int32(ours[name]))
    assert kinds > {"", "q"}, "no pawn was promoted to something else than a queen"


def test_a_position_is_drawn_for_seat_0_in_capitals():
    game = load("pgx:tic_tac_toe")
    state = game.init(jax.random.key(0))
    for action in (4, 0):
        state = game.step(state, jnp.int32(action))
    assert game.render(state) == "3 O . .\n2 . X .\n1 . . .\n  a b c"
    assert game.symmetries()[0].action.tolist() == identity((3, 3), 9).action.tolist()
    assert game.string_to_action(state, " 8 ") == 8
    with pytest.raises(ValueError, match="legal: 1 2 3 5 6 7 8"):
        game.string_to_action(state, "4")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("pgx:backgammon", "has dice; choose from animal_shogi, chess,"),
        ("pgx:minatar-breakout", "has one player"),
        ("pgx:checkers", "'checkers' is not a game of pgx; choose from .*tic_tac_toe"),
        ("pgx:", "is not a game of pgx"),
        ("pgx:hex:size=9", "unknown option 'size'; known: none"),
    ],
)
def test_other_games_and_options_are_refused_with_the_reason(spec, message):
    with pytest.raises(ValueError, match=message):
        load(spec)


def test_without_pgx_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pgx", None)
    with pytest.raises(ValueError, match=r"pip install 'selfplay-zero\[pgx\]'"):
        load("pgx:tic_tac_toe")


def test_a_device_is_asked_for_only_by_the_first_use_and_that_may_be_traced():
    program = """
import jax
from games import load
jax.config.update("jax_platforms", "none of them")
game = load("pgx:connect_four")
jax.config.update("jax_platforms", "cpu")
state = jax.jit(jax.vmap(game.init))(jax.random.split(jax.random.key(0), 3))
state = jax.jit(jax.vmap(game.step))(state, jax.numpy.zeros(3, int))
print(game.render(jax.tree.map(lambda leaf: leaf[2], state)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "1 X . . . . . ." in done.stdout, done.stderr


def test_equal_names_make_equal_games():
    assert load("pgx:tic_tac_toe") == load("pgx:tic_tac_toe") != load("pgx:connect_four")
    assert hash(load("pgx:tic_tac_toe")) == hash(load("pgx:tic_tac_toe"))
