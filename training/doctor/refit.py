"""Checks of what a run's network has learned from its rows, beside a fresh one taught the same."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.information import cross_entropy, kl_divergence
from selfplay.recorder import Sample
from training import learner
from training.devices import to_learner
from training.doctor.evidence import Evidence, correlation, last_part, take
from training.doctor.findings import Finding, Result
from training.doctor.weights import without_gradient
from training.learner import TrainState
from training.losses import Minibatch, minibatch
from training.network import Network, Weights
from training.settings import LearnerConfig

BATCH = 128  # rows of a doctor's training step
OVERFIT_STEPS, FIT_STEPS = 150, 300
NO_HORIZON = 1e9
OVERFIT_LEFT = 0.5  # of the loss that a batch learned by heart may keep
ENOUGH_TAUGHT = 0.05  # what a fresh network must get out of the rows, for a run to be judged by it
LEAST_LEARNED = 0.25  # of what the fresh network got
FLAT = 0.02  # of a value's standard deviation
MOST_OWN = 0.9  # of a value target, by the search's own value
BY_HEART = 0.5  # a loss in training, as a share of that on the run's rows


DEFAULT = LearnerConfig(batch=BATCH, warmup_steps=0)


class Explained(NamedTuple):
    """How much of the rows' policy and value a network explains: 1 all, 0 as a constant would."""

    policy: float
    value: float
    value_correlation: float


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
                f"{taught.correlation:+.2f}): the sign is flipped in the value target.",
                "look at the value target in the loss (`learner.make_train_step`)",
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
    policy, value = _forward(evidence.network, state, rows)
    before = _losses(rows, policy, value)
    batch = minibatch(rows, np.zeros(BATCH, np.int32))
    state, steps = teach(
        evidence, config, state, lambda step: batch, OVERFIT_STEPS, seconds, progress
    )
    policy, value = _forward(evidence.network, state, rows)
    after = _losses(rows, policy, value)
    left = [
        float(a / max(b, 1e-6)) if np.isfinite(a) else 9.0
        for a, b in zip(after, before, strict=True)
    ]
    sign = correlation(value, rows.outcome)
    return ByHeart(steps, steps == OVERFIT_STEPS, left[0], left[1], sign)


def _cannot_overfit(evidence: Evidence, own: ByHeart, plain: ByHeart) -> Finding:
    lefts = (("policy", own.policy_left), ("value", own.value_left))
    bad = [name for name, left in lefts if left > OVERFIT_LEFT]
    rate = evidence.config.learner.learning_rate
    told = f"{own.policy_left:.0%} of the policy loss, {own.value_left:.0%} of the value loss left"
    if max(plain.policy_left, plain.value_left) <= OVERFIT_LEFT and len(bad) == 2:
        return Finding(
            "learning-rate-too-high" if rate > DEFAULT.learning_rate else "learning-rate-too-low",
            f"with the run's learner (learning rate {rate:g}) one batch cannot be learned ({told}),"
            " with the default one it can.",
            "go back to the defaults: learner.optimizer adamw, learner.learning_rate 2e-3",
        )
    return Finding(
        "shuffled-targets" if len(bad) == 2 else f"{bad[0]}-untrained",
        f"a fresh network cannot learn the {' and the '.join(bad)} of one batch by heart ({told}): "
        "the loss does not pull towards the rows' own targets (shuffled, of weight 0, or cut off).",
        "follow one batch from the replay to the loss; learner.value_weight is 1 by default",
    )


def refit(
    evidence: Evidence, config: LearnerConfig, seconds: float, progress: Callable[[float], None]
) -> Result:
    """Asks what the run knows of its own rows, beside a fresh network taught most of them.

    Thresholds: the run should know a quarter of what the fresh one learns (`LEAST_LEARNED`), where
    that learns at least `ENOUGH_TAUGHT`. Healthy runs knew as much and more; of shuffled targets,
    -4% to 3%.
    """
    rows = last_part(evidence.rows, 8_192)
    trained, held_out = _split(rows)
    if len(held_out.ply) < BATCH or len(trained.ply) < BATCH:
        return Result("lessons", _HEALTHY_TARGETS, "too few rows", {}, unjudged="too few rows")
    state = learner.init(evidence.network, config, jax.random.key(2))
    rng = np.random.default_rng(0)
    symmetries = len(evidence.game.symmetries()) if evidence.config.learner.augment else 1

    def draw(step: int) -> Minibatch:
        del step
        chosen = take(trained, rng.integers(0, len(trained.ply), BATCH))
        return minibatch(chosen, rng.integers(0, symmetries, BATCH, np.int32))

    state, steps = teach(evidence, config, state, draw, FIT_STEPS, seconds, progress)
    fresh_folded = evidence.fold(state.averages)
    fresh = _explains(held_out, *evidence.predict(fresh_folded, held_out))
    run = _explains(held_out, *evidence.predict(evidence.newest_folded, held_out))
    samples = evidence.newest.step * evidence.config.learner.batch
    early = samples < steps * BATCH / 2
    # A value that points the wrong way is for the check `value` to name.
    findings = (
        [] if early else _unlearned(evidence, held_out, run, fresh) + _unrefreshed(evidence, rows)
    )
    return Result(
        "lessons",
        _HEALTHY_TARGETS,
        f"the network explains {run.policy:.0%} of its rows' policy and {run.value:.0%} of their "
        f"results; a fresh one after {steps} steps {fresh.policy:.0%} and {fresh.value:.0%}",
        {"run": run._asdict(), "fresh": fresh._asdict(), "steps": steps},
        tuple(findings),
        "the run has trained less than the doctor did" if early else "",
    )


_HEALTHY_TARGETS = (
    "The network knows about its own rows what a fresh one learns from them, or more."
)


def _unlearned(
    evidence: Evidence, held_out: Sample, run: Explained, fresh: Explained
) -> list[Finding]:
    bad = [
        name
        for name in ("policy", "value")
        if getattr(fresh, name) > ENOUGH_TAUGHT
        and getattr(run, name) < LEAST_LEARNED * getattr(fresh, name)
        and (name == "policy" or run.value_correlation > -0.1)
    ]
    still = {name.partition("/")[0].partition("_")[0] for name in without_gradient(evidence)}
    if not set(bad) - still:  # the check `weights` names what has had no gradient
        return []
    told = ", ".join(
        f"{getattr(run, name):.0%} of the {name} (a fresh network {getattr(fresh, name):.0%})"
        for name in bad
    )
    heart = _learned_by_heart(evidence)
    if heart:
        return [
            Finding(
                "tiny-replay",
                f"{heart}, but of the whole replay the network knows only {told}: training sees "
                "the same few rows again and again.",
                "raise replay.capacity, and check that `ReplayBuffer.sample` draws from all rows",
            )
        ]
    own = _by_own_statistics(evidence, held_out)
    if all(getattr(own, name) > getattr(fresh, name) / 2 for name in bad):
        return [
            Finding(
                "stale-statistics",
                f"the network knows only {told}; normed by the statistics of the rows themselves "
                f"it knows {own.policy:.0%} of the policy, {own.value:.0%} of the value: the "
                "running statistics of its batch norms, which play, have not followed.",
                "every training step must keep the batch statistics that the network returns, and "
                "their averages must follow (learner.ema_decay)",
            )
        ]
    share = evidence.config.learner.root_value_weight
    why = f"are the search's own values (learner.root_value_weight {share:g})"
    if share < MOST_OWN:
        why = "are all alike" if _taught_a_constant(evidence, held_out) else ""
    if bad == ["value"] and why:
        return [
            Finding(
                "value-untrained",
                f"the network knows only {told}: the value targets in training {why}.",
                "let the outcome count (learner.root_value_weight below 1), and follow the "
                "outcomes of one batch from the replay to the loss",
            )
        ]
    return [
        Finding(
            "shuffled-targets",
            f"the network knows only {told}: the targets that it was trained on are not those of "
            "its positions (shuffled, all alike, or mapped by a wrong symmetry).",
            "in a minibatch, row i of every column must be the same row, through the same symmetry "
            "(`ReplayBuffer.sample`, `learner.augment`, `game.symmetries`)",
        )
    ]


def _unrefreshed(evidence: Evidence, rows: Sample) -> list[Finding]:
    """Looks for a network that knows old rows and no new ones.

    In healthy runs it knows the policy of new rows better, for they are its own search's. Where
    training had the first 600 rows of 3,900 only, it knew 21% of the oldest and 5% of the newest.
    """
    count = len(rows.ply)
    if count < 8 * BATCH:
        return []
    old, new = (
        _explains(part, *evidence.predict(evidence.newest_folded, part))
        for part in (take(rows, slice(count // 8)), last_part(rows, count // 2))
    )
    if not all(
        getattr(old, name) > ENOUGH_TAUGHT * 2 and getattr(new, name) < getattr(old, name) / 2
        for name in ("policy", "value")
    ):
        return []
    return [
        Finding(
            "stale-replay",
            f"the network knows {old.policy:.0%} of the policy and {old.value:.0%} of the results "
            f"of the oldest rows, but {new.policy:.0%} and {new.value:.0%} of the newest: new "
            "rows do not reach training.",
            "check that `ReplayBuffer.add` and `ReplayBuffer.sample` see the newest rows, and that "
            "replay.samples_per_row lets training go on as they come",
        )
    ]


def _by_own_statistics(evidence: Evidence, rows: Sample) -> Explained:
    """Returns what the playing weights know where each batch is normed by itself."""
    whole = take(rows, slice(len(rows.ply) // BATCH * BATCH))
    columns = whole.observation, whole.legal_action_mask
    shares = zip(*(np.split(x, len(x) // BATCH) for x in columns), strict=True)
    parts = [_forward_batch(evidence.network, evidence.newest.average, *share) for share in shares]
    policy, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _explains(whole, policy, value)


def _taught_a_constant(evidence: Evidence, rows: Sample) -> bool:
    """Whether the value hardly varies, though its loss in training says that it is right."""
    _, value = evidence.predict(evidence.newest_folded, rows)
    least, seen = _losses_in_training(evidence)["value_loss"]
    return bool(value.std() < FLAT and least < BY_HEART * seen)


def _learned_by_heart(evidence: Evidence) -> str:
    """Returns a sentence if losses in training fell far below those on the run's rows."""
    losses = _losses_in_training(evidence)
    if not all(least < BY_HEART * seen for least, seen in losses.values()):
        return ""
    policy, value = (least for least, _ in losses.values())
    return f"in training the losses fall to {policy:.2f} (policy) and {value:.2f} (value)"


def _losses_in_training(evidence: Evidence) -> dict[str, tuple[float, float]]:
    """Returns the least loss of each head in training lately, and its loss on the run's rows."""
    rows, share = last_part(evidence.rows, 8_192), evidence.config.learner.root_value_weight
    policy, value = evidence.predict(evidence.newest_folded, rows)
    target = (1 - share) * rows.outcome + share * rows.root_value
    weights = rows.policy_target.astype(np.float32)
    on_rows = (
        float(cross_entropy(weights, policy).mean()),
        float(np.square(value - target).mean()),
    )
    recent = evidence.iterations[-max(4, len(evidence.iterations) // 4) :]
    # The least: with few rows, losses jump up at every new one.
    measured = {
        "policy_loss": [line.policy_loss for line in recent],
        "value_loss": [line.value_loss for line in recent],
    }
    return {
        name: (min((loss for loss in losses if loss is not None), default=np.inf), seen)
        for (name, losses), seen in zip(measured.items(), on_rows, strict=True)
    }


def _split(rows: Sample) -> tuple[Sample, Sample]:
    """Returns the rows of three quarters of the games, and of the others."""
    held_out = np.isin(rows.game_id, np.unique(rows.game_id)[::4])
    return take(rows, ~held_out), take(rows, held_out)


def _explains(rows: Sample, policy: np.ndarray, value: np.ndarray) -> Explained:
    legal = rows.legal_action_mask / rows.legal_action_mask.sum(axis=1, keepdims=True)
    blind, _ = _losses(rows, legal, value)
    loss, error = _losses(rows, policy, value)
    # The worst is cut off: where targets are alike, nothing is left to explain.
    return Explained(
        policy=max(-9.99, 1 - loss / max(blind, 1e-6)),
        value=max(-9.99, 1 - error / max(float(rows.outcome.var()), 1e-6)),
        value_correlation=correlation(value, rows.outcome),
    )


def _losses(rows: Sample, policy: np.ndarray, value: np.ndarray) -> tuple[float, float]:
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


def _forward(network: Network, state: TrainState, rows: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Returns policy and value of a batch, normed by its own statistics, as in training."""
    given = rows.observation, rows.legal_action_mask
    policy, value = jax.device_get(_forward_batch(network, state.weights, *given))
    return policy, value


@functools.partial(jax.jit, static_argnums=0)
def _forward_batch(
    network: Network, weights: Weights, observation: jax.Array, legal: jax.Array
) -> tuple[jax.Array, jax.Array]:
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
    state, began = to_learner(state), None
    for step in range(steps):
        state, _ = train_step(state, draw(step), jnp.float32(NO_HORIZON))
        if step % 20 == 0:
            jax.block_until_ready(state.step)
            began = began or time.monotonic()  # the first step compiles: not on the clock
            progress((step + 1) / steps)
            if time.monotonic() - began > seconds:
                return state, step + 1
    return state, steps


@functools.cache
def _train_step(network: Network, game: Any, config: LearnerConfig) -> learner.TrainStep:
    return learner.make_train_step(network, game, config)
