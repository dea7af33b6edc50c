"""The curves of a report, from lines of metrics to what a plot shows; nothing is drawn here."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from selfplay.files import json_lines
from selfplay.rating.elo import Z95
from training import metrics
from training.metrics import EvaluationLine, FixedPoint, History, IterationLine
from training.storage.run_folder import RunFolder

SMOOTHING = 40  # a curve shows means over this share of a run: 1 / 40
Interval: TypeAlias = tuple[float, float, float]  # value, low, high
MINUTES, OPERATIONS = "minutes", "TFLOP of self-play and training"  # of x axes


class Series(NamedTuple):
    """One curve of one run."""

    label: str
    x: list[float]
    values: list[float]
    low: list[float] | None = None  # of an interval, where there is one
    high: list[float] | None = None


class Plot(NamedTuple):
    """One plot: what it draws, and what it means."""

    name: str  # of its file
    title: str
    axis: str  # what the y axis shows
    meaning: str
    series: list[Series]
    across: str = MINUTES  # what the x axis counts


class Panel(NamedTuple):
    """A plot of entries of the iterations' lines, by the labels of their curves."""

    name: str
    title: str
    axis: str
    entries: dict[str, Callable[[IterationLine], float | None]]
    meaning: str


PANELS = (
    Panel(
        "losses",
        "Losses",
        "nats; squared return",
        {
            "policy_loss": lambda line: line.policy_loss,
            "value_loss": lambda line: line.value_loss,
        },
        "Both should fall, then level off. They can fall while play does not improve.",
    ),
    Panel(
        "entropy",
        "Entropy of the network's policy",
        "nats",
        {"entropy": lambda line: line.entropy},
        "Falls as the network makes up its mind. Near 0 early on, exploration is too weak.",
    ),
    Panel(
        "kl",
        "How far search still moves the policy",
        "mean KL(search || network), nats",
        {"kl": lambda line: line.kl},
        "0 is the fixed point of distillation and amplification: nothing left to teach.",
    ),
    Panel(
        "value_error",
        "Value of finished games",
        "mean (network - outcome)^2",
        {"value_error": lambda line: line.value_error},
        "How well the playing network foresaw the results of its own games.",
    ),
    Panel(
        "speed",
        "Speed",
        "per second",
        {},
        "Of the whole loop: self-play, training, evaluation and saving.",
    ),
    Panel(
        "game_plies",
        "Length of games",
        "plies",
        {"game_plies": lambda line: line.game_plies},
        "A sudden change often means that one side has found, or forgotten, something.",
    ),
)


def read_history(folder: RunFolder) -> History:
    """Returns a run's metrics. Raises ValueError if it is no run, or has none yet."""
    folder.read_config()  # says what is wrong if this is no run
    lines = folder.read_metrics()
    if not lines:
        raise ValueError(f"{folder.path} has no metrics yet: its first iteration is not done")
    return metrics.history(lines)


def plots(runs: Mapping[str, History]) -> list[Plot]:
    """Returns the plots of runs by their names; one of mistakes only where they are known."""
    return [
        _evaluations(runs, MINUTES),
        *_ratings(runs, MINUTES),
        *_by_operations(runs),
        *mistakes_by_ply(runs),
        *_fixed_point(runs),
        *(_panel(panel, runs) for panel in PANELS),
        *_target_losses(runs),
    ]


def _target_losses(runs: Mapping[str, History]) -> list[Plot]:
    """Returns a plot of what the runs learn beside policy and value, if any of them does."""
    lines = [line for run in runs.values() for line in run.iterations]
    names = sorted({name for line in lines for name in line.target_losses})

    def loss_of(name: str) -> Callable[[IterationLine], float | None]:
        return lambda line: line.target_losses.get(name)

    panel = Panel(
        "targets",
        "Losses of what is learned beside policy and value",
        "loss",
        {name: loss_of(name) for name in names},
        "Without the weights that they have in the whole loss: see docs/targets.md.",
    )
    return [_panel(panel, runs)] if names else []


def results(line: EvaluationLine) -> dict[str, Interval]:
    """Returns what an evaluation measured, by what a curve of it is called."""
    measured: dict[str, Interval] = {}
    if line.random is not None:
        measured["score against random"] = (line.random.score, *line.random.interval)
    for name, rates in (line.perfect or {}).items():
        for kind, rate in (("raw", rates.raw), ("search", rates.search)):
            measured[f"mistakes, {name}, {kind}"] = (rate, rate, rate)
    return measured


def smoothed(
    lines: Sequence[IterationLine], entry: Callable[[IterationLine], float | None], label: str
) -> list[Series]:
    """Returns a smoothed curve of an entry over minutes, or none if no line has it."""
    pairs = [(line.seconds / 60, value) for line in lines if (value := entry(line)) is not None]
    if not pairs:
        return []
    minutes, values = zip(*pairs, strict=True)
    return [Series(label, list(minutes), smooth(list(values)))]


def distilled_plot(folders: Sequence[RunFolder]) -> Plot | None:
    """Disagreement with the overseer, of those runs where it was measured."""
    series = [curve for folder in folders for curve in _distilled(folder)]
    meaning = (
        "By how much the network's best move is worse, as Amplify(A) sees it: on positions that it "
        "was trained on, near them, in random games, and where it loses most."
    )
    plot = Plot(
        "distilled",
        "What distillation loses",
        "mean loss of value",
        meaning,
        series,
        "training step",
    )
    return plot if series else None


def _by_operations(runs: Mapping[str, History]) -> list[Plot]:
    """Returns the plots of strength once more over what was computed."""
    drawn = [_evaluations(runs, OPERATIONS), *_ratings(runs, OPERATIONS)]
    return [
        plot._replace(name=f"{plot.name}-flops", title=f"{plot.title} by operations")
        for plot in drawn
        if plot.series
    ]


def _place(line: EvaluationLine, across: str) -> float:
    """Returns where a line lies on an x axis."""
    return line.seconds / 60 if across == MINUTES else line.flops / 1e12


def _evaluations(runs: Mapping[str, History], across: str) -> Plot:
    series = []
    for run, history in runs.items():
        points: dict[str, list[tuple[float, Interval]]] = {}
        for line in history.evaluations:
            place = _place(line, across)
            for name, result in results(line).items():
                points.setdefault(name, []).append((place, result))
        series += [_with_intervals(f"{run} {name}", curve) for name, curve in points.items()]
    return Plot(
        "evaluations",
        "Evaluations",
        "mistake rate, or score against random",
        "What a run is for: mistakes against perfect play fall, or the score rises.",
        series,
        across,
    )


def _ratings(runs: Mapping[str, History], across: str) -> list[Plot]:
    """Returns the plot of what runs gained in their own ladders, if any was rated."""
    series = []
    for run, history in runs.items():
        if points := gained(history.evaluations, across):
            series.append(_with_intervals(f"{run} rating", points))
    meaning = (
        "Against the run's own past, each by a search: every gain over the best weights before, "
        "added up, with the 95% interval of the last gain. It goes on rising when random moves "
        "have long been beaten; over many steps it is somewhat too high."
    )
    plot = Plot("rating", "Rating", "Elo gained", meaning, series, across)
    return [plot] if series else []


def gained(
    evaluations: Sequence[EvaluationLine], across: str = MINUTES
) -> list[tuple[float, Interval]]:
    """Returns places and Elo above the first weights that were rated against, gain upon gain.

    The Elo above random of one evaluation and of the next are of different fits: where random is
    never beaten any more they differ by hundreds, while the gain between the two is well known.
    """
    levels: dict[int, float] = {}
    points = []
    for line in evaluations:
        rating = line.ladder
        if rating is None or rating.over_best is None or rating.best_step is None:
            continue
        level = levels.get(rating.best_step, 0.0) + rating.over_best
        levels[line.step] = level
        spread = Z95 * (rating.over_best_error or 0.0)
        points.append((_place(line, across), (level, level - spread, level + spread)))
    return points


def mistakes_by_ply(runs: Mapping[str, History]) -> list[Plot]:
    """Returns the plot of the last evaluations' mistakes by ply, if perfect play is known."""
    series = []
    for run, history in runs.items():
        measured = [line.perfect for line in history.evaluations if line.perfect is not None]
        for name, rates in (measured[-1] if measured else {}).items():
            rows = rates.by_ply
            if rows:
                plies, raw = [float(row.ply) for row in rows], [row.raw for row in rows]
                series.append(Series(f"{run} {name}, raw", plies, raw))
            for budget in rows[0].budgets if rows else ():
                points = [(float(row.ply), row.budgets.get(budget, np.nan)) for row in rows]
                plies, values = map(list, zip(*points, strict=True))
                series.append(Series(f"{run} {name}, search of {budget}", plies, values))
    meaning = (
        "Of the last evaluation. A peak shows which part of the game is played worst: early "
        "mistakes want more varied openings, late ones more simulations or training."
    )
    plot = Plot("mistakes", "Mistakes by ply", "mistake rate", meaning, series, "ply")
    return [plot] if series else []


def _fixed_point(runs: Mapping[str, History]) -> list[Plot]:
    gap = Plot(
        "gap",
        "Amplification gap, measured",
        "mean KL(search || network), nats",
        "Without noise, on positions from the network's games against itself (own), against random "
        "moves (fresh), and on the same random ones throughout (probe). At the fixed point it is "
        "0: search changes nothing.",
        _fixed_point_series(runs, {"own": _own_gap, "fresh": _fresh_gap, "probe": _probe_gap}),
    )
    strength = Plot(
        "strength",
        "What search adds, and what distillation keeps",
        "Elo over the network without search",
        "amplified: the same weights with search. distilled: the network without search against "
        "the search with the weights measured before; above 0 it has learned all that it did.",
        _fixed_point_series(runs, {"amplified": _amplified, "distilled": _kept}),
    )
    return [gap, strength]


def _fixed_point_series(
    runs: Mapping[str, History], entries: Mapping[str, Callable[[FixedPoint], Interval | None]]
) -> list[Series]:
    """Returns a curve of each entry over the evaluations that have it."""
    series = []
    for run, history in runs.items():
        for name, entry in entries.items():
            points = [
                (line.seconds / 60, result)
                for line in history.evaluations
                if line.fixed_point is not None and (result := entry(line.fixed_point)) is not None
            ]
            if points:
                series.append(_with_intervals(f"{run} {name}", points))
    return series


def _own_gap(measured: FixedPoint) -> Interval:
    return (measured.own.kl,) * 3


def _fresh_gap(measured: FixedPoint) -> Interval:
    return (measured.fresh.kl,) * 3


def _probe_gap(measured: FixedPoint) -> Interval:
    return (measured.probe.kl,) * 3


def _amplified(measured: FixedPoint) -> Interval | None:
    match = measured.strongest
    return (match.elo, *match.elo_interval) if match else None


def _kept(measured: FixedPoint) -> Interval | None:
    match = measured.distilled
    return (match.elo, *match.elo_interval) if match else None


def _panel(panel: Panel, runs: Mapping[str, History]) -> Plot:
    series = []
    for run, history in runs.items():
        prefix = f"{run} " if len(runs) > 1 else ""
        for name, entry in panel.entries.items():
            series += smoothed(history.iterations, entry, f"{prefix}{name}")
        if panel.name == "speed":
            series += _speeds(history.iterations, prefix)
    return Plot(panel.name, panel.title, panel.axis, panel.meaning, series)


def _speeds(lines: Sequence[IterationLine], prefix: str) -> list[Series]:
    # Over stretches, not lines: a line is written when the host gets to it.
    marks = lines[:: max(1, len(lines) // SMOOTHING)]
    pairs = [(a, b) for a, b in itertools.pairwise(marks) if b.seconds > a.seconds]
    if not pairs:
        return []
    minutes = [b.seconds / 60 for _, b in pairs]
    made = [(b.games - a.games, b.positions - a.positions, b.seconds - a.seconds) for a, b in pairs]
    return [
        Series(f"{prefix}games per second", minutes, [games / s for games, _, s in made]),
        Series(f"{prefix}positions per second", minutes, [plies / s for _, plies, s in made]),
    ]


def _distilled(folder: RunFolder) -> list[Series]:
    file = folder.report / "distilled.json"
    stored = json_lines.parse(file.read_text(), str(file)) if file.is_file() else {}
    checkpoints = stored.get("checkpoints", [])
    series = []
    for name in ("far", "near", "trained", "worst"):
        rows = [(float(row["step"]), row[name]) for row in checkpoints if name in row]
        points = [
            (step, (row["regret"], row["regret"] - error, row["regret"] + error))
            for step, row in rows
            for error in (row["regret_error"],)
        ]
        if points:
            series.append(_with_intervals(f"{folder.path} {name}", points))
    return series


def _with_intervals(label: str, points: Sequence[tuple[float, Interval]]) -> Series:
    values, low, high = (list(column) for column in zip(*(y for _, y in points), strict=True))
    return Series(label, [x for x, _ in points], values, low, high)


def smooth(values: list[float]) -> list[float]:
    """Returns means over the last `1 / SMOOTHING` of a curve's points, at each of them."""
    width = max(1, len(values) // SMOOTHING)
    padded = np.concatenate([np.full(width - 1, values[0]), values])
    means: list[float] = np.convolve(padded, np.ones(width) / width, mode="valid").tolist()
    return means
