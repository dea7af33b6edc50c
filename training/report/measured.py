"""What a run measured beside its curves, as JSON: plots by ply and by value, and a table.

Reads the newest rows of the replay, which takes a second. NumPy alone.
"""

from collections.abc import Callable
from typing import Any

from training.evaluation import value_quality
from training.evaluation.value_quality import RowQuality
from training.metrics import History
from training.report import curves, history, values
from training.report.curves import Plot, Series
from training.report.thinning import short
from training.storage.run_folder import RunFolder


def measured(folder: RunFolder) -> dict[str, Any]:
    """Returns `plots`, `tables`, and `problems` of what could not be read, a sentence each.

    A plot has `name`, `title`, `axis`, `across`, `meaning` and `series`, each with `label`, `x`,
    `values`, and perhaps `low` and `high`. A table has `title`, `head` and `rows` of texts.
    """
    problems: list[str] = []

    def some(read: Callable[[], Any]) -> Any:
        try:
            return read()
        except (OSError, ValueError, KeyError, TypeError) as error:
            problems.append(" ".join(str(error).split()))
            return None

    found = some(lambda: history.newest(folder))
    lines = found.history if found else History([], [], [], [], [])
    quality = some(lambda: values.read(folder))
    distilled = some(lambda: curves.distilled_plot([folder]))
    plots = [
        *curves.mistakes_by_ply({"": lines}),
        *([distilled] if distilled else []),
        *(values.plots({"": quality}) if quality else []),
    ]
    return {
        "plots": [_plot(plot, str(folder.path)) for plot in plots],
        "tables": [_table(quality)] if quality else [],
        "problems": problems,
    }


def _plot(plot: Plot, run: str) -> dict[str, Any]:
    return plot._asdict() | {"series": [_series(one, run) for one in plot.series]}


def _series(one: Series, run: str) -> dict[str, Any]:
    columns = {name: getattr(one, name) for name in ("x", "values", "low", "high")}
    return {"label": one.label.removeprefix(run).strip()} | {
        name: [short(value) for value in column] for name, column in columns.items() if column
    }


def _table(quality: RowQuality) -> dict[str, Any]:
    return {
        "title": value_quality.in_words(quality).partition(":")[0],
        "head": values.HEAD,
        "rows": values.cells(quality),
    }
