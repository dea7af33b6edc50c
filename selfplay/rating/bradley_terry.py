"""Ratings of many players from the games between them. The only file that knows scipy.

Bradley and Terry's model with draws (Davidson 1970) and an advantage of the first move: with
`d = r_i - r_j + advantage` for player i in seat 0 and j in seat 1,

    win : draw : loss of i  =  exp(d / 2) : exp(draws) : exp(-d / 2)

The logarithm of the likelihood is concave, so it has one maximum. A weak prior (normal, a standard
deviation of `PRIOR_ELO` about the players' mean) keeps those finite who have won or lost every
game; it moves a rating known to +-100 Elo by 0.1% of its distance from the mean.
"""

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize, special

from selfplay.rating.elo import Z95

ELO = 400 / np.log(10)  # Elo in one unit of a rating
PRIOR_ELO = 1500.0
PRIOR_DRAWS = 5.0  # standard deviation of `draws`, the logarithm of a ratio


class Tally(NamedTuple):
    """Games by pairing and seat, K pairings."""

    first: np.ndarray  # int[K], the player in seat 0
    second: np.ndarray  # int[K], the player in seat 1
    counts: np.ndarray  # float[K, 3]: seat 0 won, drawn, seat 1 won


class Ratings(NamedTuple):
    """The fit, in Elo relative to the anchor; P players."""

    elo: np.ndarray  # float[P]
    error: np.ndarray  # float[P], standard error from the observed information; 0 for the anchor
    advantage: float  # of the first move, in Elo
    advantage_error: float
    draws: float  # the share of games that two equal players draw, no one having an advantage
    covariance: np.ndarray  # float[P + 2, P + 2], of ratings, advantage, draws, in the fit's units
    anchor: int


def fit(players: int, tally: Tally, anchor: int = 0) -> Ratings:
    """Returns the likeliest ratings.

    Games are taken as independent: count a game that repeats another once.
    """
    x = _likeliest(players, tally, np.eye(players + 2), np.zeros(players + 2)).x
    covariance = np.linalg.inv(_information(players, tally, x))
    to_anchor = _differences(players, anchor)
    error = np.sqrt(np.maximum(((to_anchor @ covariance) * to_anchor).sum(axis=1), 0.0))
    return Ratings(
        elo=ELO * (to_anchor @ x),
        error=ELO * error,
        advantage=float(ELO * x[-2]),
        advantage_error=float(ELO * np.sqrt(covariance[-2, -2])),
        draws=float(1 / (1 + 2 * np.exp(-x[-1]))),
        covariance=covariance,
        anchor=anchor,
    )


def intervals(ratings: Ratings, tally: Tally, wanted: Collection[int] | None = None) -> np.ndarray:
    """Returns float[P, 2], the 95% intervals in Elo, by the profile likelihood.

    They hold the ratings that lose less than 1.92 of the logarithm, all else at its best. For a
    player who has won every game the standard error would say nothing; these have a useful low end.

    Args:
      wanted: the players whose intervals are computed; the others' are 0. None: all.
    """
    players = len(ratings.elo)
    best = _likeliest(players, tally, np.eye(players + 2), np.zeros(players + 2)).fun
    ends = np.zeros((players, 2))
    for player in set(range(players) if wanted is None else wanted) - {ratings.anchor}:
        # All parameters from all but this player's rating, which is `value` above the anchor's.
        others = np.delete(np.eye(players + 2), player, axis=1)
        others[player] = others[ratings.anchor]
        unit = np.eye(players + 2)[player]

        def lost(elo: float, others: np.ndarray = others, unit: np.ndarray = unit) -> float:
            held = _likeliest(players, tally, others, unit * elo / ELO)
            return float(held.fun) - best - Z95**2 / 2

        for end, sign in enumerate((-1, 1)):
            step = 2 * max(ratings.error[player], 1.0)
            while lost(ratings.elo[player] + sign * step) < 0:
                step *= 2
            away = ratings.elo[player] + sign * step
            ends[player, end] = optimize.brentq(lost, ratings.elo[player], away, xtol=0.1)
    return ends


def _likeliest(players: int, tally: Tally, basis: np.ndarray, shift: np.ndarray) -> Any:
    """Maximises the posterior over `x = basis @ y + shift`; `x` is put into scipy's result.

    Its `fun` is the negative logarithm.
    """
    weight = _prior(players)

    def loss(y: np.ndarray) -> tuple[float, np.ndarray]:
        x = basis @ y + shift
        logits, probabilities, games = _outcomes(players, tally, x)
        value = -(tally.counts * special.log_softmax(logits, axis=1)).sum()
        residual = games * probabilities - tally.counts
        slope = _by_parameter(players, tally, (residual[:, 0] - residual[:, 2]) / 2)
        slope[-1] = residual[:, 1].sum()
        return value + (weight * x**2).sum() / 2, (slope + weight * x) @ basis

    def curvature(y: np.ndarray) -> np.ndarray:
        return basis.T @ _information(players, tally, basis @ y + shift) @ basis

    start = np.zeros(basis.shape[1])
    optimum = optimize.minimize(loss, start, jac=True, hess=curvature, method="trust-exact")
    optimum.x = basis @ optimum.x + shift
    return optimum


def difference_error(ratings: Ratings, one: int, other: int) -> float:
    """Returns the standard error, in Elo, of how much stronger one player is than another."""
    of = ratings.covariance
    return float(ELO * np.sqrt(max(of[one, one] + of[other, other] - 2 * of[one, other], 0.0)))


def information_gain(ratings: Ratings, games: int) -> np.ndarray:
    """Returns float[P, P]: by how much `games` games of two players would reduce the uncertainty.

    It is the reduction of the sum of all ratings' variances (Elo squared; A-optimal design), to
    first order: games of i and j, half from each seat, add `games * v v^T` times a game's
    information about `r_i - r_j` to the information, v being 1 at i and -1 at j.
    """
    players = len(ratings.elo)
    covariance = ratings.covariance[:players, :players]
    game = _information_of_a_game(ratings)
    columns = _differences(players, ratings.anchor)[:, :players] @ covariance
    moved = ((columns[:, :, None] - columns[:, None, :]) ** 2).sum(
        axis=0
    )  # |T C v|^2 for each pair
    own = np.diag(covariance)
    spread = own[:, None] + own[None, :] - 2 * covariance
    gain: np.ndarray = ELO**2 * games * game * moved / (1 + games * game * spread)
    return gain


def expecting(ratings: Ratings, first: int, second: int, games: int) -> Ratings:
    """Returns the ratings with the covariance that they would have after some games of two players.

    To first order, as `information_gain` counts it; how the games end is not guessed.
    """
    of = ratings.covariance
    weight = games * _information_of_a_game(ratings)[first, second]
    column = of[:, first] - of[:, second]
    spread = column[first] - column[second]
    known = np.outer(column, column) * weight / (1 + weight * spread)
    return ratings._replace(covariance=of - known)


def _information_of_a_game(ratings: Ratings) -> np.ndarray:
    """Returns float[P, P]: what a game of two players tells about the difference of their ratings.

    Half of the games are from each seat, so the advantage drops out.
    """
    gap = (ratings.elo[:, None] - ratings.elo[None, :]) / ELO
    draw = np.full_like(gap, np.log(2 * ratings.draws / max(1 - ratings.draws, 1e-9) + 1e-12))
    p = special.softmax(np.stack([gap / 2, draw, -gap / 2]), axis=0)
    game: np.ndarray = (p[0] + p[2]) / 4 - ((p[0] - p[2]) / 2) ** 2
    return game


def _prior(players: int) -> np.ndarray:
    """Returns float[P + 2], the prior's weight of each squared parameter."""
    return np.append(np.full(players + 1, (ELO / PRIOR_ELO) ** 2), PRIOR_DRAWS**-2)


def _differences(players: int, anchor: int) -> np.ndarray:
    """Returns float[P, P + 2], from parameters to ratings relative to the anchor."""
    differences = np.eye(players, players + 2)
    differences[:, anchor] -= 1
    return differences


def _outcomes(players: int, tally: Tally, x: np.ndarray) -> tuple[np.ndarray, ...]:
    """Returns each pairing's logits and probabilities, float[K, 3], and its games, float[K, 1]."""
    half = (x[tally.first] - x[tally.second] + x[players]) / 2
    logits = np.stack([half, np.full_like(half, x[-1]), -half], axis=1)
    return logits, special.softmax(logits, axis=1), tally.counts.sum(axis=1, keepdims=True)


def _by_parameter(players: int, tally: Tally, slope: np.ndarray) -> np.ndarray:
    """Returns float[P + 2] from the derivatives by each pairing's difference."""
    derivatives = np.zeros(players + 2)
    np.add.at(derivatives, tally.first, slope)
    np.add.at(derivatives, tally.second, -slope)
    derivatives[players] = slope.sum()
    return derivatives


def _information(players: int, tally: Tally, x: np.ndarray) -> np.ndarray:
    """Returns float[P + 2, P + 2], the second derivatives of the negative log-posterior."""
    _, p, games = _outcomes(players, tally, x)
    lead = (p[:, 0] - p[:, 2]) / 2
    rows = np.zeros((len(tally.first), players + 2))
    numbers = np.arange(len(rows))
    rows[numbers, tally.first] += 1
    rows[numbers, tally.second] -= 1
    rows[:, players] = 1
    difference = games[:, 0] * ((p[:, 0] + p[:, 2]) / 4 - lead**2)
    information = rows.T @ (difference[:, None] * rows)
    information[-1, :] = information[:, -1] = -(games[:, 0] * p[:, 1] * lead) @ rows
    information[-1, -1] = (games[:, 0] * p[:, 1] * (1 - p[:, 1])).sum()
    return information + np.diag(_prior(players))
