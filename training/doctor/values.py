"""A check of a run's values: do they point the right way, and are they right on average?"""

from typing import NamedTuple

import numpy as np

from selfplay import row
from training.doctor.evidence import JUDGED_ROWS, Evidence, correlation, last_part, take
from training.doctor.findings import Finding, Result, first
from training.doctor.games import repeats
from training.doctor.weights import FEW_STEPS
from training.evaluation import value_quality

FEW_GAMES = 100  # below, a mean is too uncertain to call it biased
FOREKNOWN = 0.05  # of the results' variance: a value that explains less is too early to judge
# By how much values may lie below and above the results on average. A search values its best moves,
# so what it says is a little too high, the more the worse the network is.
LEAST_ROOT_BIAS, MOST_ROOT_BIAS = -0.05, 0.25
LEAST_RAW_BIAS, MOST_RAW_BIAS = -0.08, 0.1
# A mean over PUCT's visits, which explore, lies a little below.
LEAST_BIAS_OF_VISITS = -0.15
BIAS_ERRORS = 5.0  # standard errors, a game's rows counted as one


def value(evidence: Evidence) -> Result:
    """Compares predicted with actual results.

    Thresholds: a correlation below -0.1 that is 4 standard errors from 0, a game's rows counted as
    one. Healthy runs: +0.23 (connect_four, 1,400 steps) to +0.50 (tic_tac_toe, 760 steps); with the
    sign flipped -0.54. The search's values: +0.26 to +0.59. Bias: `_biased`.
    """
    rows = last_part(evidence.rows, JUDGED_ROWS)
    _, predicted = evidence.predict(evidence.newest_folded, rows)
    taught = take(rows, rows.weights_step >= FEW_STEPS)  # before, a value points anywhere
    own, of_search = (
        Sign(correlation(value, known.outcome), len(np.unique(known.game_id)))
        for known, value in ((rows, predicted), (taught, taught.root_value))
    )
    error = float(np.square(predicted - rows.outcome).mean())
    variance = float(rows.outcome.var())
    quality = value_quality.of_rows(row.flat(evidence.rows))
    biases = _biases(evidence)
    explained = 1 - error / max(variance, 1e-6)
    findings = first(*_signs(own, of_search), *_biased(evidence, biases))
    too_early = {
        "training has hardly begun": evidence.newest.step < FEW_STEPS,
        f"the value explains {max(explained, 0):.0%} of the results: too little to judge": (
            explained < FOREKNOWN
        ),
    }
    return Result(
        "value",
        "The network foresees results: correlation well above 0, growing with the ply.",
        f"correlation {own.correlation:+.2f} with the results, squared error {error:.2f} of "
        f"{variance:.2f}",
        {
            "correlation": own.correlation,
            "search_correlation": of_search.correlation,
            "squared_error": error,
            "variance": variance,
            "quality": value_quality.as_json(quality),
            "bias": {name: bias._asdict() for name, bias in biases.items()},
        },
        findings,
        "" if findings else next((why for why, holds in too_early.items() if holds), ""),
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


def _signs(own: Sign, of_search: Sign) -> list[tuple[bool, Finding]]:
    return [
        (
            own.is_wrong,
            Finding(
                "value-sign",
                f"the network's value points the wrong way (correlation {own.correlation:+.2f} "
                "with the results): it learns that what is lost is won.",
                "with a --distil of your own, the sign of its value loss; in a game of your own, "
                "`returns` and `observe` for the seat to play (`selfplay game check`)",
            ),
        ),
        (
            of_search.is_wrong,
            Finding(
                "value-sign",
                "the search's values, as they are stored, point the wrong way (correlation "
                f"{of_search.correlation:+.2f} with the results).",
                "with an --amplify of your own, its values are for the seat to play; in a game of "
                "your own, whose turn it is (`selfplay game check`)",
            ),
        ),
    ]


class Bias(NamedTuple):
    """By how much values exceed results on average."""

    mean: float
    error: float  # standard error, a game's rows counted as one
    games: int

    def is_outside(self, least: float, most: float) -> bool:
        """Whether the mean is certainly not between the two."""
        certain = abs(self.mean) > BIAS_ERRORS * self.error and self.games >= FEW_GAMES
        return certain and not least <= self.mean <= most


UNKNOWN_BIAS = Bias(0.0, 0.0, 0)


def _biases(evidence: Evidence) -> dict[str, Bias]:
    """Returns the bias of the network's and the search's values, and of the policy's over moves.

    Of the rows of the run's later half, for a value that has hardly been taught is anywhere. Where
    moves are drawn against the search's advice, results are not those that it foresees.
    """
    least = max(2 * FEW_STEPS, int(evidence.rows.weights_step.max()) // 2)
    rows = take(evidence.rows, evidence.rows.weights_step >= least)
    settings = evidence.config.self_play
    if settings.temperature > 1:
        rows = take(rows, rows.ply >= settings.temperature_plies)
    # An overseer's decisions teach their own values too.
    if evidence.config.overseer.decisions or not len(rows.ply) or repeats(rows):
        return {}
    quality = value_quality.of_rows(row.flat(rows))
    return {
        name: Bias(value.overall.bias, value.overall.bias_error, value.overall.groups)
        for name, value in quality.values.items()
        if name != "root" or evidence.config.amplify == "search"
    }


def _biased(evidence: Evidence, biases: dict[str, Bias]) -> list[tuple[bool, Finding]]:
    """Looks for values that are wrong on average, whatever they say of one position.

    Healthy runs of a Gumbel search: raw -0.03 to +0.03, root +0.06 to +0.14; where the root's value
    was the mean of its visits, -0.06 to -0.14 and -0.12 to -0.23.

    Source: Danihelka et al. 2022, appendix D: a value of the root that the policy backs up, not its
    visits, which sequential halving hands out by a schedule.
    """
    root, raw = (biases.get(name, UNKNOWN_BIAS) for name in ("root", "raw"))
    of_visits = evidence.config.search.policy == "puct"
    least = LEAST_BIAS_OF_VISITS if of_visits else LEAST_ROOT_BIAS
    return [
        (
            root.is_outside(least, MOST_ROOT_BIAS),
            Finding(
                "value-biased",
                f"the search's values are {_off(root)} than the results, the network's own are off "
                f"by {raw.mean:+.2f}.",
                "learner.root_value_weight 0 keeps them out of the value target; more simulations",
            ),
        ),
        (
            raw.is_outside(LEAST_RAW_BIAS, MOST_RAW_BIAS),
            Finding(
                "value-biased",
                f"the network's values are {_off(raw)} than the results, the search's are off by "
                f"{root.mean:+.2f}.",
                "a smaller learner.root_value_weight; with a --distil of your own, its value loss",
            ),
        ),
    ]


def _off(bias: Bias) -> str:
    side = "lower" if bias.mean < 0 else "higher"
    return (
        f"{abs(bias.mean):.2f} {side} on average ({abs(bias.mean) / max(bias.error, 1e-9):.0f} "
        f"standard errors, over {bias.games} games)"
    )
