"""Ratings from games: against a search of the likelihood in plain Python, and known strengths."""

import math

import numpy as np
import pytest

from selfplay.rating.bradley_terry import (
    ELO,
    PRIOR_DRAWS,
    PRIOR_ELO,
    Tally,
    fit,
    information_gain,
    intervals,
)
from tests.support.ratings import outcome


def simulate(rng, strengths, pairings, games, advantage=0.0, draws=1.0):
    """Plays `games` games for each (seat 0, seat 1)."""
    counts = [
        rng.multinomial(games, outcome(strengths[i], strengths[j], advantage, draws))
        for i, j in pairings
    ]
    first, second = np.array(pairings).T
    return Tally(first, second, np.array(counts, float))


def all_pairings(players):
    return [(i, j) for i in range(players) for j in range(players) if i != j]


def posterior(tally, elo, advantage, draws):
    """The logarithm of what `fit` maximises, by Davidson's formulas."""
    found = 0.0
    for i, j, counts in zip(*map(np.ndarray.tolist, tally), strict=True):
        chances = outcome(elo[i], elo[j], advantage, draws)
        found += sum(n * math.log(p) for n, p in zip(counts, chances, strict=True))
    ratings = [value - sum(elo) / len(elo) for value in elo]  # the prior is about the mean
    found -= sum(value**2 for value in [*ratings, advantage]) / (2 * PRIOR_ELO**2)
    return found - math.log(draws) ** 2 / (2 * PRIOR_DRAWS**2)


@pytest.mark.parametrize("seed", range(4))
def test_no_step_from_the_fit_is_likelier_and_errors_are_its_curvature(seed):
    rng = np.random.default_rng(seed)
    tally = simulate(
        rng, [0, 150, 400, -100], [(0, 1), (1, 0), (2, 1), (3, 0), (2, 3)], 20, 40, 0.7
    )
    found = fit(4, tally)
    draws = 2 * found.draws / (1 - found.draws)
    best = posterior(tally, list(found.elo), found.advantage, draws)
    for size in (30.0, 1.0):
        for step in (size, -size):
            for player in range(4):
                elo = [value + step * (i == player) for i, value in enumerate(found.elo)]
                assert posterior(tally, elo, found.advantage, draws) < best, (player, step)
            assert posterior(tally, list(found.elo), found.advantage + step, draws) < best
            assert posterior(tally, list(found.elo), found.advantage, draws * 1.01**step) < best


def test_the_error_of_two_players_is_that_of_the_likelihoods_curve():
    tally = Tally(np.array([0, 1]), np.array([1, 0]), np.array([[30.0, 10, 20], [25, 5, 30]]))
    found = fit(2, tally)

    def profile(gap):
        """The posterior at this difference, the other two parameters at their best."""
        grid = [
            posterior(tally, [0.0, gap], found.advantage + shift, factor)
            for shift in np.linspace(-20, 20, 41)
            for factor in np.linspace(0.3, 0.45, 31)
        ]
        return max(grid)

    width, gap = 20.0, found.elo[1]
    curve = (2 * profile(gap) - profile(gap + width) - profile(gap - width)) / width**2
    assert found.error[1] == pytest.approx(curve**-0.5, rel=0.02)
    assert found.error[0] == found.elo[0] == 0


def test_ratings_advantage_and_draws_of_a_known_tournament_are_recovered():
    strengths = np.array([0, -120, 80, 300, 450])
    rng = np.random.default_rng(5)
    found = fit(5, simulate(rng, strengths, all_pairings(5), 20_000, advantage=60, draws=0.8))
    np.testing.assert_allclose(found.elo, strengths, atol=8)
    assert found.advantage == pytest.approx(60, abs=3)
    assert found.draws == pytest.approx(0.8 / 2.8, abs=0.005)


@pytest.mark.parametrize(("games", "draws"), [(10, 1.0), (40, 0.05)])
def test_intervals_hold_the_truth_in_about_95_percent_and_the_order_is_found(games, draws):
    strengths = np.array([0, 100, 220, 500])
    held, advantage_held, order, tournaments = np.zeros(4), 0, 0, 250
    for seed in range(tournaments):
        rng = np.random.default_rng(seed)
        found = fit(4, simulate(rng, strengths, all_pairings(4), games, 50, draws))
        low, high = found.elo - 1.96 * found.error, found.elo + 1.96 * found.error
        held += (low <= strengths) & (strengths <= high)
        advantage_held += abs(found.advantage - 50) <= 1.96 * found.advantage_error
        order += list(np.argsort(found.elo)) == [0, 1, 2, 3]
    assert (held[1:] / tournaments > 0.92).all(), held  # 250 know a share of 0.95 to 0.014
    assert (held[1:] / tournaments < 0.99).all(), held
    assert 0.91 < advantage_held / tournaments < 0.99, advantage_held
    assert order / tournaments > 0.8, order


def test_profile_intervals_are_the_errors_where_games_abound_and_lean_where_they_do_not():
    strengths, rng = [0, 60, -100], np.random.default_rng(2)
    many = simulate(rng, strengths, all_pairings(3), 2000)
    found = fit(3, many)
    wald = found.elo[:, None] + 1.96 * found.error[:, None] * np.array([-1, 1])
    np.testing.assert_allclose(intervals(found, many), wald, atol=0.5)
    swept = Tally(np.array([1, 0]), np.array([0, 1]), np.array([[20.0, 0, 0], [0, 0, 20]]))
    found = fit(2, swept)
    low, high = intervals(found, swept)[1]
    assert 400 < found.elo[1] < 3000
    # Of 40 wins without a loss, odds of 1 in 20 leave at least 20 ** (1 / 40) = 1.078 to 1 of them:
    # 93% or more a game, about 440 Elo; without draws in the model less is known.
    assert 250 < low < 600 < found.elo[1] < high


def test_an_anchor_shifts_ratings_only_and_a_player_without_games_is_uncertain():
    tally = simulate(np.random.default_rng(1), [0, 100, 0], [(0, 1), (1, 0)], 50)
    low, high = fit(3, tally, anchor=0), fit(3, tally, anchor=1)
    np.testing.assert_allclose(low.elo - low.elo[1], high.elo, atol=1e-6)
    assert low.error[2] > 1000 > 100 > low.error[1]


def test_the_gain_is_what_refitting_with_the_expected_games_would_bring():
    strengths = np.array([0, 100, 300, 900])
    pairings = [(0, 1), (1, 0), (1, 2), (2, 1), (0, 3), (3, 0)]
    first, second = np.array(pairings).T

    def expected(found, i, j, games):
        return games * np.array(outcome(strengths[i], strengths[j], 0, 1.0))

    counts = np.array([expected(None, i, j, 40) for i, j in pairings])
    found = fit(4, Tally(first, second, counts))
    gain = information_gain(found, 20)
    for i, j in [(0, 1), (0, 2), (1, 3), (2, 3), (0, 3)]:
        more = np.array([expected(found, i, j, 10), expected(found, j, i, 10)])
        refit = fit(
            4,
            Tally(
                np.append(first, [i, j]), np.append(second, [j, i]), np.concatenate([counts, more])
            ),
        )
        expected_gain = (found.error**2).sum() - (refit.error**2).sum()
        assert gain[i, j] == pytest.approx(expected_gain, rel=0.3), (i, j)
        assert gain[i, j] == pytest.approx(gain[j, i])
    assert gain.argmax() // 4 != gain.argmax() % 4
    assert pytest.approx(173.7178) == ELO
