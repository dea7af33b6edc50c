"""Stopping a match as soon as it is known which of two strengths is the likelier one.

The generalized sequential probability ratio test on pairs of games: the log-likelihood ratio of
"the first player is `elo1` stronger" (H1) to "it is `elo0` stronger" (H0), each with the likeliest
five outcome probabilities that have this mean score, is watched until it leaves Wald's bounds.
Wald, "Sequential tests of statistical hypotheses" (1945); Van den Bergh, "A practical introduction
to the GSPRT" (2017), which chess engines are tested by.
"""

import dataclasses
import math
from typing import Literal, NamedTuple

import numpy as np

from selfplay.rating.elo import MAX_ELO, constrained, elo_to_score

FEWEST_PAIRS = 16  # before, five probabilities are not known well enough to take a decision

Verdict = Literal["H0", "H1", "undecided"]


@dataclasses.dataclass(frozen=True)
class Sprt:
    """A test of two Elo differences of the first player."""

    elo0: float
    elo1: float
    alpha: float = 0.05  # chance of accepting H1 where H0 is true
    beta: float = 0.05  # chance of accepting H0 where H1 is true

    def problems(self) -> list[str]:
        """The faults of these settings, a sentence each."""
        problems = []
        if not -MAX_ELO < self.elo0 < self.elo1 < MAX_ELO:
            problems.append(
                f"sprt needs elo0 < elo1, both within {MAX_ELO:g} Elo, "
                f"got {self.elo0:g} and {self.elo1:g}"
            )
        for name in ("alpha", "beta"):
            if not 0 < getattr(self, name) < 0.5:
                problems.append(
                    f"{name} must be above 0 and below 0.5, got {getattr(self, name):g}"
                )
        return problems

    @property
    def bounds(self) -> tuple[float, float]:
        """H0 is accepted at or below the first, H1 at or above the second."""
        low = math.log(self.beta / (1 - self.alpha))
        return low, math.log((1 - self.beta) / self.alpha)


class SprtResult(NamedTuple):
    """Where a test stands."""

    verdict: Verdict
    llr: float
    bounds: tuple[float, float]


def decide(test: Sprt, pair_counts: np.ndarray, distinct_pairs: int) -> SprtResult:
    """Returns where `test` stands; the arguments are those of `rating.score_interval`."""
    llr = float(log_likelihood_ratio(test, pair_counts, distinct_pairs))
    low, high = test.bounds
    verdict: Verdict = "undecided"
    if distinct_pairs >= FEWEST_PAIRS and not low < llr < high:
        verdict = "H1" if llr >= high else "H0"
    return SprtResult(verdict, llr, test.bounds)


def log_likelihood_ratio(
    test: Sprt, pair_counts: np.ndarray, distinct_pairs: np.ndarray | int
) -> np.ndarray:
    """Returns float[...], the logarithm of how much likelier H1 makes the results than H0."""
    counts = np.asarray(pair_counts, float)
    counts = counts * (np.asarray(distinct_pairs) / counts.sum(axis=-1))[..., None]

    def log_probabilities(elo: float) -> np.ndarray:
        score = np.full(counts.shape[:-1], elo_to_score(elo))
        return np.log(constrained(counts, score))

    ratio: np.ndarray = log_probabilities(test.elo1) - log_probabilities(test.elo0)
    return (counts * ratio).sum(axis=-1)
