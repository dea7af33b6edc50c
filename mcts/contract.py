"""The contract of a search: its evaluation function, inputs and results.

Viewpoint: a value is the expected return in [-1, 1] for the seat to play at that node; it changes
sign when the turn passes, which in some games is not every ply.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from games.game import Game, S

Variables: TypeAlias = Any  # what a network is evaluated with; any pytree


class Evaluation(NamedTuple):
    """What a network says of B positions."""

    prior_logits: jax.Array  # float32[B, A]; those of illegal actions are ignored
    value: jax.Array  # float32[B], in [-1, 1], for the seat to play


Evaluate: TypeAlias = Callable[[Variables, jax.Array], Evaluation]


class SearchResult(NamedTuple):
    """The results of B searches. At a terminated root all fields are meaningless, but finite."""

    action: jax.Array  # int32[B], the action to play
    action_weights: jax.Array  # float32[B, A], the policy target: sums to 1, 0 on illegal actions
    visit_counts: jax.Array  # int32[B, A]
    # The searched value of the root, float32[B]. Gumbel: under the improved policy. PUCT: the mean
    # over all visits.
    value: jax.Array
    # The searched value of each action, float32[B, A]. Where there was no visit, Gumbel: what the
    # target took for it, see `gumbel.completed_q`. PUCT: the root's.
    q: jax.Array
    prior: jax.Array  # float32[B, A], the network's policy over legal actions, without noise
    raw_value: jax.Array  # float32[B], the network's value of the root


def evaluate_states(
    game: Game[S], evaluate: Evaluate, variables: Variables, state: S, symmetries: bool = False
) -> Evaluation:
    """Returns the evaluation of B positions: masked logits, and the result where a game has ended.

    Args:
      symmetries: whether to average the network's policy and value over the game's symmetries.
    """
    if symmetries:
        evaluation = _average(game, evaluate, variables, state)
    else:
        evaluation = evaluate(variables, jax.vmap(game.observe)(state))
    returns = jax.vmap(game.returns)(state).astype(evaluation.value.dtype)
    result = jnp.where(state.to_play == 0, returns[:, 0], returns[:, 1])
    return Evaluation(
        prior_logits=mask_illegal(evaluation.prior_logits, state.legal_action_mask),
        # `where`, for what a network says of a finished position may even be NaN.
        value=jnp.where(state.terminated, result, evaluation.value),
    )


def _average(game: Game[S], evaluate: Evaluate, variables: Variables, state: S) -> Evaluation:
    """Returns the mean evaluation over all images of the positions, made as one batch."""
    # All images of all positions, as one batch for the network.
    symmetries = game.symmetries()
    observation, legal = jax.vmap(game.observe)(state), state.legal_action_mask
    cells = observation.reshape(len(observation), -1, observation.shape[-1])
    images = jnp.concatenate([cells[:, s.observation] for s in symmetries])
    evaluation = evaluate(variables, images.reshape(-1, *observation.shape[1:]))
    logits = evaluation.prior_logits.reshape(len(symmetries), *legal.shape)
    # Turn each policy back to the board as it is, and average.
    back = [s.inverse().on_actions(x) for s, x in zip(symmetries, logits, strict=True)]
    policy = jax.nn.softmax(mask_illegal(jnp.stack(back), jnp.stack([legal] * len(back))))
    mean = jnp.log(jnp.maximum(policy.mean(axis=0), jnp.finfo(policy.dtype).tiny))
    return Evaluation(mean, evaluation.value.reshape(len(symmetries), -1).mean(axis=0))


def win_draw_loss(value: jax.Array, draw: jax.Array) -> jax.Array:
    """Returns float32[..., 3], probabilities of win, draw and loss with this value, in this order.

    A value is win less loss. Near 1 or -1 it leaves no room for draws: of `draw`, a probability,
    1 - |value| is the most that counts.
    """
    value = jnp.clip(value, -1, 1)
    draw = jnp.clip(draw, 0, 1 - jnp.abs(value))
    return jnp.stack([(1 - draw + value) / 2, draw, (1 - draw - value) / 2], axis=-1)


def mask_illegal(logits: jax.Array, legal_action_mask: jax.Array) -> jax.Array:
    """Returns float[..., A]: the largest legal logit 0, illegal ones the least finite number.

    The maximum is subtracted first, so that no legal logit can fall below an illegal one. Illegal
    ones are not -inf, because a softmax over a finished position, which has no legal action, would
    be NaN.
    """
    least = jnp.finfo(logits.dtype).min
    legal = jnp.where(legal_action_mask, logits, least)
    return jnp.where(legal_action_mask, logits - legal.max(axis=-1, keepdims=True), least)
