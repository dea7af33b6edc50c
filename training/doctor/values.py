"""A check of a run's values: do they point the right way, and are they right on average?"""

from typing import NamedTuple

import numpy as np

from selfplay import example
from training.doctor.evidence import JUDGED_EXAMPLES, Evidence, correlation, last_part
from training.doctor.findings import Case, Result, first
from training.doctor.games import repeats
from training.doctor.weights import FEW_STEPS
from training.evaluation import value_quality
from training.evaluation.value_quality import Agreement

FEW_GAMES = 100  # below, a mean is too uncertain to call it biased
FOREKNOWN = 0.05  # of the results' variance: a value that explains less is too early to judge
# By how much values may lie below and above the results on average. A search values its best moves,
# so what it says is a little too high, the more the worse the network is.
LEAST_ROOT_BIAS, MOST_ROOT_BIAS = -0.05, 0.25
LEAST_RAW_BIAS, MOST_RAW_BIAS = -0.08, 0.1
# A mean over PUCT's visits, which explore, lies a little below.
LEAST_BIAS_OF_VISITS = -0.15
BIAS_ERRORS = 5.0  # standard errors, a game's examples counted as one


def value(evidence: Evidence) -> Result:
    """Compares predicted with actual results.

    Thresholds: a correlation below -0.1 that is 4 standard errors from 0, a game's examples counted
      as
    one. Healthy runs: +0.23 (connect_four, 1,400 steps) to +0.50 (tic_tac_toe, 760 steps); with the
    sign flipped -0.54. The search's values: +0.26 to +0.59. Bias: `_biased`.
    """
    examples = last_part(evidence.examples, JUDGED_EXAMPLES)
    _, predicted = evidence.predict(evidence.newest_folded, examples)
    # A network of few steps has values that point anywhere.
    taught = example.take(examples, examples.weights_step >= FEW_STEPS)
    own, of_search = (
        Sign(correlation(value, known.outcome), len(np.unique(known.game_id)))
        for known, value in ((examples, predicted), (taught, taught.root_value))
    )
    error = float(np.square(predicted - examples.outcome).mean())
    variance = float(examples.outcome.var())
    quality = value_quality.of_examples(example.flat(evidence.examples))
    explained = 1 - error / max(variance, 1e-6)
    findings = first(
        Case(
            own.is_wrong,
            "value-sign",
            f"the network's value points the wrong way (correlation {own.correlation:+.2f} with "
            "the results): it learns that what is lost is won.",
        ),
        Case(
            of_search.is_wrong,
            "value-sign",
            "the search's values, as they are stored, point the wrong way (correlation "
            f"{of_search.correlation:+.2f} with the results).",
        ),
        *_biased(evidence, biases(evidence)),
    )
    too_early = ""
    if evidence.newest.step < FEW_STEPS:
        too_early = "training has hardly begun"
    elif explained < FOREKNOWN:
        known = f"{max(explained, 0):.0%} of the results"
        too_early = f"the value explains {known}: too little to judge"
    return Result(
        f"correlation {own.correlation:+.2f} with the results, squared error {error:.2f} of "
        f"{variance:.2f}",
        {
            "correlation": own.correlation,
            "search_correlation": of_search.correlation,
            "squared_error": error,
            "variance": variance,
            "quality": value_quality.as_json(quality),
        },
        findings,
        "" if findings else too_early,
        (value_quality.in_words(quality),),
    )


class Sign(NamedTuple):
    """Which way a value points."""

    correlation: float  # with the results
    games: int

    @property
    def is_wrong(self) -> bool:
        """Whether it certainly points the wrong way."""
        return self.correlation < -0.1 and self.correlation * np.sqrt(self.games) < -4


def biases(evidence: Evidence) -> dict[str, Agreement]:
    """How the network's and the search's values agree with results, where a bias means anything.

    Of the examples of the run's later half, for a value that has hardly been taught is anywhere.
    Where moves are drawn against the search's advice, results are not those that it foresees.
    """
    least = max(2 * FEW_STEPS, int(evidence.examples.weights_step.max()) // 2)
    examples = example.take(evidence.examples, evidence.examples.weights_step >= least)
    settings = evidence.config.self_play
    if settings.temperature > 1:
        examples = example.take(examples, examples.ply >= settings.temperature_plies)
    # An overseer's decisions teach their own values too.
    if evidence.config.overseer.decisions or not len(examples.ply) or repeats(examples):
        return {}
    quality = value_quality.of_examples(example.flat(examples))
    searched = evidence.config.amplify == "search"
    return {n: v.overall for n, v in quality.values.items() if n != "root" or searched}


def _biased(evidence: Evidence, means: dict[str, Agreement]) -> list[Case]:
    """Looks for values that are wrong on average, whatever they say of one position.

    Healthy runs of a Gumbel search: raw -0.03 to +0.03, root +0.06 to +0.14; where the root's value
    was the mean of its visits, -0.06 to -0.14 and -0.12 to -0.23.

    Source: Danihelka et al. 2022, appendix D: a value of the root that the policy backs up, not its
    visits, which sequential halving hands out by a schedule.
    """
    of_visits = evidence.config.search.policy == "puct"
    bounds = {
        "root": (LEAST_BIAS_OF_VISITS if of_visits else LEAST_ROOT_BIAS, MOST_ROOT_BIAS),
        "raw": (LEAST_RAW_BIAS, MOST_RAW_BIAS),
    }
    whose = {"root": "the search's", "raw": "the network's own"}
    cases = []
    for name, (least, most) in bounds.items():
        if known := means.get(name):
            certain = abs(known.bias) > BIAS_ERRORS * known.bias_error
            outside = not least <= known.bias <= most
            side = "lower" if known.bias < 0 else "higher"
            cases.append(
                Case(
                    certain and outside and known.groups >= FEW_GAMES,
                    "value-biased",
                    f"{whose[name]} values are {abs(known.bias):.2f} {side} than the results on "
                    f"average (standard error {known.bias_error:.3f}, over {known.groups} games).",
                )
            )
    return cases
