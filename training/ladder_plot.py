"""Plots of ratings: Elo against training time, positions and simulations."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

AXES = {
    "minutes": "minutes of training",
    "positions": "self-play positions",
    "simulations": "simulations a move",
}


class Point(NamedTuple):
    """A rated checkpoint of a run."""

    run: str
    step: int
    simulations: int
    minutes: float
    positions: int
    elo: float
    low: float
    high: float


def plot_ladder(out: pathlib.Path, points: Sequence[Point], anchor: str) -> list[pathlib.Path]:
    """Writes `elo-<axis>.png` for each axis on which there are two points; returns the files."""
    written = []
    for axis, label in AXES.items():
        curves = _curves(points, axis)
        if not curves:
            continue
        figure = Figure(figsize=(8, 4), layout="constrained")
        plot = figure.add_subplot(xlabel=label, ylabel=f"Elo above {anchor}")
        for name, curve in curves.items():
            at = [getattr(point, axis) for point in curve]
            elo = [point.elo for point in curve]
            (line,) = plot.plot(at, elo, marker="o", label=name)
            low, high = [p.low for p in curve], [p.high for p in curve]
            plot.fill_between(at, low, high, color=line.get_color(), alpha=0.2)
        if axis == "simulations":
            plot.set_xscale("symlog", base=2, linthresh=1)  # 0 is the raw policy
        plot.grid(alpha=0.3)
        plot.legend(fontsize="small")
        written.append(out / f"elo-{axis}.png")
        figure.savefig(written[-1], dpi=110)
    return written


def _curves(points: Sequence[Point], axis: str) -> dict[str, list[Point]]:
    """Returns the curves of an axis by name, those of at least two points."""
    found: dict[str, list[Point]] = {}
    for point in sorted(points, key=lambda point: (point.run, getattr(point, axis))):
        name = (
            f"{point.run}@{point.step}"
            if axis == "simulations"
            else f"{point.run}, {point.simulations} simulations"
        )
        found.setdefault(name, []).append(point)
    return {name: curve for name, curve in found.items() if len(curve) > 1}
