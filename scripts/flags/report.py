"""The flags of `selfplay report`."""

import dataclasses

from scripts.flags import checks
from scripts.terminal.console import Positional


@dataclasses.dataclass(frozen=True)
class Args:
    """Writes one self-contained page (index.html) about one or more runs, to open from disk.

    Shows what was trained and with which settings, all curves with what they say at the cursor,
    what happened, the doctor's last verdict (selfplay doctor) and a game. Works on a run in
    progress. Several runs are drawn over each other, with the settings in which they differ.

    Examples:
      selfplay report runs/c4
      selfplay report runs/c4 runs/c4b --out compared
      selfplay report runs/c4 --png
      selfplay report runs/c4 --text
      selfplay report runs/c4 --csv metrics.csv
    """

    runs: Positional[tuple[str, ...]]
    """Run folders."""
    out: str = ""
    """Folder for the report; by default report/ of the (first) run."""
    png: bool = False
    """Also write each plot as a PNG, for a paper."""
    text: bool = False
    """Print a summary instead."""
    csv: str = ""
    """Write the metrics to this file instead, a row for each of their lines (docs/metrics.md)."""
    json: bool = False
    """Print one JSON object on stdout: the page, if one is written, and the state of each run."""


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    if not args.runs:
        raise ValueError("report needs at least one run folder")
    for path in args.runs:
        checks.run(path)
