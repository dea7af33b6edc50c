"""Processes that a test starts, found wherever they end up."""

import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Sequence

from tests.support import ROOT

MARK = "SELFPLAY_TEST_MARK"  # a variable that all descendants of a process inherit


def tiny_flags(iterations: int) -> list[str]:
    """Returns settings of a run that takes seconds."""
    return [
        *("--game", "tic_tac_toe", "--iterations", str(iterations), "--seed", "3"),
        *("--network.blocks", "0", "--network.channels", "8", "--network.value-hidden", "8"),
        *("--search.simulations", "4", "--self-play.batch", "16"),
        *("--self-play.plies-per-call", "6", "--learner.batch", "32"),
        *("--replay.capacity", "4000", "--replay.min-examples", "40"),
        *("--evaluation.every", "0", "--checkpoint.every-seconds", "1"),
    ]


# Runs a command where there is no network but this machine's own.
ALONE = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]


def can_be_alone() -> bool:
    """Returns whether `ALONE` works here."""
    try:
        return subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def start(
    words: list[str], mark: str, log: pathlib.Path, before: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Starts a command of ours, whose descendants bear `mark`; what it says goes to a file.

    Args:
      before: the words of a command that becomes ours, such as `ALONE`.
    """
    with log.open("ab") as file:
        return subprocess.Popen(
            [*before, sys.executable, "-m", "scripts.cli", *words],
            stdout=file,
            stderr=file,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, MARK: mark},
        )


def alive(mark: str) -> list[str]:
    """Returns the command lines of all processes that bear the mark and have not ended."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if line.strip():  # one that has ended and was not waited for has none
                    found.append(f"{folder.name}: {line[:200]}")
        except OSError:
            continue
    return found


def wait_until(what: str, holds, seconds: float) -> None:
    """Waits until something holds; raises AssertionError after so many seconds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"after {seconds} seconds: {what}"
        time.sleep(0.05)
