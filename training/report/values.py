"""How values agree with outcomes, in a report: plots, and a table."""

from collections.abc import Mapping

import numpy as np

from selfplay.rating.elo import Z95
from training.evaluation import value_quality
from training.evaluation.value_quality import Agreement, ExampleQuality
from training.report.curves import Plot, Series
from training.storage.run_folder import RunFolder

HEAD = ("value", "examples", "bias", "squared error", "of", "correlation")  # of the table
# Plots by ply: name, title, axis, meaning, and what they draw.
BY_PLY = (
    (
        "bias",
        "Bias of values by ply",
        "mean value less outcome",
        "0 is right on average. A search values its best moves, so a little above 0 is normal.",
        "bias",
        "bias_error",
    ),
    (
        "squared_error",
        "Squared error of values by ply",
        "mean (value - outcome)^2",
        "Falls towards the end of games. Part of it is chance: outcomes are of games with noise.",
        "squared_error",
        "squared_error_error",
    ),
    (
        "correlation",
        "Correlation of values with outcomes by ply",
        "correlation",
        "Near 0 the values of these plies say nothing about the result.",
        "correlation",
        "correlation_error",
    ),
)


def read(folder: RunFolder) -> ExampleQuality | None:
    """The quality of the values in a run's newest examples, None where none can be read."""
    return value_quality.read(folder.path / "replay", folder.run_id())


def plots(runs: Mapping[str, ExampleQuality]) -> list[Plot]:
    """Returns how right values are by what they say, and by ply; none without examples."""
    if not runs:
        return []
    calibration = Plot(
        "calibration",
        "Values beside outcomes",
        "mean outcome",
        "Of the newest examples' games, as they were played. On the diagonal a value means what it "
        "says; a flatter line is overconfident. raw: the network's own; root: the search's. "
        "With 95% intervals.",
        [*_calibration(runs), Series("calibrated", [-1.0, 1.0], [-1.0, 1.0])],
        "value",
    )
    return [calibration, *(Plot(*panel[:4], _by_ply(runs, *panel[4:]), "ply") for panel in BY_PLY)]


def _calibration(runs: Mapping[str, ExampleQuality]) -> list[Series]:
    series = []
    for run, quality in runs.items():
        for name, value in quality.values.items():
            points = [a for a in value.by_value if a.groups > 1]
            if points:
                actual = np.array([a.actual for a in points])
                # In a narrow bin what varies is the outcome: its error is that of the bias.
                spread = Z95 * np.array([a.bias_error for a in points])
                x = [a.predicted for a in points]
                series.append(_band(f"{run} {name}", x, actual, spread))
    return series


def _by_ply(runs: Mapping[str, ExampleQuality], entry: str, error: str) -> list[Series]:
    """Returns curves of an entry of `Agreement` and of its standard error."""
    series = []
    for run, quality in runs.items():
        for name, value in quality.values.items():
            at = [(part.first + part.last) / 2 for part in value.by_ply]
            values, errors = (
                np.array([getattr(part.agreement, field) for part in value.by_ply])
                for field in (entry, error)
            )
            series.append(_band(f"{run} {name}", at, values, Z95 * errors))
    return series


def _band(label: str, x: list[float], values: np.ndarray, spread: np.ndarray) -> Series:
    low, high = (values - spread).tolist(), (values + spread).tolist()
    return Series(label, x, values.tolist(), low, high)


def cells(quality: ExampleQuality) -> list[tuple[str, ...]]:
    """Each value beside the outcomes, as the rows of a table.

    Errors are standard errors, a game counted as one observation.
    """
    return [_example(name, value.overall) for name, value in quality.values.items()]


def _example(label: str, of: Agreement) -> tuple[str, ...]:
    return (
        label,
        f"{of.examples:,}",
        f"{of.bias:+.3f} ± {of.bias_error:.3f}",
        f"{of.squared_error:.3f} ± {of.squared_error_error:.3f}",
        f"{of.variance:.3f}",
        f"{of.correlation:+.3f} ± {of.correlation_error:.3f}",
    )
