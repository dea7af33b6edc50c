"""`selfplay report`."""

import pathlib
from collections.abc import Sequence

from scripts.flags.report import Args
from scripts.terminal import csv_file
from scripts.terminal.console import print_json, print_text
from scripts.web import report_page
from selfplay.files import durable
from training.report import curves, table
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
        files = _write(folders, out, args.png)
    except OSError as error:
        raise OSError(
            f"--out: the report cannot be written to {out}: {error.strerror or error}"
        ) from None
    if args.json:
        told = {"page": str(files[0]), "plots": list(map(str, files[1:]))}
        print_json({**told, "runs": [table.summary(folder) for folder in folders]})
    else:
        print_text(f"report: {files[0]}" + (f" and {len(files) - 1} plots" if args.png else ""))
    return 0


def _write(folders: Sequence[RunFolder], out: pathlib.Path, png: bool) -> list[pathlib.Path]:
    """Writes the page, and each plot as a PNG if wanted; returns the files, the page first."""
    for folder in folders:
        curves.read_history(folder)  # says what is wrong
    content = report_page.content_of(folders)
    out.mkdir(parents=True, exist_ok=True)
    file = out / "index.html"
    durable.write_whole(file, report_page.page(content).encode(errors="replace"))
    if not png:
        return [file]
    from training.report import pngs  # matplotlib takes a second

    return [file, *pngs.write(folders, out)]


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
