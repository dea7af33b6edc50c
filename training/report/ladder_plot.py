"""Plots of ratings: Elo over training time, positions, operations, and simulations a move."""

import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from training.report import drawing
from training.report.curves import OPERATIONS, SIMULATIONS, Plot, Series

AXES = {
    "minutes": "minutes of training",
    "positions": "self-play positions",
    "tflop": OPERATIONS,
    "simulations": SIMULATIONS,
}


class Point(NamedTuple):
    """A rated checkpoint of a run."""

    run: str
    step: int
    simulations: int
    minutes: float
    positions: int
    tflop: float | None  # None before the run's first iteration
    elo: float
    low: float
    high: float


def plot_ladder(out: pathlib.Path, points: Sequence[Point], anchor: str) -> list[pathlib.Path]:
    """Writes `elo-<axis>.png` for each axis on which there are two points; returns the files."""
    return drawing.write(
        out,
        (
            Plot(f"elo-{axis}", "", f"Elo above {anchor}", "", list(_curves(points, axis)), label)
            for axis, label in AXES.items()
        ),
    )


def _curves(points: Sequence[Point], axis: str) -> Iterator[Series]:
    """Yields the curves of an axis, those of at least two points."""
    curves: dict[str, list[Point]] = {}
    known = [point for point in points if getattr(point, axis) is not None]
    for point in sorted(known, key=lambda point: (point.run, getattr(point, axis))):
        name = (
            f"{point.run}@{point.step}"
            if axis == "simulations"
            else f"{point.run}, {point.simulations} simulations"
        )
        curves.setdefault(name, []).append(point)
    for name, curve in curves.items():
        if len(curve) > 1:
            columns = ([getattr(p, c) for p in curve] for c in (axis, "elo", "low", "high"))
            yield Series(name, *columns)
