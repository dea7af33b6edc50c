"""The flags of `selfplay uci`."""

import dataclasses

from scripts.flags import checks
from scripts.terminal.console import Positional


@dataclasses.dataclass(frozen=True)
class Args:
    """Plays as a UCI engine (Universal Chess Interface) on standard input and output.

    For front ends of chess: a run of pgx:chess, or any player. By the option UCI_Variant a player
    without a run also plays breakthrough, gardner, dobutsu and shogi, with moves as
    Fairy-Stockfish writes them. It compiles when it is asked isready, which takes a while the first
    time. On a clock it searches less, so that no move is late; without, always --simulations.

    Examples:
      selfplay uci runs/chess
      selfplay uci runs/chess --simulations 800
      selfplay uci uniform --game breakthrough
    """

    player: Positional[str]
    """Who plays: a run folder R, R@STEP, shipped:NAME, random, uniform, or module:function."""
    game: str = ""
    """The game to begin with, if the player is not a run; by default pgx:chess."""
    simulations: int = 200
    """Simulations of each search, at most; 0: the raw policy. A front end may set it."""
    seed: int = 0
    """Random seed, for players that choose at random."""


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    checks.game(args.game)
    if args.simulations < 0:
        raise ValueError(f"--simulations must be at least 0, got {args.simulations}")
