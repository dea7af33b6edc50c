"""`selfplay uci`."""

import sys
from typing import Any

import games
import training
from games.game import Game
from scripts.flags.uci import Args
from scripts.terminal.console import announce_devices, say
from scripts.terminal.front_end import Lines, serve
from selfplay.player_spec import parse_player, run_of
from selfplay.players import Player
from selfplay.uci import UciServer
from selfplay.uci.moves import VARIANTS, variant_of
from selfplay.uci.server import MAX_LINE
from training.players import find_game


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    if sys.stdin is None:
        raise ValueError("standard input is closed: commands come from there")
    variants = _variants(args)
    announce_devices()

    def make(game: Game[Any], simulations: int) -> Player:
        return parse_player(args.player, game, simulations, training.load_player)

    lines = Lines(sys.stdin.fileno(), MAX_LINE)
    say(f"{args.player} plays {', '.join(variants)}")
    serve(UciServer(variants, make, args.simulations, args.seed, lines.wait, lines.next), lines)
    return 0


def _variants(args: Args) -> list[str]:
    """Returns what the player can play, by UCI's names, what it begins with first.

    Raises:
      ValueError: that game is not played by UCI.
    """
    run = run_of(args.player)
    spec = find_game((args.player,), args.game) if run else args.game or VARIANTS["chess"]
    first = variant_of(games.load(spec))
    return [first] if run else [first, *(variant for variant in VARIANTS if variant != first)]
