"""How many workers one learner feeds on: the tables of docs/fleet.md, in parts.

    python -m scripts.developer.fleet_scaling stub draws training throttled --out runs/scaling.json

- stub: workers that send real batches at the pace of an H100, on a fixed schedule, through a
  fleet's folder in memory. The learner checks, writes (to the disk, with its ledger) and keeps
  them. Efficiency is rows taken over rows of the schedule; time in which a worker was blocked is
  lost. "all it can": workers without a pace, so that the learner is what limits.
- draws: beside that the loop draws minibatches as for `REUSE` samples a row, no faster than an H100
  would train; the training step itself only takes time.
- training: beside that real training steps of a tiny network, on this machine's cores.
- throttled: real `selfplay worker` processes, each held to a share of a core by a cgroup. The
  efficiency of n is plies/s over n times the plies/s of one.

The rates of an H100 are computed from speeds of its network and search, not measured with workers.
What was measured stands in `--out`, where other parts stay; without a part only tables are printed.
"""

import contextlib
import dataclasses
import json
import multiprocessing
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from scripts.developer import stub_workers
from scripts.developer.fleet_tables import ALL_IT_CAN, BUDGETS, FORWARD_PASSES, tables
from scripts.terminal import compilation_cache
from scripts.terminal.console import Positional, parse, say
from scripts.terminal.devices import one_per_core
from selfplay import children, devices, row
from selfplay.row import Sample
from training import presets, start
from training.config import RunConfig
from training.context import make_context, open_store
from training.metrics_log import MetricsLog
from training.settings import EvaluationConfig, NetworkConfig
from training.stages import distil, report
from training.state import Behaviour
from training.storage.run_folder import RunFolder
from training.workers.fleet import FleetSource
from training.workers.folder import FolderTransport, invite

REUSE = 4.0  # samples a row, the default of the preset `gpu`
IN_FLIGHT = 16  # training steps that are dispatched before the loop waits for the device
WARM_SECONDS = 3.0  # before a clock starts, at least
LEAST_CALLS = 4  # of each worker: two batches that waited before the clock started are counted too
WARM_CALLS = 3  # of a worker, before it is throttled
MEMORY = pathlib.Path("/dev/shm")
SHARE = 0.1  # of a core, of a throttled worker
CGROUP = pathlib.Path("/sys/fs/cgroup/cpu")  # of version 1; else that of version 2


class Play(NamedTuple):
    """How a game is played here for batches of an H100."""

    workers: tuple[int, ...]
    lanes: int  # of the call that is measured; it has 16 plies
    making: int  # lanes in which the games are played
    capacity: int  # rows of the window


PLAYS = {
    "connect_four": Play((1, 4, 8, 16), 2048, 256, 1_000_000),
    "go:size=9": Play((1, 4, 8, 16), 1024, 64, 200_000),
    "go:size=19": Play((1, 4, 8, 16, 64), 128, 8, 100_000),
}
THROTTLED = "go:size=9"


@dataclasses.dataclass(frozen=True)
class Args:
    """Measures how many workers one learner feeds on."""

    parts: Positional[tuple[Literal["stub", "draws", "training", "throttled"], ...]] = ()
    """What to measure."""
    games: tuple[str, ...] = tuple(PLAYS)
    """Games of all parts but throttled."""
    workers: tuple[int, ...] = ()
    """Numbers of workers; none given: the usual ones."""
    repeats: int = 3
    """Measurements of each, of which the median is shown."""
    seconds: float = 10.0
    """Of each, at least; of throttled, three times as long."""
    out: str = "runs/scaling.json"
    """A JSON file that is added to."""


def main() -> None:
    """Measures the parts that are wanted, and prints the tables of all that the file holds."""
    args = parse(Args, sys.argv[1:], "fleet_scaling")
    out = pathlib.Path(args.out)
    held = json.loads(out.read_text()) if out.exists() else []
    one_per_core()
    compilation_cache.start()
    for part in args.parts:
        for found in throttled(args) if part == "throttled" else paced(part, args):
            same = ("part", "game", "workers", "repeat")
            held = [line for line in held if any(line[name] != found[name] for name in same)]
            held.append(found)
            say(json.dumps(found))
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps(held, indent=1))
    print(tables(held))


# ---- the learner --------------------------------------------------------------------------------


class H100Step:
    """Stands in for a training step: it takes the time that an H100 needs, and changes nothing."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._free = seconds, 0.0

    def __call__(self, state: Any, batch: Any, horizon: Any) -> tuple[Any, dict[str, Any]]:
        """Waits as long as too many steps are in flight."""
        now = time.monotonic()
        self._free = max(now, self._free) + self._seconds
        time.sleep(max(0.0, self._free - now - IN_FLIGHT * self._seconds))
        return state, {"loss": 0.0}


class Learner:
    """A run that takes what workers send, as the loop of `training/run.py` does."""

    def __init__(self, path: pathlib.Path, config: RunConfig, fleet: pathlib.Path) -> None:
        """Makes the run, and opens its fleet's folder."""
        folder = RunFolder(path)
        folder.create(config)
        log, store = MetricsLog(folder, lambda line: None), open_store(folder, config)
        self.context = make_context(folder, config, log, store)
        self.source = FleetSource(lambda context, own: FolderTransport(fleet, invite(config, own)))
        self.state = start.begin(self.context, self.source)
        self.alive: Callable[[], bool] = lambda: True  # whether all workers are

    def fill(self, rows: Sample) -> None:
        """Fills the window, whose pages are then the process's; no training is due for that."""
        replay = self.state.replay
        while replay.total < replay.config.capacity:
            replay.add(rows, is_saved=True)
        batch = self.context.config.learner.batch
        self.state.progress.passed = replay.steps_allowed(batch)

    def go_on(self, until: Callable[[], bool]) -> None:
        """Takes batches, and trains where that is due. Raises RuntimeError if producers end."""
        context, state = self.context, self.state
        while not until():
            if not self.alive():
                raise RuntimeError("a worker has ended")
            weights = devices.copy(state.train.averages)
            behaviour = Behaviour(weights, state.progress.step)
            stop = lambda: until() or not self.alive()  # noqa: E731
            monitors = self.source.next(context, state, behaviour, stop)
            if monitors is not None:
                losses = distil(context, state, self.source.is_enough)
                state.progress.iteration += 1
                report(context, state, monitors, losses)

    def measure(self, seconds: float, others: Sequence[int] = ()) -> dict[str, float]:
        """Goes on for so long, from a batch to a batch; returns what was done in it.

        Args:
          others: processes whose processor time counts as the workers'.
        """
        progress = self.state.progress
        last = progress.batches
        self.go_on(lambda: progress.batches > last)
        before = self._read(others)

        def is_over() -> bool:
            nonlocal last
            if time.monotonic() < before[0] + seconds:
                last = progress.batches
            return progress.batches > last

        self.go_on(is_over)
        names = ("seconds", "learner_cpu", "workers_cpu", "rows", "plies", "steps")
        return dict(zip(names, map(float, self._read(others) - before), strict=True))

    def _read(self, others: Sequence[int]) -> np.ndarray:
        progress = self.state.progress
        used = [time.process_time(), sum(map(cpu_seconds, others))]
        done = [self.state.replay.total, progress.positions, progress.step]
        return np.array([time.monotonic(), *used, *done])

    def close(self) -> None:
        """Ends the run."""
        self.source.close(True)
        self.context.store.close()


def cpu_seconds(process: int) -> float:
    """Returns the processor time that a process has taken."""
    fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def folders() -> Iterator[tuple[pathlib.Path, pathlib.Path]]:
    """Gives a place on the disk for a run, and one in memory for its fleet; both are removed."""
    disk = pathlib.Path(tempfile.mkdtemp(prefix="scaling-"))
    memory = pathlib.Path(tempfile.mkdtemp(dir=MEMORY, prefix="scaling-"))
    try:
        yield disk / "run", memory / "fleet"
    finally:
        shutil.rmtree(disk)
        shutil.rmtree(memory)


def config_of(game: str, lanes: int, part: str) -> RunConfig:
    """Returns the settings of a run with a tiny network; other things are the preset `gpu`'s."""
    base = presets.preset("gpu", game)
    capacity = PLAYS[game].capacity
    reuse = 1e-9 if part in ("stub", "throttled") else REUSE
    return dataclasses.replace(
        base,
        iterations=1_000_000_000,
        network=NetworkConfig(blocks=0, channels=4, value_hidden=8),
        search=dataclasses.replace(base.search, simulations=8),
        self_play=dataclasses.replace(base.self_play, batch=lanes, plies_per_call=16),
        replay=dataclasses.replace(base.replay, capacity=capacity, samples_per_row=reuse),
        evaluation=EvaluationConfig(every=0),
    )


# ---- workers at the pace of an H100 -------------------------------------------------------------


def paced(part: str, args: Args) -> Iterator[dict[str, Any]]:
    """Measures stub workers of each game."""
    for game in args.games:
        made = PLAYS[game]
        say(f"{part}, {game}: playing the games of a batch")
        columns = stub_workers.play(config_of(game, made.making, part), made.lanes * 16)
        usual = (*made.workers, ALL_IT_CAN) if part == "stub" else made.workers
        for repeat in range(args.repeats):
            for workers in args.workers or usual:
                found = feed(part, game, columns, workers, args.seconds)
                yield {"part": part, "game": game, "workers": workers, "repeat": repeat} | found


def feed(
    part: str, game: str, columns: dict[str, np.ndarray], workers: int, seconds: float
) -> dict[str, float]:
    """Returns what a learner took of so many stub workers."""
    budget = next(budget for budget in BUDGETS if budget.game == game)
    config, rows = config_of(game, PLAYS[game].lanes, part), len(columns["ply"])
    plies = config.self_play.batch * config.self_play.plies_per_call
    period = 0.0 if workers == ALL_IT_CAN else rows / budget.rows()
    count = workers or 4
    with folders() as (run, fleet):
        learner = Learner(run, config, fleet)
        if part == "draws":
            step = H100Step(config.learner.batch * FORWARD_PASSES / budget.network)
            learner.context = dataclasses.replace(learner.context, train_step=step)
        learner.fill(row.nested(Sample, columns))
        sends = (fleet, columns, plies, count, period)
        context = multiprocessing.get_context("spawn")
        stubs = context.Process(target=stub_workers.serve, args=sends, daemon=True)
        stubs.start()
        learner.alive = stubs.is_alive
        try:
            learner.measure(max(WARM_SECONDS, 2 * period))
            if period:  # until the batch that comes whole calls after the first, however they lie
                calls = max(LEAST_CALLS, round(seconds / period))
                seconds = (calls - 0.5 / count) * period
            found = learner.measure(seconds, [stubs.pid or 0])
        finally:
            stubs.kill()
            stubs.join()
            learner.close()
    due = count * budget.rows() * found["seconds"] if period else found["rows"]
    trained = found["steps"] * config.learner.batch
    return found | {"efficiency": found["rows"] / due, "reuse": trained / found["rows"]}


# ---- real workers, each with a share of a core --------------------------------------------------


def throttled(args: Args) -> Iterator[dict[str, Any]]:
    """Measures real workers: they warm up with whole cores, then most of them leave, in turn."""
    numbers = sorted(args.workers or (1, 2, 4, 8), reverse=True)
    base = config_of(THROTTLED, 32, "throttled")
    # Games begin at all plies, so that they end evenly.
    config = dataclasses.replace(
        base,
        search=dataclasses.replace(base.search, simulations=2),
        self_play=dataclasses.replace(base.self_play, random_opening_plies=80),
    )
    for repeat in range(args.repeats):
        with folders() as (run, fleet), contextlib.ExitStack() as ends:
            learner = Learner(run, config, fleet)
            ends.callback(learner.close)
            processes = [_worker(fleet, ends) for _ in range(numbers[0])]
            say(f"throttled: {len(processes)} workers compile")
            learner.alive = lambda: all(process.poll() is None for process in processes)  # noqa: B023
            learner.go_on(lambda: _are_warm(learner, numbers[0]))  # noqa: B023
            for process in processes:
                _throttle(process, ends)
            for number in numbers:
                for process in processes[number:]:
                    children.end(process)
                del processes[number:]
                learner.measure(WARM_SECONDS)
                found = learner.measure(3 * args.seconds, [process.pid for process in processes])
                same = {"part": "throttled", "game": THROTTLED, "workers": number}
                yield same | {"repeat": repeat} | found


def _are_warm(learner: Learner, workers: int) -> bool:
    done = [member.figures.batches for member in learner.source.members.all()]
    return len(done) >= workers and min(done) >= WARM_CALLS


def _worker(fleet: pathlib.Path, ends: contextlib.ExitStack) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "scripts.cli", "worker", str(fleet)]
    process = children.start(words, stderr=subprocess.DEVNULL)
    ends.callback(children.end, process)
    return process


def _throttle(process: subprocess.Popen[bytes], ends: contextlib.ExitStack) -> None:
    """Holds a process to its share of a core, in a cgroup of its own."""
    period, quota = 100_000, round(SHARE * 100_000)
    is_old = CGROUP.is_dir()
    group = (CGROUP if is_old else CGROUP.parent) / f"scaling-{process.pid}"
    group.mkdir()
    ends.callback(_remove, group, process)
    if is_old:
        (group / "cpu.cfs_period_us").write_text(str(period))
        (group / "cpu.cfs_quota_us").write_text(str(quota))
    else:
        (group / "cpu.max").write_text(f"{quota} {period}")
    (group / "cgroup.procs").write_text(str(process.pid))


def _remove(group: pathlib.Path, process: subprocess.Popen[bytes]) -> None:
    children.end(process)
    while (group / "cgroup.procs").read_text():
        time.sleep(0.01)
    group.rmdir()


if __name__ == "__main__":
    main()
