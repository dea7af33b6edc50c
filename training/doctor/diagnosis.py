"""The diagnosis of a run, whether it is learning and why not: eleven checks of what is on disk.

A check is a function from a run's evidence to a result. It measures something that a healthy run
has in common with every other, whatever the game, and names the fault where it is missing. A check
that cannot be judged yet says so. Nothing is written here, and a run in progress is not disturbed.
`docs/doctor.md` explains every check.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from training.doctor import (
    examples,
    exploration,
    games,
    lessons,
    overseer,
    refit,
    searching,
    values,
    weights,
)
from training.doctor.evidence import Evidence, gather
from training.doctor.findings import FAULTS, Finding, Result
from training.storage.run_folder import RunFolder


class Check(NamedTuple):
    """One check of a run."""

    name: str
    healthy: str  # what a healthy run looks like
    judge: Callable[[Evidence], Result]


TABLE = (
    Check("learning", "Mistakes fall, or the score rises.", games.learning),
    Check("rules", "Every example agrees with the rules of the game.", examples.rules),
    Check(
        "replay",
        "Self-play is few iterations behind, and the window holds many minibatches.",
        examples.replay,
    ),
    Check("games", "Most games differ, and they do not all end alike.", games.games),
    Check(
        "exploration",
        "Root noise changes the target of most positions.",
        exploration.exploration,
    ),
    Check(
        "weights",
        "Weights move without growing many times, averages follow, few units are dead.",
        weights.weights,
    ),
    Check(
        "value",
        "The network foresees results: correlation well above 0, growing with the ply.",
        values.value,
    ),
    Check(
        "search",
        "Search changes some choices, for the better, and less as training goes on.",
        searching.searching,
    ),
    Check(
        "overseer",
        "Amplify(A) decides better than A alone, until A has learned what it does.",
        overseer.overseer,
    ),
    Check(
        "overfit",
        "A fresh network learns one batch by heart: less than half of its loss is left.",
        refit.overfit,
    ),
    Check(
        "lessons",
        "The network knows about its examples what a fresh one learns from them, or more.",
        lessons.lessons,
    ),
)
CHECKS = len(TABLE)
Progress = Callable[[float, str], None]


class Diagnosis(NamedTuple):
    """What the doctor says of a run."""

    step: int  # of the checkpoint that was looked at
    results: tuple[Result, ...]  # a check each

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those of all checks, the likeliest cause first."""
        order = list(FAULTS)
        found = (finding for result in self.results for finding in result.findings)
        return tuple(sorted(found, key=lambda finding: order.index(finding.fault)))

    @property
    def too_early(self) -> tuple[str, ...]:
        """The checks that could not be judged, or not wholly."""
        return tuple(result.check for result in self.results if result.verdict == "too early")

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON takes it; `healthy` is null if it is too early to say."""
        return {
            "step": self.step,
            "healthy": False if self.findings else None if self.too_early else True,
            "too_early": self.too_early,
            "findings": [
                dataclasses.asdict(finding) | {"change": finding.change}
                for finding in self.findings
            ],
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
    results: list[Result] = []
    progress(0, "reading")
    evidence = gather(
        folder, seconds, lambda part: progress(len(results) + part, "training a fresh network")
    )
    for name, healthy, judge in TABLE:
        results.append(dataclasses.replace(judge(evidence), check=name, healthy=healthy))
        progress(len(results), name)
    return Diagnosis(evidence.newest.step, tuple(results))
