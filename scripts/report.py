"""`selfplay report`."""

import pathlib

from scripts.flags.report import Args
from scripts.terminal import csv_file
from scripts.terminal.console import print_json, print_text
from training.report import table
from training.report.page import write_report
from training.report.text import text_report
from training.storage.run_folder import RunFolder


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    folders = [RunFolder(path) for path in dict.fromkeys(args.runs)]
    if args.csv:
        csv_file.check(args.csv)
        csv_file.write(args.csv, *table.table(folders))
    if args.text or args.csv:
        if args.json:
            print_json({"runs": [table.summary(folder) for folder in folders]})
        else:
            print_text(text_report(folders) if args.text else f"metrics: {args.csv}")
        return 0
    out = pathlib.Path(args.out) if args.out else own_folder(folders[0])
    try:
        page = write_report(folders, out)
    except OSError as error:
        raise OSError(
            f"--out: the report cannot be written to {out}: {error.strerror or error}"
        ) from None
    if args.json:
        print_json({"page": str(page), "runs": [table.summary(folder) for folder in folders]})
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
