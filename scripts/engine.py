"""`selfplay engine`: a player served by GTP, UCI, or KataGo's analysis protocol."""

import functools
import json
import sys
import threading
from importlib.metadata import version
from typing import Any

import games
import training
from games import registry
from games.game import Game
from scripts.flags.engine import BY_UCI, CHESS, Args
from scripts.terminal.console import announce_devices, say
from scripts.terminal.front_end import Lines, serve
from scripts.terminal.pipes import Outbox, lines_of
from selfplay.analyse import Engine
from selfplay.analyse.fields import MAX_LINE
from selfplay.analyse.query import QueryReader
from selfplay.gtp import GtpServer
from selfplay.player_spec import parse_player, run_of
from selfplay.players import Player
from selfplay.uci import UciServer
from selfplay.uci.moves import VARIANTS, variant_of
from training.players import find_game
from training.storage.run_folder import RunFolder


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    for stream, name in ((sys.stdin, "input"), (sys.stdout, "output")):
        if stream is None:
            raise ValueError(f"standard {name} is closed: commands come, and answers go, there")
    is_run = run_of(args.player) is not None
    if args.protocol == "uci" and not (is_run or args.game):
        spec = CHESS
    else:
        spec = find_game((args.player,), args.game)
    # Front ends choose the board themselves, as by GTP's boardsize: of several it begins with the
    # largest.
    spec = registry.largest(spec)
    protocol = args.protocol or ("uci" if spec in BY_UCI else "gtp")
    serve_by = {"gtp": _serve_gtp, "uci": _serve_uci, "json": _serve_json}
    serve_by[protocol](args, spec)
    return 0


def _serve_gtp(args: Args, spec: str) -> None:
    game = games.load(spec)  # what is wrong with it is told before all else
    announce_devices()
    lines = Lines(sys.stdin.fileno(), MAX_LINE)
    say(f"compiling for {spec}")
    make = functools.partial(_player, args.player)
    server = GtpServer(game, make, args.simulations, args.resign, args.seed, lines.wait)
    say("ready")
    serve(server, lines)


def _serve_uci(args: Args, spec: str) -> None:
    variants = [variant_of(games.load(spec))]
    run, tells_draws = run_of(args.player), False
    if run:
        tells_draws = RunFolder(run[0]).read_config().network.value == "wdl"
    else:  # it plays all of them
        variants += [variant for variant in VARIANTS if variant not in variants]
    announce_devices()
    lines = Lines(sys.stdin.fileno(), MAX_LINE)
    say(f"{args.player} plays {', '.join(variants)}")
    make = functools.partial(_player, args.player)
    given = variants, make, args.simulations, args.seed, lines.wait, lines.next
    serve(UciServer(*given, tells_draws=tells_draws), lines)


def _serve_json(args: Args, spec: str) -> None:
    """Answers until the input has ended and all is answered.

    Raises:
      BrokenPipeError: nobody reads the answers.
    """
    game = games.load(spec)
    announce_devices()
    make = functools.partial(_analyst, args.player, game)
    player = make(args.simulations)  # what is wrong with it is told before anything is compiled
    outbox = Outbox(sys.stdout.fileno())
    engine = Engine(
        game,
        make,
        QueryReader(game, args.simulations + 1, args.max_visits),
        args.batch,
        tell=lambda response: outbox.put(json.dumps(response).encode() + b"\n"),
        about=_about(args, spec, player),
        note=say,
    )
    engine.warm_up()
    say("ready")

    def read() -> None:
        for line in lines_of(sys.stdin.fileno(), MAX_LINE):
            engine.read(line)
        engine.close()

    outbox.on_break = engine.stop
    threading.Thread(target=read, daemon=True).start()
    engine.run()
    outbox.close()
    if outbox.is_broken:
        raise BrokenPipeError


def _player(name: str, game: Game[Any], simulations: int) -> Player:
    return parse_player(name, game, simulations, training.load_player)


def _analyst(name: str, game: Game[Any], simulations: int) -> Player:
    """Returns the player with so many simulations, for positions that have no past.

    Raises:
      ValueError: there is none, or it is not for this.
    """
    # A position is searched anew, so nothing is kept of the last tree.
    load = functools.partial(training.load_player, search={"reuse_nodes": 0})
    player = parse_player(name, game, simulations, load)
    if player.game != game:
        raise ValueError(f"{name} does not play this game: leave out --game")
    if not player.on_device or name == "random":
        raise ValueError(
            f"player {name!r} does not search on the device: --protocol json takes a run folder R, "
            "R@STEP, shipped:NAME, or uniform"
        )
    return player


def _about(args: Args, spec: str, player: Player) -> dict[str, dict[str, Any]]:
    model = {
        "name": args.player,
        "internalName": player.name,
        "maxBatchSize": args.batch,
        "usesHumanSLProfile": False,
        "version": 0,
        "usingFP16": "false",
        "game": spec,
    }
    return {
        "query_version": {"version": version("selfplay-zero"), "git_hash": "<omitted>"},
        "query_models": {"models": [model]},
    }
