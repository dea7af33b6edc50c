"""Tables as CSV files: a line of names, then a line each row; what is not known is left empty."""

import csv
import io
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from selfplay.files import durable


def write(path: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes a new file, replacing an old one.

    Raises:
      OSError: it cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: row.get(name) for name in columns})
    durable.write_whole(pathlib.Path(path), text.getvalue().encode(errors="replace"))


def check(path: str) -> None:
    """Raises ValueError unless a file can lie there: before anything is played for it."""
    if pathlib.Path(path).is_dir() or not pathlib.Path(path).absolute().parent.is_dir():
        raise ValueError(f"--csv {path}: there is no such folder, or it is one: name a file")
