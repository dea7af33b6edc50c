"""The flags of `selfplay worker`."""

import dataclasses
import pathlib

from scripts.terminal.console import Positional


@dataclasses.dataclass(frozen=True)
class Args:
    """Plays games for a run that trains elsewhere, through a folder that both see.

    `selfplay train ... --fleet FOLDER` makes the folder (docs/fleet.md). Any number of workers may
    join and leave, on any machines. Ctrl-C (or SIGTERM) finishes the call, sends it, and exits with
    code 75. It ends with code 0 when the run has reached its limits, and waits while no learner is
    there.

    Examples:
      selfplay worker /shared/c4-fleet
      selfplay worker /shared/fleet --allow my_pkg.my_game:MyGame   # a game of your own
    """

    folder: Positional[str]
    """The fleet's folder."""


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    if not pathlib.Path(args.folder).is_dir():
        raise ValueError(
            f"{args.folder} is no folder; `selfplay train ... --fleet {args.folder}` makes it"
        )
