"""The diagnosis of a run, whether it is learning and why not: eleven checks of what is on disk.

Each check measures something that a healthy run has in common with every other, whatever the game,
and names the fault where it is missing. A check that cannot be judged yet says so. Nothing is
written here, and a run in progress is not disturbed. `docs/doctor.md` explains every check.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from training.doctor import (
    exploration,
    games,
    lessons,
    overseer,
    refit,
    rows,
    searching,
    values,
    weights,
)
from training.doctor.evidence import gather
from training.doctor.findings import Finding, Result
from training.storage.run_folder import RunFolder

# Causes before their consequences: the first finding is the one to act on.
ORDER = (
    "wrong-rows",
    "learning-rate-too-high",
    "frozen-weights",
    "learning-rate-too-low",
    "weight-decay-too-high",
    "value-sign",
    "stale-weights",
    "tiny-replay",
    "value-untrained",
    "policy-untrained",
    "unlearned",
    "value-biased",
    "dead-units",
    "search-too-small",
    "no-exploration",
    "repeated-games",
    "one-result",
    "search-hurts",
    "overseer-averaged",
    "overseer-weaker",
    "getting-worse",
)
CHECKS = 11
NOTE = "training a fresh network"
Progress = Callable[[float, str], None]


class Diagnosis(NamedTuple):
    """What the doctor says of a run."""

    step: int  # of the checkpoint that was looked at
    results: tuple[Result, ...]  # a check each
    findings: tuple[Finding, ...]  # of all checks, the likeliest cause first

    @property
    def too_early(self) -> tuple[str, ...]:
        """The checks that could not be judged, or not wholly."""
        return tuple(result.check for result in self.results if result.verdict == "too early")

    def as_json(self) -> dict[str, Any]:
        """Returns all of it as JSON takes it; `healthy` is null if it is too early to say."""
        return {
            "step": self.step,
            "healthy": False if self.findings else None if self.too_early else True,
            "too_early": self.too_early,
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
            "checks": [result.as_json() for result in self.results],
        }


def diagnose(
    folder: RunFolder, seconds: float = 20.0, progress: Progress = lambda done, note: None
) -> Diagnosis:
    """Checks a run, finished or in progress.

    Args:
      seconds: the most that each of the two checks that train a network may train, and about the
        most that searches of solved positions may take on two cores.
      progress: called with the number of checks done, and what is under way.

    Raises:
      ValueError, CheckpointError: there is nothing to look at yet, or it is damaged.
    """
    progress(0, "reading")
    evidence = gather(folder)
    checks: tuple[Callable[[], Result], ...] = (
        functools.partial(games.learning, evidence),
        functools.partial(rows.rules, evidence),
        functools.partial(rows.replay, evidence),
        functools.partial(games.games, evidence),
        functools.partial(exploration.exploration, evidence),
        functools.partial(weights.weights, evidence),
        functools.partial(values.value, evidence),
        functools.partial(searching.searching, evidence, seconds),
        functools.partial(overseer.overseer, evidence),
    )
    results = []
    for check in checks:
        results.append(check())
        progress(len(results), results[-1].check)
    done = len(results)
    results.append(refit.overfit(evidence, seconds, lambda part: progress(done + part, NOTE)))
    sound = results[-1].verdict == "healthy"
    learner = refit.own_learner(evidence) if sound else refit.DEFAULT
    results.append(
        lessons.lessons(evidence, learner, seconds, lambda part: progress(done + 1 + part, NOTE))
    )
    return Diagnosis(evidence.newest.step, tuple(results), _ordered(results))


def _ordered(results: list[Result]) -> tuple[Finding, ...]:
    findings = (finding for result in results for finding in result.findings)
    return tuple(sorted(findings, key=lambda finding: ORDER.index(finding.fault)))
