"""Plots and a page that show whether runs are learning."""

import base64
import dataclasses
import html
import itertools
import json
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from selfplay.files import durable, json_lines
from training.evaluation.strength import sentences, strongest
from training.report.ladder_plot import plain, render
from training.storage.run_folder import RunFolder

Lines = list[dict[str, Any]]
DISTILLED = "What distillation loses"
SMOOTHING = 40  # a curve shows means over this share of a run: 1 / 40


class Series(NamedTuple):
    """One curve of one run."""

    label: str
    minutes: list[float]
    values: list[float]
    low: list[float] | None = None  # of an interval, where there is one
    high: list[float] | None = None


@dataclasses.dataclass(frozen=True)
class Panel:
    """One plot: a title, what the axis shows, and which entries of metrics.jsonl it draws."""

    name: str
    title: str
    axis: str
    entries: tuple[str, ...]
    meaning: str


PANELS = (
    Panel(
        "losses",
        "Losses",
        "nats; squared return",
        ("policy_loss", "value_loss"),
        "Both should fall, then level off. They can fall while play does not improve.",
    ),
    Panel(
        "entropy",
        "Entropy of the network's policy",
        "nats",
        ("entropy",),
        "Falls as the network makes up its mind. Near 0 early on, exploration is too weak.",
    ),
    Panel(
        "kl",
        "How far search still moves the policy",
        "mean KL(search || network), nats",
        ("kl",),
        "0 is the fixed point of distillation and amplification: nothing left to teach.",
    ),
    Panel(
        "value_error",
        "Value of finished games",
        "mean (network - outcome)^2",
        ("value_error",),
        "How well the playing network foresaw the results of its own games.",
    ),
    Panel(
        "speed",
        "Speed",
        "per second",
        ("games per second", "positions per second"),
        "Of the whole loop: self-play, training, evaluation and saving.",
    ),
    Panel(
        "game_plies",
        "Length of games",
        "plies",
        ("game_plies",),
        "A sudden change often means that one side has found, or forgotten, something.",
    ),
)

# Name, title, axis, curves, meaning.
FIXED_POINT = (
    (
        "gap",
        "Amplification gap, measured",
        "mean KL(search || network), nats",
        ("fresh", "probe"),
        "Without noise, on positions from the network's own games (fresh) and on the same random "
        "ones throughout (probe). At the fixed point it is 0: search changes nothing.",
    ),
    (
        "strength",
        "What search adds, and what distillation keeps",
        "Elo over the network without search",
        ("amplified", "distilled"),
        "amplified: the same weights with search. distilled: the network without search against "
        "the search with the weights measured before; above 0 it has learned all that it did.",
    ),
)


def write_report(folders: Sequence[RunFolder], out: pathlib.Path) -> pathlib.Path:
    """Writes a PNG for each panel and a self-contained index.html; returns the page's path.

    Raises:
      ValueError: a folder is no run, or has no metrics yet.
    """
    runs = {str(folder.path): _read(folder) for folder in folders}
    out.mkdir(parents=True, exist_ok=True)
    evaluations = [evaluation_series(name, lines) for name, lines in runs.items()]
    sections = [
        _section(
            out,
            "evaluations",
            "Evaluations",
            "mistake rate, or score against random",
            [series for group in evaluations for series in group],
            "What a run is for: mistakes against perfect play fall, or the score rises.",
        ),
        _mistakes_section(out, runs),
    ]
    for name, title, axis, names, meaning in FIXED_POINT:
        curves = [fixed_point_series(*item, entry) for item in runs.items() for entry in names]
        measured = [curve for curve in curves if curve.values]
        sections.append(_section(out, name, title, axis, measured, meaning))
    for panel in PANELS:
        series = [
            curve
            for name, lines in runs.items()
            for entry in panel.entries
            if (curve := iteration_series(name, lines, entry, len(runs) > 1)) is not None
        ]
        sections.append(_section(out, panel.name, panel.title, panel.axis, series, panel.meaning))
    sections.append(distilled_section(out, folders))
    page = out / "index.html"
    durable.write_whole(page, _page(folders, runs, sections).encode(errors="replace"))
    return page


def text_report(folders: Sequence[RunFolder]) -> str:
    """Returns the state of runs, in progress or ended, as text."""
    parts = []
    for folder in folders:
        lines = _read(folder)
        iterations = [line for line in lines if line["kind"] == "iteration"]
        evaluations = [line for line in lines if line["kind"] == "evaluation"]
        rows = [f"{folder.path}: {folder.read_config().game}"]
        if iterations:
            last = iterations[-1]
            shown = ("iteration", "step", "games", "positions", "rows", "seconds")
            rows.append("  " + ", ".join(f"{name} {last[name]:,.0f}" for name in shown))
            for entry in ("policy_loss", "value_loss", "kl", "entropy"):
                curve = iteration_series("", lines, entry, False)
                if curve is not None and curve.values:
                    first, best = curve.values[0], curve.values[-1]
                    rows.append(f"  {entry:12} {_spark(curve.values)}  {first:.3f} -> {best:.3f}")
        for line in evaluations[-3:]:
            rows.append(f"  step {line['step']}: {json.dumps(_results(line))}")
        rows += [f"  {said}" for said in sentences(evaluations)]
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def iteration_series(run: str, lines: Lines, entry: str, named: bool) -> Series | None:
    """Returns a smoothed curve of an entry of the iteration lines, or None if it has none."""
    chosen = [line for line in lines if line["kind"] == "iteration"]
    if entry.endswith(" per second"):
        return _speed_series(run, chosen, entry, named)
    chosen = [line for line in chosen if line.get(entry) is not None]
    if not chosen:
        return None
    minutes = [line["seconds"] / 60 for line in chosen]
    values = _smooth([line[entry] for line in chosen])
    return Series(f"{run} {entry}" if named else entry, minutes, values)


def evaluation_series(run: str, lines: Lines) -> list[Series]:
    """Returns a curve for each result of the evaluation lines."""
    chosen = [line for line in lines if line["kind"] == "evaluation"]
    found: dict[str, Series] = {}
    for line in chosen:
        for name, (value, low, high) in _results_with_interval(line).items():
            series = found.setdefault(name, Series(f"{run} {name}", [], [], [], []))
            series.minutes.append(line["seconds"] / 60)
            series.values.append(value)
            series.low.append(low)  # type: ignore[union-attr]
            series.high.append(high)  # type: ignore[union-attr]
    return list(found.values())


def fixed_point_series(run: str, lines: Lines, entry: str) -> Series:
    """Returns a curve of the evaluations' `fixed_point`, of those that have the entry."""
    found = Series(f"{run} {entry}", [], [], [], [])
    for line in lines:
        measured = line.get("fixed_point", {}) if line["kind"] == "evaluation" else {}
        if entry in ("fresh", "probe") and entry in measured:
            value = low = high = measured[entry]["kl"]
        elif entry == "amplified" and (match := strongest(measured)):
            value, (low, high) = match["elo"], match["elo_interval"]
        elif entry == "distilled" and "distilled" in measured:
            value, (low, high) = measured["distilled"]["elo"], measured["distilled"]["elo_interval"]
        else:
            continue
        found.minutes.append(line["seconds"] / 60)
        found.values.append(value)
        found.low.append(low)  # type: ignore[union-attr]
        found.high.append(high)  # type: ignore[union-attr]
    return found


def mistake_series(run: str, lines: Lines) -> list[Series]:
    """Returns the last evaluation's mistake rates by ply; the x axis is the ply."""
    evaluations = [line for line in lines if line["kind"] == "evaluation"]
    measured = [line["perfect"] for line in evaluations if "perfect" in line]
    found = []
    for name, rate in (measured[-1] if measured else {}).items():
        rows = rate.get("by_ply", [])  # runs of older versions have none
        plies = [float(row["ply"]) for row in rows]
        if rows:
            raw = [row["raw"] for row in rows]
            found.append(Series(f"{run} {name}, raw", plies, raw))
        for budget in rows[0]["budgets"] if rows else ():
            values = [row["budgets"][budget] for row in rows]
            found.append(Series(f"{run} {name}, search of {budget}", plies, values))
    return found


def _mistakes_section(out: pathlib.Path, runs: dict[str, Lines]) -> str:
    series = [curve for name, lines in runs.items() for curve in mistake_series(name, lines)]
    if not series:
        return ""  # the game has no perfect player
    meaning = (
        "Of the last evaluation. A peak shows which part of the game is played worst: early "
        "mistakes want more varied openings, late ones more simulations or training."
    )
    return _section(
        out, "mistakes", "Mistakes by ply", "mistake rate", series, meaning, across="ply"
    )


def distilled_series(folder: RunFolder) -> list[Series]:
    """Returns what `selfplay distilled` has measured; the x axis is the training step."""
    file = folder.report / "distilled.json"
    stored = json_lines.parse(file.read_text(), str(file)) if file.is_file() else {}
    rows = stored.get("checkpoints", [])
    found = []
    for name in ("far", "near", "trained", "worst"):
        of = [row[name] | {"step": row["step"]} for row in rows if name in row]
        if not of:
            continue
        means = [(mean["regret"], mean["regret_error"]) for mean in of]
        low, high = [mean - error for mean, error in means], [sum(mean) for mean in means]
        steps, values = [float(mean["step"]) for mean in of], [mean for mean, _ in means]
        found.append(Series(f"{folder.path} {name}", steps, values, low, high))
    return found


def distilled_section(out: pathlib.Path, folders: Sequence[RunFolder]) -> str:
    """Writes the plot of what `selfplay distilled` has measured; returns its part of the page."""
    series = [c for folder in folders for c in distilled_series(folder)]
    if not series:
        return ""
    meaning = (
        "By how much the network's best move is worse, as Amplify(A) sees it: on positions that it "
        "was trained on, near them, in random games, and where it loses most."
    )
    return _section(
        out, "distilled", DISTILLED, "mean loss of value", series, meaning, "training step"
    )


def _speed_series(run: str, lines: Lines, entry: str, named: bool) -> Series | None:
    counted = entry.removesuffix(" per second")
    # Over stretches, not lines: a line is written when the host gets to it.
    stride = max(1, len(lines) // SMOOTHING)
    marks = lines[::stride]
    pairs = [(a, b) for a, b in itertools.pairwise(marks) if b["seconds"] > a["seconds"]]
    if not pairs:
        return None
    return Series(
        f"{run} {entry}" if named else entry,
        [b["seconds"] / 60 for _, b in pairs],
        [(b[counted] - a[counted]) / (b["seconds"] - a["seconds"]) for a, b in pairs],
    )


def _results_with_interval(line: dict[str, Any]) -> dict[str, tuple[float, float, float]]:
    if "perfect" in line:
        return {
            f"mistakes, {name}, {kind}": (rate[kind], rate[kind], rate[kind])
            for name, rate in line["perfect"].items()
            for kind in ("raw", "search")
        }
    low, high = line["random"]["interval"]
    return {"score against random": (line["random"]["score"], low, high)}


def _results(line: dict[str, Any]) -> dict[str, float]:
    return {name: round(value, 4) for name, (value, _, _) in _results_with_interval(line).items()}


def _read(folder: RunFolder) -> Lines:
    folder.read_config()  # says what is wrong if this is no run
    lines = folder.read_metrics()
    if not lines:
        raise ValueError(f"{folder.path} has no metrics yet: its first iteration is not done")
    return lines


def _smooth(values: list[float]) -> list[float]:
    width = max(1, len(values) // SMOOTHING)
    padded = np.concatenate([np.full(width - 1, values[0]), values])
    smoothed: list[float] = np.convolve(padded, np.ones(width) / width, mode="valid").tolist()
    return smoothed


def _spark(values: list[float], width: int = 40) -> str:
    marks = "▁▂▃▄▅▆▇█"
    places = np.linspace(0, len(values) - 1, min(width, len(values))).astype(int)
    chosen = np.asarray(values)[places]
    low, high = chosen.min(), chosen.max()
    scaled = (chosen - low) / max(high - low, 1e-12) * (len(marks) - 1)
    return "".join(marks[round(float(level))] for level in scaled)


def plot(title: str, axis: str, series: Sequence[Series], across: str = "minutes") -> bytes:
    """Returns a PNG of the curves, `across` what their x axis counts."""

    def draw(axes: Any) -> None:
        axes.set(xlabel=across, ylabel=axis, title=plain(title))
        for curve in series:
            (line,) = axes.plot(curve.minutes, curve.values, label=plain(curve.label))
            if curve.low is not None and curve.high is not None and curve.low != curve.high:
                colour = line.get_color()
                axes.fill_between(curve.minutes, curve.low, curve.high, color=colour, alpha=0.2)
            if len(curve.values) == 1:
                line.set_marker("o")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")

    return render(draw, 3.6)


def _section(
    out: pathlib.Path,
    name: str,
    title: str,
    axis: str,
    series: list[Series],
    meaning: str,
    across: str = "minutes",
) -> str:
    if not series:
        return f"<h2>{title}</h2><p>Nothing measured yet.</p>"
    picture = plot(title, axis, series, across)
    durable.write_whole(out / f"{name}.png", picture)  # not through a link, which it replaces
    encoded = base64.b64encode(picture).decode()
    return (
        f"<h2>{title}</h2><p>{html.escape(meaning)}</p>"
        f'<img alt="{title}" src="data:image/png;base64,{encoded}">'
    )


def _page(folders: Sequence[RunFolder], runs: dict[str, Lines], sections: list[str]) -> str:
    tables = []
    for folder, lines in zip(folders, runs.values(), strict=True):
        evaluations = [line for line in lines if line["kind"] == "evaluation"]
        last = evaluations[-1] if evaluations else None
        results = (_results(last) if last else {}).items()
        rows = (f"<td>{html.escape(k)}</td><td>{v:.4g}</td>" for k, v in results)
        cells = "".join(f"<tr>{row}</tr>" for row in rows)
        words = "".join(f"<p>{html.escape(said)}</p>" for said in sentences(evaluations))
        when = f"step {last['step']}" if last else "none yet"
        content = html.escape(folder.config_file.read_text())
        tables.append(
            f"<h2>{html.escape(str(folder.path))}</h2>"
            f"<p>Last evaluation: {when}</p>"
            f"<table>{cells}</table>{words}"
            f"<details><summary>config.json</summary><pre>{content}</pre></details>"
        )
    style = (
        "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "img{max-width:100%}td{padding:0 1rem 0 0}"
    )
    title = html.escape(", ".join(runs))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{style}</style><h1>Report</h1>{''.join(tables)}{''.join(sections)}</html>"
    )
