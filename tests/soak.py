"""Kills a tiny run at random moments, until it has ended, and compares it with an undisturbed one.

    make soak        # 200 kills

Each kill is a SIGKILL: no handler runs. Every life of the run is the real command, forked from a
process that has done the imports, so that most kills hit the work and not the start.
"""

import argparse
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

from tests.support.runs import assert_same

# Of a life: the start, an iteration, or the middle of a save; the last two a moment later.
MOMENTS = {"start": 3, "iteration": 3, "save": 4}
LONGEST_LIFE = 300.0  # seconds; more is a hang


def command(iterations: int) -> list[str]:
    """Returns the run's command, but for its folder."""
    return [
        *("train", "--game", "tic_tac_toe", "--iterations", str(iterations), "--seed", "3"),
        *("--network.blocks", "0", "--network.channels", "8", "--network.value-hidden", "8"),
        *("--search.simulations", "4", "--self-play.batch", "16"),
        *("--self-play.plies-per-call", "6", "--learner.batch", "32"),
        *("--replay.capacity", "400", "--replay.min-examples", "40"),
        *("--evaluation.every", "12", "--evaluation.positions", "64"),
        *("--evaluation.simulations", "4", "--checkpoint.every-seconds", "0.1"),
        *("--gate", "0.5", "--evaluation.gate-games", "4", "--evaluation.ladder-games", "4"),
    ]


def start(path: pathlib.Path, iterations: int) -> int:
    """Starts the command on a run folder in a process of its own; returns its id."""
    process = os.fork()
    if process:
        return process
    log = os.open(path.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    code = 1
    try:
        from scripts import cli

        code = cli.run([*command(iterations), "--run-dir", str(path), "--debug"])
    finally:
        os._exit(code)


def check_same(path: pathlib.Path, reference: pathlib.Path) -> None:
    """Compares two runs, in a process of its own: it starts devices, after which no fork works."""
    process = os.fork()
    if not process:
        code = 1
        try:
            assert_same(path, reference)
            code = 0
        except AssertionError as error:
            print(f"{path}: {error}", flush=True)
        finally:
            os._exit(code)
    assert wait(process) == 0, f"{path} does not end as {reference}"


def ended(process: int) -> int | None:
    """Returns a process's exit code, or None while it runs."""
    done, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def wait(process: int) -> int:
    """Waits until a process has ended; returns its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def kill_at_random(process: int, path: pathlib.Path, rng: random.Random) -> tuple[str, int]:
    """Kills a process at a random moment; returns which, and its exit code."""
    moment = rng.choices(list(MOMENTS), list(MOMENTS.values()))[0]
    delay = rng.uniform(0, 8.0 if moment == "start" else 0.3 if moment == "iteration" else 0.05)
    metrics = path / "metrics.jsonl"
    before = metrics.stat().st_size if metrics.exists() else 0
    began = time.monotonic()
    while (code := ended(process)) is None:
        if time.monotonic() - began > LONGEST_LIFE:
            raise RuntimeError(f"{path} hangs")
        if moment == "start":
            break
        if moment == "iteration" and metrics.exists() and metrics.stat().st_size > before:
            break
        if moment == "save" and any(path.glob("checkpoints/*.partial")):
            break
        time.sleep(0.001)
    if code is not None:
        return moment, code
    time.sleep(delay)
    os.kill(process, signal.SIGKILL)
    return moment, wait(process)


def soak(
    folder: pathlib.Path, kills: int, seed: int, iterations: int = 24, say=print
) -> dict[str, int]:
    """Kills runs until `kills` have hit; returns how many hit which moment.

    Raises:
      AssertionError: a run does not end as the undisturbed one does.
    """
    rng = random.Random(seed)
    reference = folder / "reference"
    assert wait(start(reference, iterations)) == 0, reference.with_suffix(".log").read_text()
    hits = dict.fromkeys(MOMENTS, 0)
    number = 0
    while sum(hits.values()) < kills:
        number += 1
        path, lives, code = folder / f"run-{number}", 0, -signal.SIGKILL
        while code == -signal.SIGKILL:
            process = start(path, iterations)
            lives += 1
            if sum(hits.values()) >= kills:
                code = wait(process)
                break
            moment, code = kill_at_random(process, path, rng)
            hits[moment] += code == -signal.SIGKILL
        assert code == 0, f"exit code {code}: {path.with_suffix('.log').read_text()[-3000:]}"
        check_same(path, reference)
        print(f"run {number}: killed {lives - 1} times, then equal; {hits}", flush=True)
    return hits


def main() -> None:
    """Soaks, in a folder of its own that stays if something differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--iterations", type=int, default=24, help="of the run")
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"soak: {args.kills} kills in {folder}", flush=True)
    began = time.monotonic()
    hits = soak(folder, args.kills, args.seed, args.iterations)
    seconds = time.monotonic() - began
    shutil.rmtree(folder)
    print(f"done: {sum(hits.values())} kills {hits}, every run equal bit by bit, {seconds:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
