"""The suite's question whether XLA's command buffers around loops make a search faster.

It may crash with them, so that each side is a child of its own.
"""

import pathlib
from typing import Any

from scripts.benchmarks import child
from scripts.benchmarks.figures import figure
from scripts.terminal import signals

FLAG = "--xla_gpu_enable_command_buffer=+WHILE"
SECONDS = 300.0  # for each side
NAME = "speed of the search with command buffers"


def measure(what: str, shrunk: bool) -> dict[str, Any]:
    """Returns the search's speed with command buffers, as a multiple of that without.

    Args:
      what: a row of `searching.ROWS`.
    """
    if shrunk:
        return {"figures": [figure(what, NAME, None, note="not applicable: no accelerator")]}
    with signals.scratch() as scratch:
        without, using = (
            child.result(
                child.measuring("searching", f"alone-{what}", shrunk, flag),
                pathlib.Path(scratch, "log"),
                SECONDS,
            )
            for flag in ("", FLAG)
        )
    rates = [found["evaluations_per_s"]["search"] for found in (without, using)]
    note = f"multiple of that without {FLAG}"
    return {"figures": [figure(what, NAME, rates[1] / rates[0], note=note)]}
