"""The flags of `selfplay ladder`."""

import dataclasses

from scripts.flags import checks
from scripts.terminal.console import (
    Positional,
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Rates the checkpoints of runs, and other players, by games between all of them.

    A player is one as in `selfplay arena`; a run folder R stands for all its checkpoints. The next
    two to play are always those whose games would reduce the ratings' uncertainty most. All games
    are kept in a store, so that a later ladder, of more checkpoints for instance, begins with them.
    Ratings are in Elo above `random` if it plays, else above the first player, with 95% intervals.

    Examples:
      selfplay ladder runs/c4 random --minutes 5
      selfplay ladder runs/c4 runs/c4b random --simulations 8 32 --store ladders/c4
      selfplay ladder runs/c4@1200:simulations=64,policy=puct runs/c4 uniform random --json
      selfplay ladder runs/c4 random --games 2048 --workers 8
      selfplay ladder runs/c4 random --minutes 0     # only fit, print and plot what is there
    """

    players: Positional[tuple[str, ...]]
    """Runs, checkpoints, and anchors such as random or uniform."""
    game: str = ""
    """The game; needed only if no player is a run."""
    minutes: float = 5.0
    """Play for so long; 0: no limit but --games, and without --games play nothing: rate what the
    store holds."""
    games: int = 0
    """Play so many games, if --minutes allows it; even, as each opening is played from both seats;
    0: no limit but --minutes."""
    simulations: tuple[int, ...] = ()
    """Simulations of each search; of several numbers, each makes players of its own. By default 32,
    or, where nothing is to be played, all that the store holds."""
    store: str = ""
    """The folder of the games, ratings and plots; by default ladders/<game>."""
    seed: int = 0
    """Random seed of the openings, and of players that choose at random."""
    opening_plies: int | None = None
    """Random plies before the players take over; by default 4, but 1 where at least half of random
    games are over in less than 12."""
    workers: int = 0
    """So many processes play, a round of 32 games of two players each, on this machine or, with
    RAY_ADDRESS, on a cluster (pip install 'selfplay-zero[ray]'); the ratings are statistically
    equal to those of this process alone. 0: it plays. Not with engines (docs/arena.md)."""
    csv: str = ""
    """Also write the ratings, a line each player, to this file (its columns: docs/arena.md)."""
    json: bool = False
    """Print one JSON object on stdout."""


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    checks.game(args.game)
    if not args.players:
        raise ValueError("ladder needs players: runs, checkpoints, or anchors such as random")
    checks.players(args.players, args.game)
    checks.workers(args.workers, args.players)
