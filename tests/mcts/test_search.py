"""Properties of the search: what it must get right whatever the network says."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

import games
from games.tic_tac_toe import TicTacToe
from mcts import Evaluation, SearchConfig, search
from tests.oracles import search as oracles_search
from tests.support.positions import evaluate, quick_jit, random_positions, random_weights
from tests.toys.tandem import Tandem

KEY = jax.random.PRNGKey(0)
GUMBEL = SearchConfig(gumbel_scale=0.0)
PUCT = SearchConfig(policy="puct", dirichlet_fraction=0.0)
POLICIES = pytest.mark.parametrize("config", [GUMBEL, PUCT], ids=lambda c: c.policy)


def uniform(variables, observation):
    del variables
    batch = observation.shape[0]
    return Evaluation(jnp.zeros((batch, variables_actions(observation))), jnp.zeros(batch))


def variables_actions(observation):
    return observation.shape[1] * observation.shape[2]  # our toy games: an action per cell


def boards_of(state):
    return [tuple(board) for board in np.asarray(state.board).tolist()]


def states_at(game, boards):
    """Returns a batch of states of `game` with the given boards, by playing their stones."""
    seat_of = oracles_search.Rules((), isinstance(game, Tandem)).seat

    def replay(board):
        stones = [list(np.flatnonzero(np.equal(board, seat))) for seat in (0, 1)]
        moves, so_far = [], (-1,) * len(board)
        while any(stones):
            moves.append(stones[seat_of(so_far)].pop())
            so_far = (*so_far[: moves[-1]], seat_of(so_far), *so_far[moves[-1] + 1 :])
        return moves + [-1] * (game.max_plies - len(moves))

    def play(moves):
        step = lambda i, s: jax.tree.map(  # noqa: E731
            lambda new, old: jnp.where(moves[i] >= 0, new, old), game.step(s, moves[i]), s
        )
        return jax.lax.fori_loop(0, game.max_plies, step, game.init(KEY))

    return quick_jit(jax.vmap(play))(jnp.array([replay(board) for board in boards]))


def reachable(rules, cells):
    """Returns all boards where play goes on."""
    level, boards = {(-1,) * cells}, []
    while level:
        live = [board for board in level if rules.result(board) is None]
        boards += live
        level = {rules.play(board, cell) for board in live for cell in rules.moves(board)}
    return sorted(boards)


@POLICIES
def test_tic_tac_toe_wins_in_one_blocks_a_lone_threat_and_is_nearly_optimal(config):
    rules = oracles_search.Rules(oracles_search.TIC_TAC_TOE_LINES, double_moves=False)
    boards = reachable(rules, 9)[::4]
    assert len(boards) == 1130
    game, memo = TicTacToe(), {}
    config = dataclasses.replace(config, simulations=128)
    state = states_at(game, boards)
    result = quick_jit(lambda s: search(game, uniform, (), s, KEY, config))(state)
    illegal = np.array(boards) >= 0
    np.testing.assert_array_equal(np.asarray(result.action_weights)[illegal], 0.0)
    np.testing.assert_array_equal(np.asarray(result.visit_counts)[illegal], 0)
    np.testing.assert_array_equal(result.visit_counts.sum(axis=1), 128)
    np.testing.assert_allclose(result.action_weights.sum(axis=1), 1.0, atol=1e-5)
    optimal = 0
    for board, action in zip(boards, result.action.tolist(), strict=True):
        seat = rules.seat(board)
        place = lambda c, s: (*board[:c], s, *board[c + 1 :])  # noqa: B023, E731
        wins = [c for c in rules.moves(board) if rules.winner(place(c, seat)) is not None]
        threats = [c for c in rules.moves(board) if rules.winner(place(c, 1 - seat)) is not None]
        if wins:
            assert action in wins, (board, seat)
        elif len(threats) == 1:
            assert action in threats, (board, seat)
        best = rules.negamax(board, memo)
        optimal += rules.negamax(rules.play(board, action), memo) == best
    assert optimal / len(boards) > 0.98


@POLICIES
def test_double_moves_are_credited_to_the_seat_that_made_them(config):
    rules = oracles_search.Rules(oracles_search.TANDEM_LINES, double_moves=True)
    memo: dict = {}
    boards = reachable(rules, 8)
    # Decided by who sees further: some move keeps the win, some move loses it.
    boards = [
        board
        for board in boards
        if len({rules.negamax(rules.play(board, c), memo) for c in rules.moves(board)}) > 1
    ][::5]
    game = Tandem()
    config = dataclasses.replace(config, simulations=400, max_considered_actions=8)
    result = quick_jit(lambda s: search(game, uniform, (), s, KEY, config))(states_at(game, boards))
    agreed = signs = decided = 0
    for env, board in enumerate(boards):
        best = rules.negamax(board, memo)
        agreed += rules.negamax(rules.play(board, int(result.action[env])), memo) == best
        decided += best != 0
        signs += best * (1 if rules.seat(board) == 0 else -1) * float(result.value[env]) > 0
    assert agreed / len(boards) > 0.98, (agreed, len(boards))
    assert signs / decided > 0.85, (signs, decided)


def opinionated(of_finished, variables, observation):
    """The random network, but at won tic-tac-toe boards `of_finished`."""
    lines = np.array(oracles_search.TIC_TAC_TOE_LINES)
    cells = observation.reshape(observation.shape[0], 9, 2)
    won = cells[:, lines].all(axis=2).any(axis=(1, 2)) | cells.any(axis=2).all(axis=1)
    evaluation = evaluate(variables, observation)
    logits = jnp.where(won[:, None], of_finished, evaluation.prior_logits)
    return Evaluation(logits, jnp.where(won, of_finished, evaluation.value))


@POLICIES
def test_the_networks_opinion_of_a_finished_position_never_matters(config):
    game = TicTacToe()
    state = random_positions(game, 100, seed=1, live=False)  # some roots have ended too
    assert state.terminated.any()
    weights = [jnp.asarray(w, jnp.float32) for w in random_weights(game)]

    def run(of_finished):
        network = functools.partial(opinionated, of_finished)
        return search(game, network, weights, state, KEY, config)

    run = quick_jit(run)
    expected = run(0.0)
    for field, values in expected._asdict().items():
        assert np.isfinite(values).all(), field
    for of_finished in (jnp.nan, jnp.inf, -3.0):
        jax.tree.map(np.testing.assert_array_equal, run(of_finished), expected)


@POLICIES
def test_envs_do_not_touch_each_other(config):
    game = games.load("connect_four")
    weights = [jnp.asarray(w, jnp.float32) for w in random_weights(game)]
    run = quick_jit(lambda s: search(game, evaluate, weights, s, KEY, config))
    state, others = random_positions(game, 64, seed=2), random_positions(game, 64, seed=3)
    expected = run(state)
    order = np.random.default_rng(0).permutation(64)
    mixed = jax.tree.map(lambda x, y: jnp.concatenate([x[:32], y[32:]])[order], state, others)
    result = jax.tree.map(lambda x: x[np.argsort(order)][:32], run(mixed))
    np.testing.assert_array_equal(result.visit_counts, expected.visit_counts[:32])
    np.testing.assert_array_equal(result.action, expected.action[:32])
    np.testing.assert_allclose(result.value, expected.value[:32], atol=1e-6)


@pytest.mark.parametrize(
    "config",
    [
        SearchConfig(policy="puct", simulations=60, q_transform="plain", fpu="zero"),
        pytest.param(SearchConfig(simulations=60), marks=pytest.mark.slow),
        pytest.param(SearchConfig(policy="puct", simulations=60), marks=pytest.mark.slow),
        pytest.param(
            SearchConfig(policy="puct", simulations=60, fpu="parent"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_no_illegal_action_is_ever_stepped_along(config):
    """Inside the tree too: in this game every illegal action ends the game in NaN."""
    game = TicTacToe()

    class Poisoned:
        num_actions, max_plies = game.num_actions, game.max_plies
        observation_shape = game.observation_shape
        observe = staticmethod(game.observe)

        @staticmethod
        def step(state, action):
            after = game.step(state, action)
            legal = state.legal_action_mask[action] | state.terminated
            return after._replace(
                winner=jnp.where(legal, after.winner, jnp.int8(99)),
                terminated=after.terminated | ~legal,
            )

        @staticmethod
        def returns(state):
            return jnp.where(state.winner == 99, jnp.nan, game.returns(state))

    # Every move seems to lose, so that an unvisited illegal action of value 0 looks good.
    def watched(weights, observation):
        evaluation = evaluate(weights, observation)
        return Evaluation(3 * evaluation.prior_logits, 0.9 + 0.1 * evaluation.value)

    weights = [jnp.asarray(w, jnp.float32) for w in random_weights(game)]
    state = random_positions(game, 100, seed=7)
    poisoned = quick_jit(lambda s: search(Poisoned(), watched, weights, s, KEY, config))(state)
    plain = quick_jit(lambda s: search(game, watched, weights, s, KEY, config))(state)
    np.testing.assert_array_equal(poisoned.visit_counts, plain.visit_counts)
    # Two programs: a compiler may round their last digits apart, but NaN it cannot lose.
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5), poisoned, plain)
    assert np.asarray(plain.visit_counts)[~np.asarray(state.legal_action_mask)].sum() == 0
    np.testing.assert_array_equal(plain.visit_counts.sum(axis=1), 60)


@pytest.mark.parametrize("batch", [1, 3])
def test_one_simulation_and_forced_moves_give_a_legal_answer(batch):
    game = TicTacToe()
    boards = [(0, 1, 0, 0, 1, 1, 1, 0, -1), (0, 1, 0, 1, 0, 0, -1, -1, 1), (-1,) * 9][:batch]
    state = states_at(game, boards)
    config = SearchConfig(simulations=1)
    result = quick_jit(lambda s: search(game, uniform, (), s, KEY, config))(state)
    assert result.visit_counts.sum(axis=1).tolist() == [1] * batch
    assert result.action.tolist()[0] == 8
    assert result.value[0] == 0.0  # the last cell draws
    for board, action in zip(boards, result.action.tolist(), strict=True):
        assert board[action] == -1, board


def test_runs_in_a_shard_map_with_donated_roots():
    game = TicTacToe()
    mesh = Mesh(np.array(jax.devices()[:1]), ("data",))
    split = PartitionSpec("data")
    weights = [jnp.asarray(w, jnp.float32) for w in random_weights(game)]
    state = random_positions(game, 8, seed=8)
    config = SearchConfig(simulations=8, gumbel_scale=0.0)
    plain = quick_jit(lambda s: search(game, evaluate, weights, s, KEY, config))
    expected = plain(state)
    sharded = jax.shard_map(
        lambda w, s: search(game, evaluate, w, s, KEY, config),
        mesh=mesh,
        in_specs=(PartitionSpec(), split),
        out_specs=split,
    )
    donated = jax.tree.map(jnp.copy, state)
    # Compiled with the arguments donated, as self-play does; only what can be reused is.
    result = jax.jit(lambda s: (sharded(weights, s), s), donate_argnums=0)(donated)[0]
    np.testing.assert_array_equal(result.visit_counts, expected.visit_counts)


def test_the_tree_is_written_in_place():
    """No instruction of the compiled loop copies a whole array of the tree."""
    game = games.load("connect_four")
    weights = [jnp.asarray(w, jnp.float32) for w in random_weights(game)]
    state = random_positions(game, 64, seed=2)
    config = SearchConfig(simulations=40)
    run = jax.jit(lambda s: search(game, evaluate, weights, s, KEY, config))
    text = run.lower(state).compile().as_text()
    rows = 41 * 64
    arrays = rf"= \w+\[({rows}|{rows * 7})\b[^ ]* copy\("
    assert re.search(rf"\w+\[{rows},", text), "the test looks for the wrong shape"
    assert not re.findall(arrays, text)


def test_refuses_a_root_without_a_batch_axis():
    game = TicTacToe()
    with pytest.raises(ValueError, match="batch of roots"):
        search(game, uniform, (), game.init(KEY), KEY, SearchConfig())


def test_every_problem_of_a_config_is_named():
    bad = SearchConfig(simulations=0, engine="mctx", fpu="zero", max_depth=-1)
    assert len(bad.problems()) == 3
    assert not SearchConfig().problems()


@pytest.mark.parametrize("engine", ["tree", "mctx"])
def test_a_sure_win_beside_losses_is_worth_a_win(engine):
    """Seat 0 to play wins at once; sequential halving looks at each of its other moves as often."""
    state = states_at(TicTacToe(), [(0, 0, -1, 1, 1, -1, -1, -1, -1)])
    config = dataclasses.replace(GUMBEL, simulations=16, engine=engine)
    result = quick_jit(lambda s: search(TicTacToe(), uniform, (), s, KEY, config))(state)
    assert result.action[0] == 2
    assert result.value[0] > 0.99
    assert (result.visit_counts[0] > 0).sum() == 5, "the other moves were visited too"
