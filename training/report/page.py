"""Plots as PNG, and pages of them: of ladders, sweeps, and what `selfplay runs R --png` writes."""

import base64
import html
import pathlib
from collections.abc import Sequence

from selfplay.files import durable
from training.report import curves, values
from training.report.curves import Plot
from training.report.drawing import draw
from training.storage.run_folder import RunFolder

STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "img{max-width:100%}td{padding:0 1rem 0 0}"
)


def write_pngs(folders: Sequence[RunFolder], out: pathlib.Path) -> list[pathlib.Path]:
    """Writes a PNG for each plot of runs, over each other; returns their paths.

    Raises:
      ValueError: a folder is no run, or has no metrics yet.
    """
    runs = {str(folder.path): curves.read_history(folder) for folder in folders}
    read = {str(folder.path): values.read(folder) for folder in folders}
    qualities = {run: quality for run, quality in read.items() if quality}
    distilled = curves.distilled_plot(folders)
    drawn = [*curves.plots(runs), *values.plots(qualities), *([distilled] if distilled else [])]
    out.mkdir(parents=True, exist_ok=True)
    for plot in drawn:
        section(out, plot)
    return [out / f"{plot.name}.png" for plot in drawn if plot.series]


def distilled_section(out: pathlib.Path, folders: Sequence[RunFolder]) -> str:
    """Writes the plot of disagreement with the overseer; returns its part of the page."""
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


def page(title: str, parts: Sequence[str]) -> str:
    """Returns a page of parts in HTML."""
    title = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style><h1>{title}</h1>{''.join(parts)}</html>"
    )
