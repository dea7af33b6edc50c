"""The processes that trained a run: a line of starts.jsonl for each, with its devices.

The metrics of a run that was stopped and went on are those of one that was not, so nothing in them
tells. Not being able to write here ends no run.
"""

import contextlib
import json
import os
import pathlib
import socket
import time
from typing import Any

from selfplay.files import durable, json_lines

MOST = 1_000  # newest starts that are read
MAX_BYTES = 1 << 20  # of the file's end


def note(run: pathlib.Path, where: dict[str, Any], device: str, why: str) -> None:
    """Adds a start.

    Args:
      where: how far the run is, as `Progress.where` says.
      device: number and kind of its devices, as in `2 x cpu`.
      why: `new`, `resume` or `rollback`.
    """
    line = {
        "why": why,
        **{name: where[name] for name in ("iteration", "step", "seconds", "games", "positions")},
        "device": device,
        "process": f"process {os.getpid()} on {socket.gethostname()}",
        "time": round(time.time()),
    }
    with contextlib.suppress(OSError):
        durable.append(run / "starts.jsonl", json.dumps(line) + "\n")


def read(run: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the starts, oldest first; lines that are damaged are left out."""
    starts = []
    for raw in _end_of(run / "starts.jsonl").split(b"\n")[-MOST:]:
        with contextlib.suppress(ValueError):
            line = json_lines.parse(raw.decode(errors="replace"), "starts.jsonl")
            if isinstance(line, dict) and _is_start(line):
                starts.append(line)
    return starts


def _is_start(line: dict[str, Any]) -> bool:
    counts = ("iteration", "step", "seconds", "games", "positions")
    texts = ("why", "device", "process")
    return all(json_lines.is_number(line.get(name)) for name in counts) and all(
        isinstance(line.get(name), str) for name in texts
    )


def _end_of(file: pathlib.Path) -> bytes:
    """Returns the last whole lines of a file; nothing if it cannot be read."""
    try:
        durable.check_file(file)
        with open(file, "rb", opener=durable.no_link) as content:
            size = content.seek(0, os.SEEK_END)
            content.seek(max(0, size - MAX_BYTES))
            return content.read(MAX_BYTES)
    except OSError:
        return b""
