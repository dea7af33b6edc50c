"""The flags of `selfplay gtp`."""

import dataclasses

from scripts.flags import checks
from scripts.terminal.console import Positional


@dataclasses.dataclass(frozen=True)
class Args:
    """Plays as a GTP engine (Go Text Protocol, version 2) on standard input and output.

    Any front end for Go can play against it and let it analyse; other games are played with their
    own coordinates, black for seat 0. With time settings it searches less, so that no move is late;
    without, always --simulations.

    Examples:
      selfplay gtp shipped:go_9x9
      selfplay gtp runs/go9
      selfplay gtp runs/go9 --simulations 800 --resign 0.05
      selfplay gtp uniform --game go:size=7
    """

    player: Positional[str]
    """Who plays: a run folder R, R@STEP, shipped:NAME (docs/players.md), random, uniform, or
    module:function."""
    game: str = ""
    """The game; needed only if the player is not a run."""
    simulations: int = 200
    """Simulations of each search, at most; 0: the raw policy."""
    resign: float = 0.0
    """Resign a move whose winrate would be below this; 0: never."""
    seed: int = 0
    """Random seed, for players that choose at random."""


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    checks.game(args.game)
