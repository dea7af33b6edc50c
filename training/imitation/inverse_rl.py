"""Rewards inferred from an expert's play: what it seems to want, fitted to its moves alone.

A conditional logit (McFadden 1974), which is maximum entropy inverse reinforcement learning
(Ziebart et al. 2008) that looks one move ahead: of the positions that its legal moves lead to, the
expert chooses one with probability softmax(u), where u is a linear function of the position as the
seat to play observes it, counted against the expert if that is the other seat. A small model on
purpose; the games' results are not looked at.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game
from mcts import mask_illegal
from selfplay import positions
from selfplay.files.game_lines import GameRecord
from selfplay.recorder import Sample

CHUNK = 64  # games a step
STEPS, RATE, MOMENTUM, PENALTY = 400, 0.5, 0.9, 1e-4  # of gradient descent on the likelihood


def infer_values(game: Game[Any], records: Sequence[GameRecord], rows: Sample, seed: int) -> Sample:
    """Returns the examples with inferred values in place of results.

    Args:
      records: the games that `rows` are of, in their order, as `rows.rows_of` makes them.

    Returns:
      The examples, their `q` tanh(u) of each legal action, `outcome` and `root_value` the best of
      them.
    """
    histories = positions.pad_moves([record.moves for record in records])
    rng = np.random.default_rng(seed)
    weights = jnp.zeros(int(np.prod(game.observation_shape)))
    speed = jnp.zeros_like(weights)
    for _ in range(STEPS):
        drawn = histories[rng.integers(0, len(histories), CHUNK)]
        weights, speed = _step(game, weights, speed, drawn)
    q = np.concatenate([_judge_chunk(game, weights, chunk) for chunk in _chunks(histories)])
    q = q[: len(histories)][histories != positions.NO_ACTION]
    best = np.where(rows.legal_action_mask, q, -1.0).max(axis=1).astype(np.float32)
    return rows._replace(q=q.astype(np.float16), outcome=best, root_value=best)


def _chunks(histories: np.ndarray) -> list[np.ndarray]:
    """Returns chunks of one size, the last filled up with games without moves."""
    missing = -len(histories) % CHUNK
    filled = np.pad(histories, ((0, missing), (0, 0)), constant_values=positions.NO_ACTION)
    return np.split(filled, len(filled) // CHUNK)


@functools.partial(jax.jit, static_argnums=0)
def _step(
    game: Game[Any], weights: jax.Array, speed: jax.Array, history: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """One step of gradient descent on minus the mean log likelihood of the moves."""

    def loss(weights: jax.Array) -> jax.Array:
        utility, mask = _utilities(game, weights, history)
        log_p = jax.nn.log_softmax(mask_illegal(utility, mask))
        chosen = jnp.maximum(history, 0)[:, :, None]
        log_chosen = jnp.take_along_axis(log_p, chosen, axis=2)[:, :, 0]
        played = history != positions.NO_ACTION
        mean = jnp.where(played, log_chosen, 0.0).sum() / jnp.maximum(played.sum(), 1)
        return PENALTY * jnp.square(weights).sum() - mean

    speed = MOMENTUM * speed - RATE * (1 - MOMENTUM) * jax.grad(loss)(weights)
    return weights + speed, speed


@functools.partial(jax.jit, static_argnums=0)
def _judge_chunk(game: Game[Any], weights: jax.Array, history: jax.Array) -> jax.Array:
    """Returns float32[N, T, A], the value of each legal action, 0 for others."""
    utility, mask = _utilities(game, weights, history)
    return jnp.where(mask, jnp.tanh(utility), 0.0)


def _utilities(
    game: Game[Any], weights: jax.Array, history: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns u float32[N, T, A] of each action before each move, and the legal ones."""

    def utility(state: Any, action: jax.Array) -> jax.Array:
        after = game.step(state, action)
        seen = game.observe(after).reshape(-1).astype(jnp.float32)
        return jnp.where(after.to_play == state.to_play, 1.0, -1.0) * (seen @ weights)

    def look(state: Any) -> tuple[jax.Array, jax.Array]:
        each = jax.vmap(utility, (None, 0))(state, jnp.arange(game.num_actions))
        return each, state.legal_action_mask

    return positions.watch(game, history, look)[0]
