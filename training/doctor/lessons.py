"""A check of what a run's network has learned from its rows, beside a fresh one taught the same."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from games.game import Symmetry
from selfplay.information import cross_entropy, kl_divergence
from selfplay.recorder import Sample
from training import learner
from training.doctor.evidence import Evidence, correlation, last_part, take
from training.doctor.findings import Finding, Result
from training.doctor.refit import BATCH, forward_batch, losses, teach
from training.doctor.rows import FEW_ROWS
from training.doctor.weights import FEW_STEPS, without_gradient
from training.losses import Minibatch, minibatch
from training.settings import LearnerConfig

FIT_STEPS = 300
LEAST_TURNED = 0.03  # nats, by which rows turned in part are known better
TURNED_COLUMNS = ("observation", "policy_target", "legal_action_mask")
ENOUGH_TAUGHT = 0.05  # what a fresh network must get out of the rows, for a run to be judged by it
LEAST_LEARNED = 0.25  # of what the fresh network got
# Of a value's distance from the results: it is the same whatever is shown. Likewise the deviation
# of one that is right on average, and nats, of a policy that weighs all legal actions alike.
ALIKE, FLAT, UNIFORM = 0.25, 0.02, 0.02
MOST_OWN = 0.9  # of a value target, by the search's own value
LEAST_EXPLAINED = -9.99
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
    findings = []
    if not early:
        findings = _unlearned(evidence, held_out, run, fresh) + _unrefreshed(evidence, rows)
        findings = _from_the_other_seat(evidence) or findings or _turned(evidence)
    decided = _of_decisions(evidence)
    return Result(
        "lessons",
        _HEALTHY_TARGETS,
        f"the network explains {_share(run.policy)} of its rows' policy and {_share(run.value)} of "
        f"their results; a fresh one after {steps} steps {_share(fresh.policy)} and "
        f"{_share(fresh.value)}" + (f"; {decided}" if decided else ""),
        {"run": run._asdict(), "fresh": fresh._asdict(), "steps": steps},
        tuple(findings),
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
) -> list[Finding]:
    bad = [
        name
        for name in _taught_by_games(evidence)
        if getattr(fresh, name) > ENOUGH_TAUGHT
        and getattr(run, name) < LEAST_LEARNED * getattr(fresh, name)
        and (name == "policy" or run.value_correlation > -0.1)
    ]
    still = {name.partition("/")[0].partition("_")[0] for name in without_gradient(evidence)}
    if not set(bad) - still:  # the check `weights` names what has had no gradient
        return []
    told = ", ".join(
        f"{_share(getattr(run, name))} of the {name} (a fresh network "
        f"{_share(getattr(fresh, name))})"
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
    if bad == ["policy"] and _is_uniform(evidence, held_out):
        return [
            Finding(
                "policy-untrained",
                f"the network knows only {told}: it weighs all legal actions alike, as if the "
                "policy targets in training were alike.",
                "follow the policy targets of one batch from the replay to the loss",
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
    parts = [forward_batch(evidence.network, evidence.newest.average, *share) for share in shares]
    policy, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _explains(whole, policy, value)


def _taught_a_constant(evidence: Evidence, rows: Sample) -> bool:
    """Whether the value hardly varies, far from the results or though its loss says it is right."""
    _, value = evidence.predict(evidence.newest_folded, rows)
    if value.std() < ALIKE * abs(value.mean() - rows.outcome.mean()):
        return True
    least, seen = _losses_in_training(evidence)["value_loss"]
    return bool(value.std() < FLAT and least < BY_HEART * seen)


def _is_uniform(evidence: Evidence, rows: Sample) -> bool:
    policy, _ = evidence.predict(evidence.newest_folded, rows)
    legal = rows.legal_action_mask / rows.legal_action_mask.sum(axis=1, keepdims=True)
    return bool(kl_divergence(legal, policy).mean() < UNIFORM)


def _from_the_other_seat(evidence: Evidence) -> list[Finding]:
    """Looks for a network that knows positions better from the side of the seat that waits."""
    rows, states = take(evidence.rows, evidence.replayed.rows), evidence.replayed.states
    taught = "policy" in _taught_by_games(evidence) and evidence.newest.step >= FEW_STEPS
    if len(rows.ply) < BATCH or not taught:
        return []
    seats = 1 - states.to_play
    states = states._replace(to_play=seats)  # type: ignore[attr-defined]
    seen = np.asarray(jax.jit(jax.vmap(evidence.game.observe))(states))
    right = _costs(evidence, rows)
    other = _costs(evidence, rows._replace(observation=seen))
    of_seats = {"": seats >= 0, " of seat 0": seats == 1, " of seat 1": seats == 0}
    better = [
        (whose, here)
        for whose, here in of_seats.items()
        if here.sum() >= FEW_ROWS and _is_better(right[here], other[here])
    ]
    if not better:
        return []
    whose, here = better[0]
    return [
        Finding(
            "wrong-observations",
            f"the network knows rows{whose} better from the side of the other seat "
            f"({other[here].mean():.2f} nats) than as they are stored ({right[here].mean():.2f}): "
            "so training showed them.",
            "in a minibatch, an observation is `game.observe` for the seat to play, as in the "
            "replay",
        )
    ]


def _is_better(right: np.ndarray, other: np.ndarray) -> bool:
    """Whether rows cost certainly less in the other way."""
    gap = right - other
    return bool(gap.mean() > max(LEAST_TURNED, 5 * gap.std() / np.sqrt(len(gap))))


def _turned(evidence: Evidence) -> list[Finding]:
    """Looks for a network that was taught rows of which only a part was turned.

    A network knows the rows that it was shown best. Shown through random symmetries, rows of which
    all is turned cost it as little as any: in healthy runs up to 1.9 nats less than where a part
    is, never more. Where only boards had been turned in training, 0.12 nats more; only policies,
    0.06.
    """
    symmetries = evidence.game.symmetries()
    augmented = evidence.config.learner.augment and len(symmetries) > 1
    taught = "policy" in _taught_by_games(evidence) and evidence.newest.step >= FEW_STEPS
    rows = last_part(evidence.rows, 2_048)
    if len(rows.ply) < BATCH or not (augmented and taught):
        return []
    backwards = [s._replace(action=s.inverse().action) for s in symmetries]
    drawn = np.random.default_rng(0).integers(0, len(symmetries), len(rows.ply))
    still = np.zeros_like(drawn)
    right = _costs(evidence, _shown(rows, symmetries, drawn, drawn))
    wrongs = {
        how: _costs(evidence, _shown(rows, *shown))
        for how, shown in {
            "boards alone are": (symmetries, drawn, still),
            "policies and legal actions alone are": (symmetries, still, drawn),
            "policies, the other way round, are": (backwards, drawn, drawn),
        }.items()
    }
    how = min(wrongs, key=lambda name: wrongs[name].mean())
    if not _is_better(right, wrongs[how]):
        return []
    return [
        Finding(
            "shuffled-targets",
            f"the network knows rows better if {how} turned ({wrongs[how].mean():.2f} nats) "
            f"than if all of a row is ({right.mean():.2f}): so it was shown them in training.",
            "in a minibatch, observation, legal actions and policy go through the same symmetry "
            "(`learner.augment`)",
        )
    ]


def _shown(
    rows: Sample, symmetries: Sequence[Symmetry], boards: np.ndarray, policies: np.ndarray
) -> Sample:
    """Returns rows of which boards and policies go through the symmetries of these numbers."""
    shown = {n: x.copy() for n, x in rows._asdict().items() if n in TURNED_COLUMNS}
    for number, symmetry in enumerate(symmetries):
        seen, meant = (np.flatnonzero(drawn == number) for drawn in (boards, policies))
        if len(seen):
            shown["observation"][seen] = symmetry.on_observation(rows.observation[seen])
        for name in ("policy_target", "legal_action_mask"):
            shown[name][meant] = symmetry.on_actions(getattr(rows, name)[meant])
    return rows._replace(**shown)


def _costs(evidence: Evidence, rows: Sample) -> np.ndarray:
    """Returns float[N], the cross-entropy of the rows' policies in nats."""
    policy, _ = evidence.predict(evidence.newest_folded, rows)
    return np.asarray(cross_entropy(rows.policy_target.astype(np.float32), policy))


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
