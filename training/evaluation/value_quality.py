"""The quality of the values that a run learns from: they beside the results of its own games.

The network's own value, the search's, and that of the policy that the search returns are compared
with the outcomes in the newest rows: bias, squared error and correlation, all told and by ply.
Outcomes are those of games as they were played, with their noise; `solved_quality.py` compares with
perfect play. NumPy alone, so that a report needs no device.
"""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from training import replay

NEWEST = 20_000  # rows that are looked at
COLUMNS = ("game_id", "ply", "outcome", "raw_value", "root_value", "policy_target", "q")
PLY_GROUPS, BINS = 8, 10  # at most; of predicted values, from -1 to 1
# The search's value and the improved policy's are one, but for what float16 loses of the latter.
SAME, MOSTLY = 0.01, 0.99
T = TypeVar("T")


class Agreement(NamedTuple):
    """How predictions agree with what came; a group of rows counts as one observation.

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
    """Some of the rows."""

    first: int  # ply
    last: int
    agreement: Agreement


class ValueQuality(NamedTuple):
    """One value beside the outcomes."""

    overall: Agreement
    by_ply: list[Part]
    by_value: list[Agreement]  # in bins of the predicted value, those that have rows


class RowQuality(NamedTuple):
    """The values of rows by name: `raw` the network's own, `root` what the search said.

    `improved` is the mean of the search's values of moves under the policy that it returned. A
    Gumbel search's root value is just that, in versions that write it so; PUCT's is the mean over
    its visits.
    """

    rows: int
    games: int
    root_is_improved: bool
    values: dict[str, ValueQuality]


def read(folder: pathlib.Path, run_id: str, searched: bool) -> RowQuality | None:
    """Returns the quality of a run's newest rows on disk, None where there are none.

    Args:
      folder: the run's `replay/`.
      searched: whether a search made them: what else amplifies gives no values of moves.
    """
    columns = replay.newest(folder, COLUMNS, NEWEST, run_id)
    return of_rows(columns, searched) if columns else None


def of_rows(columns: Mapping[str, np.ndarray], searched: bool) -> RowQuality:
    """Returns the quality of N rows, given as `COLUMNS`; a game's rows stand together."""
    ply, outcome = columns["ply"], columns["outcome"].astype(np.float64)
    _, game = np.unique(columns["game_id"], return_inverse=True)
    values = {"raw": columns["raw_value"], "root": columns["root_value"]}
    same = False
    if searched:
        values["improved"] = improved_value(columns["policy_target"], columns["q"])
        same = are_same(values["root"], values["improved"])
    of_each = {
        name: _quality(value.astype(np.float64), outcome, game, ply)
        for name, value in values.items()
    }
    return RowQuality(
        rows=len(ply),
        games=int(game.max()) + 1,
        root_is_improved=same,
        values=of_each,
    )


def as_json(quality: RowQuality) -> dict[str, Any]:
    """Returns all of it as JSON takes it."""
    entries: dict[str, Any] = plain(quality)
    return entries


def in_words(quality: RowQuality) -> str:
    """Returns how the values agree with the outcomes as a sentence."""
    values = shown(quality.values, quality.root_is_improved)
    said = agreements({name: value.overall for name, value in values.items()})
    return f"values beside the outcomes of {quality.rows:,} rows, {quality.games:,} games: {said}"


def shown(values: Mapping[str, T], root_is_improved: bool) -> dict[str, T]:
    """Returns what is known of each value, named for people; of two that are one, the root's."""
    kept = dict(values)
    if root_is_improved:
        del kept["improved"]
        kept["root (the improved policy's)"] = kept.pop("root")
    return kept


def are_same(root: np.ndarray, improved: np.ndarray) -> bool:
    """Whether a search's values are those of the policies that it returned."""
    return bool(np.mean(np.abs(improved - root) < SAME) >= MOSTLY)


def agreements(of: Mapping[str, Agreement]) -> str:
    """Returns bias, squared error and correlation of each value, those with standard errors."""
    return "; ".join(
        f"{name} bias {a.bias:+.3f} ({a.bias_error:.3f}), squared error {a.squared_error:.2f} "
        f"({a.squared_error_error:.2f}) of {a.variance:.2f}, correlation {a.correlation:+.2f} "
        f"({a.correlation_error:.2f})"
        for name, a in of.items()
    )


def plain(value: Any) -> Any:
    """Returns tuples with names, in dicts and lists too, as JSON takes them."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {name: plain(entry) for name, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list) else value


def improved_value(policy: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Returns float32[N]: the mean of float[N, A] values of moves under a policy."""
    mean: np.ndarray = (policy.astype(np.float32) * q.astype(np.float32)).sum(axis=1)
    return mean


def agreement(predicted: np.ndarray, actual: np.ndarray, group: np.ndarray) -> Agreement:
    """Compares N predictions with what came.

    Standard errors are of sums over groups, each an observation (the sandwich estimator, Liang and
    Zeger 1986); that of the correlation by its influence function (Devlin et al. 1975).

    Args:
      group: int[N], from 0: rows of one number are one observation, such as a game's.
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
    """Returns the first and the last ply of at most eight groups of about as many rows each."""
    shares = np.linspace(0, 1, PLY_GROUPS, endpoint=False)
    edges = np.unique(np.quantile(ply, shares).astype(int)).tolist()
    groups = zip(edges, [*(edge - 1 for edge in edges[1:]), int(ply.max())], strict=True)
    return [(low, high) for low, high in groups if ((ply >= low) & (ply <= high)).any()]


def _quality(
    value: np.ndarray, outcome: np.ndarray, game: np.ndarray, ply: np.ndarray
) -> ValueQuality:
    def part(first: int, last: int, of: np.ndarray) -> list[Part]:
        chosen = (of >= first) & (of <= last)
        if not chosen.any():
            return []
        return [Part(first, last, agreement(value[chosen], outcome[chosen], game[chosen]))]

    bins = np.clip(((value + 1) / 2 * BINS).astype(int), 0, BINS - 1)
    return ValueQuality(
        overall=agreement(value, outcome, game),
        by_ply=[p for low, high in ply_groups(ply) for p in part(low, high, ply)],
        by_value=[p.agreement for number in range(BINS) for p in part(number, number, bins)],
    )
