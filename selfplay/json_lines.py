"""Files of JSON lines, perhaps damaged or made by somebody else: every mistake has its place."""

import json
import os
from collections.abc import Iterator
from typing import Any

MAX_LINE = 1 << 20  # bytes; the longest game's record is some thousands


def read(path: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """Yields `(place, line)` of each line that is not blank; a place is `FILE, line N`.

    Raises:
      ValueError: a line is too long, or no text.
    """
    with open(path, "rb") as file:
        number = 0
        while raw := file.readline(MAX_LINE + 1):
            number += 1
            place = f"{os.fspath(path)}, line {number}"
            if raw.strip():
                yield place, decode(raw, place)


def decode(raw: bytes, place: str) -> str:
    """Returns a line as text. Raises ValueError if it is too long, or no text."""
    if len(raw) > MAX_LINE:
        raise ValueError(f"{place}: longer than {MAX_LINE:,} bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{place}: not text: {error}") from None


def parse(line: str, place: str) -> Any:
    """Returns what a line says. Raises ValueError if that is not JSON."""
    try:
        return json.loads(line)
    except RecursionError:
        raise ValueError(f"{place}: not JSON that we read: nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{place}: not JSON: {error}") from None
