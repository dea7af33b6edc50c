"""Distil: what the network learns from a batch, one small loss each, in one slot.

`loss(predicted, batch, value_target) -> (policy_loss, value_loss)`, float32[M] each, a row's own
loss in it; the learner takes the weighted means and adds them. `predicted.prior_logits` is
float32[M, A] with illegal actions masked out, `predicted.value` float32[M]; `value_target` is
float32[M], the game's outcome mixed with the root value as `learner.root_value_weight` says.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

import games
from mcts import Evaluation


class Minibatch(NamedTuple):
    """The fields of M replay rows that training needs."""

    observation: jax.Array  # bool[M, H, W, C]
    legal_action_mask: jax.Array  # bool[M, A]
    policy_target: jax.Array  # float16[M, A]
    action: jax.Array  # int16[M], the action played
    q: jax.Array  # float16[M, A], the overseer's value of each action
    outcome: jax.Array  # float32[M]
    root_value: jax.Array  # float32[M]
    weight: jax.Array  # float32[M]
    symmetry: jax.Array  # int32[M], index into `game.symmetries()`


RowLosses: TypeAlias = tuple[jax.Array, jax.Array]
Loss: TypeAlias = Callable[[Evaluation, Minibatch, jax.Array], RowLosses]


def imitation(predicted: Evaluation, batch: Minibatch, value_target: jax.Array) -> RowLosses:
    """Narrow imitation of the amplified distribution and of the outcome.

    (z - v)^2 - pi . log p, equation 1 of Silver et al. 2017 (AlphaGo Zero) less its weight penalty,
    which the optimizer adds as weight decay.
    """
    target = batch.policy_target.astype(jnp.float32)
    return cross_entropy(predicted.prior_logits, target), jnp.square(predicted.value - value_target)


def cross_entropy(logits: jax.Array, target: jax.Array) -> jax.Array:
    """Returns float32[M], -target . log softmax(logits); masked actions have weight 0 in both."""
    log_p = jax.nn.log_softmax(logits)
    return -jnp.where(target > 0, target * log_p, 0.0).sum(axis=-1)


LOSSES: dict[str, Loss] = {"imitation": imitation}


def problems(spec: str) -> list[str]:
    """Returns what is wrong with a loss's name, without importing anything."""
    module, _, function = spec.partition(":")
    if spec in LOSSES or (module and function):
        return []
    return [f"distil must be {', '.join(LOSSES)} or module:function, got {spec!r}"]


def load(spec: str) -> Loss:
    """Returns the loss that `spec` names: one of `LOSSES`, or the function `module:function`.

    Raises:
      ValueError: there is none, or it does not take (predicted, batch, value_target).
    """
    for problem in problems(spec):
        raise ValueError(problem)
    if spec in LOSSES:
        return LOSSES[spec]
    what = f"distil {spec!r}"
    function = games.import_function(spec, what)
    games.check_call(function, ("predicted", "batch", "value_target"), what)

    def checked(predicted: Evaluation, batch: Minibatch, value_target: jax.Array) -> RowLosses:
        found = function(predicted, batch, value_target)
        shapes = [np.shape(part) for part in found] if isinstance(found, tuple) else type(found)
        if shapes != [value_target.shape] * 2:
            raise ValueError(
                f"{what} must return two arrays of shape {value_target.shape}, the rows' policy "
                f"and value losses, got {shapes}"
            )
        policy, value = found
        return policy, value

    return checked
