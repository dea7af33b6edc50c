"""What the suite has measured: figures beside what we aim at, kept in a file, and as a table."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any, TypeAlias

from scripts.benchmarks.settings import SHRUNK
from selfplay.files import durable, json_lines

FORMAT_VERSION = 1
STATE, TABLE = "suite.json", "suite.md"  # in the suite's folder
DONE, FAILED = "done", "failed"
HEAD = ("part", "measured", "figure", "value", "aim", "beside", "note")
Value: TypeAlias = float | str | None


def figure(
    what: str,
    name: str,
    value: Value,
    aim: float | None = None,
    beside: Value = None,
    note: str = "",
) -> dict[str, Any]:
    """Returns a figure as JSON has it.

    Args:
      what: was measured, such as a game with its sizes.
      value: None where it cannot be known here; then `note` says why.
      beside: the same of another library, measured in the same process.
    """
    return {
        "measured": what,
        "figure": name,
        "value": value,
        "aim": aim,
        "beside": beside,
        "note": note,
    }


def read(out: pathlib.Path, device: dict[str, Any]) -> dict[str, Any]:
    """Returns what a folder holds, as `write` keeps it; a new one begins with this device.

    Raises:
      ValueError: the file is not ours, or was measured on another device.
    """
    file = out / STATE
    if not file.is_file():
        return {"format_version": FORMAT_VERSION, "device": device, "measurements": {}}
    try:
        held = json_lines.parse(file.read_text(errors="replace"), str(file))
        known, other = held["format_version"], held["device"]
        table(held)  # meets all that an entry must have
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{file} is damaged, or no result of a suite ({type(error).__name__}: {error}): "
            "move it away, or name another --out"
        ) from None
    if known != FORMAT_VERSION:
        raise ValueError(
            f"{file} has format {known!r}, expected {FORMAT_VERSION}: name another --out"
        )
    if other != device:
        raise ValueError(
            f"{file} was measured on {describe(other)}, and this is {describe(device)}: figures of "
            "two machines are not mixed, name another --out"
        )
    return dict(held)


def write(out: pathlib.Path, held: dict[str, Any]) -> None:
    """Keeps all that was measured, as JSON and as a table."""
    durable.write_whole(out / STATE, (json.dumps(held, indent=1) + "\n").encode())
    durable.write_whole(out / TABLE, table(held).encode())


def describe(device: Any) -> str:
    """Returns a device, as `device.py` tells of it, in words."""
    parts = [f"{device['count']} x {device['kind']}"]
    if device["driver"]:
        parts.append(f"driver {device['driver']}")
    peak = device["peak"]
    parts.append(f"peak {peak / 1e12:.0f} TFLOP/s in bfloat16" if peak else "peak not known")
    return ", ".join([*parts, f"jax {device['jax']}"])


def table(held: dict[str, Any]) -> str:
    """Returns Markdown: the machine, then a row for each figure, and for what failed."""
    measured = held["measurements"]
    dates = sorted({one["date"] for one in measured.values()})
    when = " to ".join(dates[:1] + dates[1:][-1:]) or "nothing is measured yet"
    lines = [f"{describe(held['device'])}; {when}"]
    is_shrunk = held["device"]["platform"] == "cpu"
    if is_shrunk:
        lines.append(f"\n{SHRUNK}. Sizes are tiny, and no aim is meant for them.")
    lines += ["", _row(HEAD), _row(["---"] * len(HEAD))]
    for name, measurement in measured.items():
        part, error = name.partition("/")[0], measurement["error"]
        if measurement["status"] == FAILED:
            lines.append(_row([part, name, FAILED, *"---", error]))
        for one in measurement["figures"]:
            aim = None if is_shrunk else one["aim"]
            values = [_shown(value) for value in (one["value"], aim, one["beside"])]
            lines.append(_row([part, one["measured"], one["figure"], *values, one["note"]]))
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,.4g}" if isinstance(value, int | float) else str(value)
