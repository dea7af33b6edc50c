"""The plots of runs as PNG files, over each other: what `selfplay runs R --png` writes."""

import pathlib
from collections.abc import Sequence

from training.report import curves, drawing, history, measured
from training.storage.run_folder import RunFolder


def write(folders: Sequence[RunFolder], out: pathlib.Path) -> list[pathlib.Path]:
    """Writes a PNG for each plot that has a curve; returns their paths.

    Raises:
      ValueError: a folder is no run, or has no metrics yet.
    """
    for folder in folders:
        curves.read_history(folder)  # says what is wrong
    told = {str(folder.path): history.curves(folder) for folder in folders}
    return drawing.write(out, [*curves.plots(told), *measured.plots(folders, lambda problem: None)])


def write_distilled(folder: RunFolder, out: pathlib.Path) -> None:
    """Writes the plot of what `selfplay distilled` has measured."""
    plot = curves.distilled_plot([folder])
    drawing.write(out, [plot] if plot else [])
