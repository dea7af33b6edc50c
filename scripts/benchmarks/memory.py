"""`selfplay bench --measure memory`: the memory of a run, predicted and used.

The prediction is that of `train --dry-run`.
"""

import dataclasses
import pathlib
import re
from typing import Any

import jax

import games
from scripts.benchmarks.loop import short
from scripts.terminal import signals
from training.config import RunConfig
from training.evaluation.train_run import train_run
from training.players import checkpoint_steps
from training.preflight import estimate
from training.preflight.machine import this_machine
from training.preflight.trial import run_trial
from training.storage.run_folder import RunFolder

ITERATIONS = 10  # until the first games of Go have ended, and their rows were trained on
TRIAL_SECONDS = 1.0
STATUS = pathlib.Path("/proc/self/status")


def measure(config: RunConfig) -> dict[str, Any]:
    """Returns bytes used and predicted, their ratio, and how the first is known.

    `used_bytes` and the ratio are None where neither the device nor the system tells.
    """
    config = _small_replay(short(config, ITERATIONS, evaluate_every=0))
    before = _resident()
    with signals.scratch() as scratch:
        run = pathlib.Path(scratch, "run")
        train_run(run, config)
        used, known_by = _used(before)  # before the trial, which takes some too
        steps = checkpoint_steps(run)[-1]
        folder = RunFolder(pathlib.Path(scratch, "trial"))
        has = this_machine(folder.path, config.learner.batch)
        floor = estimate.needs(config, games.load(config.game), has)
        scale = run_trial(folder, config, TRIAL_SECONDS).scale(floor)
    need = estimate.scaled(floor, scale)
    predicted = estimate.memory(need, has) + (need.replay if has.on_host else 0)
    return {
        "used_bytes": used,
        "used_is": known_by,
        "predicted_bytes": predicted,
        "predicted_to_used": None if used is None else predicted / used,
        "training_steps": steps,
    }


def _small_replay(config: RunConfig) -> RunConfig:
    """Returns a run whose replay holds what so short a run plays: it is allocated at once."""
    rows = config.iterations * config.self_play.batch * config.self_play.plies_per_call
    capacity = min(config.replay.capacity, rows)
    return dataclasses.replace(config, replay=dataclasses.replace(config.replay, capacity=capacity))


def _used(before: int | None) -> tuple[int | None, str]:
    """Returns the peak in bytes, and how it is known."""
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
