"""The flags of `selfplay evaluate`."""

import dataclasses
from typing import Literal

from scripts.flags import checks
from scripts.terminal.console import (
    Positional,
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Measures a run: in games against random moves or its own past, or against perfect play.

    Against perfect play, it reports the rate of mistakes (moves whose game-theoretic outcome is
    worse than the best one's) of the network's raw policy and of searches, all told and by ply.
    Games that are small enough, such as hex:size=4, are solved on the spot. The games of a match
    are added to games/evaluation.jsonl of the run.

    Examples:
      selfplay evaluate runs/c4 --against perfect --simulations 16 64 256
      selfplay evaluate runs/c4@1200 --against initial --games 512
      selfplay evaluate shipped:connect_four --against perfect --simulations 64
      selfplay evaluate runs/c4 --against previous --games 2048 --workers 8
      selfplay evaluate runs/c4 --against perfect --positions my_positions.jsonl.gz --json
    """

    run: Positional[str]
    """A run folder R (its newest checkpoint), R@STEP, or shipped:NAME."""
    against: Literal["random", "previous", "initial", "perfect"] = "random"
    """Uniformly random moves; the run's checkpoint before this one; its step 0; perfect play."""
    simulations: tuple[int, ...] = (32,)
    """Simulations of each search; 0: the raw policy (not against perfect, which has both). Against
    perfect, several budgets may be named."""
    games: int = 100
    """Games to play; even, as each opening is played from both seats."""
    opening_plies: int | None = None
    """Random plies before the players take over; by default 4, but 1 where at least half of random
    games are over in less than 12."""
    positions: str = ""
    """Against perfect: solved positions to use instead of ours, JSON lines, gzipped or not."""
    seed: int = 0
    """Draws the openings."""
    workers: int = 0
    """So many processes play a match, 256 games at a time, as those of `selfplay arena` do
    (docs/arena.md); 0: this one plays alone. Not against perfect."""
    json: bool = False
    """Print one JSON object on stdout."""


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    checks.run(args.run, shipped_too=True)
    checks.workers(args.workers)
    if args.workers and args.against == "perfect":
        raise ValueError("--workers is for matches: --against perfect plays no games")
