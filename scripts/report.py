"""`selfplay report`."""

import pathlib

from scripts.flags.report import Args
from scripts.terminal.console import print_json, print_text
from training.report.page import write_report
from training.report.text import text_report
from training.storage.run_folder import RunFolder


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
