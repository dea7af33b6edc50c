"""`selfplay runs R`: a summary of runs as text, JSON, CSV, PNG plots, or one page of curves."""

import pathlib
from collections.abc import Sequence

from scripts.flags.runs import Args
from scripts.terminal import csv_file
from scripts.terminal.console import print_json, print_text, say
from scripts.web import report_page
from selfplay.files import durable
from training.report import curves, table
from training.report.text import text_report
from training.storage.run_folder import RunFolder


def run(args: Args) -> int:
    """Prints the summary, and writes the files that are asked for; returns the exit code."""
    folders = [RunFolder(path) for path in dict.fromkeys(args.paths)]
    written: list[pathlib.Path] = []
    if args.csv:
        csv_file.check(args.csv)
        csv_file.write(args.csv, *table.table(folders))
        written.append(pathlib.Path(args.csv))
    if args.page or args.png:
        out = pathlib.Path(args.out) if args.out else own_folder(folders[0])
        try:
            written += _write(folders, out, args.page, args.png)
        except OSError as error:
            raise OSError(
                f"--out: nothing can be written to {out}: {error.strerror or error}"
            ) from None
    if args.json:
        summaries = [table.summary(folder) for folder in folders]
        print_json({"runs": summaries, "written": list(map(str, written))})
    else:
        print_text(text_report(folders))
        for file in written:
            say(f"written: {file}")
    return 0


def _write(
    folders: Sequence[RunFolder], out: pathlib.Path, page: bool, png: bool
) -> list[pathlib.Path]:
    """Writes the page and the plots, as asked; returns the files."""
    for folder in folders:
        curves.read_history(folder)  # says what is wrong
    out.mkdir(parents=True, exist_ok=True)
    files = []
    if page:
        files.append(out / "index.html")
        content = report_page.content_of(folders)
        durable.write_whole(files[0], report_page.page(content).encode(errors="replace"))
    if png:
        from training.report import pngs  # matplotlib takes a second

        files += pngs.write(folders, out)
    return files


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
