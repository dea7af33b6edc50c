"""The spec of an engine as a player: `gtp:COMMAND`, `uci:OPTION=VALUE,...:COMMAND`.

Options end at the first colon; their names may have spaces. A command that looks like options
follows an empty list of them: `uci::COMMAND`.
"""

import os
import re
from typing import NamedTuple

MOVE_SECONDS = 60.0
MAX_PROCESSES = 8
LIMITS = ("timeout", "processes")
_OPTION = r"[A-Za-z][\w ]*=[^,:]*"
_OPTIONS = re.compile(rf"((?:{_OPTION}(?:,{_OPTION})*)?):(.*)", re.DOTALL)


class Spec(NamedTuple):
    """What the name of an engine as a player says, whatever the engine speaks."""

    command: str
    seconds: float  # for an answer
    processes: int  # at most
    options: dict[str, str]  # all others, as they were written


def read_spec(spec: str) -> Spec:
    """Returns what a spec says. Raises ValueError for what is wrong in it whatever the engine."""
    prefix, _, command = spec.partition(":")
    given: dict[str, str] = {}
    if options := _OPTIONS.fullmatch(command):
        command = options[2]
        parts = options[1].split(",") if options[1] else []
        given = {name.strip(): value for name, _, value in (part.partition("=") for part in parts)}
        if len(given) < len(parts):
            raise ValueError(f"player {spec!r}: an option is set twice")
    if not command.strip():
        raise ValueError(f"player {spec!r} names no command: {prefix}:COMMAND")
    try:
        seconds = float(given.pop("timeout", MOVE_SECONDS))
        processes = int(given.pop("processes", os.cpu_count() or 1))
    except ValueError:
        raise ValueError(
            f"player {spec!r}: timeout is a number of seconds, processes a whole number"
        ) from None
    if not seconds > 0 or processes < 1:
        raise ValueError(f"player {spec!r}: timeout must be above 0, processes at least 1")
    return Spec(command, seconds, min(processes, MAX_PROCESSES), given)
