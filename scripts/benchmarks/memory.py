"""The suite's `memory`: what `train --dry-run` predicts beside what a run has used."""

import pathlib
import re
from typing import Any

import jax

import games
from scripts.benchmarks.figures import figure
from scripts.benchmarks.settings import config_of, described, short
from scripts.terminal import signals
from training.evaluation.train_run import train_run
from training.players import checkpoint_steps
from training.preflight import estimate
from training.preflight.machine import this_machine
from training.preflight.trial import run_trial
from training.storage.run_folder import RunFolder

ITERATIONS = 10  # until the first games of Go have ended, and their rows were trained on
TRIAL_SECONDS = 1.0
STATUS = pathlib.Path("/proc/self/status")


def measure(what: str, shrunk: bool) -> dict[str, Any]:
    """Returns bytes used and predicted for a game, and their ratio."""
    config = short(config_of(what, shrunk), ITERATIONS)
    before = _resident()
    with signals.scratch() as scratch:
        run = pathlib.Path(scratch, "run")
        train_run(run, config)
        used, note = _used(before)  # before the trial, which takes some too
        note += f", after {checkpoint_steps(run)[-1]} training steps"
        folder = RunFolder(pathlib.Path(scratch, "trial"))
        has = this_machine(folder.path, config.learner.batch)
        floor = estimate.needs(config, games.load(what), has)
        scale = run_trial(folder, config, TRIAL_SECONDS).scale(floor)
    need = estimate.scaled(floor, scale)
    predicted = estimate.memory(need, has) + (need.replay if has.on_host else 0)
    title = described(what, shrunk)
    share = None if used is None else predicted / used
    return {
        "figures": [
            figure(title, "memory used, bytes", used, note=note),
            figure(title, "memory predicted by --dry-run, bytes", predicted),
            figure(title, "predicted, as a multiple of used", share),
        ]
    }


def _used(before: int | None) -> tuple[int | None, str]:
    """Returns the peak in bytes, and how it is known; None where nothing tells."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        return int(stats["peak_bytes_in_use"]), "peak of the first device, by its own count"
    after = _resident()
    if before is None or after is None:
        return None, "neither the device nor the system tells"
    return after - before, "growth of the process, jax's own programs included"


def _resident() -> int | None:
    """Returns the most bytes that this process has held, where the system tells."""
    try:
        told = re.search(r"VmHWM:\s*(\d+) kB", STATUS.read_text())
    except OSError:
        return None
    return int(told[1]) * 1024 if told else None
