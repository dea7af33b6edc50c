"""What a sweep has found: means over seeds, and differences to the baseline paired by seed."""

from collections.abc import Mapping, Sequence
from typing import Any

from training.sweep import intervals
from training.sweep.intervals import Estimate
from training.sweep.plan import Job, Plan

COUNTS = ("flops", "seconds", "positions", "games", "step", "iteration")
# What made a run, and how several of these are called.
MAKERS = {"commit": "commits", "versions": "versions", "devices": "sets of devices"}
VERDICTS = {-1: "worse", 0: "no difference", 1: "better", None: ""}
UNEQUAL = 0.02  # of the baseline's operations; a run ends with an iteration, so a little is usual
MISTAKES = "mistakes"  # begins the names of measures of which less is better


def summarize(plan: Plan, results: Mapping[Job, Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the sweep's result as JSON has it.

    Args:
      results: what was measured of the runs that are finished, as `job.result` returns it.

    Returns:
      `game`, `limit`, `seeds`, `baseline`, `base`; and `variants`, by name, each with its own
      `settings`, the `seeds` that are finished, the means of its `compute`, and its `measures` by
      name: `values` by seed, `mean`, `interval` (null for a single seed), and `to_baseline`
      (`mean`, `interval`, `seeds`, `verdict`), which is null for the baseline itself.
    """
    return {
        "game": plan.game,
        "preset": plan.preset,
        "limit": {plan.limit.name: plan.limit.value},
        "seeds": list(plan.seeds),
        "baseline": plan.baseline,
        "measuring": plan.measuring.identity(),
        "base": dict(plan.base),
        "variants": {name: _variant(plan, name, results) for name in plan.variants},
    }


def measures(summary: Mapping[str, Any]) -> list[str]:
    """Returns the names of all measures, in order."""
    names = (name for variant in summary["variants"].values() for name in variant["measures"])
    return list(dict.fromkeys(names))


def _variant(plan: Plan, name: str, results: Mapping[Job, Mapping[str, Any]]) -> dict[str, Any]:
    variant, own, base = plan.variants[name], _of(name, results), _of(plan.baseline, results)
    names = dict.fromkeys(measure for result in own.values() for measure in result["measures"])
    return {
        "settings": variant.settings,
        "seeds": list(own),
        "compute": {count: _mean(own, count) for count in COUNTS},
        "measures": {
            measure: _measure(measure, own, None if name == plan.baseline else base)
            for measure in names
        },
    }


def _of(name: str, results: Mapping[Job, Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    """Returns a variant's results by seed."""
    return {job.seed: result for job, result in results.items() if job.variant == name}


def _mean(results: Mapping[int, Mapping[str, Any]], count: str) -> float | None:
    values = [result["run"][count] for result in results.values()]
    return intervals.estimate(values).mean if values else None


def _measure(
    name: str,
    own: Mapping[int, Mapping[str, Any]],
    base: Mapping[int, Mapping[str, Any]] | None,
) -> dict[str, Any]:
    values = _values(name, own)
    entry = {"values": {str(seed): value for seed, value in values.items()}}
    entry |= _entries(intervals.estimate(list(values.values())))
    difference = None if base is None else intervals.paired(values, _values(name, base))
    return entry | {"to_baseline": difference and _difference(name, difference)}


def _difference(name: str, difference: Estimate) -> dict[str, Any]:
    sign = difference.sign
    gain = sign if sign is None or not name.startswith(MISTAKES) else -sign
    return {**_entries(difference), "seeds": difference.values, "verdict": VERDICTS[gain]}


def _entries(estimate: Estimate) -> dict[str, Any]:
    interval = None if estimate.low is None else [estimate.low, estimate.high]
    return {"mean": estimate.mean, "interval": interval}


def _values(name: str, results: Mapping[int, Mapping[str, Any]]) -> dict[int, float]:
    return {
        seed: result["measures"][name]
        for seed, result in results.items()
        if name in result["measures"]
    }


def notes(plan: Plan, results: Mapping[Job, Mapping[str, Any]]) -> list[str]:
    """Returns what a reader of the table must know, a sentence each."""
    said = []
    if len(plan.seeds) == 1:
        said.append("one seed gives no interval: seeds differ, often by more than variants do")
    missing = [job.place for job in plan.jobs() if job not in results]
    if missing:
        said.append(f"{len(missing)} of {len(plan.jobs())} runs are left out: {_some(missing)}")
    for name, many in MAKERS.items():
        made = {str(result["run"][name]) for result in results.values()}
        if len(made) > 1:
            said.append(f"the runs were made by {len(made)} {many}, not by one")
    return said + _unequal(plan, results)


def _unequal(plan: Plan, results: Mapping[Job, Mapping[str, Any]]) -> list[str]:
    """Returns a note on variants that have not computed as much as the baseline."""
    means = {name: _mean(_of(name, results), "flops") for name in plan.variants}
    base = means[plan.baseline]
    ratios = {name: mean / base for name, mean in means.items() if mean and base}
    unlike = [
        f"{name} {ratio:.2f} times" for name, ratio in ratios.items() if abs(ratio - 1) > UNEQUAL
    ]
    return [f"compute is not equal, in operations of {plan.baseline}: {', '.join(unlike)}"] * bool(
        unlike
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
