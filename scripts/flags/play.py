"""The flags of `selfplay play`."""

import dataclasses

from scripts.flags import checks
from scripts.terminal.console import Positional


@dataclasses.dataclass(frozen=True)
class Args:
    """Play against a run in the terminal, or let it analyse a position.

    Shows the board and, for each move it makes, the network's opinion (prior, value) and the
    search's (visits, value of each move). At your turn type a move, hint, undo or quit.

    With --json, nothing is played: it prints what the player thinks of the position after --moves:
    policy (weight of each move), value for the seat to play, and a principal variation, whose
    every move is the best one of a fresh search.

    Examples:
      selfplay play runs/c4
      selfplay play runs/c4 --seat 1 --simulations 400
      selfplay play runs/c4 --moves "4 4 3" --json
      selfplay play uniform --game tic_tac_toe
    """

    player: Positional[str]
    """Your opponent: a run folder R, R@STEP, random, uniform, or module:function."""
    game: str = ""
    """The game; needed only if the player is not a run."""
    simulations: int = 200
    """Simulations of each search; 0: the raw policy."""
    leaves: int = 1
    """Simulations of a run's search that share one evaluation: faster, and a little less exact."""
    seat: int = 0
    """Your seat: 0 moves first, 1 second."""
    moves: str = ""
    """Moves to begin from, in the game's notation, separated by spaces."""
    seed: int = 0
    """Draws lots, for players that do."""
    json: bool = False
    """Analyse the position and print one JSON object on stdout."""


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    checks.game(args.game)
    checks.players([args.player], args.game)
