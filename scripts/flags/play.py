"""The flags of `selfplay play`."""

import dataclasses
import os

from games import registry
from games.catalogue import GAMES
from scripts.flags import checks
from scripts.terminal.console import Positional


@dataclasses.dataclass(frozen=True)
class Args:
    """Play against a trained player in the terminal, or let it analyse a position.

    At your turn type a move, hint (what it thinks of the position), undo, analysis on (then it
    says so before each of its moves), resign, help or quit.

    With --json, nothing is played: it prints what the player thinks of the position after --moves:
    move (the one that it would play), policy (weight of each move), value for the seat to play, and
    a principal variation, whose every move is the best one of a fresh search. With few simulations
    the heaviest weight may be that of another move: a Gumbel search plays one of those that it
    visited most (docs/tree-search.md).

    Examples:
      selfplay play connect_four
      selfplay play
      selfplay play runs/c4
      selfplay play runs/c4 --seat 1 --simulations 400 --records my_games.jsonl
      selfplay play runs/c4 --moves "4 4 3" --json
      selfplay play uniform --game tic_tac_toe
    """

    player: Positional[str] = ""
    """A game's name, for the trained player that comes with selfplay (docs/players.md), or your
    opponent: a run folder R, R@STEP, shipped:NAME, random, uniform, perfect, gtp:COMMAND,
    uci:COMMAND, or
    module:function; by default the newest run in runs/."""
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
    temperature: float = 1.0
    """In the first 8 plies it picks at random among moves that it rates within 0.1 of its best, by
    their weights to the power 1 / temperature; 0: always the best move."""
    seed: int | None = None
    """Random seed; by default another one each time, with --json 0."""
    records: str = ""
    """Add the finished game to this file: a JSON line, or what its name ends in: .sgf (Go, Hex,
    gomoku, Othello) or .pgn (pgx:chess)."""
    json: bool = False
    """Analyse the position and print one JSON object on stdout."""


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    checks.game(args.game)
    if names_a_game(args.player):
        checks.game(args.player)
        if args.game not in ("", args.player):
            raise ValueError(f"{args.player} and --game {args.game}: name one game")
    elif args.player:
        _check_not_a_game(args.player)
        checks.players([args.player], args.game)
    if not args.temperature >= 0:
        raise ValueError(f"--temperature must be at least 0, got {args.temperature:g}")
    if args.seat not in (0, 1):
        raise ValueError(f"--seat must be 0 or 1, got {args.seat}")


def names_a_game(player: str) -> bool:
    """Whether the word for the player is a game of ours, as in `hex:size=7`, and no folder."""
    return player.partition(":")[0] in GAMES and not os.path.isdir(player)


def _check_not_a_game(player: str) -> None:
    """Raises ValueError for another name of a game, as in `chess`, and for a game of pgx's."""
    game = registry.OTHER_NAMES.get(player, player)
    if os.path.isdir(player) or (game == player and not player.startswith(registry.PGX)):
        return
    ours = game.partition(":")[0] in GAMES
    advice = f"selfplay play {game}" if ours else f"selfplay play uniform --game {game}"
    raise ValueError(f"{player} is a game, not a player: {advice}")
