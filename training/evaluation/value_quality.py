"""Value calibration: the values that a run learns from beside the results of its own games.

The network's own value (`raw`) and the search's (`root`) are compared with the outcomes of the
newest examples: bias, squared error and correlation, overall and by ply. Outcomes are those of
games as they were played, with their noise; `solved_quality.py` compares with perfect play. NumPy
alone, so that a report needs no device.
"""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from training import replay

NEWEST = 20_000  # examples that are looked at
COLUMNS = ("game_id", "ply", "outcome", "raw_value", "root_value")
PLY_GROUPS, BINS = 8, 10  # at most; of predicted values, from -1 to 1


class Agreement(NamedTuple):
    """How predictions agree with what came; a group of examples counts as one observation.

    Errors are standard errors. The correlation is 0 where either does not vary.
    """

    rows: int
    groups: int  # games, or positions
    predicted: float  # mean
    actual: float  # mean
    bias: float  # predicted less actual
    bias_error: float
    squared_error: float
    squared_error_error: float
    variance: float  # of what came: the squared error of a constant
    correlation: float
    correlation_error: float


class Part(NamedTuple):
    """Some of the examples."""

    first: int  # ply
    last: int
    agreement: Agreement


class ValueQuality(NamedTuple):
    """One value beside the outcomes."""

    overall: Agreement
    by_ply: list[Part]
    by_value: list[Agreement]  # in bins of the predicted value, those that have examples


class RowQuality(NamedTuple):
    """The values of examples, `raw` and `root`, beside their outcomes."""

    rows: int
    games: int
    values: dict[str, ValueQuality]


def read(folder: pathlib.Path, run_id: str) -> RowQuality | None:
    """The quality of a run's newest examples on disk, None where there are none.

    Args:
      folder: the run's `replay/`.
    """
    columns = replay.newest(folder, COLUMNS, NEWEST, run_id)
    return of_rows(columns) if columns else None


def of_rows(columns: Mapping[str, np.ndarray]) -> RowQuality:
    """The quality of N examples, given as `COLUMNS`; a game's examples stand together."""
    ply, outcome = columns["ply"], columns["outcome"].astype(np.float64)
    _, game = np.unique(columns["game_id"], return_inverse=True)
    values = {
        name: _quality(columns[f"{name}_value"].astype(np.float64), outcome, game, ply)
        for name in ("raw", "root")
    }
    return RowQuality(len(ply), int(game.max()) + 1, values)


def in_words(quality: RowQuality) -> str:
    """A sentence: how the values agree with the outcomes."""
    said = agreements({name: value.overall for name, value in quality.values.items()})
    return f"values beside the outcomes of {quality.rows:,} rows, {quality.games:,} games: {said}"


def agreements(of: Mapping[str, Agreement]) -> str:
    """Bias, squared error and correlation of each value in words, those with standard errors."""
    return "; ".join(
        f"{name} bias {a.bias:+.3f} ({a.bias_error:.3f}), squared error {a.squared_error:.2f} "
        f"({a.squared_error_error:.2f}) of {a.variance:.2f}, correlation {a.correlation:+.2f} "
        f"({a.correlation_error:.2f})"
        for name, a in of.items()
    )


def as_json(value: Any) -> Any:
    """Named tuples, in dicts and lists too, as JSON takes them."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {name: as_json(entry) for name, entry in value.items()}
    return [as_json(entry) for entry in value] if isinstance(value, list) else value


def agreement(predicted: np.ndarray, actual: np.ndarray, group: np.ndarray) -> Agreement:
    """Compares N predictions with what came.

    Standard errors are of sums over groups, each an observation (the sandwich estimator, Liang and
    Zeger 1986); that of the correlation by its influence function (Devlin et al. 1975).

    Args:
      group: int[N], from 0: examples of one number are one observation, such as a game's.
    """
    gap = predicted - actual
    squared = gap**2
    spread = predicted.std() * actual.std()
    correlation = influence = 0.0
    if spread > 1e-12:
        x = (predicted - predicted.mean()) / predicted.std()
        y = (actual - actual.mean()) / actual.std()
        correlation = float((x * y).mean())
        influence = x * y - correlation * (x**2 + y**2) / 2
    return Agreement(
        rows=len(gap),
        groups=len(np.unique(group)),
        predicted=float(predicted.mean()),
        actual=float(actual.mean()),
        bias=float(gap.mean()),
        bias_error=_error(gap - gap.mean(), group),
        squared_error=float(squared.mean()),
        squared_error_error=_error(squared - squared.mean(), group),
        variance=float(actual.var()),
        correlation=correlation,
        correlation_error=_error(influence + np.zeros(len(gap)), group),
    )


def _error(deviations: np.ndarray, group: np.ndarray) -> float:
    return float(np.sqrt(np.square(np.bincount(group, deviations)).sum()) / len(deviations))


def ply_groups(ply: np.ndarray) -> list[tuple[int, int]]:
    """The first and the last ply of at most eight groups of about as many examples each."""
    shares = np.linspace(0, 1, PLY_GROUPS, endpoint=False)
    edges = np.unique(np.quantile(ply, shares).astype(int)).tolist()
    groups = zip(edges, [*(edge - 1 for edge in edges[1:]), int(ply.max())], strict=True)
    return [(low, high) for low, high in groups if ((ply >= low) & (ply <= high)).any()]


def _quality(
    value: np.ndarray, outcome: np.ndarray, game: np.ndarray, ply: np.ndarray
) -> ValueQuality:
    def of(chosen: np.ndarray) -> Agreement:
        return agreement(value[chosen], outcome[chosen], game[chosen])

    bins = np.clip(((value + 1) / 2 * BINS).astype(int), 0, BINS - 1)
    return ValueQuality(
        overall=agreement(value, outcome, game),
        by_ply=[Part(a, b, of((ply >= a) & (ply <= b))) for a, b in ply_groups(ply)],
        by_value=[of(bins == number) for number in np.unique(bins)],
    )
