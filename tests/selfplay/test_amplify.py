"""The Amplify slot: every way in gives the same games, and what cannot work is refused."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mcts import SearchResult, search
from selfplay import devices, example
from selfplay.amplify import slot
from selfplay.amplify.slot import Amplifier, OverseerError
from selfplay.players import FORFEIT, Player, random_player
from tests.support.amplified import CONFIG, GAME, SEARCH, VARIABLES, evaluate, moves_of, two_calls
from training import non_finite


def no_player(spec):
    raise AssertionError(f"no player was asked for, got {spec}")


def load(spec, load_player=no_player):
    return slot.load(spec, GAME, evaluate, SEARCH, load_player)


@pytest.mark.slow
def test_games_driven_by_the_host_equal_those_on_the_device_given_the_same_search():
    on_device = load("search")
    act = jax.jit(devices.data_parallel(lambda v, s, k: search(GAME, evaluate, v, s, k, SEARCH)))
    on_host = Amplifier("search", lambda v, s, k, history: act(v, s, k), on_device=False)
    wanted, got = two_calls(on_device), two_calls(on_host)
    assert len(moves_of(wanted)) > 10
    for one, other in zip(wanted, got, strict=True):
        for name, leaf in example.flat(one).items():
            same = example.flat(other)[name]
            np.testing.assert_allclose(
                leaf.astype(float), same.astype(float), atol=1e-6, err_msg=name
            )


def test_an_overseer_sees_the_moves_that_led_to_each_position():
    asked = []

    def lowest(states, key, history):
        legal = np.asarray(states.legal_action_mask)
        for board, row in zip(np.asarray(states.board), history, strict=True):
            moves = [int(a) for a in row if a >= 0]
            assert (row[len(moves) :] == -1).all(), row
            wanted = np.full(9, -1)
            wanted[moves[0::2]], wanted[moves[1::2]] = 0, 1
            np.testing.assert_array_equal(board, wanted)
            asked.append(tuple(moves))
        one_hot = np.eye(9)[legal.argmax(1)]
        zeros = np.zeros(len(legal))
        return SearchResult(
            legal.argmax(1), one_hot, np.zeros((len(legal), 9)), zeros, 0 * one_hot, one_hot, zeros
        )

    overseer = Player("lowest", GAME, lambda _, *given: lowest(*given), on_device=False)
    games_played = moves_of(two_calls(load("player:lowest", lambda spec: overseer)))
    openings = {moves for moves in asked if moves}
    assert len(openings) > 5
    for moves in games_played.values():
        for ply in range(CONFIG.random_opening_plies, len(moves)):
            assert moves[ply] == min(set(range(9)) - set(moves[:ply])), moves


def test_the_gap_to_a_player_is_measured_against_the_network_itself():
    player = random_player(GAME)
    states = jax.vmap(GAME.init)(jax.random.split(jax.random.key(0), 3))
    found = load("player:random", lambda spec: player)(VARIABLES, states, jax.random.key(1))
    own = evaluate(VARIABLES, jax.vmap(GAME.observe)(states))
    np.testing.assert_allclose(found.action_weights, 1 / 9, rtol=1e-6)
    np.testing.assert_allclose(found.prior, jax.nn.softmax(own.prior_logits), rtol=1e-5)
    np.testing.assert_allclose(found.raw_value, own.value, rtol=1e-6)


def test_an_overseer_that_fails_is_told_once_with_how_often_and_why_this_time():
    faults = ["crashed long ago"]

    def failing(variables, states, key, history):
        del variables, history
        found = random_player(GAME)(states, key)
        faults.extend(["hung", "hung", "crashed"])
        return found._replace(action=np.full(3, FORFEIT, np.int32))

    overseer = Player("bad", GAME, failing, on_device=False, faults=faults)
    states = jax.vmap(GAME.init)(jax.random.split(jax.random.key(0), 3))
    with pytest.raises(OverseerError, match="failed in 3 of 3 games, in the first because it hung"):
        load("player:bad", lambda spec: overseer)(VARIABLES, states, jax.random.key(1), None)


def test_policy_plays_the_networks_own_probabilities():
    count = 4096
    states = jax.vmap(GAME.init)(jax.random.split(jax.random.key(0), count))
    states = jax.vmap(GAME.step)(states, jnp.full(count, 4))
    found = load("policy")(VARIABLES, states, jax.random.key(1))
    logits = np.asarray(evaluate(VARIABLES, jax.vmap(GAME.observe)(states)).prior_logits)[0]
    wanted = np.exp(logits) * (np.arange(9) != 4)
    wanted /= wanted.sum()
    np.testing.assert_allclose(found.action_weights[7], wanted, atol=1e-6)
    drawn = np.bincount(np.asarray(found.action), minlength=9) / count
    np.testing.assert_allclose(drawn, wanted, atol=5 * 0.5 / count**0.5)


MODULE = """
import jax.numpy as jnp
from mcts import SearchResult, search
def plain(variables, states, key, history=None, *, game, evaluate, search_config):
    return search(game, evaluate, variables, states, key, search_config)
plain.on_device = True
def bare(states, key):
    pass
def nothing(variables, states, key, history):
    return None
def narrow(variables, states, key, history):
    flat = jnp.zeros(len(history))
    return SearchResult(flat, flat[:, None], flat, flat, flat, flat, flat)
def split(variables, states, key, history):
    return one(variables, states, key, history)._replace(action=jnp.zeros(len(history)))
def one(variables, states, key, history, action=0, weight=1.0):
    wide = jnp.zeros((len(history), 9))
    flat = jnp.zeros(len(history))
    chosen = jnp.full(len(history), action)
    return SearchResult(chosen, wide.at[:, action].set(weight), wide, flat, wide, wide, flat)
def heavy(variables, states, key, history):
    return one(variables, states, key, history, 8, 2.0)
"""


@pytest.fixture
def slot_module(tmp_path, monkeypatch):
    (tmp_path / "slot_module.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("slot_module")
def test_a_function_of_ones_own_gets_the_game_the_network_and_the_search_that_it_names():
    states = jax.vmap(GAME.init)(jax.random.split(jax.random.key(0), 2))
    own, built_in = load("slot_module:plain"), load("search")
    assert own.on_device
    for got, wanted in zip(
        own(VARIABLES, states, jax.random.key(1)),
        built_in(VARIABLES, states, jax.random.key(1)),
        strict=True,
    ):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.usefixtures("slot_module")
@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("magic", "amplify must be search, policy, .*, got 'magic'"),
        ("player:", "got 'player:'"),
        ("nowhere:f", "amplify 'nowhere:f': there is no module 'nowhere'"),
        ("slot_module:f", "module 'slot_module' has no function 'f'"),
        ("slot_module:bare", r"called with \(variables, states, key, history\), but does not take"),
        ("slot_module:nothing", "must return a SearchResult, got NoneType"),
        ("slot_module:narrow", r"action_weights must have shape \(16, 9\), got \(16, 1\)"),
        ("slot_module:split", "action must be whole numbers, got float32"),
        ("slot_module:one", r"chose action 0, which is illegal; legal: \[[1-8, ]*\]"),
        ("slot_module:heavy", r"action_weights \[0.0, .*2.0\], no distribution over legal"),
    ],
)
def test_an_amplifier_that_cannot_work_is_refused_with_what_is_wrong(spec, sentence):
    with pytest.raises(ValueError, match=sentence):
        two_calls(load(spec))


@pytest.mark.usefixtures("slot_module")
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("value=f.value * jnp.nan", "'slot_module:spoilt' gives NaN or infinity"),
        pytest.param(
            "action_weights=f.action_weights * jnp.inf",
            "'slot_module:spoilt' gives NaN",
            marks=pytest.mark.slow,
        ),
        ("action=0 * f.action, action_weights=one_hot", "'slot_module:spoilt' chose an illegal"),
        pytest.param(
            "action_weights=2 * f.action_weights",
            "action_weights do not sum to 1",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_an_amplifier_on_the_device_spoils_is_told_by_its_name(tmp_path, change, sentence):
    (tmp_path / "slot_module.py").write_text(f"""
import jax.numpy as jnp
from mcts import search
def spoilt(variables, states, key, *, game, evaluate, search_config):
    f = search(game, evaluate, variables, states, key, search_config)
    one_hot = jnp.zeros_like(f.action_weights).at[:, 0].set(1.0)
    return f._replace({change})
spoilt.on_device = True
""")
    sys.modules.pop("slot_module", None)
    spec = "slot_module:spoilt"
    _, later = two_calls(load(spec))
    with pytest.raises(ValueError, match=sentence):
        non_finite.check_plies("tic_tac_toe", spec, later)
