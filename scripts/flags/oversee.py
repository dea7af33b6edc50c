"""The flags of `selfplay oversee`."""

import dataclasses

from scripts.flags import checks
from scripts.terminal.console import (
    Positional,
)


@dataclasses.dataclass(frozen=True)
class Args:
    r"""Decide positions, with copies of a network as assistants, for it to learn from.

    Shows one position after the other. Ask for candidates (moves, as A's search sees them), send
    copies of A off to search the lines you name (look), then decide: play MOVE, or weights over
    moves. Each decision is stored at once, with its provenance, in oversight/decisions.jsonl of the
    run; quit or Ctrl-C loses nothing, and positions that are decided do not come again.

    A program can decide in your place: it gets a JSON line for each position and answers with one
    (docs/ida/overseer.md); a bad answer is reported and its position left undecided. Or a script: a
    file of the commands that you would type, and of decisions as JSON lines.

    Examples:
      selfplay oversee runs/c4
      selfplay oversee runs/c4@1200 --positions games.jsonl --count 50
      selfplay oversee runs/c4 --play
      selfplay oversee runs/ttt --program "python my_overseer.py"
      selfplay oversee runs/ttt --script decisions.txt --json
      selfplay train --from runs/ttt --run-dir runs/ttt2 \
        --overseer.decisions runs/ttt/oversight/decisions.jsonl
    """

    run: Positional[str]
    """A run folder R (its newest checkpoint), or R@STEP: A."""
    positions: str = ""
    """A file of games, JSON lines: of a finished game all positions, of an unfinished one the last.
    By default, positions of A's games against random moves, most changed by search first."""
    play: bool = False
    """Play on from the opening position: the move that you decide is played."""
    count: int = 0
    """At most so many positions to decide; 0: 20, or 300 with --program."""
    simulations: int = 128
    """Simulations of each search by the assistant."""
    program: str = ""
    """A command that decides, as a shell would split it."""
    seconds: float = 60.0
    """For each answer of the program."""
    script: str = ""
    """A file of commands and decisions."""
    by: str = ""
    """Who decides, for the provenance; by default the program, the script, or your user name."""
    seed: int = 0
    """Draws the positions."""
    json: bool = False
    """Print one JSON object about what was decided on stdout."""


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    checks.run(args.run)
