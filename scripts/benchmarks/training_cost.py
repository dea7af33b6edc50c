"""`selfplay bench --measure training`: a training step and a self-play call, as a run makes them.

The times are those of `train --dry-run` (training/preflight/trial.py).
"""

import pathlib
from typing import Any

from scripts.benchmarks import device
from scripts.terminal import signals
from training.config import RunConfig
from training.preflight.trial import run_trial
from training.storage.run_folder import RunFolder

SECONDS = 5.0  # of measurement


def measure(config: RunConfig) -> dict[str, Any]:
    """Returns a trial's times, bytes and operations, and both as shares of the devices' peak."""
    with signals.scratch() as scratch:
        trial = run_trial(RunFolder(pathlib.Path(scratch, "run")), config, SECONDS)
    return {
        "step_share_of_peak": device.share_of_peak(trial.step_flops / trial.step_s),
        "call_share_of_peak": device.share_of_peak(trial.call_flops / trial.call_s),
    } | trial._asdict()
