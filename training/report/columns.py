"""Lines of metrics as columns for pages: what a line gives to which, and with how many digits."""

import functools
import itertools
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from selfplay.files import json_lines
from selfplay.rating.elo import Z95
from training import metrics
from training.metrics import EvaluationLine, FixedPoint, IterationLine
from training.report.thinning import Number, short

Columns: TypeAlias = dict[str, list[Number | None]]
Interval: TypeAlias = tuple[Number, Number, Number]  # value, low, high

MOST_TARGETS, MOST_SETS = 64, 16  # of a line, which may be a stranger's
# Columns by what a point of them is: the last value of its lines, or their mean.
COUNTERS = (
    *("iteration", "step", "minutes", "games", "positions", "tflop", "tflop_measured"),
    *("window", "learning_rate"),
)
MEANS = (
    *("kl", "entropy", "policy_loss", "value_loss", "value_error", "gradient_norm"),
    "game_plies",
)
SPEEDS = {"games_per_second": "games", "positions_per_second": "positions"}
REQUIRED = (
    *("iteration", "step", "seconds", "games", "positions", "examples"),
    *("flops", "flops_measured"),
)
WHERE = ("iteration", "step", "minutes", "games", "positions", "tflop")  # x axes of evaluations


def is_plain_iteration(line: Any) -> bool:
    """Whether a line is an iteration's, with numbers, or nothing, wherever a column needs some.

    Only this is looked at: `metrics.parse`, which looks at everything, takes ten times as long.
    NaN and infinity are let through where they are only drawn: there they are told.
    """
    if not (isinstance(line, dict) and line.get("kind") == IterationLine.kind):
        return False
    for name, value in line.items():
        kind = type(value)
        if kind is int:
            if abs(value) > sys.float_info.max:
                return False
        elif kind is not float and value is not None and _is_drawn(name):
            return False
    return all(json_lines.is_number(line.get(name)) for name in REQUIRED)


@functools.lru_cache(maxsize=1_024)
def _is_drawn(name: str) -> bool:
    return name in _DRAWN or name.startswith(metrics.TARGET_LOSS)


_DRAWN = frozenset({*REQUIRED, *MEANS, "window", "learning_rate", "new_games"})


def finite(line: dict[str, Any]) -> dict[str, Any]:
    """Returns a line without numbers that are not finite, which its type does not take."""
    bad = [name for name, value in line.items() if isinstance(value, float) and value - value != 0]
    return {name: value for name, value in line.items() if name not in bad}


def entries_of(line: Mapping[str, Any]) -> dict[str, Number | None]:
    """Returns the columns' entries of an iteration's line."""
    entries = {name: line.get(name) for name in (*_COPIED, *_target_losses(tuple(line)))}
    if line.get("new_games") == 0:
        entries["game_plies"] = None  # it says 0 there: the mean of no games
    entries["minutes"] = line["seconds"] / 60
    entries["tflop"] = line["flops"] / 1e12
    entries["tflop_measured"] = line["flops_measured"] / 1e12
    return entries


_COPIED = (*MEANS, "iteration", "step", "games", "positions", "window", "learning_rate")


@functools.lru_cache(maxsize=256)
def _target_losses(names: tuple[str, ...]) -> tuple[str, ...]:
    found = (name for name in names if name.startswith(metrics.TARGET_LOSS))
    return tuple(itertools.islice(found, MOST_TARGETS))


def where(line: EvaluationLine) -> dict[str, Number | None]:
    """Returns where an evaluation lies on the x axes."""
    return {
        **{name: getattr(line, name) for name in ("iteration", "step", "games", "positions")},
        "minutes": line.seconds / 60,
        "tflop": line.flops / 1e12,
    }


def measured(line: EvaluationLine) -> dict[str, Number]:
    """Returns what an evaluation measured, by the names of its columns."""
    row: dict[str, Number] = {"loss": line.loss}
    if line.random is not None:
        row |= interval("score", (line.random.score, *line.random.interval))
    for name, rates in itertools.islice((line.perfect or {}).items(), MOST_SETS):
        row |= {f"mistakes/{name}/raw": rates.raw, f"mistakes/{name}/search": rates.search}
    if line.ladder is not None:
        row |= interval("elo", (line.ladder.elo, *line.ladder.interval))
    if line.fixed_point is not None:
        for name, entry in GAPS.items():
            value = entry(line.fixed_point)
            row |= {} if value is None else {name: value}
        if match := line.fixed_point.strongest:
            row |= interval("amplified", (match.elo, *match.elo_interval))
        if match := line.fixed_point.distilled:
            row |= interval("distilled", (match.elo, *match.elo_interval))
    return row


def gained(line: EvaluationLine, levels: dict[int, float]) -> dict[str, Number]:
    """Returns the Elo above the first weights that were rated against, gain upon gain.

    The Elo above random of one evaluation and of the next are of different fits: where random is
    never beaten any more they differ by hundreds, while the gain between the two is well known.

    Args:
      levels: of the evaluations before, by step; this one's is added.
    """
    rating = line.ladder
    if rating is None or rating.over_best is None or rating.best_step is None:
        return {}
    level = levels.get(rating.best_step, 0.0) + rating.over_best
    levels[line.step] = level
    spread = Z95 * (rating.over_best_error or 0.0)
    return interval("gained", (level, level - spread, level + spread))


GAPS: dict[str, Callable[[FixedPoint], float | None]] = {
    "gap/own": lambda measured: measured.own.kl,
    "gap/fresh": lambda measured: measured.fresh.kl,
    "gap/probe": lambda measured: measured.probe.kl,
    "changed": lambda measured: measured.fresh.changed,
}


def interval(name: str, value: Interval) -> dict[str, Number]:
    """Returns a value and the ends of its interval, by the names of their columns."""
    return {name: value[0], f"{name}.low": value[1], f"{name}.high": value[2]}


def columns_of(rows: list[Mapping[str, Number | None]]) -> Columns:
    """Returns rows as columns; None where a row has no such entry."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def as_columns(rows: list[Mapping[str, Number | None]]) -> Columns:
    """Returns rows as columns of few digits."""
    return rounded(columns_of(rows))


def with_speeds(columns: Columns) -> Columns:
    """Returns columns with those of speed: since the point before, so None at the first."""
    if "minutes" not in columns:
        return columns
    speeds: Columns = {}
    for name, counter in SPEEDS.items():
        ends = list(zip(columns["minutes"], columns[counter], strict=True))
        speeds[name] = [None, *map(_speed, ends, ends[1:])] if ends else []
    return columns | speeds


def _speed(before: tuple[Any, Any], after: tuple[Any, Any]) -> float | None:
    seconds = 60 * (after[0] - before[0])
    return (after[1] - before[1]) / seconds if seconds > 0 else None


def rounded(columns: Columns) -> Columns:
    """Returns columns with as many digits as a page shows; counts keep enough to differ."""
    return {
        name: [short(value, 7 if name in WHERE else 4) for value in values]
        for name, values in columns.items()
    }
