"""A check of what a run's network has learned from its rows, beside a fresh one taught the same."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from selfplay.information import cross_entropy, kl_divergence
from selfplay.recorder import Sample
from training import learner
from training.doctor.evidence import Evidence, correlation, last_part, take
from training.doctor.findings import Finding, Result, first
from training.doctor.refit import BATCH, losses, teach
from training.doctor.weights import without_gradient
from training.losses import Minibatch, minibatch
from training.settings import LearnerConfig

FIT_STEPS = 300
ENOUGH_TAUGHT = 0.05  # what a fresh network must get out of the rows, for a run to be judged by it
LEAST_LEARNED = 0.25  # of what the fresh network got
UNIFORM = 0.02  # nats, of a policy that weighs all legal actions alike
MOST_OWN = 0.9  # of a value target, by the search's own value
LEAST_EXPLAINED = -9.99
OF_THE_LOSS = "with a --distil of your own, its loss"
BY_HEART = 0.5  # a loss in training, as a share of that on the run's rows


class Explained(NamedTuple):
    """How much of the rows' policy and value a network explains: 1 all, 0 as a constant would."""

    policy: float
    value: float
    value_correlation: float


def lessons(
    evidence: Evidence, config: LearnerConfig, seconds: float, progress: Callable[[float], None]
) -> Result:
    """Asks what the run knows of its own rows, beside a fresh network taught most of them.

    Thresholds: the run should know a quarter of what the fresh one learns (`LEAST_LEARNED`), where
    that learns at least `ENOUGH_TAUGHT`. Healthy runs knew as much and more; of shuffled targets,
    -4% to 3%. A policy that an overseer's decisions teach is not judged.
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
    findings = () if early else _unlearned(evidence, held_out, run, fresh)
    decided = _of_decisions(evidence)
    return Result(
        "lessons",
        _HEALTHY_TARGETS,
        f"the network explains {_share(run.policy)} of its rows' policy and {_share(run.value)} of "
        f"their results; a fresh one after {steps} steps {_share(fresh.policy)} and "
        f"{_share(fresh.value)}" + (f"; {decided}" if decided else ""),
        {"run": run._asdict(), "fresh": fresh._asdict(), "steps": steps},
        findings,
        _why_early(evidence, early, run, fresh),
    )


def _why_early(evidence: Evidence, early: bool, run: Explained, fresh: Explained) -> str:
    if early:
        return "the run has trained less than the doctor did"
    unknown = [
        word
        for name, word in (("policy", "the rows' policy"), ("value", "the results"))
        if max(getattr(run, name), getattr(fresh, name)) < ENOUGH_TAUGHT
        and name in _taught_by_games(evidence)
    ]
    return f"neither network knows anything of {' or '.join(unknown)} yet" if unknown else ""


def _taught_by_games(evidence: Evidence) -> tuple[str, ...]:
    """Returns the heads that learn from rows of games: an overseer's decisions may teach others."""
    overseer = evidence.config.overseer
    if not overseer.decisions:
        return ("policy", "value")
    return ("value",) if overseer.weight < 1 else ()


def _of_decisions(evidence: Evidence) -> str:
    """Returns how much the network knows of the decisions that it is taught, if there are any."""
    rows = evidence.decided
    if not evidence.config.overseer.decisions:
        return ""
    if rows is None:
        return "the policy is taught by decisions, which are not there to look at"
    known = _explains(rows, *evidence.predict(evidence.newest_folded, rows))
    return f"the policy is taught by {len(rows.ply)} decisions: {_share(known.policy)} of these"


def _share(explained: float) -> str:
    return "nothing" if explained <= LEAST_EXPLAINED else f"{explained:.0%}"


_HEALTHY_TARGETS = "The network knows about its rows what a fresh one learns from them, or more."


def _unlearned(
    evidence: Evidence, held_out: Sample, run: Explained, fresh: Explained
) -> tuple[Finding, ...]:
    bad = [
        name
        for name in _taught_by_games(evidence)
        if getattr(fresh, name) > ENOUGH_TAUGHT
        and getattr(run, name) < LEAST_LEARNED * getattr(fresh, name)
        and (name == "policy" or run.value_correlation > -0.1)
    ]
    still = {name.partition("/")[0].partition("_")[0] for name in without_gradient(evidence)}
    if not set(bad) - still:  # the check `weights` names what has had no gradient
        return ()
    told = "the network knows only " + ", ".join(
        f"{_share(getattr(run, name))} of the {name} (a fresh network "
        f"{_share(getattr(fresh, name))})"
        for name in bad
    )
    heart, share = _learned_by_heart(evidence), evidence.config.learner.root_value_weight
    return first(
        (
            bool(heart),
            Finding(
                "tiny-replay",
                f"{told}, but {heart}: training sees the same few rows again and again.",
                "raise replay.capacity, lower replay.samples_per_row",
            ),
        ),
        (
            bad == ["policy"] and _is_uniform(evidence, held_out),
            Finding(
                "policy-untrained",
                f"{told}: it weighs all legal actions alike, as if its policy targets were alike.",
                OF_THE_LOSS,
            ),
        ),
        (
            bad == ["value"] and share > MOST_OWN,
            Finding(
                "value-untrained",
                f"{told}: the value targets are the search's own values "
                f"(learner.root_value_weight {share:g}).",
                "let the outcome count: learner.root_value_weight below 1",
            ),
        ),
        (
            True,
            Finding(
                "unlearned",
                f"{told}: training has not taught it what its rows say.",
                "learner.learning_rate towards the preset's, replay.samples_per_row higher; in a "
                f"game of your own its symmetries (`selfplay game check`); {OF_THE_LOSS}",
            ),
        ),
    )


def _is_uniform(evidence: Evidence, rows: Sample) -> bool:
    policy, _ = evidence.predict(evidence.newest_folded, rows)
    legal = rows.legal_action_mask / rows.legal_action_mask.sum(axis=1, keepdims=True)
    return bool(kl_divergence(legal, policy).mean() < UNIFORM)


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
    blind, _ = losses(rows, legal, value)
    loss, error = losses(rows, policy, value)
    # The worst is cut off: where targets are alike, nothing is left to explain.
    return Explained(
        policy=max(LEAST_EXPLAINED, 1 - loss / max(blind, 1e-6)),
        value=max(LEAST_EXPLAINED, 1 - error / max(float(rows.outcome.var()), 1e-6)),
        value_correlation=correlation(value, rows.outcome),
    )
