"""Plots of ratings: Elo over training time, positions, operations, and simulations a move."""

import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from selfplay.files import durable
from training.report.drawing import plain, render

AXES = {
    "minutes": "minutes of training",
    "positions": "self-play positions",
    "tflop": "TFLOP of self-play and training",
    "simulations": "simulations a move",
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
    written = []
    for axis, label in AXES.items():
        curves = _curves(points, axis)
        if not curves:
            continue
        picture = render(functools.partial(_draw, axis, label, curves, anchor), 4)
        written.append(out / f"elo-{axis}.png")
        durable.write_whole(written[-1], picture)  # not through a link, which it replaces
    return written


def _draw(
    axis: str, label: str, curves: Mapping[str, Sequence[Point]], anchor: str, plot: Any
) -> None:
    plot.set(xlabel=label, ylabel=plain(f"Elo above {anchor}"))
    for name, curve in curves.items():
        at = [getattr(point, axis) for point in curve]
        elo = [point.elo for point in curve]
        (line,) = plot.plot(at, elo, marker="o", label=plain(name))
        low, high = [p.low for p in curve], [p.high for p in curve]
        plot.fill_between(at, low, high, color=line.get_color(), alpha=0.2)
    if axis == "simulations":
        plot.set_xscale("symlog", base=2, linthresh=1)  # 0 is the raw policy
    plot.grid(alpha=0.3)
    plot.legend(fontsize="small")


def _curves(points: Sequence[Point], axis: str) -> dict[str, list[Point]]:
    """Returns the curves of an axis by name, those of at least two points."""
    curves: dict[str, list[Point]] = {}
    known = [point for point in points if getattr(point, axis) is not None]
    for point in sorted(known, key=lambda point: (point.run, getattr(point, axis))):
        name = (
            f"{point.run}@{point.step}"
            if axis == "simulations"
            else f"{point.run}, {point.simulations} simulations"
        )
        curves.setdefault(name, []).append(point)
    return {name: curve for name, curve in curves.items() if len(curve) > 1}
