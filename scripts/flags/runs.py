"""The flags of `selfplay runs`."""

import dataclasses

from scripts.terminal.console import Positional


@dataclasses.dataclass(frozen=True)
class Args:
    """Lists runs: game, state, how far they are, their last evaluation, and their size.

    A run is running, stopped (the same command goes on), at its limit (--minutes, --iterations
    or --flops), done (it found its fixed point), new (nothing is saved yet) or damaged. The newest
    comes first.

    Examples:
      selfplay runs
      selfplay runs /data/runs
      selfplay runs --json
    """

    folder: Positional[str] = "runs"
    """Where to look: a folder of runs, or of folders of runs, or a run."""
    json: bool = False
    """Print one JSON object on stdout."""
