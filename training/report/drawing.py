"""Drawing of plots as PNG. The only file that knows matplotlib."""

import io
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from selfplay.files import durable
from training.report.curves import SIMULATIONS, Plot

FEW = 20  # points of a curve that are marked one by one


def draw(plot: Plot) -> bytes:
    """A PNG of the plot's curves, with their intervals as shades."""

    def put(axes: Any) -> None:
        axes.set(xlabel=plot.across, ylabel=plain(plot.axis), title=plain(plot.title))
        for curve in plot.series:
            (line,) = axes.plot(curve.x, curve.values, label=plain(curve.label))
            if curve.low is not None and curve.high is not None and curve.low != curve.high:
                axes.fill_between(curve.x, curve.low, curve.high, color=line.get_color(), alpha=0.2)
            if len(curve.values) <= FEW:
                line.set_marker("o")
        if plot.across == SIMULATIONS:
            axes.set_xscale("symlog", base=2, linthresh=1)  # 0 is the raw policy
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")

    return render(put, 3.6)


def write(out: pathlib.Path, plots: Iterable[Plot]) -> list[pathlib.Path]:
    """Writes a PNG for each plot that has a curve; returns the files."""
    durable.make_folder(out)
    files = []
    for plot in plots:
        if plot.series:
            files.append(out / f"{plot.name}.png")
            durable.write_whole(files[-1], draw(plot))  # not through a link, which it replaces
    return files


def render(draw: Callable[[Any], None], height: float) -> bytes:
    """A PNG of what `draw` puts on a figure's axes, so many inches high.

    Matplotlib's own defaults hold: it reads a file `matplotlibrc` of the current folder, which may
    be somebody else's.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        figure = Figure(figsize=(8, height), layout="constrained")
        draw(figure.add_subplot())
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=110)
    return picture.getvalue()


def plain(text: str) -> str:
    """A name escaped for matplotlib.

    Between two `$` it would read a formula, and it leaves names that begin with `_` out of legends.
    """
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return f"{' ' * shown.startswith('_')}{shown}".replace("$", r"\$")
