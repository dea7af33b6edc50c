"""`selfplay runs`."""

import dataclasses
import fcntl
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from scripts.flags.runs import Args
from scripts.terminal.console import columns, print_json, print_text
from selfplay.files import durable
from training import metrics
from training.progress import Progress
from training.storage.manifest import STEP, CheckpointError, read_json
from training.storage.run_folder import RunFolder

TAIL = 1 << 20  # bytes of metrics.jsonl that are searched for the last evaluation
MARKS = ("config.json", "checkpoints", "metrics.jsonl")  # one of them makes a folder a run's
HEAD = ("run", "game", "state", "step", "iterations", "minutes", "last evaluation", "size")


@dataclasses.dataclass
class Run:
    """A run as it is listed."""

    path: str
    game: str = ""
    state: str = "damaged"
    step: int = 0
    iterations: int = 0
    minutes: float = 0.0
    evaluation: str = ""  # the last one, in words
    loss: float | None = None  # of that, a fraction as in metrics.jsonl
    bytes: int = 0
    problem: str = ""


def run(args: Args) -> int:
    """Prints the list; a run that cannot be read is listed with the reason."""
    root = pathlib.Path(args.folder)
    if args.folder != Args.folder and not root.is_dir():
        raise ValueError(f"there is no folder {root}")
    paths = sorted(_runs_in(root), key=_changed, reverse=True)
    runs = [_describe(path) for path in paths]
    if args.json:
        print_json({"runs": [dataclasses.asdict(one) for one in runs]})
    elif runs:
        print_text(_table(runs))
    else:
        print_text(f"no runs in {root}: selfplay train makes one")
    return 0


def _runs_in(root: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields the runs that a folder is, holds, or whose folders hold."""
    if _is_run(root):
        yield root
        return
    for path in _folders(root):
        yield from [path] if _is_run(path) else filter(_is_run, _folders(path))


def _is_run(path: pathlib.Path) -> bool:
    return any((path / name).exists() for name in MARKS)


def _folders(path: pathlib.Path) -> list[pathlib.Path]:
    try:
        return [one for one in path.iterdir() if one.is_dir() and one.name[0] != "."]
    except OSError:  # somebody else's
        return []


def _changed(path: pathlib.Path) -> float:
    """Returns when a run was last written to."""
    files = [path, *(path / name for name in MARKS)]
    return max(os.path.getmtime(file) for file in files if file.exists())


def _describe(path: pathlib.Path) -> Run:
    shown, folder = Run(str(path), bytes=_size(path)), RunFolder(path)
    try:
        config = folder.read_config()
        shown.game = config.game
        progress = _progress(path)
        lines = _last_lines(folder.metrics_file)
        shown.state = _state(folder, progress is None)
        if progress is not None and shown.state == "stopped" and progress.finished(config):
            shown.state = "done" if progress.fixed_point else "limit reached"
    except (OSError, ValueError, TypeError, CheckpointError) as error:
        shown.state, shown.problem = "damaged", " ".join(str(error).split())
        return shown
    here = progress or Progress()
    newest = lines[-1] if lines else {}
    shown.step = max(here.step, newest.get("step", 0))
    shown.iterations = max(here.iteration, newest.get("iteration", 0))
    shown.minutes = round(max(here.seconds, newest.get("seconds", 0.0)) / 60, 1)
    for line in lines:
        if line["kind"] == "evaluation":
            shown.evaluation, shown.loss = _in_words(line), line.get("loss")
    return shown


def _state(folder: RunFolder, new: bool) -> str:
    """Returns whether a process holds a run, asking for as short a time as can be."""
    lock = folder.path / "lock"
    if lock.is_file():
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return "running"
    return "new" if new else "stopped"


def _progress(path: pathlib.Path) -> Progress | None:
    """Returns what the newest checkpoint says; None without one."""
    steps = map(int, filter(STEP.fullmatch, durable.names_in(path / "checkpoints")))
    newest = max(steps, default=None)
    if newest is None:
        return None
    return Progress.of(read_json(path / "checkpoints" / str(newest) / "counters.json"))


def _last_lines(file: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the whole lines at the end of metrics.jsonl, oldest first."""
    if not file.exists():
        return []
    durable.check_file(file)
    with file.open("rb") as content:
        start = max(file.stat().st_size - TAIL, 0)
        content.seek(start)
        texts = content.read(TAIL).decode(errors="replace").split("\n")
    lines = []
    for text in texts[start > 0 : -1]:  # a part of one before the first, and after the last
        try:
            lines.append(metrics.parse(text, str(file)))
        except ValueError:
            continue  # of a damaged line, `selfplay report` tells
    return lines


def _in_words(line: dict[str, Any]) -> str:
    """Returns an evaluation's main result."""
    if line.get("perfect") and not line.get("random"):
        rates = next(iter(line["perfect"].values()))
        return f"{rates['search']:.1%} mistakes"
    if line.get("ladder"):
        return f"{line['ladder']['elo']:+.0f} Elo"
    if line.get("random"):
        return f"{line['random']['score']:.1%} against random"
    return ""


def _size(path: pathlib.Path) -> int:
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:  # a running one removes files
                continue
    return total


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
    return (one.path, one.game or "?", one.state, *counts, one.evaluation or "-", _bytes(one.bytes))


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
