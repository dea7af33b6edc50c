"""One run of a sweep: trained as by `selfplay train`, measured, and its result kept.

Everything lies in the run's folder. A kill loses what a kill of `selfplay train` loses; a result is
written whole or not at all, and made again where the measuring has changed since.
"""

import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

from selfplay.files import durable, json_lines
from training import config as config_module
from training import metrics
from training.config import RunConfig
from training.metrics_log import OnMetrics
from training.storage.run_folder import RunFolder
from training.sweep.plan import LIMITS, Job, Plan

RESULT = "result.json"  # in a run's folder
FORMAT_VERSION = 1


def train(
    plan: Plan,
    job: Job,
    out: str | os.PathLike[str],
    on_metrics: OnMetrics = lambda line: None,
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Makes a run of the sweep, or goes on with it; returns whether it has reached its limit.

    Args:
      out: the sweep's folder.
      on_metrics, stop: as for `training.train_run`.

    Raises:
      ValueError: the run there has other settings; and as `training.train_run`.
    """
    from training.evaluation.train_run import (
        train_run,  # here: the state of a sweep is read without jax
    )

    folder = RunFolder(pathlib.Path(out, job.place))
    check_same(plan, job, folder)
    return train_run(folder.path, plan.config(job), on_metrics, stop)


def measure(
    plan: Plan,
    job: Job,
    out: str | os.PathLike[str],
    activity: Callable[[str], None] = lambda text: None,
) -> None:
    """Measures a run that has reached its limit, and keeps the result in its folder.

    Args:
      activity: called with what begins and takes a while.

    Raises:
      ValueError, CheckpointError, OSError: as the message says.
    """
    from training.sweep import measure as measuring

    folder = RunFolder(pathlib.Path(out, job.place))
    measured = measuring.measure(folder.path, plan.game, plan.measuring, activity)
    content = {
        "format_version": FORMAT_VERSION,
        "variant": job.variant,
        "seed": job.seed,
        "measuring": plan.measuring.identity(),
        "run": _end(folder),
        "measures": measured.measures,
        "details": measured.details,
    }
    durable.write_whole(folder.path / RESULT, (json.dumps(content, indent=1) + "\n").encode())


def result(plan: Plan, job: Job, out: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Returns what was measured of a run; None if it is to be measured yet, or anew.

    Raises:
      ValueError: the file is no result.
    """
    folder = RunFolder(pathlib.Path(out, job.place))
    file = folder.path / RESULT
    if not file.is_file():
        return None
    content = json_lines.read_object(file)
    try:
        if content["format_version"] != FORMAT_VERSION:
            raise ValueError(f"{file}: it was made by another version")
        run_id, measured = content["run"]["run_id"], content["measuring"]
        fits = content["measures"].items() and measured == plan.measuring.identity()
    except (KeyError, TypeError, AttributeError):
        raise ValueError(f"{file} is no result of a sweep: move it away, it is made anew") from None
    return dict(content) if fits and run_id == folder.run_id() else None


def check_same(plan: Plan, job: Job, folder: RunFolder) -> None:
    """Raises ValueError if a run is there that has other settings than the plan's, its limit too.

    A run that goes on to a later limit is another one than that which had it from the start: the
    schedule of its learning rate follows from the limit.
    """
    if not folder.exists():
        return
    stored, wanted = folder.read_config(), plan.config(job)
    different = config_module.differences(stored, wanted) + _other_limits(stored, wanted)
    if different:
        raise ValueError(
            f"variant {job.variant!r}, seed {job.seed}: {folder.path} was made with other settings "
            f"({'; '.join(different)}): give the variant another name, or name another --out"
        )


def _other_limits(stored: RunConfig, wanted: RunConfig) -> list[str]:
    pairs = [(name, getattr(stored, name), getattr(wanted, name)) for name in LIMITS]
    return [
        f"{name}: {old!r} in the run, {new!r} asked for" for name, old, new in pairs if old != new
    ]


def _end(folder: RunFolder) -> dict[str, Any]:
    """Returns where a run ended, and what made it; the devices are ours, who made its end."""
    from selfplay import devices

    iterations = metrics.history(folder.read_metrics()).iterations
    if not iterations:
        raise ValueError(
            f"{folder.path} has reached its limit before the end of its first iteration: "
            "raise the limit, and name another --out"
        )
    last = iterations[-1]
    made = json_lines.read_object(folder.config_file)
    counts = ("iteration", "step", "games", "positions", "seconds", "flops")
    return {
        "run_id": folder.run_id(),
        "commit": made["commit"],
        "versions": made["versions"],
        "devices": devices.described(),
        **{name: getattr(last, name) for name in counts},
    }
