"""Kills workers and the learner of a tiny run at random moments, and counts its games.

    make soak-workers       # 50 kills of workers, 10 of the learner

Each kill is a SIGKILL; every tenth worker is frozen instead (SIGSTOP). In the end no record may be
of a game that another one is of, or of a game that has not ended, and no process may be left.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import signal
import tempfile
import time
import uuid

import jax

import games
from tests.support import processes
from training import checkpoint_steps

TINY = [
    *("train", "--game", "tic_tac_toe", "--iterations", "100000000", "--seed", "3"),
    *("--network.blocks", "0", "--network.channels", "8", "--network.value-hidden", "8"),
    *("--search.simulations", "4", "--self-play.batch", "16", "--self-play.plies-per-call", "6"),
    *("--learner.batch", "32", "--replay.capacity", "400", "--replay.min-examples", "40"),
    *("--evaluation.every", "0", "--checkpoint.every-seconds", "1", "--workers", "2"),
]
START_SECONDS = 240.0  # in which a run must have saved again; more is a hang


def workers(mark: str) -> list[int]:
    """Returns the processes of Ray's actors."""
    found = []
    for process in processes.alive(mark):
        number, _, command = process.partition(": ")
        if command.startswith("ray::Actor"):  # and not an agent of the node
            found.append(int(number))
    return found


def check(run: pathlib.Path) -> collections.Counter[int]:
    """Checks the records of a run; returns how many games each worker has played."""
    game = games.load("tic_tac_toe")
    step = jax.jit(game.step)
    by_worker: collections.Counter[int] = collections.Counter()
    seen = set()
    for line in (run / "games" / "self_play.jsonl").read_text().splitlines():
        record = json.loads(line)
        assert record["game_id"] not in seen, f"{record['game_id']} is there twice"
        seen.add(record["game_id"])
        by_worker[(record["game_id"] >> 40) - 1] += 1
        state = game.init(jax.random.key(0))
        for move in record["moves"]:
            assert not state.terminated
            state = step(state, int(move))
        assert state.terminated, f"half a game: {record}"
    return by_worker


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="of workers")
    parser.add_argument("--learners", type=int, default=10, help="kills of the learner")
    args = parser.parse_args()
    rng = random.Random(0)
    root = pathlib.Path(tempfile.mkdtemp(prefix="soak-workers-"))
    run, mark, log = root / "run", uuid.uuid4().hex, root / "log.txt"
    each, killed, frozen = -(-args.kills // (args.learners + 1)), 0, 0
    for life in range(args.learners + 1):
        words = [*TINY, "--run-dir", str(run)] if life == 0 else ["train", str(run)]
        words += [] if life == 0 else ["--workers", "2"]
        learner, began = processes.start(words, mark, log), time.monotonic()
        before = checkpoint_steps(run)[-1] if run.exists() and checkpoint_steps(run) else -1
        kills = 0
        while kills < each or (checkpoint_steps(run) or [-1])[-1] <= before:
            assert learner.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() - began < START_SECONDS + 60 * kills, "hangs"
            time.sleep(rng.uniform(0.2, 6.0))
            if (there := workers(mark)) and kills < each:
                is_frozen = killed % 10 == 9
                os.kill(rng.choice(there), signal.SIGSTOP if is_frozen else signal.SIGKILL)
                kills, killed, frozen = kills + 1, killed + 1, frozen + is_frozen
        last = life == args.learners
        learner.send_signal(signal.SIGTERM if last else signal.SIGKILL)
        code = learner.wait(60)
        assert code == (75 if last else -signal.SIGKILL), log.read_text()[-3000:]
        processes.wait_until("processes are left", lambda: not processes.alive(mark), 60)
        print(f"life {life}: {kills} kills, step {checkpoint_steps(run)[-1]}", flush=True)
    by_worker = check(run)
    print(
        f"{killed - frozen} workers killed, {frozen} frozen, {args.learners} learners killed: "
        f"{sum(by_worker.values())} games of {len(by_worker)} workers, none twice, none half"
    )


if __name__ == "__main__":
    main()
