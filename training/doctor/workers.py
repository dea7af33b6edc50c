"""A check of a run's workers: is one of them unlike the others?

A worker whose memory, driver or build is not as it should be plays games that pass every check of a
batch. Its numbers then differ from those of the others in the same minutes, line after line.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from training.doctor.evidence import Evidence
from training.doctor.findings import Finding, Result
from training.metrics import FleetLine, WorkerFigures

FEW_GAMES = 20  # of a worker in a line; with fewer the line does not count for it
FEW_LINES = 6  # by which a worker is judged
MOST_ERRORS = 6.0  # standard errors of the mean of its differences
# What is compared, by name: how far it may be off, absolutely and as a share of the others'.
Measure = tuple[Callable[[WorkerFigures], float | None], float, float]
MEASURES: dict[str, Measure] = {
    "value bias": (lambda worker: worker.value_bias, 0.05, 0.0),
    "squared error of the value": (lambda worker: worker.value_error, 0.02, 0.25),
    "plies a game": (lambda worker: worker.game_plies, 0.0, 0.1),
}


def workers(evidence: Evidence) -> Result:
    """Compares each worker with the mean of the others in the same line of the fleet.

    Thresholds: `MEASURES`, and `MOST_ERRORS` standard errors over `FEW_LINES` lines or more.
    """
    lines = evidence.fleets
    names = {worker.incarnation: worker for line in lines for worker in line.workers}
    measured: dict[str, Any] = {"workers": len(names), "lines": len(lines)}
    findings = []
    for incarnation, worker in names.items():
        for what, measure in MEASURES.items():
            odd = _odd(lines, incarnation, measure)
            if odd is not None:
                findings.append(_finding(worker, what, *odd))
    healthy = "No worker's games, lengths or values are off those of the others."
    if not lines:
        return Result("workers", healthy, "no workers: this run plays by itself", measured)
    judged = [i for i in names if len(_differences(lines, i, MEASURES["value bias"][0])[0])]
    return Result(
        "workers",
        healthy,
        f"{len(names)} worker{'s' * (len(names) != 1)} so far, {len(judged)} beside others",
        measured,
        tuple(findings),
    )


def _differences(
    lines: list[FleetLine], incarnation: int, value: Callable[[WorkerFigures], float | None]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a worker's value less the mean of the others', and that mean, line by line."""
    less, others_mean = [], []
    for line in lines:
        known = {w.incarnation: value(w) for w in line.workers if w.games >= FEW_GAMES}
        own = known.pop(incarnation, None)
        others = [other for other in known.values() if other is not None]
        if own is not None and others:
            less.append(own - np.mean(others))
            others_mean.append(np.mean(others))
    return np.array(less), np.array(others_mean)


def _odd(
    lines: list[FleetLine], incarnation: int, measure: Measure
) -> tuple[float, float, float] | None:
    """Returns a worker's mean, that of the others, and the difference in standard errors.

    None where it is like them, or too little is known.
    """
    value, most, most_share = measure
    less, others = _differences(lines, incarnation, value)
    if len(less) < FEW_LINES:
        return None
    mean, usual = float(less.mean()), float(others.mean())
    error = float(less.std(ddof=1)) / math.sqrt(len(less))
    if abs(mean) <= max(most, most_share * abs(usual)) or abs(mean) <= MOST_ERRORS * error:
        return None
    return usual + mean, usual, abs(mean) / error if error else math.inf


def _finding(worker: WorkerFigures, what: str, own: float, others: float, errors: float) -> Finding:
    return Finding(
        "worker-odd",
        f"worker {worker.worker} (slot {worker.slot}, {worker.device} on {worker.host}) is unlike "
        f"the others: its {what} is {own:.3f}, theirs {others:.3f} in the same minutes "
        f"({min(errors, 99):.0f} standard errors).",
        "stop it, and look at that machine (memory, driver, build); go on from a checkpoint of "
        "before it joined if the difference is large",
    )
