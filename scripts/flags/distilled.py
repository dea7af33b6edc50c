"""The flags of `selfplay distilled`."""

import dataclasses

from scripts.flags import checks
from scripts.terminal.console import (
    Positional,
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Does distillation keep what it should? Where a run's network disagrees with its overseer.

    The overseer is Amplify(A), as the run's settings say, without noise. Its disagreement with the
    network A is measured for checkpoints of the run, on four sets of positions: those that A was
    trained on (of recorded games whose rows are still in replay/), near them (one random move off),
    far from them (random games), and the worst: where a search from random positions finds that A's
    best move loses most, as the overseer sees it. Writes a table, report/distilled.json, a plot for
    `selfplay report`, and the newest checkpoint's worst positions, which can be overseen.

    Examples:
      selfplay distilled runs/c4
      selfplay distilled runs/c4 --checkpoints 3 --positions 512 --json
      selfplay oversee runs/c4 --positions runs/c4/report/worst.jsonl
    """

    run: Positional[str]
    """A run folder."""
    checkpoints: int = 8
    """Most checkpoints to measure, evenly spread."""
    positions: int = 256
    """Positions in each set (of the worst, a quarter)."""
    decisions: str = ""
    """A file of an overseer's decisions: how far the network follows them; by default those that
    the run learns from. Name others to see whether it does what it was not shown."""
    seed: int = 0
    """Draws the positions."""
    json: bool = False
    """Print one JSON object on stdout."""


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    checks.run(args.run)
