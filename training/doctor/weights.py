"""A check of a run's weights: how they moved, grew and turned, and which units are dead."""

from collections.abc import Iterable

import jax
import numpy as np

from training.doctor import units
from training.doctor.evidence import Evidence, kernels, last_part, recent_mean
from training.doctor.findings import Case, Result, all_of, first, too_early

FEW_STEPS = 50  # below, weights have hardly moved
# How often larger than at first a kernel may be, beside a random walk by steps of the usual rate:
# what many small steps come to is no fault.
MOST_GROWTH, USUAL_RATE = 8.0, 2e-3
LEAST_FOLLOWED = 0.5  # of the way from the start to the trained weights, by the averages
MOST_DEAD = 0.5  # of a layer's units
MOST_SHRUNK = 0.5  # of its first size, by the kernel that shrank least
# Radians by which every layer turns. Decay alone shrinks a kernel along itself, but for rounding,
# which came to a tenth of what it shrank by.
LEAST_TURNED, TURNED_BY_DECAY = 1e-5, 0.2


def weights(evidence: Evidence) -> Result:
    """Measures gradients, how far weights have moved, how large they are, and dead units.

    Thresholds: kernels of healthy runs were 0.9 times as large as the walk allows, with a rate
    x1000 26 times (`MOST_GROWTH`); 0% to 12% of a layer's units were dead, then 100%
    (`MOST_DEAD`). The kernel that shrank least kept its size or grew, by a weight decay x100,000
    it shrank to 0.24 (`MOST_SHRUNK`). The kernel that turned least turned by 0.09 (at a rate of
    2e-6 by 2e-4), those without a gradient by less than 1e-6 (`LEAST_TURNED`).
    """
    norm = recent_mean(line.gradient_norm for line in evidence.iterations)
    rates = [line.learning_rate for line in evidence.iterations if line.learning_rate]
    seen = last_part(evidence.examples, 512).observation
    dead = units.dead(evidence.network.evaluate, evidence.newest_folded, np.asarray(seen))
    step = evidence.newest.step
    worst, share = max(dead.items(), key=lambda item: item[1], default=("", 0.0))
    lost = f"{share:.0%} of the units of {worst}"
    measured = {
        "gradient_norm": norm,
        "highest_rate": max(rates, default=None),
        "dead_units": dead,
    }
    if evidence.initial is None or step == 0:
        why = "training has not begun" if step == 0 else "step 0 is not on disk"
        return too_early(why, measured)
    moved, growth, followed = _movement(evidence)
    grew = f"{growth:.1f} times" if np.isfinite(growth) else "beyond all numbers"
    findings = (
        *first(*_moves(evidence, moved, growth, followed)),
        *all_of(_shrunk(evidence)),
    )
    is_dead = share > MOST_DEAD
    if not (is_dead or findings):
        findings = all_of(_untaught(evidence, norm or 0.0))  # dead units are a reason for it
    return Result(
        f"gradient norm {norm or 0:.2f}, weights moved by {moved:.0%} and grew {grew}"
        + (f", {lost} are dead" if dead else ""),
        measured
        | {"moved": moved, "growth": growth, "averages_followed": followed}
        | {"turned": evidence.turned(evidence.newest.trained.params)},
        findings
        + all_of(
            Case(
                is_dead,
                "dead-units",
                f"{lost} never fire on the run's own positions.",
            )
        ),
        "" if step >= FEW_STEPS else f"only {step} training steps",
    )


def _moves(
    evidence: Evidence, moved: float, growth: float, followed: float
) -> tuple[Case, Case, Case]:
    planned, usual = evidence.config.learner, evidence.usual.learner
    step = evidence.newest.step
    grew = f"{growth:.1f} times" if np.isfinite(growth) else "beyond all numbers"
    return (
        Case(
            not np.isfinite(growth) or growth > MOST_GROWTH,
            "learning-rate-too-high",
            f"the weights have grown {grew} in {step} steps: the learning rate "
            f"({planned.learning_rate:g}) is too high; the run's preset has "
            f"{usual.learning_rate:g} with {usual.optimizer}.",
        ),
        Case(
            moved < 1e-6,
            "frozen-weights",
            f"the weights have not moved in {step} training steps.",
        ),
        Case(
            followed < LEAST_FOLLOWED and step >= FEW_STEPS,
            "stale-weights",
            f"the averaged weights, which play, have followed only {followed:.0%} of the way that "
            "the trained ones have gone: self-play acts with stale weights.",
        ),
    )


def _shrunk(evidence: Evidence) -> Case:
    kept = max(_kept(evidence).values())
    return Case(
        kept < MOST_SHRUNK,
        "weight-decay-too-high",
        f"all kernels have shrunk, the largest to {kept:.0%} of its first size: weight decay "
        f"({evidence.config.learner.weight_decay:g}) outweighs what is learned.",
    )


def _untaught(evidence: Evidence, norm: float) -> Case:
    still, heads = without_gradient(evidence), heads_of(without_gradient(evidence))
    most = evidence.config.learner.max_gradient_norm
    clipped = f"; gradients of norm {norm:.2g} are cut to learner.max_gradient_norm, {most:g}"
    return Case(
        bool(still),
        f"{heads.pop()}-untrained" if heads in ({"policy"}, {"value"}) else "frozen-weights",
        f"layers that have had no gradient in {evidence.newest.step} training steps: "
        f"{', '.join(still)}{clipped if norm > most else ''}.",
    )


def heads_of(names: Iterable[str]) -> set[str]:
    """The parts of a network that kernels are of: `policy`, `value`, `stem` or `blocks`."""
    return {name.partition("/")[0].partition("_")[0] for name in names}


def without_gradient(evidence: Evidence) -> list[str]:
    """The kernels that have at most shrunk along themselves since step 0."""
    if evidence.initial is None or evidence.newest.step < FEW_STEPS:
        return []
    kept, now = _kept(evidence), kernels(evidence.newest.trained.params)
    return [
        name
        for name, angle in evidence.turned(evidence.newest.trained.params).items()
        if now[name].size > 1  # a single number cannot turn
        and angle < LEAST_TURNED + TURNED_BY_DECAY * max(1 - kept[name], 0.0)
    ]


def _kept(evidence: Evidence) -> dict[str, float]:
    """How large each kernel is, as a share of its first size."""
    assert evidence.initial is not None
    start, now = kernels(evidence.initial.average.params), kernels(evidence.newest.trained.params)
    return {name: _size(now[name]) / max(_size(old), 1e-9) for name, old in start.items()}


def _size(array: np.ndarray) -> float:
    return float(np.linalg.norm(array))


def _movement(evidence: Evidence) -> tuple[float, float, float]:
    """How far weights moved, kernels grew beyond a random walk, and averages followed."""
    assert evidence.initial is not None
    trees = (
        evidence.initial.average.params,
        evidence.newest.trained.params,
        evidence.newest.average.params,
    )
    now, walk = kernels(trees[1]), float(USUAL_RATE * np.sqrt(evidence.newest.step))
    growth = max(
        _size(now[name]) / max(_size(old) + walk * np.sqrt(old.size), 1e-9)
        for name, old in kernels(trees[0]).items()
    )
    start, trained, average = (
        np.concatenate([np.asarray(x, np.float64).ravel() for x in jax.tree.leaves(tree)])
        for tree in trees
    )
    way, behind = _size(trained - start), _size(trained - average)
    return way / _size(start), growth, 1 - behind / max(way, 1e-12)
