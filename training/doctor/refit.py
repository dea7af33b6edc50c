"""A check of whether a run's learner can learn at all, and how the doctor trains a network."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.information import kl_divergence
from selfplay.recorder import Sample
from training import learner
from training.devices import MOST_IN_FLIGHT, to_learner
from training.doctor.evidence import Evidence, correlation, take
from training.doctor.findings import Finding, Result
from training.learner import TrainState
from training.losses import Minibatch, minibatch
from training.network import Network, Weights
from training.settings import LearnerConfig
from training.stages import NO_HORIZON

BATCH = 128  # rows of a doctor's training step
OVERFIT_STEPS = 150
OVERFIT_LEFT = 0.5  # of the loss that a batch learned by heart may keep

DEFAULT = LearnerConfig(batch=BATCH, warmup_steps=0)


def overfit(evidence: Evidence, seconds: float, progress: Callable[[float], None]) -> Result:
    """Teaches a fresh network one batch of the run's rows by heart, with the run's own learner.

    Threshold: half of the loss is left (`OVERFIT_LEFT`). Healthy runs kept 0% to 6% of it; with a
    value weight of 0, all of the value loss was left.
    """
    rows = _distinct(evidence.rows)
    if rows is None:
        return Result("overfit", _HEALTHY_OVERFIT, "too few rows", {}, unjudged="too few rows")
    taught = _by_heart(evidence, own_learner(evidence), rows, seconds, progress)
    measured: dict[str, Any] = taught._asdict()
    findings = []
    if max(taught.policy_left, taught.value_left) > OVERFIT_LEFT and taught.done:
        again = _by_heart(evidence, DEFAULT, rows, seconds, progress)
        findings.append(_cannot_overfit(evidence, taught, again))
        measured["with_default_learner"] = again._asdict()
    if taught.correlation < -0.3 and taught.done:
        findings.append(
            Finding(
                "value-sign",
                f"a fresh network that learns one batch answers the opposite (correlation "
                f"{taught.correlation:+.2f}): the sign is flipped in the value's loss.",
                "with a --distil of your own, the sign of its value loss",
            )
        )
    return Result(
        "overfit",
        _HEALTHY_OVERFIT,
        f"after {taught.steps} steps {taught.policy_left:.0%} of the policy loss and "
        f"{taught.value_left:.0%} of the value loss are left",
        measured,
        tuple(findings),
        "" if taught.done else f"stopped by the clock after {taught.steps} steps",
    )


def own_learner(evidence: Evidence) -> LearnerConfig:
    """Returns the run's learner, taught by outcomes alone and without a slow start."""
    return dataclasses.replace(
        evidence.config.learner, batch=BATCH, warmup_steps=0, root_value_weight=0.0
    )


_HEALTHY_OVERFIT = "A fresh network learns one batch by heart: less than half of its loss is left."


class ByHeart(NamedTuple):
    """One batch taught to a fresh network."""

    steps: int
    done: bool  # whether there was time for all steps
    policy_left: float  # share of the loss at the start, above the targets' own entropy
    value_left: float
    correlation: float  # of its value with the outcomes


def _by_heart(
    evidence: Evidence,
    config: LearnerConfig,
    rows: Sample,
    seconds: float,
    progress: Callable[[float], None],
) -> ByHeart:
    state = learner.init(evidence.network, config, jax.random.key(1))
    policy, value = forward(evidence.network, state, rows)
    before = losses(rows, policy, value)
    batch = minibatch(rows, np.zeros(BATCH, np.int32))
    state, steps = teach(
        evidence, config, state, lambda step: batch, OVERFIT_STEPS, seconds, progress
    )
    policy, value = forward(evidence.network, state, rows)
    after = losses(rows, policy, value)
    left = [
        float(a / max(b, 1e-6)) if np.isfinite(a) else 9.0
        for a, b in zip(after, before, strict=True)
    ]
    sign = correlation(value, rows.outcome)
    return ByHeart(steps, steps == OVERFIT_STEPS, left[0], left[1], sign)


def _cannot_overfit(evidence: Evidence, own: ByHeart, plain: ByHeart) -> Finding:
    lefts = (("policy", own.policy_left), ("value", own.value_left))
    bad = [name for name, left in lefts if left > OVERFIT_LEFT]
    given = evidence.config.learner
    told = f"{own.policy_left:.0%} of the policy loss, {own.value_left:.0%} of the value loss left"
    if max(plain.policy_left, plain.value_left) <= OVERFIT_LEFT and len(bad) == 2:
        return Finding(
            "learning-rate-too-high"
            if given.learning_rate > DEFAULT.learning_rate
            else "learning-rate-too-low",
            f"with the run's learner ({given.optimizer}, learning rate {given.learning_rate:g}) "
            f"one batch cannot be learned ({told}), with {DEFAULT.optimizer} and "
            f"{DEFAULT.learning_rate:g} it can.",
            "move learner.optimizer and learner.learning_rate towards those with which it can",
        )
    return Finding(
        "unlearned" if len(bad) == 2 else f"{bad[0]}-untrained",
        f"a fresh network cannot learn the {' and the '.join(bad)} of one batch by heart ({told}): "
        "the loss does not pull towards the rows' own targets.",
        "learner.value_weight is 1 by default; a larger network; with a --distil of your own, its "
        "loss",
    )


def losses(rows: Sample, policy: np.ndarray, value: np.ndarray) -> tuple[float, float]:
    """Returns mean KL(target || policy) in nats, and the mean squared error of the value."""
    target = rows.policy_target.astype(np.float32)
    divergence = kl_divergence(target, policy)
    return float(divergence.mean()), float(np.square(value - rows.outcome).mean())


def _distinct(rows: Sample) -> Sample | None:
    """Returns `BATCH` of the newest rows with all observations different, or None."""
    flat = rows.observation.reshape(len(rows.ply), -1)
    _, first = np.unique(flat[::-1], axis=0, return_index=True)
    newest = np.sort(len(flat) - 1 - first)[-BATCH:]
    return take(rows, newest) if len(newest) == BATCH else None


def forward(network: Network, state: TrainState, rows: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Returns policy and value of a batch, normed by its own statistics, as in training."""
    given = rows.observation, rows.legal_action_mask
    policy, value = jax.device_get(forward_batch(network, state.weights, *given))
    return policy, value


@functools.partial(jax.jit, static_argnums=0)
def forward_batch(
    network: Network, weights: Weights, observation: jax.Array, legal: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns policy and value of a batch as training computes them."""
    predicted, _ = network.forward(weights, observation)
    return jax.nn.softmax(learner.mask_illegal(predicted.prior_logits, legal)), predicted.value


def teach(
    evidence: Evidence,
    config: LearnerConfig,
    state: TrainState,
    draw: Callable[[int], Minibatch],
    steps: int,
    seconds: float,
    progress: Callable[[float], None],
) -> tuple[TrainState, int]:
    """Trains for `steps`, or until the clock stops it; returns the state and the steps taken."""
    train_step = _train_step(evidence.network, evidence.game, config)  # type: ignore[arg-type]
    state, began = to_learner(state, config.batch), None
    for step in range(steps):
        state, _ = train_step(state, draw(step), jnp.float32(NO_HORIZON))
        if step % MOST_IN_FLIGHT == 0:
            jax.block_until_ready(state.step)
            began = began or time.monotonic()  # the first step compiles: not on the clock
            progress((step + 1) / steps)
            if time.monotonic() - began > seconds:
                return state, step + 1
    return state, steps


@functools.cache
def _train_step(network: Network, game: Any, config: LearnerConfig) -> learner.TrainStep:
    return learner.make_train_step(network, game, config)
