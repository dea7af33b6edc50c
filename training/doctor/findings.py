"""Findings and results of the doctor's checks."""

import dataclasses
from typing import Any, Literal

Verdict = Literal["healthy", "finding", "too early"]


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong, for a person to act on."""

    fault: str  # its name, such as "value-sign"
    sentence: str  # what is wrong, with the measured values
    change: str  # what to change


def first(*cases: tuple[bool, Finding]) -> tuple[Finding, ...]:
    """Returns the finding of the first case that holds, if any does."""
    return next(((finding,) for holds, finding in cases if holds), ())


def all_of(*cases: tuple[bool, Finding]) -> tuple[Finding, ...]:
    """Returns the findings of all cases that hold."""
    return tuple(finding for holds, finding in cases if holds)


@dataclasses.dataclass(frozen=True)
class Result:
    """One check of a run."""

    check: str
    healthy: str  # what a healthy run looks like
    summary: str  # what was measured, in one line
    measured: dict[str, Any]  # for --json
    findings: tuple[Finding, ...] = ()
    unjudged: str = ""  # why the check, or a part of it, could not be judged
    notes: tuple[str, ...] = ()  # sentences worth telling that name no fault

    @property
    def verdict(self) -> Verdict:
        """What the check comes to."""
        if self.findings:
            return "finding"
        return "too early" if self.unjudged else "healthy"

    def as_json(self) -> dict[str, Any]:
        """Returns all of it as JSON takes it."""
        return dataclasses.asdict(self) | {"verdict": self.verdict}
