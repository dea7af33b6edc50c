"""`selfplay gtp`."""

import sys
from typing import Any

import games
import training
from games.game import Game
from scripts.flags.gtp import Args
from scripts.terminal.console import announce_devices, say
from scripts.terminal.front_end import Lines, serve
from selfplay.gtp import GtpServer
from selfplay.gtp.protocol import MAX_LINE
from selfplay.player_spec import parse_player
from selfplay.players import Player
from training.players import find_game


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    if args.simulations < 0:
        raise ValueError(f"--simulations must be at least 0, got {args.simulations}")
    if not 0 <= args.resign <= 1:
        raise ValueError(f"--resign must be a winrate from 0 to 1, got {args.resign}")
    if sys.stdin is None:
        raise ValueError("standard input is closed: commands come from there")
    spec = find_game((args.player,), args.game)
    announce_devices()

    def make(game: Game[Any], simulations: int) -> Player:
        return parse_player(args.player, game, simulations, training.load_player)

    lines = Lines(sys.stdin.fileno(), MAX_LINE)
    say(f"compiling for {spec}")
    server = GtpServer(games.load(spec), make, args.simulations, args.resign, args.seed, lines.wait)
    say("ready")
    serve(server, lines)
    return 0
