"""A run whose workers join, leave and are killed at random moments, and its learner too.

    make soak-workers        # 100 joins and leaves, 100 kills

At the end every batch must have been taken once and in order, all games whole, and the run, learned
again from its ledger, must come to the same weights bit by bit. Lives are forked from a process
that has done the imports, so that most of them play.
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
from collections.abc import Callable

import numpy as np

from selfplay.files import npz
from training.workers import ledger

MOST_WORKERS = 3
LONGEST_WAIT = 300.0  # seconds; more is a hang
KINDS = {"leave": 5, "kill": 4, "kill the learner": 1}


def flags(folder: pathlib.Path) -> list[str]:
    """Returns the learner's command."""
    return [
        *("train", "--game", "tic_tac_toe", "--iterations", "1000000", "--seed", "3"),
        *("--network.blocks", "0", "--network.channels", "8", "--network.value-hidden", "8"),
        *("--search.simulations", "4", "--self-play.batch", "16"),
        *("--self-play.plies-per-call", "6", "--learner.batch", "32"),
        *("--replay.capacity", "4000", "--replay.min-rows", "40", "--replay.keep", "all"),
        *("--evaluation.every", "0", "--checkpoint.every-seconds", "2"),
        *("--run-dir", str(folder / "run"), "--fleet", str(folder / "fleet")),
    ]


def start(words: list[str], log: pathlib.Path) -> int:
    """Starts a command of ours in a process of its own; returns its id."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        from scripts import cli
        from scripts.terminal import signals

        signals.begin("interrupted", signals.INTERRUPTED)
        code = cli.run([*words, "--debug"])
    finally:
        os._exit(code)


def ended(process: int) -> int | None:
    """Returns a process's exit code, or None while it runs."""
    done, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def wait(process: int) -> int:
    """Waits until a process has ended; returns its exit code, negative for a signal."""
    until = time.monotonic() + LONGEST_WAIT
    while (code := ended(process)) is None:
        assert time.monotonic() < until, f"process {process} hangs"
        time.sleep(0.01)
    return code


class Soak:
    """The learner, its workers, and what has been done to them."""

    def __init__(self, folder: pathlib.Path, seed: int) -> None:
        self.folder, self.rng = folder, random.Random(seed)
        self.workers: list[int] = []
        self.joins = self.leaves = self.kills = 0
        self.learner = self.start_learner()

    def start_learner(self) -> int:
        """Starts the learner, and waits until workers can find it."""
        process = start(flags(self.folder), self.folder / "learner.log")
        until = time.monotonic() + LONGEST_WAIT
        while not (self.folder / "fleet" / "run.json").exists():
            assert time.monotonic() < until, (self.folder / "learner.log").read_text()
            time.sleep(0.1)
        return process

    def join(self) -> None:
        """Starts a worker."""
        words = ["worker", str(self.folder / "fleet")]
        self.workers.append(start(words, self.folder / "workers.log"))
        self.joins += 1

    def step(self) -> None:
        """Does one thing at random."""
        time.sleep(self.rng.uniform(0, 1.5))
        if len(self.workers) < MOST_WORKERS:
            self.join()
            return
        what = self.rng.choices(list(KINDS), list(KINDS.values()))[0]
        if what == "kill the learner":
            os.kill(self.learner, signal.SIGKILL)
            assert wait(self.learner) == -signal.SIGKILL, "the learner had ended by itself"
            self.kills += 1
            self.learner = self.start_learner()
            return
        worker = self.workers.pop(self.rng.randrange(len(self.workers)))
        number = signal.SIGTERM if what == "leave" else signal.SIGKILL
        os.kill(worker, number)
        code = wait(worker)
        # In its first moments a process has no handler yet.
        expected = (75, 0, -number) if what == "leave" else (-number,)
        assert code in expected, f"{what}: exit code {code}"
        self.leaves += what == "leave"
        self.kills += what == "kill"

    def end(self) -> None:
        """Stops all of them."""
        for worker in self.workers:
            os.kill(worker, signal.SIGTERM)
            assert wait(worker) in (75, 0, -signal.SIGTERM)
        os.kill(self.learner, signal.SIGTERM)
        assert wait(self.learner) == 75, (self.folder / "learner.log").read_text()[-3000:]


def check(folder: pathlib.Path) -> int:
    """Checks what a run has taken; returns the number of batches.

    Raises:
      AssertionError: a batch is missing, there twice, or a game is cut.
    """
    replay = folder / "run" / "replay"
    known = ledger.read(replay)
    ledger.check_order(known.taken)
    keys = [line.key for line in known.taken]
    assert len(set(keys)) == len(keys), "a batch was taken twice"
    for incarnation in {key.incarnation for key in keys}:
        seqs = [key.seq for key in keys if key.incarnation == incarnation]
        assert seqs == list(range(len(seqs))), f"incarnation {incarnation}: {seqs}"
    games: set[int] = set()
    for line in known.taken:
        if line.rows:
            columns = npz.read(replay / line.chunk)
            ids, firsts = np.unique(columns["game_id"], return_index=True)
            assert not games & set(ids.tolist()), "a game is there twice"
            games |= set(ids.tolist())
            begins = np.zeros(line.rows, bool)
            begins[firsts] = True
            assert (np.diff(columns["ply"])[~begins[1:]] == 1).all(), f"{line.chunk}: a cut game"
    return len(keys)


def soak(folder: pathlib.Path, joins: int, kills: int, seed: int, say: Callable[..., None]) -> int:
    """Lets workers come and go until there were so many joins, leaves and kills; checks the run."""
    run = Soak(folder, seed)
    told = time.monotonic()
    while min(run.joins, run.leaves) < joins or run.kills < kills:
        run.step()
        if time.monotonic() - told > 10:
            told = time.monotonic()
            say(f"{run.joins} joins, {run.leaves} leaves, {run.kills} kills", flush=True)
    run.end()
    batches = check(folder)
    say(f"{batches} batches, each taken once; learning all of them again", flush=True)
    words = ["train", "--replay-of", str(folder / "run"), "--run-dir", str(folder / "again")]
    code = wait(start(words, folder / "again.log"))
    assert code == 0, (folder / "again.log").read_text()[-3000:]
    return batches


def main() -> None:
    """Soaks, in a folder of its own that stays if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--joins", type=int, default=100, help="and leaves")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="soak-workers-"))
    print(f"soak: {args.joins} joins and leaves, {args.kills} kills in {folder}", flush=True)
    began = time.monotonic()
    batches = soak(folder, args.joins, args.kills, args.seed, print)
    shutil.rmtree(folder)
    print(f"done: {batches} batches, equal bit by bit, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
