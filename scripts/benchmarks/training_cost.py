"""The suite's `training`: a step as a share of the peak, and the loop's idle share."""

import pathlib
from typing import Any

from scripts.benchmarks import device, loop
from scripts.benchmarks.figures import figure
from scripts.benchmarks.settings import config_of, described
from scripts.terminal import signals
from training.preflight.trial import run_trial
from training.storage.run_folder import RunFolder

SECONDS = 5.0  # of measurement


def measure(what: str, shrunk: bool) -> dict[str, Any]:
    """Returns the figures of one thing: `step-GAME` or `loop-GAME`."""
    kind, _, game = what.partition("-")
    config, title = config_of(game, shrunk), described(game, shrunk)
    if kind == "loop":
        measured = loop.measure(config)
        idle = figure(title, "share of time in which no device works", measured["idle_share"])
        return {"figures": [idle]} | measured
    with signals.scratch() as scratch:
        trial = run_trial(RunFolder(pathlib.Path(scratch, "run")), config, SECONDS)
    found = []
    for name, operations, seconds in (
        ("training step", trial.step_flops, trial.step_s),
        ("self-play call", trial.call_flops, trial.call_s),
    ):
        share = device.share_of_peak(operations / seconds)
        found.append(figure(title, f"{name}, share of peak", share, note=device.why_unknown(share)))
        found.append(figure(title, f"{name}, seconds", seconds))
    return {"figures": found} | trial._asdict()
