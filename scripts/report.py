"""`selfplay report`."""

import dataclasses
import pathlib

from scripts.terminal.console import Positional, print_json, print_text
from training.report.page import write_report
from training.report.text import text_report
from training.storage.run_folder import RunFolder


@dataclasses.dataclass(frozen=True)
class Args:
    """Writes plots (PNG) and one self-contained page (index.html) about one or more runs.

    Shows losses, entropy, how far search still moves the policy, evaluations and speed over time.
    Works on a run in progress. Several runs are drawn over each other.

    Examples:
      selfplay report runs/c4
      selfplay report runs/c4 runs/c4b --out compared
      selfplay report runs/c4 --text
    """

    runs: Positional[tuple[str, ...]]
    """Run folders."""
    out: str = ""
    """Folder for the report; by default report/ of the (first) run."""
    text: bool = False
    """Print a summary instead."""
    json: bool = False
    """Print {"page": path} on stdout."""


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    if not args.runs:
        raise ValueError("report needs at least one run folder")
    folders = [RunFolder(path) for path in dict.fromkeys(args.runs)]
    if args.text:
        print_text(text_report(folders))
        return 0
    out = pathlib.Path(args.out) if args.out else own_folder(folders[0])
    page = write_report(folders, out)
    if args.json:
        print_json({"page": str(page)})
    else:
        print_text(f"report: {page}")
    return 0


def own_folder(folder: RunFolder) -> pathlib.Path:
    """Returns the run's folder of reports, which need not exist.

    Raises:
      ValueError: it is a link, by which a run of somebody else would write anywhere.
    """
    if folder.report.is_symlink():
        raise ValueError(
            f"{folder.report} is a symbolic link, and a report is not written through it: "
            "name the folder, --out of selfplay report"
        )
    return folder.report
