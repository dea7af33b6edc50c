"""Scores, their intervals, Elo."""

import numpy as np
import pytest

from selfplay.rating import MAX_ELO, PAIR_SCORES, elo_to_score, score_interval, score_to_elo


@pytest.mark.parametrize(("score", "elo"), [(0.5, 0.0), (10 / 11, 400.0), (1 / 101, -800.0)])
def test_elo_is_four_hundred_times_the_logarithm_of_the_odds(score, elo):
    assert score_to_elo(score) == pytest.approx(elo, abs=1e-9)
    assert elo_to_score(elo) == pytest.approx(score)


def test_elo_is_clipped_where_a_score_of_zero_or_one_would_be_infinite():
    assert [score_to_elo(s) for s in (0.0, 1e-9, 1.0)] == [-MAX_ELO, -MAX_ELO, MAX_ELO]


@pytest.mark.parametrize(("lost", "won"), [(3, 7), (20, 80), (49, 1), (150, 150)])
def test_interval_of_swept_pairs_is_wilsons(lost, won):
    n = lost + won
    z = 1.959963984540054 * (1 + 1.5 / n)
    p = won / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    found = score_interval(np.array([lost, 0, 0, 0, won]), n)
    np.testing.assert_allclose(found, (centre - half, centre + half), atol=2e-3)


@pytest.mark.parametrize("column", range(5))
@pytest.mark.parametrize("pairs", [1, 10, 1000])
def test_interval_has_a_width_and_holds_the_score_when_all_pairs_end_alike(column, pairs):
    counts = np.zeros(5)
    counts[column] = pairs
    low, high = score_interval(counts, pairs)
    assert 0 <= low <= PAIR_SCORES[column] <= high <= 1
    assert high - low > 1 / (2 * pairs), (low, high)


def test_interval_of_the_other_side_is_mirrored_and_duplicates_widen_it():
    counts = np.array([3, 10, 20, 5, 2])
    low, high = score_interval(counts, 40)
    np.testing.assert_allclose(score_interval(counts[::-1], 40), (1 - high, 1 - low), atol=1e-9)
    wide = score_interval(counts, 10)
    assert wide[0] < low < high < wide[1]
    np.testing.assert_allclose(wide, score_interval(counts / 4, 10), atol=1e-9)


def outcome_distributions():
    """Pair outcomes with a known mean: games independent, half alike, or decided by the seat."""
    for score in (0.03, 0.3, 0.5, 0.97):
        for share in (0.0, 0.6):
            middle = share * 2 * min(score, 1 - score)
            game = np.array([1 - score - middle / 2, middle, score - middle / 2])
            alike = np.zeros(5)
            alike[::2] = game
            yield score, f"half alike, draws {share}", (np.convolve(game, game) + alike) / 2
            yield score, f"pairs split {share}", alike
        yield score, "independent", np.convolve(game, game)


@pytest.mark.parametrize(("pairs", "most"), [(10, 1.0), (50, 1.0), (300, 0.975)])
def test_interval_covers_the_truth_in_about_95_percent_of_simulated_matches(pairs, most):
    rng = np.random.default_rng(pairs)
    for score, kind, probabilities in outcome_distributions():
        matches, times = np.unique(
            rng.multinomial(pairs, probabilities / probabilities.sum(), size=1500),
            axis=0,
            return_counts=True,
        )
        low, high = score_interval(matches, np.full(len(matches), pairs))
        share = times[(low <= score) & (score <= high)].sum() / times.sum()
        # 0.93 to 0.97 are asked; 1,500 simulations know a share of 0.95 to 0.006.
        assert 0.925 < share <= most, (pairs, score, kind, share)
