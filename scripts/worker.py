"""`selfplay worker`."""

import pathlib

from scripts.flags.worker import Args
from scripts.terminal.console import announce_devices, progress, say
from scripts.terminal.signals import INTERRUPTED, stop_on_signal
from training.workers.folder import FolderWorker
from training.workers.serve import Shown, serve


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    folder = pathlib.Path(args.folder)
    announce_devices()
    with stop_on_signal() as stop, progress("worker", None, "batches") as update:
        shown = Shown(update, lambda text: say(f"note: {text}"))
        ended = serve(lambda: FolderWorker(folder), stop, shown)
    done = f"{shown.batches} batches, {shown.rows:,} plies"
    say(f"done: the run has ended; {done}" if ended else f"left the fleet; {done}")
    return 0 if ended else INTERRUPTED
