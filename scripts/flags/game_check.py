"""The flags of `selfplay game check`."""

import dataclasses

from scripts.flags import checks
from scripts.terminal.console import Positional


@dataclasses.dataclass(frozen=True)
class Args:
    """Checks a game against the laws that training relies on, by playing it many times.

    Every law is named with its verdict. Of a broken one you see the position, the action, and what
    was expected. The exit code is 0 if the game conforms, else 1.

    The laws hold for any game; what the rules of yours say, only a second implementation knows.
    --against compares with one, ply by ply, and shows the first difference.

    Examples:
      selfplay game check connect_four
      selfplay game check my_game:MyGame                       # my_game.py in this folder
      selfplay game check my_game:MyGame --quick               # while you write it
      selfplay game check my_pkg.my_game:MyGame:size=5 --games 1000
      selfplay game check go:size=19 --games 16 --json
      selfplay game check my_game:MyGame --against test_my_game.py:Reference
      selfplay game check othello --against open_spiel:othello
    """

    game: Positional[str]
    """NAME, or package.module:Class, with options such as :size=5,komi=7.5."""
    games: int = 256
    """Random games to play; fewer for a game that is long or slow."""
    quick: bool = False
    """At most 32 games, and without what takes longest: the first look while you write a game."""
    against: str = ""
    """A second implementation of the rules: FILE.py:Class or module:Class, in plain Python, as
    `game new` writes one; or open_spiel:NAME, with parameters as in open_spiel:go(board_size=9)."""
    actions: str = "auto"
    """How the reference's moves are matched to the game's actions: name, index, or FILE.py:to_ours,
    a function. auto tries names, then numbers."""
    seed: int = 0
    """Another seed plays other games."""
    json: bool = False
    """Print one JSON object on stdout."""


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    checks.game(args.game)
    if args.actions != "auto" and not args.against:
        raise ValueError(f"--actions {args.actions} says how to read --against, which is not given")
