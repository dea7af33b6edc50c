"""What a run measured beside its curves: plots by ply and by value, and a table.

Reads the newest examples of the replay, which takes a second. NumPy alone.
"""

from collections.abc import Callable, Sequence
from typing import Any

from training.evaluation import value_quality
from training.evaluation.value_quality import ExampleQuality
from training.metrics import History
from training.report import curves, history, values
from training.report.curves import Plot, Series
from training.report.thinning import short
from training.storage.run_folder import RunFolder


def measured(folder: RunFolder) -> dict[str, Any]:
    """`plots`, `tables`, and `problems` of what could not be read, a sentence each, as JSON.

    A plot has `name`, `title`, `axis`, `across`, `meaning` and `series`, each with `label`, `x`,
    `values`, and perhaps `low` and `high`. A table has `title`, `head` and `rows` of texts.
    """
    problems: list[str] = []
    drawn = plots([folder], problems.append)
    quality = _or_none(values.read, folder, lambda problem: None)
    return {
        "plots": [_plot(plot, str(folder.path)) for plot in drawn],
        "tables": [_table(quality)] if quality else [],
        "problems": problems,
    }


def plots(folders: Sequence[RunFolder], problem: Callable[[str], None]) -> list[Plot]:
    """The plots of runs over each other; `problem` is called with what could not be read."""
    lines: dict[str, History] = {}
    qualities: dict[str, ExampleQuality] = {}
    for folder in folders:
        if found := _or_none(history.newest, folder, problem):
            lines[str(folder.path)] = found.history
        if quality := _or_none(values.read, folder, problem):
            qualities[str(folder.path)] = quality
    distilled = _or_none(curves.distilled_plot, folders, problem)
    return [
        *curves.mistakes_by_ply(lines),
        *([distilled] if distilled else []),
        *values.plots(qualities),
    ]


def _or_none(read: Callable[[Any], Any], of: Any, problem: Callable[[str], None]) -> Any:
    try:
        return read(of)
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem(" ".join(str(error).split()))
        return None


def _plot(plot: Plot, run: str) -> dict[str, Any]:
    return plot._asdict() | {"series": [_series(one, run) for one in plot.series]}


def _series(one: Series, run: str) -> dict[str, Any]:
    columns = {name: getattr(one, name) for name in ("x", "values", "low", "high")}
    return {"label": one.label.removeprefix(run).strip()} | {
        name: [short(value) for value in column] for name, column in columns.items() if column
    }


def _table(quality: ExampleQuality) -> dict[str, Any]:
    return {
        "title": value_quality.in_words(quality).partition(":")[0],
        "head": values.HEAD,
        "rows": values.cells(quality),
    }
