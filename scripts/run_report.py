"""`selfplay runs R`: a summary of runs as text, JSON, CSV, or PNG plots."""

import pathlib

from scripts.flags.runs import Args
from scripts.terminal import csv_file
from scripts.terminal.console import print_json, print_text, say
from training.report import table
from training.report.text import text_report
from training.storage.run_folder import RunFolder


def run(args: Args) -> int:
    """Prints the summary, and writes the files that are asked for; returns the exit code."""
    folders = [RunFolder(path) for path in dict.fromkeys(args.paths)]
    written: list[str] = []
    if args.csv:
        csv_file.check(args.csv)
        csv_file.write(args.csv, *table.table(folders))
        written.append(args.csv)
    if args.png:
        written += _write_plots(folders, args.out)
    if args.json:
        summaries = [table.summary(folder) for folder in folders]
        print_json({"runs": summaries, "written": written})
    else:
        print_text(text_report(folders))
        for file in written:
            say(f"written: {file}")
    return 0


def _write_plots(folders: list[RunFolder], named: str) -> list[str]:
    from training.report import pngs  # matplotlib takes a second

    out = pathlib.Path(named) if named else own_folder(folders[0])
    try:
        return list(map(str, pngs.write(folders, out)))
    except OSError as error:
        raise OSError(
            f"--out: the plots cannot be written to {out}: {error.strerror or error}"
        ) from None


def own_folder(folder: RunFolder) -> pathlib.Path:
    """Returns the run's folder of reports, which need not exist.

    Raises:
      ValueError: it is a link, by which a run of somebody else would write anywhere.
    """
    if folder.report.is_symlink():
        raise ValueError(
            f"{folder.report} is a symbolic link, and a report is not written through it: "
            "name the folder, with --out"
        )
    return folder.report
