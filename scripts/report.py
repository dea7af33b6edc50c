"""`selfplay report`."""

import pathlib

from scripts.flags.report import Args
from scripts.terminal import csv_file
from scripts.terminal.console import print_json, print_text
from training.report import table
from training.report.text import text_report
from training.storage.run_folder import RunFolder


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    folders = [RunFolder(path) for path in dict.fromkeys(args.runs)]
    if args.csv:
        csv_file.check(args.csv)
        csv_file.write(args.csv, *table.table(folders))
    plots: list[str] = []
    if args.png:
        from training.report import pngs  # matplotlib takes a second

        out = pathlib.Path(args.out) if args.out else own_folder(folders[0])
        try:
            plots = list(map(str, pngs.write(folders, out)))
        except OSError as error:
            raise OSError(
                f"--out: the plots cannot be written to {out}: {error.strerror or error}"
            ) from None
    if args.json:
        print_json({"plots": plots, "runs": [table.summary(folder) for folder in folders]})
    else:
        files = [f"metrics: {args.csv}"] * bool(args.csv)
        files += [f"plots: {len(plots)} in {out}"] if args.png else []
        print_text("\n\n".join([text_report(folders), *files]))
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
