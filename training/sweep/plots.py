"""The learning curves of a sweep over what was computed, and its page."""

import html
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from selfplay.files import durable
from training import metrics
from training.metrics import EvaluationLine, History, IterationLine
from training.report import curves, page
from training.report.curves import OPERATIONS, Plot, Series
from training.storage.run_folder import RunFolder
from training.sweep.plan import Job

POINTS = 80  # of a curve
BAND = "Means over seeds; the shade reaches from the lowest to the highest seed. "
LOSSES: dict[str, tuple[str, Callable[[IterationLine], float | None]]] = {
    "Policy loss": ("nats", lambda line: line.policy_loss),
    "Value loss": ("squared return", lambda line: line.value_loss),
}
Points = list[tuple[float, float]]  # TFLOP, value


def write_page(out: pathlib.Path, jobs: Iterable[Job], title: str, text: str) -> pathlib.Path:
    """Writes `index.html`, with a text and the learning curves, and a PNG of each plot.

    Args:
      out: the sweep's folder; runs that are under way are drawn as far as they are.
      text: as `table.table` returns it.
    """
    histories: dict[str, list[History]] = {}
    for job in jobs:
        folder = RunFolder(out / job.place)
        lines = folder.read_metrics(lambda problem: None) if folder.exists() else []
        if lines:
            histories.setdefault(job.variant, []).append(metrics.history(lines))
    sections = [page.section(out, plot) for plot in plots(histories)]
    file = out / "index.html"
    content = page.page(title, [f"<pre>{html.escape(text)}</pre>", *sections])
    durable.write_whole(file, content.encode(errors="replace"))
    return file


def plots(histories: Mapping[str, Sequence[History]]) -> list[Plot]:
    """Returns the plots of runs by variant: what they measured of themselves, and their losses."""
    measured = {
        variant: [_measured(history.evaluations) for history in runs]
        for variant, runs in histories.items()
    }
    names = dict.fromkeys(name for runs in measured.values() for run in runs for name in run)
    drawn = [
        _plot(
            f"evaluation-{number}",
            name[:1].upper() + name[1:],
            "fraction",
            "As the runs measured it on the way, fewer positions than at the end.",
            {variant: [run.get(name, []) for run in runs] for variant, runs in measured.items()},
        )
        for number, name in enumerate(names, 1)
    ]
    for title, (axis, entry) in LOSSES.items():
        runs_of = {
            variant: [_loss(run.iterations, entry) for run in runs]
            for variant, runs in histories.items()
        }
        meaning = "Variants that teach other targets, or play otherwise, have losses of their own."
        drawn.append(_plot(title.lower().replace(" ", "-"), title, axis, meaning, runs_of))
    return drawn


def _plot(
    name: str, title: str, axis: str, meaning: str, runs: Mapping[str, Sequence[Points]]
) -> Plot:
    series = [_band(variant, [run for run in of_one if run]) for variant, of_one in runs.items()]
    shown = [curve for curve in series if curve is not None]
    return Plot(name, title, axis, BAND + meaning, shown, OPERATIONS)


def _band(label: str, runs: Sequence[Points]) -> Series | None:
    """Returns the mean of runs, as far as all of them have come, from the lowest to the highest."""
    if not runs:
        return None
    low, high = max(run[0][0] for run in runs), min(run[-1][0] for run in runs)
    across = np.linspace(low, max(low, high), POINTS if high > low else 1)
    points = [np.array(run) for run in runs]  # float[N, 2]
    values = np.array([np.interp(across, run[:, 0], run[:, 1]) for run in points])
    ends = (values.min(axis=0).tolist(), values.max(axis=0).tolist()) if len(runs) > 1 else ()
    return Series(label, across.tolist(), values.mean(axis=0).tolist(), *ends)


def _measured(lines: Sequence[EvaluationLine]) -> dict[str, Points]:
    points: dict[str, Points] = {}
    for line in lines:
        for name, (value, _, _) in curves.results(line).items():
            points.setdefault(name, []).append((line.flops / 1e12, value))
    return points


def _loss(lines: Sequence[IterationLine], entry: Callable[[IterationLine], float | None]) -> Points:
    pairs = [(line.flops / 1e12, value) for line in lines if (value := entry(line)) is not None]
    smoothed = curves.smooth([value for _, value in pairs]) if pairs else []
    return list(zip((place for place, _ in pairs), smoothed, strict=True))
