"""The page of `selfplay runs R --page`: the run's screen and its data, one file to open from disk.

Browsers load no modules into a page from disk, so they are joined into one script. The page says
itself that nothing else may run in it, by the SHA-256 of its script and its style.
"""

import base64
import hashlib
import html
import json
import pathlib
import re
import time
from collections.abc import Sequence
from typing import Any

from scripts.web import report_game
from training.report import described, history, measured
from training.storage.run_folder import RunFolder

STATIC = pathlib.Path(__file__).parent / "static"
ENTRY = "report.js"
PLOTTER = "vendor/uPlot.iife.min.js"
STYLES = ("style.css", "vendor/uPlot.min.css", "curves/curves.css")
IMPORT = re.compile(r'import \{ ([\w, ]+) \} from "([\w./]+)";\n')
EXPORT = re.compile(r"^export (?=(?:async )?function|const|let|class)", re.MULTILINE)
CLOSING = re.compile(r"</script|<!--", re.IGNORECASE)  # what would end a script in a page
BEGIN = """
const content = JSON.parse(document.getElementById("data").textContent);
showReport(document.getElementById("main"), content);
"""


def content_of(folders: Sequence[RunFolder]) -> dict[str, Any]:
    """Returns all that the page shows of runs.

    Raises:
      ValueError: a folder is no run, or has no metrics yet.
    """
    return {
        "made": f"Written by selfplay runs, {time.strftime('%Y-%m-%d %H:%M')}.",
        "runs": [_run(folder) for folder in folders],
    }


def _run(folder: RunFolder) -> dict[str, Any]:
    return {
        "label": str(folder.path),
        "described": described.describe(folder),
        "curves": history.curves(folder),
        "measured": measured.measured(folder),
        "game": report_game.shown(folder),
    }


def page(content: dict[str, Any]) -> str:
    """Returns the page that shows what `content_of` returned."""
    code, style = script(), "\n".join((STATIC / name).read_text() for name in STYLES)
    names = ", ".join(run["label"] for run in content["runs"])
    policy = (
        f"default-src 'none'; script-src {_source(code)}; style-src {_source(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>Report: {html.escape(names)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<main id="main">{_without_script(content)}</main>\n'
        f'<script type="application/json" id="data">{_data(content)}</script>\n'
        f"<script>{code}</script>\n</body>\n</html>\n"
    )


def script() -> str:
    """Returns the modules of the page as one classic script, what is imported first."""
    joined = "".join(_plain(STATIC / name) for name in modules())
    plotter = (STATIC / PLOTTER).read_text()
    code = f'\n(() => {{\n"use strict";\n{plotter}\n{joined}{BEGIN}}})();\n'
    if found := CLOSING.search(code):
        raise ValueError(f"a module has {found[0]!r}, which would end the page's script")
    return code


def modules() -> list[str]:
    """Returns the files of the modules that are joined, below `STATIC`, in their order."""
    return _order(ENTRY, [])


def _order(name: str, known: list[str]) -> list[str]:
    """Returns a module's file behind those that it imports."""
    for _, other in IMPORT.findall((STATIC / name).read_text()):
        path = (STATIC / name).parent / other
        inner = str(path.resolve().relative_to(STATIC.resolve()))
        if inner not in known:
            known = _order(inner, known)
    return known if name in known else [*known, name]


def _plain(file: pathlib.Path) -> str:
    """Returns a module without its imports, and without the word `export`."""
    return EXPORT.sub("", IMPORT.sub("", file.read_text()))


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _data(content: dict[str, Any]) -> str:
    """Returns the data as JSON in which nothing ends the element that it stands in."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _without_script(content: dict[str, Any]) -> str:
    """Returns what the page says where scripts are off, and to programs that read it."""
    lines = [
        f"<h1>{html.escape(run['label'])}</h1><p>{html.escape(run['described']['summary'])}</p>"
        for run in content["runs"]
    ]
    return "".join(lines)
