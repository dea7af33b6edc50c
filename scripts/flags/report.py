"""The flags of `selfplay report`."""

import dataclasses

from scripts.flags import checks
from scripts.terminal.console import Positional


@dataclasses.dataclass(frozen=True)
class Args:
    """Prints the state of one or more runs, in progress or ended: how far, how good, curves.

    The curves are shown by `selfplay web`; --png draws them for a paper, those of several runs
    over each other.

    Examples:
      selfplay report runs/c4
      selfplay report runs/c4 runs/c4b --png --out compared
      selfplay report runs/c4 --csv metrics.csv
    """

    runs: Positional[tuple[str, ...]]
    """Run folders."""
    png: bool = False
    """Also write each plot as a PNG."""
    out: str = ""
    """Folder for the plots; by default report/ of the (first) run."""
    csv: str = ""
    """Also write the metrics to this file, a row for each of their lines (docs/metrics.md)."""
    json: bool = False
    """Print one JSON object on stdout: the state of each run, and the files of the plots."""


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    if not args.runs:
        raise ValueError("report needs at least one run folder")
    for path in args.runs:
        checks.run(path)
