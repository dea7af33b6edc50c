"""A check of what a run's network learned from its examples, beside a fresh one taught the same."""

from typing import NamedTuple

import jax
import numpy as np

from selfplay import example
from selfplay.information import cross_entropy
from selfplay.recorder import Sample
from training import learner
from training.doctor.evidence import Evidence, correlation, last_part
from training.doctor.findings import Case, Finding, Result, first, too_early
from training.doctor.refit import BATCH, DEFAULT, losses, own_learner, teach
from training.doctor.weights import heads_of, without_gradient
from training.losses import Minibatch, minibatch
from training.settings import LearnerConfig

FIT_STEPS = 300
ENOUGH_TAUGHT = (
    0.05  # what a fresh network must get out of the examples, for a run to be judged by it
)
LEAST_LEARNED = 0.25  # of what the fresh network got
MOST_OWN = 0.9  # of a value target, by the search's own value
LEAST_EXPLAINED = -9.99
BY_HEART = 0.5  # a loss in training, as a share of that on the run's examples


class Explained(NamedTuple):
    """The share of policy and value that a network explains: 1 all, 0 as a constant."""

    policy: float
    value: float
    value_correlation: float

    @property
    def most(self) -> float:
        """The better part of it."""
        return max(self.policy, self.value)


def lessons(evidence: Evidence) -> Result:
    """Asks what the run knows of its own examples, beside a fresh network taught most of them.

    Thresholds: the run should know a quarter of what the fresh one learns (`LEAST_LEARNED`), where
    that learns at least `ENOUGH_TAUGHT`. Healthy runs knew as much and more; of shuffled targets,
    -4% to 3%. A policy that an overseer's decisions teach is not judged.
    """
    examples = last_part(evidence.examples, 8_192)
    apart = np.isin(examples.game_id, np.unique(examples.game_id)[::4])  # a quarter of the games
    trained, held_out = example.take(examples, ~apart), example.take(examples, apart)
    if min(len(held_out.ply), len(trained.ply)) < BATCH:
        return too_early("too few examples")
    fresh, steps = _taught(evidence, own_learner(evidence), trained, held_out)
    if fresh.most < ENOUGH_TAUGHT:  # the run's own learner may be what is wrong
        fresh, steps = _taught(evidence, DEFAULT, trained, held_out)
    run = _explains(held_out, *evidence.predict(evidence.newest_folded, held_out))
    early = evidence.newest.step * evidence.config.learner.batch < steps * BATCH / 2
    return Result(
        f"the network explains {_share(run.policy)} of its examples' policy and "
        f"{_share(run.value)} of their results; a fresh one after {steps} steps "
        f"{_share(fresh.policy)} and {_share(fresh.value)}{_of_decisions(evidence)}",
        {"run": run._asdict(), "fresh": fresh._asdict(), "steps": steps},
        () if early else _unlearned(evidence, run, fresh),
        _why_early(evidence, early, run, fresh),
    )


def _taught(
    evidence: Evidence, config: LearnerConfig, examples: Sample, held_out: Sample
) -> tuple[Explained, int]:
    """What a fresh network that was taught `examples` explains of `held_out`, and its steps."""
    state = learner.init(evidence.network, config, jax.random.key(2))
    rng = np.random.default_rng(0)
    symmetries = len(evidence.game.symmetries()) if evidence.config.learner.augment else 1

    def draw(step: int) -> Minibatch:
        del step
        chosen = example.take(examples, rng.integers(0, len(examples.ply), BATCH))
        return minibatch(chosen, rng.integers(0, symmetries, BATCH, np.int32))

    state, steps = teach(evidence, config, state, draw, FIT_STEPS)
    return _explains(held_out, *evidence.predict(evidence.fold(state.averages), held_out)), steps


def _why_early(evidence: Evidence, early: bool, run: Explained, fresh: Explained) -> str:
    if early:
        return "the run has trained less than the doctor did"
    unknown = [
        word
        for name, word in (("policy", "the examples' policy"), ("value", "the results"))
        if max(getattr(run, name), getattr(fresh, name)) < ENOUGH_TAUGHT
        and name in _taught_by_games(evidence)
    ]
    return f"neither network knows anything of {' or '.join(unknown)} yet" if unknown else ""


def _taught_by_games(evidence: Evidence) -> tuple[str, ...]:
    """The heads that learn from examples of games: an overseer's decisions may teach others."""
    overseer = evidence.config.overseer
    if not overseer.decisions:
        return ("policy", "value")
    return ("value",) if overseer.weight < 1 else ()


def _of_decisions(evidence: Evidence) -> str:
    """How much the network knows of the decisions that it is taught, if there are any."""
    if not evidence.config.overseer.decisions:
        return ""
    examples = evidence.decided.examples
    if examples is None:
        return "; the policy is taught by decisions, which are not there to look at"
    known = _explains(examples, *evidence.predict(evidence.newest_folded, examples))
    return (
        f"; the policy is taught by {len(examples.ply)} decisions: {_share(known.policy)} of these"
    )


def _share(explained: float) -> str:
    return "nothing" if explained <= LEAST_EXPLAINED else f"{explained:.0%}"


def _unlearned(evidence: Evidence, run: Explained, fresh: Explained) -> tuple[Finding, ...]:
    bad = [
        name
        for name in _taught_by_games(evidence)
        if getattr(fresh, name) > ENOUGH_TAUGHT
        and getattr(run, name) < LEAST_LEARNED * getattr(fresh, name)
        # A value that points the wrong way is for the check `value` to name.
        and (name == "policy" or run.value_correlation > -0.1)
    ]
    if not set(bad) - heads_of(without_gradient(evidence)):  # those are for the check `weights`
        return ()
    told = "the network knows only " + ", ".join(
        f"{_share(getattr(run, name))} of the {name} (a fresh network "
        f"{_share(getattr(fresh, name))})"
        for name in bad
    )
    heart, share = _learned_by_heart(evidence), evidence.config.learner.root_value_weight
    return first(
        Case(
            bool(heart),
            "tiny-replay",
            f"{told}, but {heart}: training sees the same few examples again and again.",
        ),
        Case(
            bad == ["value"] and share > MOST_OWN,
            "value-untrained",
            f"{told}: the value targets are the search's own values "
            f"(learner.root_value_weight {share:g}).",
        ),
        Case(True, "unlearned", f"{told}: training has not taught it what its examples say."),
    )


def _learned_by_heart(evidence: Evidence) -> str:
    """A sentence if losses in training fell far below those on the run's examples."""
    examples, share = last_part(evidence.examples, 8_192), evidence.config.learner.root_value_weight
    policy, value = evidence.predict(evidence.newest_folded, examples)
    target = (1 - share) * examples.outcome + share * examples.root_value
    on_examples = (
        float(cross_entropy(examples.policy_target.astype(np.float32), policy).mean()),
        float(np.square(value - target).mean()),
    )
    recent = evidence.iterations[-max(4, len(evidence.iterations) // 4) :]
    # The least: with few examples, losses jump up at every new one.
    least = [
        min((loss for loss in losses if loss is not None), default=np.inf)
        for losses in (
            [line.policy_loss for line in recent],
            [line.value_loss for line in recent],
        )
    ]
    judged = list(zip(least, on_examples, strict=True))
    if evidence.config.network.value == "wdl":
        del judged[1]  # that loss is no squared error
    if any(loss >= BY_HEART * seen for loss, seen in judged):
        return ""
    return f"in training the losses fall to {least[0]:.2f} (policy) and {least[1]:.2f} (value)"


def _explains(examples: Sample, policy: np.ndarray, value: np.ndarray) -> Explained:
    legal = examples.legal_action_mask / examples.legal_action_mask.sum(axis=1, keepdims=True)
    blind, _ = losses(examples, legal, value)
    loss, error = losses(examples, policy, value)
    # The worst is cut off: where targets are alike, nothing is left to explain.
    return Explained(
        policy=max(LEAST_EXPLAINED, 1 - loss / max(blind, 1e-6)),
        value=max(LEAST_EXPLAINED, 1 - error / max(float(examples.outcome.var()), 1e-6)),
        value_correlation=correlation(value, examples.outcome),
    )
