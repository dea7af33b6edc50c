"""The flags of `selfplay doctor`."""

import dataclasses

from scripts.flags import checks
from scripts.terminal.console import Positional


@dataclasses.dataclass(frozen=True)
class Args:
    """Says whether a run is learning, and if not, why.

    Eleven checks of what the run has left on disk: its losses, its examples against the rules and
    their age, its games, exploration, weights, values, search and overseer, and two that train a
    fresh network on its examples. Each finding says what is wrong, what a healthy run looks like,
    and what to change; the likeliest cause comes first. Works on a run in progress, and writes
    nothing but its diagnosis, report/doctor.json, for reports and the list of runs.

    Examples:
      selfplay doctor runs/c4
      selfplay doctor runs/c4 --json
      selfplay doctor runs/go --seconds 60
    """

    run: Positional[str]
    """A run folder."""
    seconds: float = 20.0
    """The most that each of the two checks that train a fresh network may take, and about the most
    that searches of solved positions may take on two CPU cores."""
    json: bool = False
    """Print one JSON object on stdout."""


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    checks.run(args.run)
