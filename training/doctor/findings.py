"""The faults that the doctor can name, causes first, with advice for each; results of checks."""

import dataclasses
from typing import Any, Literal, NamedTuple

Verdict = Literal["healthy", "finding", "too early"]
OWN_LOSS = "with a --distil of your own, its loss"
# Causes before their consequences, as the first finding is the one to act on; what to change.
FAULTS = {
    "wrong-examples": "`selfplay game check` the game: its methods may depend on state and action "
    "alone; if its rules were changed meanwhile, start a new run",
    "learning-rate-too-high": "lower learner.learning_rate",
    "frozen-weights": "learner.learning_rate and learner.max_gradient_norm far above 0; in a game "
    f"of your own, observations that are not empty; {OWN_LOSS}",
    "learning-rate-too-low": "raise learner.learning_rate, or try another learner.optimizer",
    "weight-decay-too-high": "lower learner.weight_decay; the default is 1e-4",
    "value-sign": "with a --distil of your own, the sign of its value loss; with an --amplify of "
    "your own, its values are for the seat to play; in a game of your own, `returns` and `observe` "
    "for the seat to play (`selfplay game check`)",
    "stale-weights": "a smaller learner.ema_decay (0.99); with --workers fewer or nearer ones "
    "(`selfplay runs` shows their lag); else more self-play an iteration "
    "(self_play.plies_per_call)",
    "tiny-replay": "raise replay.capacity and replay.min_examples to many minibatches, or lower "
    "replay.samples_per_example",
    "value-untrained": "learner.value_weight above 0, by default 1; learner.root_value_weight "
    f"below 1; {OWN_LOSS}",
    "policy-untrained": f"{OWN_LOSS}; else a larger network",
    "unlearned": "learner.learning_rate towards the preset's, replay.samples_per_example higher, a "
    f"larger network; in a game of your own its symmetries (`selfplay game check`); {OWN_LOSS}",
    "value-biased": "a smaller learner.root_value_weight, as 0 keeps the search's values out of "
    f"the target; more simulations; {OWN_LOSS}",
    "dead-units": "lower learner.learning_rate, or start afresh: dead units do not come back",
    "search-too-small": "raise search.simulations: 16 or more, and at least two for each action "
    "that should be compared",
    "no-exploration": "search.gumbel_scale 1 (or search.dirichlet_fraction 0.25 with puct), "
    "self_play.temperature_plies above 0",
    "repeated-games": "more variety (exploration): self_play.temperature_plies, "
    "self_play.random_opening_plies, root noise",
    "one-result": "check the game (`selfplay game check`); else use random openings, or a swap "
    "rule if the first seat wins by force",
    "search-hurts": "a value or a turn has the wrong sign: `selfplay game check` the game, and see "
    "`value`",
    "overseer-averaged": "--learner.no-augment; for decisions in a file --overseer.no-augment, if "
    "the overseer means to decide so",
    "overseer-weaker": "nothing, if the network is to learn just that; else a better overseer, or "
    "--amplify search",
    "getting-worse": "see the other findings first; else a lower learner.learning_rate",
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong, for a person to act on."""

    fault: str  # one of `FAULTS`
    sentence: str  # what is wrong, with the measured values

    @property
    def change(self) -> str:
        """What to change."""
        return FAULTS[self.fault]


class Case(NamedTuple):
    """A finding, and whether it holds."""

    holds: bool
    fault: str
    sentence: str


def first(*cases: Case) -> tuple[Finding, ...]:
    """The finding of the first case that holds, if any does."""
    return all_of(*cases)[:1]


def all_of(*cases: Case) -> tuple[Finding, ...]:
    """The findings of all cases that hold."""
    return tuple(Finding(case.fault, case.sentence) for case in cases if case.holds)


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of a check."""

    summary: str  # what was measured, in one line
    measured: dict[str, Any]  # for --json
    findings: tuple[Finding, ...] = ()
    unjudged: str = ""  # why the check, or a part of it, could not be judged
    notes: tuple[str, ...] = ()  # sentences worth telling that name no fault
    check: str = ""  # its name
    healthy: str = ""  # what a healthy run looks like

    @property
    def verdict(self) -> Verdict:
        """What the check comes to."""
        if self.findings:
            return "finding"
        return "too early" if self.unjudged else "healthy"

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON takes it."""
        findings = [dataclasses.asdict(f) | {"change": f.change} for f in self.findings]
        return dataclasses.asdict(self) | {"findings": findings, "verdict": self.verdict}


def too_early(why: str, measured: dict[str, Any] | None = None) -> Result:
    """The result of a check that cannot be judged at all."""
    return Result(why, measured or {}, unjudged=why)
