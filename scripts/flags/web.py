"""The flags of `selfplay web`."""

import dataclasses

from scripts.terminal.console import Positional

DEFAULT_PORT = 8700
DEFAULT_FOLDERS = ("runs", "matches")  # those of them that are there


@dataclasses.dataclass(frozen=True)
class Args:
    """Opens runs in the browser: see them learn, play against them, explore what they know.

    It prints an address with a token: open it. Only programs of this machine reach it; from afar,
    `ssh -L 8700:127.0.0.1:8700 HOST` brings it to your own. It disturbs no training run: pages read
    files, and what searches is a process of its own with low priority, on the CPU.

    Into run folders it writes the games that you finish (games/played.jsonl), and what you decide
    as an overseer. Ctrl-C ends it.

    Examples:
      selfplay web
      selfplay web runs/c4 runs/c4b
      selfplay web /data/runs --port 9000
      selfplay web --allow my_game:MyGame --allow other_game:Other
    """

    runs: Positional[tuple[str, ...]] = DEFAULT_FOLDERS
    """Run folders, folders of runs, or folders of matches (arena --out)."""
    port: int = DEFAULT_PORT
    """The port to listen on, at 127.0.0.1; 0: any that is free."""
    accelerator: bool = False
    """Search on the accelerator, if there is one. It takes most of its memory: not beside a run."""


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    if not 0 <= args.port < 1 << 16:
        raise ValueError(f"--port must be from 0 to 65535, got {args.port}")
