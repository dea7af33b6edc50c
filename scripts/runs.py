"""`selfplay runs`: a table of runs with state, step, last evaluation, size."""

import dataclasses
import pathlib
from collections.abc import Iterator

from scripts.flags.runs import Args
from scripts.terminal.console import columns, print_json, print_text
from training.report import listing
from training.report.listing import Run

HEAD = ("run", "game", "state", "step", "iterations", "minutes", "last evaluation", "size")


def run(args: Args) -> int:
    """Prints the list; a run that cannot be read is listed with the reason."""
    root = pathlib.Path(args.paths[0])
    runs = [listing.describe(path) for path in listing.runs_in(root)]
    if args.json:
        print_json({"runs": [dataclasses.asdict(one) for one in runs]})
    elif runs:
        print_text(_table(runs))
    else:
        print_text(f"no runs in {root}: selfplay train makes one")
    return 0


def _table(runs: list[Run]) -> str:
    """Returns the list as a table, or with two lines a run where that would be too wide."""
    rows = [HEAD, *map(_cells, runs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    if sum(widths) + 2 * len(HEAD) - 2 > columns():
        return "\n".join(line for one in runs for line in _lines(one))
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, *(f"{one.path}: {one.problem}" for one in runs if one.problem)])


def _cells(one: Run) -> tuple[str, ...]:
    counts = (f"{one.step:,}", f"{one.iterations:,}", f"{one.minutes:.1f}")
    path = one.path.replace("\n", "\\n")  # or a name could pass for the row of another run
    return (path, one.game or "?", one.state, *counts, one.evaluation or "-", _bytes(one.bytes))


def _lines(one: Run) -> Iterator[str]:
    path, game, state, step, iterations, minutes, evaluation, size = _cells(one)
    yield path
    yield f"  {game}, {state}, {size}" + (f": {one.problem}" if one.problem else "")
    if not one.problem:
        times = "iteration" if one.iterations == 1 else "iterations"
        yield f"  step {step}, {iterations} {times}, {minutes} min, {evaluation}".removesuffix(
            ", -"
        )


def _bytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e9:,.1f} GB"
