"""The name of a `uci:` player as text: `uci:nodes=1000,Skill Level=5:stockfish`.

Options end at the first colon. Those in lower case below are ours, all others the engine's own,
whose names may have spaces. A command that looks like options itself follows an empty list of them:
`uci::COMMAND`.
"""

import re
from typing import NamedTuple

from selfplay.engines.limits import Limits, read_limits

NODES = 10_000  # of a move, where nothing else is said
THINKING = ("nodes", "movetime", "depth")
OURS = ("timeout", "processes", *THINKING)
_OPTION = r"[A-Za-z][\w ]*=[^,:]*"
_OPTIONS = re.compile(rf"((?:{_OPTION}(?:,{_OPTION})*)?):(.*)", re.DOTALL)


class Spec(NamedTuple):
    """What a `uci:` player's name says."""

    command: str
    limits: Limits
    go: str  # how it thinks, as the command `go` takes it
    options: dict[str, str]  # the engine's own, as they were written


def read_spec(spec: str) -> Spec:
    """Returns what a name says. Raises ValueError for what is wrong in it whatever the engine."""
    text, given = spec.removeprefix("uci:"), dict[str, str]()
    if options := _OPTIONS.fullmatch(text):
        text = options[2]
        parts = options[1].split(",") if options[1] else []
        given = {name.strip(): value for name, _, value in (part.partition("=") for part in parts)}
        if len(given) < len(parts):
            raise ValueError(f"player {spec!r}: an option is set twice")
    if not text.strip():
        raise ValueError(f"player {spec!r} names no command: uci:COMMAND")
    limits, go = read_limits(spec, given), []
    for name in THINKING:
        if (value := given.get(name)) is not None:
            if not (value.isascii() and value.isdigit() and int(value) >= 1):
                raise ValueError(
                    f"player {spec!r}: {name} must be a whole number above 0, got {value!r}"
                )
            go.append(f"{name} {int(value)}")
    if int(given.get("movetime", 0)) >= 1000 * limits.seconds:
        raise ValueError(
            f"player {spec!r}: movetime is in milliseconds and must be below timeout, "
            f"{limits.seconds:g} s"
        )
    own = {name: value for name, value in given.items() if name not in OURS}
    return Spec(text, limits, " ".join(go) or f"nodes {NODES}", own)
