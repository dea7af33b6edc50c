"""Subtree reuse: what is kept is what was there, and searching on from it is what Python does."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from games.tic_tac_toe import TicTacToe
from mcts import SearchConfig, empty_trees, keep, search_on
from mcts.policy import POLICIES
from mcts.tree import node_stats, unpack
from selfplay import self_play
from selfplay.config import SelfPlayConfig
from tests.oracles import search as oracles_search
from tests.support.positions import (
    evaluate,
    evaluate_one,
    quick_jit,
    random_positions,
    random_weights,
)
from tests.toys.tandem import Tandem

KEY = jax.random.key(0)
GUMBEL = SearchConfig(gumbel_scale=0.0, simulations=24, reuse_nodes=80)
PUCT = SearchConfig(policy="puct", dirichlet_fraction=0.0, simulations=24, reuse_nodes=80)


def make_ply(game, config, dtype="float32"):
    """Returns the compiled `ply(state, trees) -> (result, grown, kept, next state)`."""
    weights = [jnp.asarray(w, dtype) for w in random_weights(game)]

    def ply(state, trees):
        result, grown = search_on(game, evaluate, weights, state, KEY, config, trees)
        after = jax.vmap(game.step)(state, result.action)
        return result, grown, keep(grown, result.action, config), after

    return quick_jit(ply)


def states_of(tree):
    """Returns the states of tic-tac-toe that the nodes hold."""
    return unpack(tree.state, random_positions(TicTacToe(), 1, seed=0))


def lines(tree, batch, env):
    """Returns node numbers by the actions that lead there, of nodes that a search can pass."""
    paths = np.asarray(tree.path).reshape(-1, batch, tree.path.shape[1])[:, env]
    ended = np.asarray(states_of(tree).terminated).reshape(-1, batch)[:, env]
    actions = tree.edges.shape[-1]
    numbers = {}
    for number, path in enumerate(paths.tolist()):
        length = sum(edge >= 0 for edge in path)
        if (length or number == 0) and length < len(path) and not ended[number]:
            numbers[tuple(edge % actions for edge in path[:length])] = number
    return numbers


def check_leaves(tree, batch, config):
    """Asserts that every edge's cached leaf is where a walk from it ends."""
    actions = tree.edges.shape[-1]
    stats = node_stats(tree.edges, tree.node)
    best = np.asarray(POLICIES[config.policy].interior_action(config, stats)).reshape(-1, batch)
    leaf = np.asarray(tree.leaf).reshape(-1, batch, actions)
    for env in range(batch):
        numbers = lines(tree, batch, env)
        for line, number in numbers.items():
            for action in range(actions):
                at, step = line, action
                while (*at, step) in numbers:
                    at = (*at, step)
                    step = int(best[numbers[at], env])
                expected = numbers[at] * actions + step
                assert leaf[number, env, action] == expected, (env, line, action)


@pytest.mark.parametrize(
    "config",
    [
        dataclasses.replace(GUMBEL, proven=True),
        pytest.param(dataclasses.replace(GUMBEL, reuse_nodes=0, leaves=5), marks=pytest.mark.slow),
        pytest.param(dataclasses.replace(PUCT, reuse_nodes=4), marks=pytest.mark.slow),
        pytest.param(dataclasses.replace(PUCT, max_depth=3), marks=pytest.mark.slow),
    ],
)
def test_every_cached_leaf_is_where_a_walk_ends(config):
    game, batch = TicTacToe(), 12
    state = random_positions(game, batch, seed=1)
    ply = make_ply(game, config)
    _, grown, kept, after = ply(state, empty_trees(game, state, config))
    check_leaves(grown, batch, config)
    if config.reuse_nodes:
        check_leaves(kept, batch, config)
        check_leaves(ply(after, kept)[1], batch, config)


@pytest.mark.parametrize(
    "config",
    [
        dataclasses.replace(PUCT, reuse_nodes=6, proven=True),
        pytest.param(GUMBEL, marks=pytest.mark.slow),
    ],
)
def test_what_is_kept_equals_node_for_node_what_was_below_the_move(config):
    game, batch = TicTacToe(), 12
    state = random_positions(game, batch, seed=1)
    ply = make_ply(game, config)
    result, grown, kept, after = jax.tree.map(
        np.asarray, ply(state, empty_trees(game, state, config))
    )
    boards = [np.asarray(states_of(tree).board) for tree in (grown, kept)]
    most = 0
    for env in range(batch):
        old, new = lines(grown, batch, env), lines(kept, batch, env)
        action = int(result.action[env])
        below = {line[1:]: number for line, number in old.items() if line[:1] == (action,)}
        oldest = sorted(below, key=below.__getitem__)[: config.reuse_nodes + 1]
        assert set(new) == ({()} if after.terminated[env] else set(oldest)), env
        most = max(most, len(below))
        for line in oldest:
            old_row, new_row = below[line] * batch + env, new[line] * batch + env
            for field in ("edges", "node"):
                np.testing.assert_array_equal(
                    getattr(kept, field)[new_row], getattr(grown, field)[old_row]
                )
            np.testing.assert_array_equal(boards[1][new_row], boards[0][old_row])
    assert most > 7, "the positions show too little"


@pytest.mark.parametrize("config", [GUMBEL, PUCT], ids=lambda c: c.policy)
def test_searching_on_equals_a_plain_python_search_that_keeps_its_nodes(config):
    game, rules = Tandem(), oracles_search.Rules(oracles_search.TANDEM_LINES, double_moves=True)
    network = functools.partial(evaluate_one, random_weights(game))
    with jax.enable_x64(True):
        state = random_positions(game, 30, seed=4)
        ply = make_ply(game, config, "float64")
        trees, nodes = empty_trees(game, state, config), [None] * 30
        inherited = 0
        for number in range(3):
            result, _, trees, after = ply(state, trees)
            for env, board in enumerate(np.asarray(state.board).tolist()):
                if state.terminated[env]:
                    continue
                given = (rules, network, tuple(board), 24, config)
                inherited += sum(nodes[env].visits.values()) if nodes[env] else 0
                root, move = oracles_search.search(*given, 8, root=nodes[env])
                assert move in (None, result.action[env]), (number, board)
                visits = [root.visits.get(a, 0) for a in range(8)]
                assert result.visit_counts[env].tolist() == visits, (number, board)
                value, q = oracles_search.reported(root, config)
                assert result.value[env] == pytest.approx(value, abs=1e-12), board
                moves, values = map(list, (q, q.values()))
                assert result.q[env, jnp.array(moves)] == pytest.approx(values, abs=1e-12)
                nodes[env] = root.children.get(int(result.action[env]))
            state = after
    assert inherited > 100, "the positions show too little"


@pytest.mark.slow
def test_a_env_whose_game_ended_starts_the_next_one_with_an_empty_tree():
    """Without noise all games are alike, as long as none inherits from the one before."""
    game = TicTacToe()
    weights = [jnp.asarray(w, jnp.float32) for w in random_weights(game)]
    settings = SelfPlayConfig(batch=2, plies_per_call=20, temperature_plies=0)
    config = dataclasses.replace(GUMBEL, simulations=12)
    start = self_play.start(game, settings, KEY)
    play = self_play.make_play(game, evaluate, settings, config)
    _, played = play(weights, start, KEY)
    ends = np.flatnonzero(np.asarray(played.terminated)[:, 0])
    assert len(ends) >= 2
    length = int(ends[0]) + 1
    for field in (played.action, played.root_value, played.action_weights):
        np.testing.assert_array_equal(field[:length], field[length : 2 * length])
