"""`selfplay train --hosts N`: one of several processes joins the others, in one run folder."""

import os
import sys
import time
import traceback
import zlib
from collections.abc import Callable

from scripts.flags.train import Args
from scripts.terminal import console, signals
from training import multihost
from training.storage.run_folder import RunFolder
from training.workers import identity

SEEN_SECONDS = 30.0  # in which a shared file system must show what process 0 has written
WORDS = 4  # of 32 bits, in a run's id


def run(args: Args, work: Callable[[], int]) -> int:
    """Joins the other processes, does the work, and leaves together with them.

    Whatever goes wrong here ends this process at once, and jax then ends the others: Python's own
    way out would wait for processes that wait for this one.
    """
    _keep_stdout()
    multihost.join(args.hosts, args.coordinator, args.rank)
    if not multihost.is_first():
        console.only_errors()
    try:
        _check_alike(args)
        code = work()
        multihost.leave()
        return code
    except BaseException as error:
        code = console.code_of(error)
        text = f"selfplay train: {console.sentence(error)}"
        if multihost.is_loss(error):
            code = signals.INTERRUPTED
            text = f"selfplay train: another host is gone; the same commands go on ({text})"
        if "--debug" in sys.argv:
            traceback.print_exc()
        print(text, file=sys.stderr, flush=True)
        os._exit(code)


def _keep_stdout() -> None:
    """Leaves stdout to results: gloo, which connects the processes of CPUs, writes there too."""
    sys.stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)


def open_shared(folder: RunFolder, open_first: Callable[[], None]) -> None:
    """Opens a run on process 0, and checks that all others see it.

    Args:
      open_first: makes or checks the run's folder; called on process 0 alone.

    Raises:
      ValueError: a process sees no folder, or another run's, there.
      RuntimeError: process 0 could not open it.
    """
    words = [0.0] * WORDS
    try:
        if multihost.is_first():
            open_first()
            words = _words(folder.run_id())
    finally:  # the others wait, whatever happened
        shared = multihost.broadcast(words).tolist()
    if not any(shared):
        raise RuntimeError("process 0 could not open the run: its own message says why")
    seen = multihost.all_gather([_sees(folder, shared)])[:, 0]
    if not seen.all():
        blind = ", ".join(str(rank) for rank, is_seen in enumerate(seen) if not is_seen)
        raise ValueError(
            f"--hosts needs a run folder that all see, on a shared disk: process {blind} does not "
            f"find this run in {folder.path}"
        )


def _sees(folder: RunFolder, words: list[float]) -> bool:
    until = time.monotonic() + SEEN_SECONDS
    while True:
        try:
            if folder.exists() and _words(folder.run_id()) == words:
                return True
        except ValueError:
            pass  # it is not there as a whole yet
        if time.monotonic() > until:
            return False
        time.sleep(0.2)


def _words(run_id: str) -> list[float]:
    number = int(run_id, 16)
    return [float(number >> 32 * place & 0xFFFFFFFF) for place in range(WORDS)]


def _check_alike(args: Args) -> None:
    """Raises ValueError unless all processes have the same code, versions and kind of devices."""
    own = identity.alike(args.config.game)._replace(cores=0)
    sums = multihost.all_gather([zlib.crc32(str(part).encode()) for part in own])
    for rank, theirs in enumerate(sums):
        if different := [
            name for name, a, b in zip(own._fields, theirs, sums[0], strict=True) if a != b
        ]:
            raise ValueError(
                f"process {rank} cannot train with process 0: other {' and '.join(different)}; all "
                "hosts need the same version of selfplay and jax, and as many devices of one kind"
            )
    console.say(f"hosts: {len(sums)} x ({own.devices} x {own.device})")
