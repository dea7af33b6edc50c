"""What `selfplay train` shows while it runs: a progress bar, sentences, and TensorBoard's files."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from scripts.terminal.console import Update, progress, say
from scripts.terminal.devices import peak_of_all
from selfplay.files import json_objects
from training.config import RunConfig
from training.metrics import EvaluationLine, GateLine, IterationLine, WorkersLine
from training.metrics_log import OnMetrics
from training.progress import Progress
from training.report.text import (
    describe_evaluation,
    describe_gate,
    describe_iteration,
    describe_workers,
    unit_of,
)
from training.storage.run_folder import RunFolder


@contextlib.contextmanager
def display(config: RunConfig, began: Progress | None) -> Iterator["Display"]:
    """Shows the run live; one that goes on `began` there."""
    scale = _scale(config)
    with progress("train", scale.total or None, scale.unit, config.amplify != "human") as update:
        yield Display(config, scale, update, getattr(began, scale.entry, 0) / scale.size)


class _Scale(NamedTuple):
    """How far a run has come, on the scale of its limit: of several, one that tells exactly."""

    total: float
    unit: str
    entry: str  # of a line of metrics, and of a run's progress
    size: float = 1.0  # of the unit, in those of the entry


def _scale(config: RunConfig) -> _Scale:
    if config.iterations:
        return _Scale(config.iterations, "iterations", "iteration")
    if config.flops:
        size, unit = unit_of(config.flops)
        return _Scale(config.flops / size, unit, "flops", size)
    return _Scale(config.minutes * 60, "s", "seconds")


class Display:
    """Shows the lines of a run, as it is called with them, and what it does between them."""

    def __init__(self, config: RunConfig, scale: _Scale, update: Update, done: float) -> None:
        self._config, self._scale, self._update = config, scale, update
        self._previous: IterationLine | None = None
        self._workers, self._peak = "", peak_of_all()
        self._done, self._note, self._told = done, "", set[str]()

    def __call__(self, line: dict[str, Any]) -> None:
        config = self._config
        if line["kind"] == "evaluation":
            say(describe_evaluation(json_objects.read(EvaluationLine, line), config.amplify))
        elif line["kind"] == "workers":
            self._workers = f" | {describe_workers(json_objects.read(WorkersLine, line))}"
            return
        elif line["kind"] == "gate":
            say(describe_gate(json_objects.read(GateLine, line)))
        else:
            iteration = json_objects.read(IterationLine, line)
            self._note = describe_iteration(
                iteration, self._previous, config.search.simulations, self._peak
            )
            self._note += self._workers
            self._previous = iteration
        # An iteration's line waits for its losses: the evaluation after it may come before it.
        self._done = max(self._done, line.get(self._scale.entry, 0) / self._scale.size)
        self._update(self._done, self._note)

    def activity(self, text: str) -> None:
        """Shows what begins; where nothing stays in sight, once."""
        self._update(self._done, f"{text} {self._note}".rstrip())
        if not sys.stderr.isatty() and text not in self._told:
            self._told.add(text)
            say(f"train: {text}")


@contextlib.contextmanager
def tensorboard(folder: RunFolder, config: RunConfig) -> Iterator[OnMetrics]:
    """Writes the numbers of metrics.jsonl as TensorBoard files, if the run asks for it."""
    if not config.tensorboard:
        yield lambda line: None
        return
    try:
        import tensorboardX
    except ModuleNotFoundError:
        raise ValueError("--tensorboard needs a package: pip install tensorboardX") from None
    with tensorboardX.SummaryWriter(str(folder.path / "tensorboard")) as writer:

        def write(line: dict[str, Any]) -> None:
            for name, value in line.items():
                if isinstance(value, int | float) and name != "iteration":
                    writer.add_scalar(f"{line['kind']}/{name}", value, line["iteration"])

        yield write
