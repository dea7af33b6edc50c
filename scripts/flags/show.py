"""The flags of `selfplay show`."""

import dataclasses

from scripts.terminal.console import Positional


@dataclasses.dataclass(frozen=True)
class Args:
    """Shows recorded games: a list of those in a file, or one of them move by move.

    A file holds one JSON line a game, or SGF (Go, Hex, gomoku, Othello) or PGN (pgx:chess) if its
    name ends in .sgf or .pgn. Of a run, it is the sample of its self-play, and the newest game is
    shown. Every game is replayed by the rules; those that they forbid are named on stderr, with
    place and move.

    Examples:
      selfplay show runs/c4
      selfplay show runs/c4 --step
      selfplay show runs/c4/games/evaluation.jsonl
      selfplay show games.sgf --number 3 --ply 20
      selfplay show runs/mine/games/self_play.jsonl --game my_game:MyGame
    """

    file: Positional[str]
    """The file of records, or a run folder."""
    number: str = ""
    """The game to show, counted from 1 as in the list, or last; by default the list, or the only
    game, of a file, and the last game of a run."""
    ply: int = -1
    """Show only the position after so many moves; -1: all of them."""
    step: bool = False
    """Go through the game with Enter (next), b (back) and q (quit)."""
    game: str = ""
    """A game of your own that the file holds, as the file names it (module:Class, with options):
    its module is imported."""
    json: bool = False
    """Print the games, or the one that is shown, as one JSON object on stdout."""
