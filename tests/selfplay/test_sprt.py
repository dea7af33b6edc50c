"""The sequential test: its ratio against plain Python, its errors in simulated matches."""

import math

import numpy as np
import pytest

from selfplay.rating import elo_to_score
from selfplay.rating.sprt import FEWEST_PAIRS, Sprt, decide, log_likelihood_ratio
from tests.support.ratings import pair_outcomes


def likeliest(counts, mean):
    """Probabilities of the five pair scores with this mean, by Newton's method in plain Python."""
    away = [i / 4 - mean for i in range(5)]
    multiplier = 0.0
    for _ in range(200):
        slope = sum(n * a / (1 + multiplier * a) for n, a in zip(counts, away, strict=True))
        curve = sum(n * a**2 / (1 + multiplier * a) ** 2 for n, a in zip(counts, away, strict=True))
        step = slope / curve
        while any(1 + (multiplier + step) * a <= 0 for a in away):
            step /= 2
        multiplier += step
    weights = [n / (1 + multiplier * a) for n, a in zip(counts, away, strict=True)]
    return [weight / sum(counts) for weight in weights]


@pytest.mark.parametrize("counts", [(3, 10, 20, 12, 5), (1, 1, 1, 30, 40), (200, 1, 1, 1, 150)])
@pytest.mark.parametrize(("elo0", "elo1"), [(0, 30), (-200, 200), (5, 300)])
def test_the_ratio_is_that_of_the_likeliest_probabilities_with_either_mean(counts, elo0, elo1):
    null, other = (likeliest(counts, elo_to_score(elo)) for elo in (elo0, elo1))
    expected = sum(n * math.log(q / p) for n, p, q in zip(counts, null, other, strict=True))
    found = log_likelihood_ratio(Sprt(elo0, elo1), np.array(counts), sum(counts))
    assert found == pytest.approx(expected, rel=0.01, abs=0.01)


def test_exchanged_players_test_the_mirrored_hypotheses():
    counts = np.array([3, 10, 20, 12, 5])
    ratio = log_likelihood_ratio(Sprt(-10, 40), counts, 50)
    assert log_likelihood_ratio(Sprt(-40, 10), counts[::-1], 50) == pytest.approx(-ratio)


def test_repeated_pairs_decide_nothing():
    swept = np.array([0, 0, 0, 0, 400])
    assert decide(Sprt(0, 50), swept, 400).verdict == "H1"
    assert decide(Sprt(0, 50), swept, FEWEST_PAIRS - 1).verdict == "undecided"
    assert decide(Sprt(0, 50), swept[::-1], 400).verdict == "H0"
    few, many = (log_likelihood_ratio(Sprt(0, 50), swept, n) for n in (1, 400))
    assert 0 < few < many / 100


@pytest.mark.parametrize("independent", [True, False])
@pytest.mark.parametrize("draws", [0.0, 0.5, 0.9])
def test_simulated_matches_end_in_the_wrong_verdict_at_most_as_often_as_asked(draws, independent):
    test, block, blocks, matches = Sprt(0, 100), FEWEST_PAIRS, 40, 500
    rng = np.random.default_rng(int(10 * draws) + independent)
    low, high = test.bounds
    for truth in (-60, 0, 100, 160):
        outcomes = pair_outcomes(elo_to_score(truth), draws, independent)
        counts = rng.multinomial(block, outcomes, size=(matches, blocks)).cumsum(axis=1)
        ratio = log_likelihood_ratio(test, counts, counts.sum(axis=-1))
        decided = (ratio <= low) | (ratio >= high)
        at_the_end = ratio[np.arange(matches), decided.argmax(axis=1)]
        wrong = (at_the_end >= high) if truth <= 0 else (at_the_end <= low)
        assert decided.any(axis=1).mean() > 0.99, (truth, decided.any(axis=1).mean())
        assert wrong.mean() <= 0.05, (truth, wrong.mean())


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ((50, 0), "elo0 < elo1"),
        ((0, 5000), "within"),
        ((0, 50, 0.0), "alpha"),
        ((0, 1, 0.1, 1), "beta"),
    ],
)
def test_settings_that_cannot_work_are_named(fields, wanted):
    assert any(wanted in problem for problem in Sprt(*fields).problems())
    assert not Sprt(0, 50).problems()
