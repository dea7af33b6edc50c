"""`selfplay train --hosts N --local`: starts all N processes on this machine, for a try."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

from scripts.flags.train import Args
from scripts.terminal import signals
from selfplay import children
from training import cards

LOSS_SECONDS = 45.0  # in which the others notice that one is gone
POLL_SECONDS = 0.1


def run(args: Args) -> int:
    """Starts the processes and waits for them; returns the exit code of them all."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
    each = max(1, len(os.sched_getaffinity(0)) // args.hosts)
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={each}"
    words = [*children.our_module("scripts.cli"), *sys.argv[1:], "--coordinator", address]
    processes = [
        subprocess.Popen(
            [*words, "--rank", str(rank)],
            env={"XLA_FLAGS": flags, **os.environ, **_one_card(rank)},
            start_new_session=True,  # signals of the terminal are for us, who tell all
        )
        for rank in range(args.hosts)
    ]
    children.end_with_us(process.pid for process in processes)
    with signals.stop_on_signal(told="saving on all hosts, then stopping") as stop:
        return _wait(processes, stop)


def _wait(processes: list["subprocess.Popen[bytes]"], stop: Callable[[], bool]) -> int:
    told, lost_at = False, 0.0
    while any(process.poll() is None for process in processes):
        if stop() and not told:
            told = True
            for process in processes:
                process.send_signal(signal.SIGTERM)
        if not lost_at and any(process.returncode for process in processes):
            lost_at = time.monotonic()
        if lost_at and time.monotonic() > lost_at + LOSS_SECONDS:
            for process in processes:
                process.kill()
        time.sleep(POLL_SECONDS)
    codes = {process.returncode for process in processes} - {0}
    wrong = codes & {1, 2}
    return min(wrong) if wrong else signals.INTERRUPTED if codes else 0


def _one_card(rank: int) -> dict[str, str]:
    return {"CUDA_VISIBLE_DEVICES": str(rank)} if cards.DRIVER.exists() else {}
