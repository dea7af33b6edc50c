"""Checks of a run's weights: how they moved, grew and turned, and which units are dead."""

import jax
import numpy as np

from training.doctor.evidence import Evidence, kernels, last_part, recent_mean
from training.doctor.findings import Finding, Result, first

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
    norm, rate = _gradient_norm(evidence), _highest_rate(evidence)
    dead = _dead_units(evidence)
    worst = max(dead, key=lambda name: dead[name])
    measured = {"gradient_norm": norm, "highest_rate": rate, "dead_units": dead}
    if evidence.initial is None or evidence.newest.step == 0:
        note = "training has not begun" if evidence.newest.step == 0 else "step 0 is not on disk"
        return Result("weights", _HEALTHY_WEIGHTS, note, measured, unjudged=note)
    moved, growth, followed = _movement(evidence)
    measured |= {"moved": moved, "growth": growth, "averages_followed": followed}
    measured |= {"turned": evidence.turned(evidence.newest.trained.params)}
    findings = [*_bad_weights(evidence, moved, growth, followed, rate), *_shrunk(evidence)]
    if dead[worst] <= MOST_DEAD and not findings:
        findings += _untaught(evidence)  # dead units are a reason for it
    if dead[worst] > MOST_DEAD:
        findings.append(
            Finding(
                "dead-units",
                f"{dead[worst]:.0%} of the units of {worst} never fire on the run's own positions.",
                "lower learner.learning_rate, or start afresh: dead units do not come back",
            )
        )
    return Result(
        "weights",
        _HEALTHY_WEIGHTS,
        f"gradient norm {norm or 0:.2f}, weights moved by {moved:.0%} and grew {_times(growth)}, "
        f"{dead[worst]:.0%} of the units of {worst} are dead",
        measured,
        tuple(findings),
        "" if evidence.newest.step >= FEW_STEPS else f"only {evidence.newest.step} training steps",
    )


_HEALTHY_WEIGHTS = "Weights move without growing many times, averages follow, few units are dead."


def _bad_weights(
    evidence: Evidence, moved: float, growth: float, followed: float, rate: float | None
) -> tuple[Finding, ...]:
    planned, usual = evidence.config.learner.learning_rate, evidence.usual.learner
    step = evidence.newest.step
    return first(
        (
            not np.isfinite(growth) or growth > MOST_GROWTH,
            Finding(
                "learning-rate-too-high",
                f"the weights have grown {_times(growth)} in {step} steps: the learning rate is "
                "too high" + (f" (up to {rate:g} was used)." if rate else "."),
                f"lower learner.learning_rate ({planned:g}); the run's preset has "
                f"{usual.learning_rate:g} with {usual.optimizer}",
            ),
        ),
        (
            moved < 1e-6,
            Finding(
                "frozen-weights",
                f"the weights have not moved in {step} training steps.",
                "learner.learning_rate and learner.max_gradient_norm far above 0",
            ),
        ),
        (
            followed < LEAST_FOLLOWED and step >= FEW_STEPS,
            Finding(
                "stale-weights",
                f"the averaged weights, which play, have followed only {followed:.0%} of the way "
                "that the trained ones have gone: self-play acts with stale weights.",
                "a smaller learner.ema_decay (0.99)",
            ),
        ),
    )


def _times(growth: float) -> str:
    return f"{growth:.1f} times" if np.isfinite(growth) else "beyond all numbers"


def _shrunk(evidence: Evidence) -> list[Finding]:
    kept = max(_kept(evidence).values())
    if not kept < MOST_SHRUNK:
        return []
    return [
        Finding(
            "weight-decay-too-high",
            f"all kernels have shrunk, the largest to {kept:.0%} of its first size: weight decay "
            f"({evidence.config.learner.weight_decay:g}) outweighs what is learned.",
            "lower learner.weight_decay; the default is 1e-4",
        )
    ]


def _untaught(evidence: Evidence) -> list[Finding]:
    still = without_gradient(evidence)
    if not still:
        return []
    heads = {name.partition("/")[0].partition("_")[0] for name in still}
    fault = f"{heads.pop()}-untrained" if heads in ({"policy"}, {"value"}) else "frozen-weights"
    norm = _gradient_norm(evidence) or 0.0
    most = evidence.config.learner.max_gradient_norm
    clipped = f"; gradients of norm {norm:.2g} are cut to learner.max_gradient_norm, {most:g}"
    clipped = clipped if norm > most else ""
    return [
        Finding(
            fault,
            f"layers that have had no gradient in {evidence.newest.step} training steps: "
            f"{', '.join(still)}.",
            "learner.value_weight above 0; in a game of your own, observations that are not empty; "
            "with a --distil of your own, its loss" + clipped,
        )
    ]


def without_gradient(evidence: Evidence) -> list[str]:
    """Returns the kernels that have at most shrunk along themselves since step 0."""
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
    """Returns how large each kernel is, as a share of its first size."""
    assert evidence.initial is not None
    start, now = kernels(evidence.initial.average.params), kernels(evidence.newest.trained.params)
    return {name: _size(now[name]) / max(_size(first), 1e-9) for name, first in start.items()}


def _size(array: np.ndarray) -> float:
    return float(np.linalg.norm(array))


def _movement(evidence: Evidence) -> tuple[float, float, float]:
    """Returns how far weights moved, kernels grew beyond a random walk, and averages followed."""
    assert evidence.initial is not None
    start, now, average = (
        evidence.initial.average.params,
        evidence.newest.trained.params,
        evidence.newest.average.params,
    )
    kernels_now, steps = kernels(now), evidence.newest.step
    growth = max(
        _size(kernels_now[name])
        / max(_size(first) + float(USUAL_RATE * np.sqrt(steps * first.size)), 1e-9)
        for name, first in kernels(start).items()
    )
    whole = [
        np.concatenate([np.asarray(x, np.float64).ravel() for x in jax.tree.leaves(tree)])
        for tree in (start, now, average)
    ]
    way, behind = _size(whole[1] - whole[0]), _size(whole[1] - whole[2])
    return way / _size(whole[0]), growth, 1 - behind / max(way, 1e-12)


def _highest_rate(evidence: Evidence) -> float | None:
    rates = [line.learning_rate for line in evidence.iterations if line.learning_rate]
    return max(rates, default=None)


def _gradient_norm(evidence: Evidence) -> float | None:
    return recent_mean(line.gradient_norm for line in evidence.iterations)


def _dead_units(evidence: Evidence) -> dict[str, float]:
    """Returns each layer's share of units that fire on none of the newest rows."""
    fired = jax.jit(evidence.network.fires)(
        evidence.newest_folded, last_part(evidence.rows, 512).observation
    )
    return {name: float(1 - np.asarray(units).mean()) for name, units in fired.items()}
