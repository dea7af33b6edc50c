"""Files of JSON lines, perhaps damaged or made by somebody else: every mistake has its place."""

import gzip
import json
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from selfplay.files import durable

MAX_LINE = 1 << 20  # bytes; the longest game's record is some thousands
MAX_BYTES = 256 << 20  # of a file, unpacked; what it holds takes a few times as much memory
MAX_LINES = 1 << 20  # of a file: an object a line takes memory too, however short the line
MAX_OBJECT = 64 << 20  # bytes of a file that is one object
GZIP = b"\x1f\x8b"
SHOWN = 60  # characters of a name in a message


def read(
    path: str | os.PathLike[str], damaged: Callable[[str], None] | None = None
) -> Iterator[tuple[str, str]]:
    """Yields `(place, line)` of each line that is not blank; a place is `FILE, line N`.

    Args:
      path: of a text file, gzipped or not.
      damaged: called with what is wrong with a line that is too long or no text, which then is left
        out; without it, that is an error.

    Raises:
      ValueError: a line is too long, or no text, or the file is too large, or not whole.
      OSError: there is no such file.
    """
    durable.check_file(path)
    with open(path, "rb") as raw:
        packed = raw.read(2) == GZIP
        raw.seek(0)
        try:
            with gzip.GzipFile(fileobj=raw) if packed else raw as file:
                yield from _lines(file, os.fspath(path), damaged)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: not a whole gzip file: {error}") from None


def read_object(path: str | os.PathLike[str], most: int = MAX_OBJECT) -> dict[str, Any]:
    """Returns the JSON object that a file holds, of `most` bytes.

    Raises:
      ValueError: it holds none, or has more bytes.
      OSError: there is no such file, or a pipe or a device lies there.
    """
    durable.check_file(path)
    with open(path, "rb") as file:
        raw = file.read(most + 1)
    if len(raw) > most:
        raise ValueError(f"{path}: it has more than {most:,} bytes")
    value = parse(raw.decode(errors="replace"), os.fspath(path))
    if not isinstance(value, dict):
        raise ValueError(f"{path}: it holds no JSON object")
    return value


def pieces(file: Any) -> Iterator[bytes]:
    """Yields the lines of an open file; a line above `MAX_LINE` in pieces of a byte more."""
    while raw := file.readline(MAX_LINE + 1):
        yield raw


def _lines(
    file: Any, path: str, damaged: Callable[[str], None] | None
) -> Iterator[tuple[str, str]]:
    size = 0
    for number, raw in enumerate(pieces(file), start=1):
        size += len(raw)
        place = f"{path}, line {number}"
        if number > MAX_LINES:
            raise ValueError(f"{place}: the file has more than {MAX_LINES:,} lines")
        if size > MAX_BYTES:
            raise ValueError(f"{place}: the file is larger than {MAX_BYTES:,} bytes")
        try:
            line = _decode(raw, place)
        except ValueError as error:
            if damaged is None:
                raise
            damaged(str(error))
            continue
        if line.strip():
            yield place, line


def _decode(raw: bytes, place: str) -> str:
    if len(raw) > MAX_LINE:
        raise ValueError(f"{place}: longer than {MAX_LINE:,} bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{place}: not text: {error}") from None


class _Repeated(ValueError):
    """An object that has a name twice."""


def parse(line: str, place: str, once: bool = False) -> Any:
    """Returns what a line says.

    Args:
      once: whether an object may have a name once only; else the last of them counts.

    Raises:
      ValueError: it is not JSON, or has a name twice that it may not.
    """
    try:
        return json.loads(line, object_pairs_hook=_each_once if once else None)
    except _Repeated as error:
        raise ValueError(f"{place}: {error}") from None
    except RecursionError:
        raise ValueError(f"{place}: not JSON that we read: nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}: not JSON: {error}") from None
    except ValueError:
        most = sys.get_int_max_str_digits()
        raise ValueError(f"{place}: a whole number has more than {most:,} digits") from None


def _each_once(entries: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in entries:
        if name in fields:
            raise _Repeated(f"{json.dumps(name[:SHOWN])} is named twice: name it once")
        fields[name] = value
    return fields


def is_number(value: Any) -> bool:
    """Whether a value of JSON is a number, finite and no larger than a float can be."""
    # Compared, not converted: a whole number may be beyond any float.
    return type(value) in (int, float) and abs(value) <= sys.float_info.max
