"""Runs as they are listed: what each is, whether a process has it, and how far it is."""

import contextlib
import dataclasses
import fcntl
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from games import registry
from selfplay.files import durable
from training import metrics
from training.metrics import EvaluationLine
from training.progress import Progress
from training.report import verdict
from training.storage.manifest import CheckpointError, read_json
from training.storage.run_folder import RunFolder

TAILS = (1 << 16, 1 << 20)  # bytes of metrics.jsonl that are searched for the last evaluation
MARKS = ("config.json", "checkpoints", "metrics.jsonl")  # one of them makes a folder a run's
STAMPED = (*MARKS, "lock", "report/doctor.json")  # what changes with what is listed
MOST_LISTED = 20_000  # runs of which that is kept


@dataclasses.dataclass
class Run:
    """A run as it is listed."""

    path: str
    game: str = ""
    state: str = "damaged"  # or running, new, stopped, limit reached, done
    step: int = 0
    saved: int | None = None  # the newest checkpoint's step
    iterations: int = 0
    minutes: float = 0.0
    evaluation: str = ""  # the last one, in words
    loss: float | None = None  # of that, a fraction as in metrics.jsonl
    bytes: int = 0
    problem: str = ""


def runs_in(root: pathlib.Path) -> list[pathlib.Path]:
    """Returns the runs that a folder is, holds, or whose folders hold; the newest first."""
    return sorted(_found(root), key=_changed, reverse=True)


def _found(root: pathlib.Path) -> Iterator[pathlib.Path]:
    if is_run(root):
        yield root
        return
    for path in _folders(root):
        yield from [path] if is_run(path) else filter(is_run, _folders(path))


def is_run(path: pathlib.Path) -> bool:
    """Whether a folder is a run's, whole or damaged."""
    return any((path / name).exists() for name in MARKS)


def describe(path: pathlib.Path, sized: bool = True) -> Run:
    """Returns a run as it is listed; one that cannot be read has the reason.

    Args:
      sized: whether to add up the bytes of its files, which takes a while for many.
    """
    shown, folder = Run(str(path), bytes=size_of(path) if sized else 0), RunFolder(path)
    try:
        config = folder.read_config()
        shown.game = config.game
        progress = progress_of(path)
        newest, evaluation = _last_lines(folder.metrics_file)
        shown.state = _state(folder, progress is None)
        if progress is not None and shown.state == "stopped" and progress.finished(config):
            shown.state = "done" if progress.fixed_point else "limit reached"
    except (OSError, ValueError, TypeError, CheckpointError) as error:
        shown.state, shown.problem = "damaged", " ".join(str(error).split())
        return shown
    shown.saved = None if progress is None else progress.step
    here = progress or Progress()
    shown.step = max(here.step, newest.get("step", 0))
    shown.iterations = max(here.iteration, newest.get("iteration", 0))
    # An iteration may be written after its evaluation, with less time on the clock.
    seconds = [line.get("seconds", 0.0) for line in (newest, evaluation)]
    shown.minutes = round(max(here.seconds, *seconds) / 60, 1)
    if evaluation:
        shown.evaluation, shown.loss = _in_words(evaluation), evaluation.get("loss")
    return shown


def as_json(path: pathlib.Path) -> dict[str, Any]:
    """Returns a run as a page lists it, without its size.

    Beside the fields of `Run` it has `host`, the process that has it or had it last, and `verdict`,
    the doctor's last: null, or `step`, `healthy` and `sentence`. What has not changed is not read
    again: a page asks every few seconds, perhaps for thousands of runs.
    """
    held = None
    with contextlib.suppress(OSError):  # then `describe` says what is wrong
        held = _is_held(path)
    stamp = (held, *map(_stamp, (path / name for name in STAMPED)))
    known = _listed.get(path)
    if known is None or known[0] != stamp:
        if len(_listed) >= MOST_LISTED:
            _listed.clear()
        _listed[path] = known = stamp, _read(path)
    return known[1]


_listed: dict[pathlib.Path, tuple[tuple[Any, ...], dict[str, Any]]] = {}


def _read(path: pathlib.Path) -> dict[str, Any]:
    said = None
    try:
        found = verdict.read(RunFolder(path))
        said = found and {name: found[name] for name in ("step", "healthy", "sentence")}
    except (OSError, ValueError) as error:
        said = {"step": None, "healthy": None, "sentence": str(error)}
    shown = dataclasses.asdict(describe(path, False))
    shown["game"] = registry.canonical(shown["game"])  # pages compare it
    return shown | {"host": holder(path), "verdict": said}


def _stamp(file: pathlib.Path) -> tuple[int, ...] | None:
    """Returns what changes when a file is written to."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def holder(path: pathlib.Path) -> str:
    """Returns the process that has a run, or had it last; empty if nobody ever had."""
    lock = path / "lock"
    try:
        durable.check_file(lock)
        with open(lock, errors="replace", opener=durable.no_link) as file:
            said = file.read(durable.MAX_HOLDER)
    except OSError:
        return ""
    return durable.name_of(said) if said else ""


def _folders(path: pathlib.Path) -> list[pathlib.Path]:
    try:
        return [one for one in path.iterdir() if one.is_dir() and one.name[0] != "."]
    except OSError:  # somebody else's
        return []


def _changed(path: pathlib.Path) -> float:
    """Returns when a run was last written to."""
    times = []
    for file in (path, *(path / name for name in MARKS)):
        try:
            times.append(os.path.getmtime(file))
        except OSError:  # not there, or just deleted
            continue
    return max(times, default=0.0)


def _state(folder: RunFolder, new: bool) -> str:
    """Returns whether a process holds a run, or what it is else."""
    return "running" if _is_held(folder.path) else "new" if new else "stopped"


def _is_held(path: pathlib.Path) -> bool:
    """Returns whether a process holds a run, asking for as short a time as can be."""
    lock = path / "lock"
    if lock.is_file():
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    return False


def progress_of(path: pathlib.Path) -> Progress | None:
    """Returns what the newest checkpoint says; None without one.

    Raises:
      ValueError, CheckpointError, OSError: it is damaged.
    """
    newest = max(RunFolder(path).steps(), default=None)
    if newest is None:
        return None
    return Progress.of(read_json(path / "checkpoints" / str(newest) / "counters.json"))


def _last_lines(file: pathlib.Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the newest line of metrics.jsonl, and the newest evaluation's; empty without."""
    newest: dict[str, Any] = {}
    if not file.exists():
        return newest, newest
    durable.check_file(file)
    for size in TAILS:
        newest = {}
        for line in _backwards(file, size):
            newest = newest or line
            if line["kind"] == EvaluationLine.kind:
                return newest, line
        if file.stat().st_size <= size:
            break
    return newest, {}


def _backwards(file: pathlib.Path, size: int) -> Iterator[dict[str, Any]]:
    """Yields the newest line at the end of a file, then evaluations, each newer than the next."""
    with file.open("rb") as content:
        start = max(content.seek(0, os.SEEK_END) - size, 0)
        content.seek(start)
        texts = content.read(size).decode(errors="replace").split("\n")
    found = False
    # Without a part of a line before the first, and after the last.
    for text in reversed(texts[start > 0 : -1]):
        if found and EvaluationLine.kind not in text:
            continue
        try:
            line = metrics.parse(text, str(file))
        except ValueError:
            continue  # of a damaged line, `selfplay runs R` tells
        found = True
        yield line


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


def size_of(path: pathlib.Path) -> int:
    """Returns the bytes of all files below a folder."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:  # a running one removes files
                continue
    return total
