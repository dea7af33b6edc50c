"""`selfplay bench --measure loop`: where an iteration's time goes while `train` runs.

A short run in a temporary folder, recorded by jax's profiler from the iteration after one
evaluation to the iteration after the next: what compiles has compiled by then.
"""

import dataclasses
import pathlib
from collections.abc import Iterable
from typing import Any

import jax

from scripts.benchmarks import iteration
from scripts.terminal import signals
from scripts.terminal.console import progress
from training.config import RunConfig
from training.evaluation.train_run import train_folder
from training.stages import STAGES
from training.storage.run_folder import RunFolder

ITERATIONS = 4  # recorded, one evaluation among them, and as many before
# On the host: stages of the loop, parts of theirs, and the draw of each training step's examples.
NAMES = (*STAGES, "wait", "fetch", "minibatches", "draw")
# Lines of a recording on which each event is work: of an accelerator its streams, of a CPU its
# threads, where an event contains those of its operations.
ACCELERATOR_LINES, CPU_LINES = ("Stream", "XLA Ops"), ("tf_XLA",)
CPU_WORK, CPU_WAITING = "ThunkExecutor::Execute", "wait"

Interval = tuple[float, float]  # nanoseconds


def measure(config: RunConfig) -> dict[str, Any]:
    """Runs the loop; returns what `summary` says of it, and the parts of an iteration."""
    asked, config = config, short(config, 2 * ITERATIONS + 2, evaluate_every=ITERATIONS)
    evaluated, recording = 0, False
    with signals.scratch() as scratch, progress("bench, loop", 3) as update:
        file = pathlib.Path(scratch) / "recording"
        folder = RunFolder(pathlib.Path(scratch) / "run")
        folder.create(config)

        def watch(line: dict[str, Any]) -> None:
            nonlocal evaluated, recording
            if line["kind"] == "evaluation":
                evaluated += 1
                update(evaluated)
            elif evaluated == 1 and not recording:
                recording = True
                _start(file)
            elif evaluated == 2 and recording:
                recording = False
                jax.profiler.stop_trace()

        with folder.lock():
            train_folder(folder, config, watch, stop=lambda: False)
        file = next(file.rglob("*.xplane.pb"))
        work, stages = _read(jax.profiler.ProfileData.from_file(str(file)))
    found = summary(work, stages)
    return found | iteration.measure(asked, found)


def summary(work: list[Interval], stages: dict[str, list[Interval]]) -> dict[str, Any]:
    """Returns what a recording of ITERATIONS says, in seconds.

    `idle_share` is the share of the time in which no device works; `gaps_s` are such seconds of an
    iteration outside evaluation, `iteration_s` is all of it outside evaluation. `dispatch_s` is how
    long the dispatch of a self-play call takes, `dispatch_alone_s` how much of that the loop does
    nothing else. `draw_s` is the host's part of a training step. `stages` has the mean of each.
    """
    all_stages = [interval for name in STAGES for interval in stages.get(name, [])]
    first, last = min(s for s, _ in all_stages), max(e for _, e in all_stages)
    inside = [(max(s, first), min(e, last)) for s, e in work if e > first and s < last]
    evaluated = stages.get("evaluate", [])
    amplified, others = stages["amplify"], [i for n in STAGES[1:] for i in stages.get(n, [])]
    alone = covered(amplified + others) - covered(others)
    draws = len(stages.get("draw", []))
    return {
        "iteration_s": (last - first - covered(evaluated)) / 1e9 / ITERATIONS,
        "idle_share": 1 - covered(inside) / (last - first),
        "gaps_s": (last - first - covered(inside + evaluated)) / 1e9 / ITERATIONS,
        "dispatch_s": covered(amplified) / 1e9 / max(len(amplified), 1),
        "dispatch_alone_s": alone / 1e9 / max(len(amplified), 1),
        "draw_s": covered(stages.get("minibatches", [])) / 1e9 / max(draws, 1),
        "stages": {
            name: covered(intervals) / 1e9 / max(len(intervals), 1)
            for name, intervals in stages.items()
        },
    }


def covered(intervals: Iterable[Interval]) -> float:
    """Returns the length of the union of intervals."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(end - max(start, until), 0.0)
        until = max(until, end)
    return total


def short(config: RunConfig, iterations: int, evaluate_every: int) -> RunConfig:
    """Returns a run of so many iterations that trains from the first finished game on."""
    rows = config.self_play.batch * config.self_play.plies_per_call
    return dataclasses.replace(
        config,
        minutes=0.0,
        iterations=iterations,
        replay=dataclasses.replace(
            config.replay, min_examples=min(config.replay.min_examples, rows)
        ),
        evaluation=dataclasses.replace(config.evaluation, every=evaluate_every),
    )


def _start(recording: pathlib.Path) -> None:
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # every Python call: it would slow the loop
    # 2 also records the work of a CPU's threads.
    options.host_tracer_level = 2 if jax.local_devices()[0].platform == "cpu" else 1
    jax.profiler.start_trace(str(recording), profiler_options=options)


def _read(recording: Any) -> tuple[list[Interval], dict[str, list[Interval]]]:
    """Returns the intervals of the devices' work, and of each stage on the host."""
    work: list[Interval] = []
    stages: dict[str, list[Interval]] = {name: [] for name in NAMES}
    for plane in recording.planes:
        for line in plane.lines:
            on_accelerator = plane.name.startswith("/device:") and line.name.startswith(
                ACCELERATOR_LINES
            )
            on_cpu = plane.name.startswith("/host:") and line.name.startswith(CPU_LINES)
            for event in line.events:
                interval = (event.start_ns, event.start_ns + event.duration_ns)
                name = event.name
                runs = on_cpu and name.startswith(CPU_WORK) and CPU_WAITING not in name
                if on_accelerator or runs:
                    work.append(interval)
                elif name in stages:
                    stages[name].append(interval)
    return work, stages
