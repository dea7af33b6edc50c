"""Faults that a user can plant in a run: wrong settings, or a wrong loss or overseer of their own.

The doctor must name each by what the run leaves on disk.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from training import losses


class Fault(NamedTuple):
    """One way to break training."""

    named: str  # what the doctor must call it
    config: Callable[[Any], Any]  # the change of a RunConfig


def part(name: str, **changes: Any) -> Callable[[Any], Any]:
    """Returns a change of one part of a RunConfig."""

    def change(config: Any) -> Any:
        return dataclasses.replace(
            config, **{name: dataclasses.replace(getattr(config, name), **changes)}
        )

    return change


def own_loss(name: str) -> Callable[[Any], Any]:
    """Returns the change to a loss of this file."""
    return lambda config: dataclasses.replace(config, distil=f"{__name__}:{name}")


def climbed(predicted: Any, batch: Any, value_target: Any) -> Any:
    """A loss with the value target's sign lost."""
    return losses.imitation(predicted, batch, -value_target)


def shifted(predicted: Any, batch: Any, value_target: Any) -> Any:
    """A loss that teaches values 0.4 too low."""
    return losses.imitation(predicted, batch, value_target - 0.4)


def constant(predicted: Any, batch: Any, value_target: Any) -> Any:
    """A loss without a policy."""
    policy, value = losses.imitation(predicted, batch, value_target)
    return 0 * policy, value


def mixed(predicted: Any, batch: Any, value_target: Any) -> Any:
    """A loss that gives each row the policy of another."""
    rolled = batch._replace(policy_target=jnp.roll(batch.policy_target, 1, axis=0))
    return losses.imitation(predicted, rolled, value_target)


FAULTS = {
    "no_noise": Fault("no-exploration", part("search", gumbel_scale=0.0)),
    "same_games": Fault(
        "no-exploration",
        lambda config: part("search", gumbel_scale=0.0)(
            part("self_play", temperature_plies=0, random_opening_plies=0)(config)
        ),
    ),
    "rate_x1000": Fault(
        "learning-rate-too-high",
        lambda config: part("learner", learning_rate=1000 * config.learner.learning_rate)(config),
    ),
    "frozen_average": Fault("stale-weights", part("learner", ema_decay=0.99999)),
    "replay_1": Fault("tiny-replay", part("replay", capacity=1, min_examples=1)),
    "value_weight_0": Fault("value-untrained", part("learner", value_weight=0.0)),
    "decay": Fault("weight-decay-too-high", part("learner", weight_decay=10.0)),
    "one_simulation": Fault("search-too-small", part("search", simulations=1)),
    "value_climbed": Fault("value-sign", own_loss("climbed")),
    "value_shifted": Fault("value-biased", own_loss("shifted")),
    "no_policy": Fault("policy-untrained", own_loss("constant")),
    "policies_mixed": Fault("unlearned", own_loss("mixed")),
}
