"""The page of a report: plots that show whether runs are learning."""

import base64
import html
import pathlib
from collections.abc import Mapping, Sequence

from selfplay.files import durable
from training.evaluation.target_quality import RowQuality
from training.metrics import History
from training.report import curves, values
from training.report.curves import Plot
from training.report.drawing import draw
from training.report.text import figures, sentences, summary
from training.storage.run_folder import RunFolder

STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "img{max-width:100%}td{padding:0 1rem 0 0}"
)


def write_report(folders: Sequence[RunFolder], out: pathlib.Path) -> pathlib.Path:
    """Writes a PNG for each plot and a self-contained index.html; returns the page's path.

    Raises:
      ValueError: a folder is no run, or has no metrics yet.
    """
    runs = {str(folder.path): curves.read_history(folder) for folder in folders}
    read = {str(folder.path): values.read(folder) for folder in folders}
    qualities = {run: quality for run, quality in read.items() if quality}
    out.mkdir(parents=True, exist_ok=True)
    drawn = [*curves.plots(runs), *values.plots(qualities)]
    sections = [section(out, plot) for plot in drawn]
    file = out / "index.html"
    content = _page(folders, runs, qualities, [*sections, distilled_section(out, folders)])
    durable.write_whole(file, content.encode(errors="replace"))
    return file


def distilled_section(out: pathlib.Path, folders: Sequence[RunFolder]) -> str:
    """Writes the plot of what `selfplay distilled` has measured; returns its part of the page."""
    plot = curves.distilled_plot(folders)
    return section(out, plot) if plot else ""


def section(out: pathlib.Path, plot: Plot) -> str:
    """Writes a plot as a PNG; returns its part of a page, with the picture in it."""
    if not plot.series:
        return f"<h2>{plot.title}</h2><p>Nothing measured yet.</p>"
    picture = draw(plot)
    durable.write_whole(out / f"{plot.name}.png", picture)  # not through a link, which it replaces
    encoded = base64.b64encode(picture).decode()
    return (
        f"<h2>{plot.title}</h2><p>{html.escape(plot.meaning)}</p>"
        f'<img alt="{plot.title}" src="data:image/png;base64,{encoded}">'
    )


def _page(
    folders: Sequence[RunFolder],
    runs: Mapping[str, History],
    qualities: Mapping[str, RowQuality],
    sections: Sequence[str],
) -> str:
    heads = map(_head, folders, runs.values(), map(qualities.get, runs))
    return page(f"Report: {', '.join(runs)}", [*heads, *sections])


def page(title: str, parts: Sequence[str]) -> str:
    """Returns a page of parts in HTML."""
    title = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style><h1>{title}</h1>{''.join(parts)}</html>"
    )


def _head(folder: RunFolder, history: History, quality: RowQuality | None) -> str:
    """Returns what a run is, its last evaluation, its values beside outcomes, and its settings."""
    config = folder.read_config()
    last = history.evaluations[-1] if history.evaluations else None
    results = (figures(last) if last else {}).items()
    rows = (f"<td>{html.escape(name)}</td><td>{value}</td>" for name, value in results)
    cells = "".join(f"<tr>{row}</tr>" for row in rows)
    said = sentences(history.evaluations, config.amplify)
    words = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in said)
    when = f"step {last.step}" if last else "none yet"
    content = html.escape(folder.config_file.read_text())
    return (
        f"<h2>{html.escape(str(folder.path))}</h2>"
        f"<p>{html.escape(summary(config, history))}</p>"
        f"<p>Last evaluation: {when}</p>"
        f"<table>{cells}</table>{words}{values.table(quality) if quality else ''}"
        f"<details><summary>config.json</summary><pre>{content}</pre></details>"
    )
