"""What there is to do of a sweep: the runs that are left, and how long they will take."""

import pathlib
import shlex
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from training.storage.run_folder import RunFolder
from training.sweep import job as job_module
from training.sweep.plan import Job, Plan

UNITS = {"flops": "operations", "iterations": "iterations", "minutes": "minutes"}


def left(plan: Plan, out: pathlib.Path) -> list[Job]:
    """Returns the runs that are not finished and measured.

    Args:
      out: the sweep's folder.

    Raises:
      ValueError: a run there has other settings, or a file there is no result.
    """
    for job in plan.jobs():
        job_module.check_same(plan, job, RunFolder(out / job.place))
    return [job for job in plan.jobs() if not job_module.result(plan, job, out)]


def outlook(plan: Plan, out: pathlib.Path, workers: int) -> dict[str, Any]:
    """Returns what there is to do, as JSON takes it.

    Args:
      workers: runs at once.

    Raises:
      ValueError: as `left`.
    """
    runs = left(plan, out)
    return {
        "out": str(out),
        "variants": {name: variant.settings for name, variant in plan.variants.items()},
        "runs": len(plan.jobs()),
        "left": [job.place for job in runs],
        "limit": plan.limit._asdict(),
        "hours": _hours(plan, runs, out, workers),
    }


def in_words(plan: Plan, whole: Mapping[str, Any]) -> str:
    """Returns what `outlook` did, for people."""
    limit, seeds = f"{plan.limit.value:g} {UNITS[plan.limit.name]}", " ".join(map(str, plan.seeds))
    lines = [f"{plan.game}, preset {plan.preset}, {limit} a run, seeds {seeds}"]
    if plan.base:
        lines.append(f"  all: {_listed(plan.base)}")
    width = max(map(len, plan.variants))
    for name, variant in plan.variants.items():
        mark = " (the baseline)" if name == plan.baseline else ""
        own = _listed(variant.settings) or "nothing else"
        lines.append(f"  {name:{width}}  {own}{mark}")
    hours = whole["hours"]
    time = "how long is not known before the first run" if hours is None else f"{hours:.2g} hours"
    lines.append(f"{len(whole['left'])} of {whole['runs']} runs are left: {time}")
    lines.append(f"folder: {shlex.quote(whole['out'])}; nothing was written")
    return "\n".join(lines)


def _hours(plan: Plan, runs: Sequence[Job], out: pathlib.Path, workers: int) -> float | None:
    """Returns how long these runs will take; None if nothing tells."""
    taken: dict[str, list[float]] = {}
    for job in plan.jobs():
        if result := job_module.result(plan, job, out):
            taken.setdefault(job.variant, []).append(result["run"]["seconds"])
    every = [seconds for of_one in taken.values() for seconds in of_one]
    if plan.limit.name == "minutes":
        every, taken = [60 * plan.limit.value], {}
    if runs and not every:
        return None
    total = sum(statistics.fmean(taken.get(job.variant, every)) for job in runs)
    return total / workers / 3600


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
