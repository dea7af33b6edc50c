"""Self-play of tic-tac-toe by an amplifier, with a fixed network."""

import jax
import jax.numpy as jnp
import numpy as np

import games
from mcts import Evaluation, SearchConfig
from selfplay import self_play
from selfplay.config import SelfPlayConfig
from selfplay.recorder import Recorder

GAME = games.load("tic_tac_toe")


CONFIG = SelfPlayConfig(batch=16, plies_per_call=5, temperature_plies=3, random_opening_plies=3)


# Without noise: the devices draw keys of their own, the host one for all games.
SEARCH = SearchConfig(simulations=4, gumbel_scale=0.0)


VARIABLES = np.asarray(jax.random.normal(jax.random.key(5), (18, 9)))


def evaluate(variables, observation):
    """A fixed evaluation with untied logits."""
    flat = observation.reshape(observation.shape[0], -1).astype(jnp.float32)
    return Evaluation(flat @ variables, jnp.tanh(flat.sum(axis=1) - 2.0))


def two_calls(amplifier):
    """Returns the trajectories of two calls in a row."""
    play = self_play.make_amplified_play(GAME, amplifier, CONFIG)
    state = self_play.start(GAME, CONFIG, jax.random.key(0), not amplifier.on_device)
    found = []
    for number in range(2):
        state, trajectory = play(VARIABLES, state, jax.random.key(number + 1))
        found.append(jax.device_get(trajectory))
    return found


def moves_of(trajectories):
    """Returns each finished game's moves by its id."""
    recorder = Recorder()
    return {g.game_id: g.moves for t in trajectories for g in recorder.add(t, 0)[1]}
