"""The suite's question what `train --deterministic` costs, and whether two runs are bit-equal.

XLA reads its flags once, so that each run is a child of its own: one without, two with it.
"""

import hashlib
import pathlib
from typing import Any

import jax
import numpy as np

import games
from scripts.benchmarks import child
from scripts.benchmarks.figures import figure
from scripts.benchmarks.settings import config_of, described, short
from scripts.cli import DETERMINISTIC
from scripts.terminal import signals
from training.evaluation.train_run import train_run
from training.players import checkpoint_steps, load_weights, network_of
from training.storage.run_folder import RunFolder

RUN = "run-"  # begins the name of what a child of ours does
ITERATIONS, WARM = 16, 6  # in all; and those that compile, which are not timed
SECONDS = 300.0  # for each run


def measure(what: str, shrunk: bool) -> dict[str, Any]:
    """Returns both figures of a game; of `run-GAME`, a run's seconds, steps and digest."""
    if what.startswith(RUN):
        return _train(what.removeprefix(RUN), shrunk)
    with signals.scratch() as scratch:
        plain, first, second = (
            child.result(
                child.measuring("determinism", f"{RUN}{what}", shrunk, flag),
                pathlib.Path(scratch, "log"),
                SECONDS,
            )
            for flag in ("", DETERMINISTIC, DETERMINISTIC)
        )
    title, steps = described(what, shrunk), f"after {first['step']} training steps"
    cost = (first["seconds"] + second["seconds"]) / 2 / plain["seconds"] - 1
    equal = "yes" if first["digest"] == second["digest"] else "no"
    without = "the same" if first["digest"] == plain["digest"] else "others"
    return {
        "figures": [
            figure(title, "--deterministic, more time of the loop", cost),
            figure(
                title,
                "two runs with --deterministic bit-equal",
                equal,
                note=f"{steps}; without it: {without}",
            ),
        ],
        "runs": [plain, first, second],
    }


def _train(game: str, shrunk: bool) -> dict[str, Any]:
    config = short(config_of(game, shrunk), ITERATIONS)
    clock: dict[int, float] = {}

    def watch(line: dict[str, Any]) -> None:
        if line["kind"] == "iteration":
            clock[line["iteration"]] = line["seconds"]

    with signals.scratch() as scratch:
        folder = RunFolder(pathlib.Path(scratch, "run"))
        train_run(folder.path, config, watch)
        step = checkpoint_steps(folder.path)[-1]
        weights = load_weights(folder, step, network_of(config, games.load(game)))
    seconds = clock[ITERATIONS] - clock[WARM]
    return {"seconds": seconds, "step": step, "digest": digest(weights)}


def digest(tree: Any) -> str:
    """Returns a hash of all bits of a tree of arrays."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        found.update(np.ascontiguousarray(leaf).tobytes())
    return found.hexdigest()
