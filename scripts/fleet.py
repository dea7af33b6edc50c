"""`selfplay fleet`."""

import dataclasses

from scripts.flags.fleet import Args
from scripts.terminal.console import print_json, print_text
from training import metrics
from training.metrics import FleetLine, WorkerFigures
from training.storage.run_folder import RunFolder
from training.workers import in_words

MOST_REFUSALS = 20  # the newest
HEAD = (
    *("slot", "worker", "device", "restarts", "batches", "rows"),
    *("rows/s", "best", "silent", "lag"),
)


def run(args: Args) -> int:
    """Prints the newest line of the fleet."""
    folder = RunFolder(args.run)
    folder.read_config()  # its message says what is wrong with the folder
    lines = metrics.history(folder.read_metrics(lambda problem: None)).fleets
    if not lines:
        raise ValueError(
            f"{args.run} has no line about workers: train it with --fleet FOLDER or --workers N; "
            "it writes the first two seconds after a batch"
        )
    # Another process with the run begins its lines anew.
    refusals = dict.fromkeys(refusal for line in lines for refusal in line.refusals)
    newest = dataclasses.replace(lines[-1], refusals=tuple(refusals)[-MOST_REFUSALS:])
    if args.json:
        print_json(dataclasses.asdict(newest))
        return 0
    print_text(_table(newest))
    for refusal in newest.refusals:
        print_text(refusal)
    return 0


def _table(line: FleetLine) -> str:
    rows = [HEAD, *map(_cells, line.workers)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    text = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([f"step {line.step:,}: {in_words.fleet(line)}", *text])


def _cells(worker: WorkerFigures) -> tuple[str, ...]:
    return (
        str(worker.slot),
        worker.worker,
        worker.device,
        str(worker.restarts),
        f"{worker.batches:,}",
        f"{worker.rows:,}",
        f"{worker.rate:,.0f}",
        f"{worker.best_rate:,.0f}",
        f"{worker.silent:.1f} s",
        f"{worker.lag:,} steps",
    )
