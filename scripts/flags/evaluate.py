"""The flags of `selfplay evaluate`."""

import dataclasses
from typing import Literal

from scripts.flags import checks
from scripts.terminal.console import (
    Positional,
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Measures a run: in games against random moves or its past, or beside perfect play or search.

    Against perfect play, it reports the rate of mistakes (moves whose game-theoretic outcome is
    worse than the best one's) of the network's raw policy and of searches, overall and by ply.
    Games that are small enough, such as hex:size=4, are solved on the spot. The games of a match
    are added to games/evaluation.jsonl of the run.

    `--against overseer` measures how far the network (A) disagrees with its overseer, Amplify(A):
    the run's own search, or whatever its setting `amplify` names, without noise. It does so for
    checkpoints of the run, on four sets of positions: those that A was
    trained on (of recorded games whose examples are still in replay/), near them (one random move
    off), far from them (random games), and the worst: where a search from random positions finds
    that A's best move loses most, as the overseer sees it. Written to report/distilled.json, with a
    plot, and worst.jsonl, which can be overseen.

    Examples:
      selfplay evaluate runs/c4 --against perfect --simulations 16 64 256
      selfplay evaluate runs/c4@1200 --against initial --games 512
      selfplay evaluate shipped:connect_four --against perfect --simulations 64
      selfplay evaluate runs/c4 --against previous --games 2048 --workers 8
      selfplay evaluate runs/c4 --against perfect --positions my_positions.jsonl.gz --json
      selfplay evaluate runs/c4 --against overseer --checkpoints 3 --sample 512
      selfplay oversee runs/c4 --positions runs/c4/report/worst.jsonl
    """

    run: Positional[str]
    """A run folder R (its newest checkpoint), R@STEP, or shipped:NAME."""
    against: Literal["random", "previous", "initial", "perfect", "overseer"] = "random"
    """Uniformly random moves; the run's checkpoint before this one; its step 0; perfect play; its
    overseer."""
    simulations: tuple[int, ...] = (32,)
    """Simulations of each search; 0: the raw policy (not against perfect, which has both). Against
    perfect, several budgets may be named."""
    games: int = 100
    """Games to play; even, as each opening is played from both seats."""
    game: str = ""
    """Against perfect: a board of another size that the run's network fits, as in hex:size=5; by
    default the run's own."""
    opening_plies: int | None = None
    """Random plies before the players take over; by default 4, but 1 where at least half of random
    games are over in less than 12."""
    positions: str = ""
    """Against perfect: solved positions to use instead of ours, JSON lines, gzipped or not."""
    checkpoints: int = 8
    """Against its overseer: most checkpoints to measure, evenly spread."""
    sample: int = 256
    """Against its overseer: positions in each set (of the worst, a quarter)."""
    decisions: str = ""
    """Against its overseer: a file of decisions, to see how far the network follows them; by
    default those that the run learns from. Others show whether it does what it was not shown."""
    seed: int = 0
    """Draws the openings, or positions."""
    workers: int = 0
    """So many processes play a match, 256 games at a time, as those of `selfplay arena` do
    (docs/arena.md); 0: this one plays alone. Not against perfect."""
    json: bool = False
    """Print one JSON object on stdout."""


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    checks.run(args.run, shipped_too=args.against != "overseer")
    checks.workers(args.workers)
    checks.game(args.game)
    if args.game and args.against != "perfect":
        raise ValueError(
            "--game is for --against perfect: selfplay arena plays matches of any game"
        )
    if args.workers and args.against in ("perfect", "overseer"):
        raise ValueError(f"--workers is for matches: --against {args.against} plays no games")
    if args.decisions and args.against != "overseer":
        raise ValueError("--decisions is for --against overseer")


def script(args: Args) -> str:
    """The module that does the work."""
    return "evaluate_overseer" if args.against == "overseer" else "evaluate"
