"""`selfplay worker`."""

import pathlib
import time

from scripts.flags.worker import Args
from scripts.terminal.console import announce_devices, progress, say
from scripts.terminal.signals import INTERRUPTED, stop_on_signal
from training.workers.folder import FolderWorker, is_there
from training.workers.serve import POLL_SECONDS, Shown, serve


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    folder = pathlib.Path(args.folder)
    announce_devices()
    told = "finishing this call and sending it (again: stop at once)"
    with stop_on_signal(told=told) as stop, progress("worker", None, "batches") as update:
        shown = Shown(update, lambda text: say(f"note: {text}"))
        while not is_there(folder):
            if stop():
                return INTERRUPTED
            shown.activity("waiting for a learner")
            time.sleep(POLL_SECONDS)
        ended = serve(lambda: FolderWorker(folder), stop, shown)
    done = f"{shown.batches} batches, {shown.rows:,} plies"
    say(f"done: the run has ended; {done}" if ended else f"left the fleet; {done}")
    return 0 if ended else INTERRUPTED
