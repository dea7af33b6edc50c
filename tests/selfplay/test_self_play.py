"""Self-play: what it writes down is what the rules say happened."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from mcts import Evaluation, SearchConfig
from selfplay import self_play
from selfplay.config import SelfPlayConfig
from selfplay.recorder import Recorder

GAME = games.load("tic_tac_toe")
CONFIG = SelfPlayConfig(batch=16, plies_per_call=7, temperature_plies=3, random_opening_plies=3)
SEARCH = SearchConfig(simulations=4)


def evaluate(variables, observation):
    """A fixed evaluation with untied logits."""
    flat = observation.reshape(observation.shape[0], -1).astype(jnp.float32)
    return Evaluation(flat @ variables, jnp.tanh(flat.sum(axis=1) - 2.0))


@pytest.fixture(scope="module")
def calls():
    """Three calls in a row: the state before each, and its trajectory."""
    play = self_play.make_play(GAME, evaluate, CONFIG, SEARCH)
    variables = jax.random.normal(jax.random.key(5), (18, 9))
    state, found = self_play.start(GAME, CONFIG, jax.random.key(0)), []
    for number in range(3):
        after, trajectory = play(variables, state, jax.random.key(number + 1))
        found.append((jax.device_get(state), jax.device_get(trajectory)))
        state = after
    assert play._cache_size() == 1, "play was compiled again"
    return found


def test_recorded_games_replay_move_by_move_to_the_recorded_result(calls):
    recorder, games_seen, samples_seen = Recorder(), 0, 0
    step = jax.jit(GAME.step)
    for number, (_, trajectory) in enumerate(calls):
        sample, finished = recorder.add(trajectory, number)
        for game in finished:
            state = GAME.init(jax.random.key(0))
            examples = np.flatnonzero(sample.game_id == game.game_id)
            for ply, action in enumerate(game.moves):
                assert state.legal_action_mask[action], (game, ply)
                at = examples[sample.ply[examples] == ply]
                if len(at):  # not a ply of the random opening
                    (example,) = at
                    np.testing.assert_array_equal(sample.observation[example], GAME.observe(state))
                    np.testing.assert_array_equal(
                        sample.legal_action_mask[example], state.legal_action_mask
                    )
                    assert sample.action[example] == action
                    assert sample.outcome[example] == game.returns[int(state.to_play)]
                    samples_seen += 1
                state = step(state, action)
            assert bool(state.terminated)
            np.testing.assert_array_equal(GAME.returns(state), game.returns)
            games_seen += 1
    assert games_seen > 20
    assert samples_seen > 3 * games_seen


def test_unfinished_games_carry_over_and_ended_envs_start_anew(calls):
    for (_, trajectory), (later, _) in itertools.pairwise(calls):
        ended = trajectory.terminated[-1]
        went_on = ~ended
        np.testing.assert_array_equal(later.ply[went_on], trajectory.ply[-1][went_on] + 1)
        assert (later.ply[ended] <= CONFIG.random_opening_plies).all()
        np.testing.assert_array_equal(later.game_number, trajectory.game_number[-1] + ended)
        assert not later.game.terminated.any()


def test_random_openings_vary_in_length_and_never_end_a_game(calls):
    lengths = [(trajectory.opening >= 0).sum(-1) for _, trajectory in calls]
    assert set(np.unique(lengths)) == {0, 1, 2, 3}
    longest = SelfPlayConfig(batch=64, random_opening_plies=9)  # most games would be over
    assert not self_play.start(GAME, longest, jax.random.key(0)).game.terminated.any()


def test_games_that_begin_in_a_call_have_openings_of_their_own():
    config = SelfPlayConfig(batch=64, plies_per_call=12, random_opening_plies=5)
    play = self_play.make_play(GAME, evaluate, config, SearchConfig(simulations=2))
    variables, state = jnp.zeros((18, 9)), self_play.start(GAME, config, jax.random.key(0))
    _, trajectory = jax.device_get(play(variables, state, jax.random.key(1)))
    begun = np.diff(trajectory.game_number, axis=0) == 1
    openings = trajectory.opening[1:][begun]
    long = openings[(openings >= 0).sum(axis=1) >= 4]  # of which two are seldom the same by chance
    assert len(long) > 30
    assert len(np.unique(long, axis=0)) > 0.9 * len(long)


def test_policy_targets_are_distributions_over_legal_actions(calls):
    for _, trajectory in calls:
        np.testing.assert_allclose(trajectory.action_weights.sum(-1), 1.0, atol=5e-3)
        assert (trajectory.action_weights[~np.asarray(trajectory.legal_action_mask)] == 0).all()
        assert (trajectory.kl > -1e-3).all()
        assert (trajectory.entropy >= 0).all()


def test_after_the_temperature_plies_the_searchs_own_action_is_played():
    config = SelfPlayConfig(batch=16, plies_per_call=1, temperature_plies=0)
    quiet = SearchConfig(simulations=4, gumbel_scale=0.0)
    play = self_play.make_play(GAME, evaluate, config, quiet)
    variables = jax.random.normal(jax.random.key(5), (18, 9))
    state = self_play.start(GAME, config, jax.random.key(0))
    _, trajectory = play(variables, state, jax.random.key(1))
    assert len(np.unique(trajectory.action)) == 1  # one opening, no noise: one move
    warm = SelfPlayConfig(batch=16, plies_per_call=1, temperature_plies=1, temperature=5.0)
    _, drawn = self_play.make_play(GAME, evaluate, warm, quiet)(variables, state, jax.random.key(1))
    assert len(np.unique(drawn.action)) > 3


def test_first_moves_are_drawn_in_proportion_to_weights_to_the_power_of_one_over_temperature():
    config = SelfPlayConfig(batch=4096, plies_per_call=1, temperature_plies=1, temperature=0.5)
    search = SearchConfig(simulations=4, gumbel_scale=0.0, c_scale=0.01)  # near the prior
    variables = (jnp.zeros((18, 9)), jnp.linspace(0.0, 2.0, 9))

    def fixed(variables, observation):
        cells, bias = variables
        flat = observation.reshape(len(observation), -1).astype(jnp.float32)
        return Evaluation(flat @ cells + bias[None], jnp.zeros(len(observation)))

    state = self_play.start(GAME, config, jax.random.key(0))
    play = self_play.make_play(GAME, fixed, config, search)
    _, drawn = play(variables, state, jax.random.key(1))
    power = np.asarray(drawn.action_weights[0, 0], float) ** 2
    shares = np.bincount(np.asarray(drawn.action[0]), minlength=9) / config.batch
    np.testing.assert_allclose(shares, power / power.sum(), atol=0.03)
    assert np.sort(power / power.sum())[-3] > 0.1  # so that it tells one power from another


def test_a_batch_that_does_not_divide_by_the_devices_is_refused():
    if jax.device_count() < 2:
        pytest.skip("one device divides everything")
    with pytest.raises(ValueError, match=r"multiple of the \d+ devices, got 17"):
        self_play.start(GAME, SelfPlayConfig(batch=17), jax.random.key(0))


def test_games_have_the_same_numbers_whichever_process_plays_them(calls):
    whole, parts = Recorder(), [Recorder(None, first, CONFIG.batch) for first in (0, 8)]
    for _, trajectory in calls:
        shares = [jax.tree.map(lambda x, at=at: x[:, at : at + 8], trajectory) for at in (0, 8)]
        found = [part.add(share, 0)[1] for part, share in zip(parts, shares, strict=True)]
        together = {game.game_id: game for games in found for game in games}
        assert together == {game.game_id: game for game in whole.add(trajectory, 0)[1]}
