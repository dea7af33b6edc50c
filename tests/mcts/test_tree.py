"""The batched tree against mctx, and against searches in plain Python."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from games.tic_tac_toe import TicTacToe
from mcts import SearchConfig, paths, search, tree_bytes
from tests.oracles import search as oracles_search
from tests.support.positions import (
    evaluate,
    evaluate_one,
    quick_jit,
    random_positions,
    random_weights,
)
from tests.toys.tandem import Tandem

PUCT = SearchConfig(policy="puct")
GUMBEL = SearchConfig(policy="gumbel")


def run(game, weights, state, config, dtype, seed=5):
    weights = [jnp.asarray(w, dtype) for w in weights]
    searched = quick_jit(lambda w, s: search(game, evaluate, w, s, jax.random.key(seed), config))
    return jax.tree.map(np.asarray, searched(weights, state))


def compare_with_mctx(game, config, dtype, count, seed=0):
    """Asserts equality in float64, and in float32 for at least 99% of the roots."""
    weights = random_weights(game)
    state = random_positions(game, count, seed)
    ours = run(game, weights, state, config, dtype)
    theirs = run(game, weights, state, dataclasses.replace(config, engine="mctx"), dtype)
    same = (ours.visit_counts == theirs.visit_counts).all(axis=1)
    exact = dtype == jnp.float64
    differing = np.flatnonzero(~same)
    assert same.all() if exact else same.mean() >= 0.99, (config, differing)
    atol = 1e-12 if exact else 1e-5
    assert (ours.action == theirs.action)[same].mean() >= (1.0 if exact else 0.99)
    np.testing.assert_allclose(ours.value[same], theirs.value[same], atol=atol)
    np.testing.assert_allclose(ours.q[same], theirs.q[same], atol=atol)
    np.testing.assert_allclose(ours.prior, theirs.prior, atol=atol)
    np.testing.assert_allclose(ours.action_weights[same], theirs.action_weights[same], atol=atol)


def in_precision(precision):
    return jax.enable_x64(precision == jnp.float64)


@pytest.mark.parametrize("config", [GUMBEL, PUCT], ids=lambda c: c.policy)
@pytest.mark.parametrize(
    ("name", "precision"),
    [
        pytest.param("tic_tac_toe", "float32", marks=pytest.mark.slow),
        ("connect_four", "float64"),
    ],
)
def test_equals_mctx_with_the_same_noise(name, config, precision):
    precision = jnp.dtype(precision)
    with in_precision(precision):
        compare_with_mctx(games.load(name), config, precision, count=300)


# Settings away from the defaults, each on one game, simulation count and depth.
VARIANTS = [
    ("tic_tac_toe", 1, GUMBEL),
    ("tic_tac_toe", 2, dataclasses.replace(GUMBEL, mixed_value=False)),
    ("connect_four", 7, dataclasses.replace(GUMBEL, rescale_values=True, c_scale=0.1)),
    ("connect_four", 64, dataclasses.replace(GUMBEL, max_depth=3, max_considered_actions=4)),
    ("tic_tac_toe", 7, dataclasses.replace(PUCT, q_transform="min_max", dirichlet_fraction=0.0)),
    ("connect_four", 64, dataclasses.replace(PUCT, q_transform="plain", max_depth=4)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "simulations", "config"), VARIANTS)
def test_equals_mctx_in_every_setting_that_both_have(name, simulations, config):
    config = dataclasses.replace(config, simulations=simulations)
    with in_precision(jnp.float64):
        compare_with_mctx(games.load(name), config, jnp.dtype("float64"), count=100, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("config", [GUMBEL, PUCT], ids=lambda c: c.policy)
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("simulations", [2, 50, 200])
@pytest.mark.parametrize("name", games.names())
def test_equals_mctx_on_every_game(name, simulations, config, precision):
    config = dataclasses.replace(config, simulations=simulations)
    precision = jnp.dtype(precision)
    with in_precision(precision):
        compare_with_mctx(games.load(name), config, precision, count=200, seed=2)


ORACLE_RULES = {
    "tic_tac_toe": (TicTacToe(), oracles_search.Rules(oracles_search.TIC_TAC_TOE_LINES, False)),
    "tandem": (Tandem(), oracles_search.Rules(oracles_search.TANDEM_LINES, True)),
}
QUIET_GUMBEL = dataclasses.replace(GUMBEL, gumbel_scale=0.0)
QUIET_PUCT = dataclasses.replace(PUCT, dirichlet_fraction=0.0)
ORACLE_CASES = [
    ("tandem", QUIET_GUMBEL),
    ("tandem", dataclasses.replace(QUIET_PUCT, q_transform="plain", fpu="zero")),
    ("tic_tac_toe", dataclasses.replace(QUIET_PUCT, fpu="parent", max_depth=4)),
    *[
        pytest.param(name, config, marks=pytest.mark.slow)
        for name, config in [
            ("tandem", QUIET_PUCT),
            ("tandem", dataclasses.replace(QUIET_PUCT, fpu="zero", max_depth=4)),
            ("tandem", dataclasses.replace(QUIET_PUCT, q_transform="min_max", fpu="parent")),
            ("tic_tac_toe", QUIET_GUMBEL),
            ("tic_tac_toe", dataclasses.replace(QUIET_GUMBEL, max_considered_actions=4)),
            ("tic_tac_toe", dataclasses.replace(QUIET_GUMBEL, max_depth=3, mixed_value=False)),
        ]
    ],
]


@pytest.mark.parametrize(("name", "config"), ORACLE_CASES)
def test_equals_a_search_in_plain_python_where_games_end_and_seats_move_twice(name, config):
    game, rules = ORACLE_RULES[name]
    config = dataclasses.replace(config, simulations=48)
    weights = random_weights(game)
    network = functools.partial(evaluate_one, weights)
    with in_precision(jnp.float64):
        state = random_positions(game, 40, seed=4)
        ours = run(game, weights, state, config, jnp.dtype("float64"))
    for env, board in enumerate(np.asarray(state.board).tolist()):
        board, depth = tuple(board), config.depth(game.max_plies)
        root, move = oracles_search.search(
            rules, network, board, 48, config, game.num_actions, depth
        )
        assert move in (None, ours.action[env]), (board, ours.visit_counts[env])
        expected = [root.visits.get(a, 0) for a in range(game.num_actions)]
        assert ours.visit_counts[env].tolist() == expected, board
        value, q = oracles_search.reported(root, config)
        assert ours.value[env] == pytest.approx(value, abs=1e-12), board
        assert ours.q[env][list(q)].tolist() == pytest.approx(list(q.values()), abs=1e-12)


@pytest.mark.parametrize(
    "config", [GUMBEL, pytest.param(PUCT, marks=pytest.mark.slow)], ids=lambda c: c.policy
)
def test_the_form_for_accelerators_gives_the_same_numbers(config, monkeypatch):
    game = Tandem()
    weights, state = random_weights(game), random_positions(game, 64, seed=6)
    on_cpu = run(game, weights, state, config, jnp.dtype("float32"))
    other = lambda *given, cpu, default: default(*given)  # noqa: E731
    monkeypatch.setattr(jax.lax, "platform_dependent", other)
    elsewhere = run(game, weights, state, config, jnp.dtype("float32"))
    jax.tree.map(np.testing.assert_array_equal, elsewhere, on_cpu)


@pytest.mark.parametrize("width", [1, 31, 32, 33, 70])
def test_next_true_finds_what_a_walk_finds(width):
    flags = np.random.default_rng(width).random((50, width)) < 0.1
    env, column = np.divmod(np.arange(50 * (width + 1)), width + 1)  # also the one behind all
    words = paths.to_words(jnp.asarray(flags))
    columns = np.asarray(paths.next_true(words, jnp.asarray(env), jnp.asarray(column), width))
    columns = columns.reshape(50, width + 1)
    for row, got in zip(flags, columns, strict=True):
        expected = [next((j for j in range(i, width) if row[j]), width) for i in range(width + 1)]
        assert got.tolist() == expected, row


def test_tree_bytes_counts_the_allocated_arrays():
    """Tandem, two games of 33 nodes, by hand: the state, then what the tree adds."""
    state = 8 + 1 + 8 + 1 + 1
    path, node, edges, leaf = 8 * 2, 2 * 4, 3 * 8 * 4, 8 * 2  # edge numbers to 33 * 8 take int16
    plain, bounds = state + path + node + edges + leaf, 2 * 8 * 4
    assert tree_bytes(Tandem(), GUMBEL, batch=2) == 2 * 33 * plain
    proven = dataclasses.replace(GUMBEL, proven=True)
    assert tree_bytes(Tandem(), proven, batch=2) == 2 * 33 * (plain + bounds)
    reusing = dataclasses.replace(
        GUMBEL, reuse_nodes=10
    )  # the trees, and what was kept of the last
    assert tree_bytes(Tandem(), reusing, batch=2) == 2 * (33 + 10 + 11) * plain


def test_refuses_more_edges_than_int32_counts():
    game = games.load("go:size=19")
    config = dataclasses.replace(PUCT, simulations=800)
    assert tree_bytes(game, config, batch=7000) > 2**34
    with pytest.raises(ValueError, match="lower the batch to 7406 "):
        tree_bytes(game, config, batch=8192)
