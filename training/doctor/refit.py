"""A check of whether a run's learner can learn at all, and how the doctor trains a network."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mcts import mask_illegal
from selfplay import example
from selfplay.information import kl_divergence
from selfplay.recorder import Sample
from training import learner
from training.devices import MOST_IN_FLIGHT, to_learner
from training.doctor.evidence import Evidence, correlation
from training.doctor.findings import Case, Result, all_of, too_early
from training.learner import TrainState
from training.losses import Minibatch, minibatch
from training.network import Network, Weights
from training.settings import LearnerConfig
from training.stages import NO_HORIZON

BATCH = 128  # examples of a doctor's training step
OVERFIT_STEPS = 150
OVERFIT_LEFT = 0.5  # of the loss that a batch learned by heart may keep

DEFAULT = LearnerConfig(batch=BATCH, warmup_steps=0)


class ByHeart(NamedTuple):
    """One batch taught to a fresh network."""

    steps: int
    policy_left: float  # share of the loss at the start, above the targets' own entropy
    value_left: float
    correlation: float  # of its value with the outcomes

    @property
    def bad(self) -> list[str]:
        """The heads that have not learned the batch."""
        lefts = (("policy", self.policy_left), ("value", self.value_left))
        return [name for name, left in lefts if left > OVERFIT_LEFT]


def overfit(evidence: Evidence) -> Result:
    """Teaches a fresh network one batch of the run's examples by heart, with the run's own learner.

    Threshold: half of the loss is left (`OVERFIT_LEFT`). Healthy runs kept 0% to 6% of it; with a
    value weight of 0, all of the value loss was left.
    """
    examples = _distinct(evidence.examples)
    if examples is None:
        return too_early("too few examples")
    taught = _by_heart(evidence, own_learner(evidence), examples)
    summary = (
        f"after {taught.steps} steps {taught.policy_left:.0%} of the policy loss and "
        f"{taught.value_left:.0%} of the value loss are left"
    )
    if taught.steps < OVERFIT_STEPS:
        stopped = f"stopped by the clock after {taught.steps} steps"
        return Result(summary, taught._asdict(), unjudged=stopped)
    measured: dict[str, Any] = taught._asdict()
    sign = Case(
        taught.correlation < -0.3,
        "value-sign",
        f"a fresh network that learns one batch answers the opposite (correlation "
        f"{taught.correlation:+.2f}): the sign is flipped in the value's loss.",
    )
    cases = [sign]
    if taught.bad:
        again = _by_heart(evidence, DEFAULT, examples)
        measured["with_default_learner"] = again._asdict()
        cases.insert(0, cannot_overfit(evidence, taught, again))
    return Result(summary, measured, all_of(*cases))


def own_learner(evidence: Evidence) -> LearnerConfig:
    """The run's learner, taught by outcomes alone and without a slow start."""
    return dataclasses.replace(
        evidence.config.learner, batch=BATCH, warmup_steps=0, root_value_weight=0.0
    )


def _by_heart(evidence: Evidence, config: LearnerConfig, examples: Sample) -> ByHeart:
    state = learner.init(evidence.network, config, jax.random.key(1))
    before = losses(examples, *forward(evidence.network, state, examples))
    batch = minibatch(examples, np.zeros(BATCH, np.int32))
    state, steps = teach(evidence, config, state, lambda step: batch, OVERFIT_STEPS)
    policy, value = forward(evidence.network, state, examples)
    after = losses(examples, policy, value)
    policy_left, value_left = (
        a / max(b, 1e-6) if np.isfinite(a) else 9.0 for a, b in zip(after, before, strict=True)
    )
    return ByHeart(steps, policy_left, value_left, correlation(value, examples.outcome))


def cannot_overfit(evidence: Evidence, own: ByHeart, plain: ByHeart) -> Case:
    """The finding on a batch that the run's learner cannot learn, and the default one perhaps."""
    given, bad = evidence.config.learner, own.bad
    told = f"{own.policy_left:.0%} of the policy loss, {own.value_left:.0%} of the value loss left"
    if len(bad) == 2 and not plain.bad:
        high = given.learning_rate > DEFAULT.learning_rate
        return Case(
            True,
            "learning-rate-too-high" if high else "learning-rate-too-low",
            f"with the run's learner ({given.optimizer}, learning rate {given.learning_rate:g}) "
            f"one batch cannot be learned ({told}), with {DEFAULT.optimizer} and "
            f"{DEFAULT.learning_rate:g} it can.",
        )
    return Case(
        True,
        "unlearned" if len(bad) == 2 else f"{bad[0]}-untrained",
        f"a fresh network cannot learn the {' and the '.join(bad)} of one batch by heart ({told}): "
        "the loss does not pull towards the examples' own targets.",
    )


def losses(examples: Sample, policy: np.ndarray, value: np.ndarray) -> tuple[float, float]:
    """Mean KL(target || policy) in nats, and the mean squared error of the value."""
    target = examples.policy_target.astype(np.float32)
    divergence = kl_divergence(target, policy)
    return float(divergence.mean()), float(np.square(value - examples.outcome).mean())


def _distinct(examples: Sample) -> Sample | None:
    """`BATCH` of the newest examples with all observations different, or None."""
    flat = examples.observation.reshape(len(examples.ply), -1)
    _, first = np.unique(flat[::-1], axis=0, return_index=True)
    newest = np.sort(len(flat) - 1 - first)[-BATCH:]
    return example.take(examples, newest) if len(newest) == BATCH else None


def forward(network: Network, state: TrainState, examples: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Policy and value of a batch, normed by its own statistics, as in training."""
    given = examples.observation, examples.legal_action_mask
    policy, value = jax.device_get(_forward_batch(network, state.weights, *given))
    return policy, value


@functools.partial(jax.jit, static_argnums=0)
def _forward_batch(
    network: Network, weights: Weights, observation: jax.Array, legal: jax.Array
) -> tuple[jax.Array, jax.Array]:
    predicted, _, _ = network.forward_all(weights, observation)
    return jax.nn.softmax(mask_illegal(predicted.prior_logits, legal)), predicted.value


def teach(
    evidence: Evidence,
    config: LearnerConfig,
    state: TrainState,
    draw: Callable[[int], Minibatch],
    steps: int,
) -> tuple[TrainState, int]:
    """Trains for `steps`, or until the clock stops it; returns the state and the steps taken."""
    train_step = _train_step(evidence.network, evidence.game, config)  # type: ignore[arg-type]
    state, began = to_learner(state, config.batch), None
    for step in range(steps):
        state, _ = train_step(state, draw(step), jnp.float32(NO_HORIZON))
        if step % MOST_IN_FLIGHT == 0:
            jax.block_until_ready(state.step)
            began = began or time.monotonic()  # the first step compiles: not on the clock
            evidence.progress((step + 1) / steps)
            if time.monotonic() - began > evidence.seconds:
                return state, step + 1
    return state, steps


@functools.cache
def _train_step(network: Network, game: Any, config: LearnerConfig) -> learner.TrainStep:
    return learner.make_train_step(network, game, config)
