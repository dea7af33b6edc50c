"""The flags of `selfplay fleet`."""

import dataclasses

from scripts.flags import checks
from scripts.terminal.console import Positional


@dataclasses.dataclass(frozen=True)
class Args:
    """Shows the workers of a run: who plays, how fast, how old their weights are, who was refused.

    As the run wrote it last, every 10 seconds; a run in progress is not disturbed (docs/fleet.md).

    Examples:
      selfplay fleet runs/c4
      selfplay fleet runs/c4 --json
    """

    run: Positional[str]
    """A run folder."""
    json: bool = False
    """Print one JSON object on stdout."""


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    checks.run(args.run)
