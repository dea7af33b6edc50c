"""What a run is, as JSON: its settings, how far it is, what it measured last, what lies in it.

A part that is damaged is left out, with a sentence under `problems`. Nothing that computes is
imported.
"""

import math
import pathlib
from collections.abc import Callable
from typing import Any

from selfplay.files import durable
from training import config as config_module
from training import presets
from training.config import RunConfig
from training.metrics import EvaluationLine, History, IterationLine
from training.report import history, listing, verdict
from training.report.text import figures, sentences, summary
from training.report.thinning import short
from training.storage import starts
from training.storage.manifest import CheckpointError
from training.storage.run_folder import RunFolder

# The ends of names of files of games.
GAMES = (".jsonl", ".sgf", ".pgn", ".jsonl.gz", ".sgf.gz", ".pgn.gz")
MOST_FILES = 200
MOST_PROBLEMS = 20
NOTHING = history.Newest(History([], [], [], [], []), [])
ALSO_DIFFERENT = ("game", "preset")  # what says with which preset a run is compared


def describe(folder: RunFolder) -> dict[str, Any]:
    """Returns what a run is.

    `differs` and `settings` are of the configuration; `evaluation` is the last one; `verdict` the
    doctor's last (training/report/verdict.py); all are null or empty where there is nothing. The
    figures of `step`, `games`, `positions` and `minutes` are of the newest line of the metrics.
    """
    problems: list[str] = []
    told = problems.append
    shown = listing.describe(folder.path, sized=False)
    config = _or(None, folder.read_config, told)
    newest = _or(NOTHING, lambda: history.newest(folder), told)
    problems += newest.damaged
    lines = newest.history
    described = {
        "run": str(folder.path),
        "game": shown.game,
        "state": shown.state,
        "step": shown.step,
        "iterations": shown.iterations,
        "minutes": shown.minutes,
        "games": max((line.games for line in _counting(lines)), default=0),
        "positions": max((line.positions for line in _counting(lines)), default=0),
        "limits": limits(config, lines) if config else [],
        "host": listing.holder(folder.path),
        "devices": _devices(folder.path),
        "preset": config.preset if config else "",
        "simulations": config.search.simulations if config else None,
        "amplify": config.amplify if config else "",
        "summary": summary(config, lines) if config else "",
        "settings": config_module.leaves_of(config_module.to_dict(config)) if config else {},
        "differs": differing(config) if config else [],
        "source": _or("", folder.source, told),
        "evaluation": _evaluation(lines, config),
        "verdict": _or(None, lambda: verdict.read(folder), told),
        "checkpoints": _or([], folder.steps, told),
        "games_files": _or([], lambda: games_files(folder), told),
        "workers": _workers(lines),
    }
    if shown.problem:
        problems.insert(0, shown.problem)
    return described | {"problems": list(dict.fromkeys(problems))[:MOST_PROBLEMS]}


def differing(config: RunConfig) -> list[dict[str, Any]]:
    """Returns the settings in which a run is not its preset: `name`, `value` and `preset`'s."""
    usual = config_module.leaves_of(
        config_module.to_dict(presets.preset(config.preset, config.game))
    )
    own = config_module.leaves_of(config_module.to_dict(config))
    return [
        {"name": name, "value": value, "preset": usual[name]}
        for name, value in own.items()
        if value != usual[name] and name not in ALSO_DIFFERENT
    ]


def limits(config: RunConfig, lines: History) -> list[dict[str, Any]]:
    """Returns what ends a run, what ends it first before the rest.

    Each has its `name`, `limit` and how much is `done`, in the setting's unit, and the seconds that
    are `left` at the run's mean speed, null where that is not known yet.
    """
    newest = max(_counting(lines), key=lambda line: line.seconds, default=None)
    seconds = newest.seconds if newest else 0.0
    counted = {
        "minutes": (config.minutes, seconds / 60),
        "iterations": (config.iterations, newest.iteration if newest else 0),
        "flops": (config.flops, newest.flops if newest else 0),
    }
    told = [
        {"name": name, "limit": limit, "done": done, "left": _left(limit, done, seconds)}
        for name, (limit, done) in counted.items()
        if limit
    ]
    return sorted(told, key=lambda one: math.inf if one["left"] is None else one["left"])


def _left(limit: float, done: float, seconds: float) -> float | None:
    return round(max(0.0, (limit / done - 1) * seconds), 1) if done else None


def games_files(folder: RunFolder) -> list[dict[str, Any]]:
    """Returns the files of games of a run: `file`, below its folder, and `bytes`."""
    files = []
    for place in ("games", "ladder"):
        for name in sorted(durable.names_in(folder.path / place))[:MOST_FILES]:
            path = folder.path / place / name
            if name.endswith(GAMES) and path.is_file() and not path.is_symlink():
                files.append({"file": f"{place}/{name}", "bytes": path.stat().st_size})
    return files


def _counting(lines: History) -> list[IterationLine | EvaluationLine]:
    return [*lines.iterations, *lines.evaluations]


def _devices(run: pathlib.Path) -> list[str]:
    """Returns the devices that trained a run, the newest first; none where no file tells."""
    return list(dict.fromkeys(start["device"] for start in reversed(starts.read(run))))


def _evaluation(lines: History, config: RunConfig | None) -> dict[str, Any] | None:
    if not lines.evaluations:
        return None
    last = lines.evaluations[-1]
    return {
        "step": last.step,
        "minutes": round(last.seconds / 60, 2),
        "figures": figures(last),
        "sentences": sentences(lines.evaluations, config.amplify if config else "search"),
    }


def _workers(lines: History) -> list[dict[str, Any]]:
    return [
        {
            **{name: getattr(worker, name) for name in ("worker", "host", "device")},
            "rate": short(worker.rate),
            "silent": short(worker.silent),
        }
        for line in lines.workers[-1:]
        for worker in line.workers
    ]


def _or(without: Any, read: Callable[[], Any], told: Callable[[str], None]) -> Any:
    """Returns what `read` returns, or `without` if it cannot, which `told` is told."""
    try:
        return read()
    except (OSError, ValueError, TypeError, CheckpointError) as error:
        told(" ".join(str(error).split()))
        return without
