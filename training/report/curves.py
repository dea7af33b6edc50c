"""The curves of a report, from lines of metrics to what a plot shows; nothing is drawn here."""

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from selfplay.files import json_lines
from training import metrics
from training.metrics import History
from training.storage.run_folder import RunFolder

SMOOTHING = 40  # a curve shows means over this share of a run: 1 / 40
Interval: TypeAlias = tuple[float, float, float]  # value, low, high
MINUTES, OPERATIONS = "minutes", "TFLOP of self-play and training"  # of x axes
SIMULATIONS = "simulations a move"


class Series(NamedTuple):
    """One curve of one run."""

    label: str
    x: list[float]
    values: list[float]
    low: list[float] | None = None  # of an interval, where there is one
    high: list[float] | None = None


class Plot(NamedTuple):
    """One plot: what it draws, and what it means."""

    name: str  # of its file
    title: str
    axis: str  # what the y axis shows
    meaning: str
    series: list[Series]
    across: str = MINUTES  # what the x axis counts


class Panel(NamedTuple):
    """A plot of columns of `history.curves`, by their names or, with a *, by how these begin."""

    name: str
    title: str
    axis: str
    columns: tuple[str, ...]
    meaning: str
    across: str = MINUTES


EVALUATIONS = Panel(
    "evaluations",
    "Evaluations",
    "mistake rate, or score against random",
    ("score", "mistakes/*"),
    "What a run is for: mistakes against perfect play fall, or the score rises.",
)
RATING = Panel(
    "rating",
    "Rating",
    "Elo gained",
    ("gained",),
    "Against the run's own past, each by a search: every gain over the best weights before, "
    "added up, with the 95% interval of the last gain. It goes on rising when random moves "
    "have long been beaten; over many steps it is somewhat too high.",
)
OF_EVALUATIONS = (
    EVALUATIONS,
    RATING,
    *(
        panel._replace(
            name=f"{panel.name}-flops", title=f"{panel.title} by operations", across=OPERATIONS
        )
        for panel in (EVALUATIONS, RATING)
    ),
    Panel(
        "gap",
        "Amplification gap, measured",
        "mean KL(search || network), nats",
        ("gap/*",),
        "Without noise, on positions from the network's games against itself (own), against random "
        "moves (fresh), and on the same random ones throughout (probe). At the fixed point it is "
        "0: search changes nothing.",
    ),
    Panel(
        "strength",
        "What search adds, and what distillation keeps",
        "Elo over the network without search",
        ("amplified", "distilled"),
        "amplified: the same weights with search. distilled: the network without search against "
        "the search with the weights measured before; above 0 it has learned all that it did.",
    ),
)
OF_ITERATIONS = (
    Panel(
        "losses",
        "Losses",
        "nats; squared return",
        ("policy_loss", "value_loss"),
        "Both should fall, then level off. They can fall while play does not improve.",
    ),
    Panel(
        "entropy",
        "Entropy of the network's policy",
        "nats",
        ("entropy",),
        "Falls as the network makes up its mind. Near 0 early on, exploration is too weak.",
    ),
    Panel(
        "kl",
        "How far search still moves the policy",
        "mean KL(search || network), nats",
        ("kl",),
        "0 is the fixed point of distillation and amplification: nothing left to teach.",
    ),
    Panel(
        "value_error",
        "Value of finished games",
        "mean (network - outcome)^2",
        ("value_error",),
        "How well the playing network foresaw the results of its own games.",
    ),
    Panel(
        "speed",
        "Speed",
        "per second",
        ("games_per_second", "positions_per_second"),
        "Of the whole loop: self-play, training, evaluation and saving.",
    ),
    Panel(
        "game_plies",
        "Length of games",
        "plies",
        ("game_plies",),
        "A sudden change often means that one side has found, or forgotten, something.",
    ),
    Panel(
        "targets",
        "Losses of what is learned beside policy and value",
        "loss",
        ("loss_*",),
        "Without the weights that they have in the whole loss: see docs/targets.md.",
    ),
)


def read_history(folder: RunFolder) -> History:
    """Returns a run's metrics. Raises ValueError if it is no run, or has none yet."""
    folder.read_config()  # says what is wrong if this is no run
    lines = folder.read_metrics()
    if not lines:
        raise ValueError(f"{folder.path} has no metrics yet: its first iteration is not done")
    return metrics.history(lines)


def plots(runs: Mapping[str, Mapping[str, Any]]) -> list[Plot]:
    """The plots with a curve, of what `history.curves` returns of runs, by the runs' names."""
    drawn = [_plot(panel, runs, "evaluations", smooth=False) for panel in OF_EVALUATIONS]
    drawn += [_plot(panel, runs, "columns", smooth=True) for panel in OF_ITERATIONS]
    return [plot for plot in drawn if plot.series]


def _plot(panel: Panel, runs: Mapping[str, Mapping[str, Any]], kind: str, smooth: bool) -> Plot:
    place = "tflop" if panel.across == OPERATIONS else "minutes"
    series = []
    for run, told in runs.items():
        for name in told[kind]:
            if any(fnmatch.fnmatchcase(name, column) for column in panel.columns):
                series += _curve(f"{run} {name}", told[kind], place, name, smooth)
    return Plot(panel.name, panel.title, panel.axis, panel.meaning, series, panel.across)


def _curve(
    label: str, columns: Mapping[str, list[Any]], place: str, name: str, smooth: bool
) -> list[Series]:
    """Returns a column as a curve with its interval, if it has any value."""
    ends = [f"{name}.{end}" for end in ("low", "high") if f"{name}.{end}" in columns]
    there = [i for i, value in enumerate(columns[name]) if value is not None]
    x, values, *interval = ([columns[c][i] for i in there] for c in (place, name, *ends))
    return [Series(label, x, smoothed(values) if smooth else values, *interval)] if there else []


def distilled_plot(folders: Sequence[RunFolder]) -> Plot | None:
    """Disagreement with the overseer, of those runs where it was measured."""
    series = [curve for folder in folders for curve in _distilled(folder)]
    meaning = (
        "By how much the network's best move is worse, as Amplify(A) sees it: on positions that it "
        "was trained on, near them, in random games, and where it loses most."
    )
    plot = Plot(
        "distilled",
        "What distillation loses",
        "mean loss of value",
        meaning,
        series,
        "training step",
    )
    return plot if series else None


def mistakes_by_ply(runs: Mapping[str, History]) -> list[Plot]:
    """Returns the plot of the last evaluations' mistakes by ply, if perfect play is known."""
    series = []
    for run, history in runs.items():
        measured = [line.perfect for line in history.evaluations if line.perfect is not None]
        for name, rates in (measured[-1] if measured else {}).items():
            rows = rates.by_ply
            if rows:
                plies, raw = [float(row.ply) for row in rows], [row.raw for row in rows]
                series.append(Series(f"{run} {name}, raw", plies, raw))
            for budget in rows[0].budgets if rows else ():
                points = [(float(row.ply), row.budgets.get(budget, np.nan)) for row in rows]
                plies, values = map(list, zip(*points, strict=True))
                series.append(Series(f"{run} {name}, search of {budget}", plies, values))
    meaning = (
        "Of the last evaluation. A peak shows which part of the game is played worst: early "
        "mistakes want more varied openings, late ones more simulations or training."
    )
    plot = Plot("mistakes", "Mistakes by ply", "mistake rate", meaning, series, "ply")
    return [plot] if series else []


def _distilled(folder: RunFolder) -> list[Series]:
    file = folder.report / "distilled.json"
    stored = json_lines.read_object(file) if file.is_file() else {}
    checkpoints = stored.get("checkpoints", [])
    series = []
    for name in ("far", "near", "trained", "worst"):
        rows = [(float(row["step"]), row[name]) for row in checkpoints if name in row]
        points = [
            (step, (row["regret"], row["regret"] - error, row["regret"] + error))
            for step, row in rows
            for error in (row["regret_error"],)
        ]
        if points:
            series.append(_with_intervals(f"{folder.path} {name}", points))
    return series


def _with_intervals(label: str, points: Sequence[tuple[float, Interval]]) -> Series:
    values, low, high = (list(column) for column in zip(*(y for _, y in points), strict=True))
    return Series(label, [x for x, _ in points], values, low, high)


def smoothed(values: list[float]) -> list[float]:
    """Returns means over the last `1 / SMOOTHING` of a curve's points, at each of them."""
    width = max(1, len(values) // SMOOTHING)
    padded = np.concatenate([np.full(width - 1, values[0]), values])
    means: list[float] = np.convolve(padded, np.ones(width) / width, mode="valid").tolist()
    return means
