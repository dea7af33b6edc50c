"""The flags of `selfplay arena`."""

import dataclasses

from scripts.flags import checks
from scripts.terminal.console import Positional


@dataclasses.dataclass(frozen=True)
class Args:
    """Plays matches between players, or rates many of them, from openings played from both seats.

    A player is a run folder R (its newest checkpoint), R@STEP, shipped:NAME (a trained player that
    comes with selfplay, docs/players.md), random, uniform (search with a uniform prior and zero
    value), perfect (tic_tac_toe, and hex up to size=5: it draws among the moves that keep the
    result), gtp:COMMAND or uci:COMMAND for an engine (docs/engines.md), or
    module:function for one of your own: a function of (states, key, history=None) that returns B
    moves, int[B], or a SearchResult; `history` holds the actions so far, padded with -1. With an
    attribute on_device = True it is jitted and called without history. A run and uniform may have
    settings of their own, as in R:simulations=64,policy=puct. The score is the first player's, with
    a 95% interval in which the two games from one opening are one observation.
    More than two players meet all against all.

    With --ladder, players get ratings in Elo, above `random` if it plays, else above the first
    player, with 95% intervals. A run folder R stands for all its checkpoints. The next two to play
    are always those whose games would reduce the ratings' uncertainty most. All games are kept, so
    that a later ladder, of more checkpoints for instance, begins with them.

    Examples:
      selfplay arena runs/c4 random
      selfplay arena runs/c4 shipped:connect_four --games 400
      selfplay arena runs/c4 runs/c4@0 --games 512 --simulations 32 --out matches/c4-first-last
      selfplay arena runs/c4:simulations=64 runs/c4:simulations=64,policy=puct --openings balanced
      selfplay arena runs/c4 runs/c4@1200 --games 4000 --sprt 0 50
      selfplay arena runs/c4 runs/c4@0 --games 1024 --block 64 --workers 8
      selfplay arena uniform random --game tic_tac_toe --json
      selfplay arena runs/c4 my_module:my_player --records games.jsonl
      selfplay arena runs/c4 random --ladder --minutes 5
      selfplay arena runs/c4 runs/c4b random --ladder --simulations 8 32 --out ladders/c4
      selfplay arena runs/c4 random --ladder --minutes 0    # only fit, print and plot what is there
    """

    players: Positional[tuple[str, ...]]
    """Two players or more; the first one's score is reported. With --ladder: runs, checkpoints, and
    anchors such as random or uniform."""
    ladder: bool = False
    """Rate all players by games between them."""
    game: str = ""
    """The game; needed only if no player is a run."""
    games: int = 100
    """Games to play, of each two players; even, as each opening is played from both seats. With
    --ladder: of all players together; by default 0, no limit but --minutes."""
    minutes: float = 0.0
    """With --ladder: play for so long, by default 5; 0: no limit but --games, and without --games
    play nothing, but rate what is there."""
    simulations: tuple[int, ...] = ()
    """Simulations of each search; 0: a run's raw policy. By default 32. With --ladder, each of
    several numbers makes players of its own; where nothing is to be played, all that are there."""
    seed: int = 0
    """Random seed of the openings, and of players that choose at random."""
    openings: str = "random"
    """random: random plies; balanced: of eight times as many, those that the raw network of the
    first run values closest to a draw; else a file of game records (.jsonl, .sgf, .pgn), or of a
    list of moves on each line."""
    opening_plies: int | None = None
    """Plies before the players take over: random ones, or those of a record. By default 4, but 1
    where at least half of random games are over in less than 12; a match in --out keeps its own."""
    sprt: tuple[float, float] | None = None
    """ELO0 ELO1, a sequential test (SPRT): stop once the first player's lead over the second is
    known to be nearer to ELO0 (accepts H0) or to ELO1 (H1); --games is the most that are played."""
    alpha: float = 0.05
    """Of --sprt: the chance of H1 where H0 is true."""
    beta: float = 0.05
    """Of --sprt: the chance of H0 where H1 is true."""
    out: str = ""
    """A folder for the finished games: after a kill or Ctrl-C, the same command goes on there. With
    --ladder also for ratings and plots; by default ladders/<game>."""
    block: int = 0
    """Games that are played side by side, then saved and judged by --sprt; 0: 256, or 32 where a
    player is outside the device."""
    workers: int = 0
    """Worker processes; 0: play in this one. They play a block (or a ladder's round of 32 games) at
    a time, on this machine or, with RAY_ADDRESS, on a cluster (pip install 'selfplay-zero[ray]').
    The games are the same either way. Not with engines (docs/arena.md)."""
    records: str = ""
    """Also write the games to this file: one JSON line each, or what its name ends in: .sgf (Go,
    Hex, gomoku, Othello) or .pgn (pgx:chess)."""
    csv: str = ""
    """Also write the matches or ratings, a line each, to this file."""
    json: bool = False
    """Print one JSON object on stdout."""


def defaults(argv: list[str]) -> Args:
    """A match has 100 games; a ladder has 5 minutes."""
    return Args((), games=0, minutes=5.0) if "--ladder" in argv else Args(())


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    checks.game(args.game)
    usual = defaults(["--ladder"] if args.ladder else [])
    for name in ("openings", "sprt", "block", "records") if args.ladder else ("minutes",):
        if getattr(args, name) != getattr(usual, name):
            raise ValueError(f"--{name} is {'not for' if args.ladder else 'for'} --ladder")
    if args.ladder and not args.players:
        raise ValueError("--ladder needs players: runs, checkpoints, or anchors such as random")
    if not args.ladder and len(args.simulations) > 1:
        raise ValueError(f"--simulations takes one number in a match, got {len(args.simulations)}")
    if not args.ladder and len(args.players) < 2:
        raise ValueError(f"arena needs two players or more, got {' '.join(args.players) or 'none'}")
    checks.players(args.players, args.game)
    checks.workers(args.workers, args.players)


def script(args: Args) -> str:
    """The module that does the work."""
    return "arena_ladder" if args.ladder else "arena"
