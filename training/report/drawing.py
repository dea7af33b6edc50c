"""Drawing of plots as PNG. The only file that knows matplotlib."""

import io
from collections.abc import Callable
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from training.report.curves import Plot


def draw(plot: Plot) -> bytes:
    """Returns a PNG of the plot's curves."""

    def put(axes: Any) -> None:
        axes.set(xlabel=plot.across, ylabel=plot.axis, title=plain(plot.title))
        for curve in plot.series:
            (line,) = axes.plot(curve.x, curve.values, label=plain(curve.label))
            if curve.low is not None and curve.high is not None and curve.low != curve.high:
                axes.fill_between(curve.x, curve.low, curve.high, color=line.get_color(), alpha=0.2)
            if len(curve.values) == 1:
                line.set_marker("o")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")

    return render(put, 3.6)


def render(draw: Callable[[Any], None], height: float) -> bytes:
    """Returns a PNG of what `draw` puts on a figure's axes, so many inches high.

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
    """Returns a name as matplotlib shows it.

    Between two `$` it would read a formula, and it leaves names that begin with `_` out of legends.
    """
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return f"{' ' * shown.startswith('_')}{shown}".replace("$", r"\$")
