"""Positions and networks to try a search on, for any game."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from mcts import Evaluation


def quick_jit(function):
    """Compiles in half the time to code half as fast: tests compile much and run little."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


@functools.cache
def random_positions(game, count, seed, live=True):
    """Returns `count` positions (leaves `[count, ...]`) from random games; `live`: none ended."""

    def play(key):
        init_key, length_key, move_key = jax.random.split(key, 3)
        length = jax.random.randint(length_key, (), 0, game.max_plies)

        def ply(i, state):
            logits = jnp.where(state.legal_action_mask, 0.0, -1e9)
            action = jax.random.categorical(jax.random.fold_in(move_key, i), logits)
            after = game.step(state, action)
            go_on = (i < length) & ~(live & after.terminated)
            return jax.tree.map(lambda new, old: jnp.where(go_on, new, old), after, state)

        return jax.lax.fori_loop(0, game.max_plies, ply, game.init(init_key))

    with jax.enable_x64(False):  # the same positions whatever precision the caller tests
        return quick_jit(jax.vmap(play))(jax.random.split(jax.random.key(seed), count))


def random_weights(game, seed=3):
    """Returns float64 weights of a linear policy and a tanh value; no two actions tie."""
    rng = np.random.default_rng(seed)
    inputs = int(np.prod(game.observation_shape))
    scale = np.sqrt(8 / inputs)
    policy = rng.standard_normal((inputs, game.num_actions)) * scale
    bias = rng.standard_normal(game.num_actions) * 0.3
    return policy, bias, rng.standard_normal(inputs) * scale / 2


def evaluate(weights, observation):
    """The network of `random_weights` in the weights' precision, on a batch."""
    policy, bias, value = weights
    flat = observation.reshape(observation.shape[0], -1).astype(policy.dtype)
    return Evaluation(flat @ policy + bias[None], jnp.tanh(flat @ value))


def evaluate_one(weights, observation):
    """The same in NumPy, on one flat observation."""
    policy, bias, value = weights
    return observation @ policy + bias, float(np.tanh(observation @ value))
