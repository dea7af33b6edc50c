"""`selfplay analyse`."""

import functools
import json
import sys
import threading
from importlib.metadata import version
from typing import Any

import games
import training
from scripts.flags.analyse import Args
from scripts.terminal.console import announce_devices, say
from scripts.terminal.pipes import Outbox, lines_of
from selfplay.analyse import Engine
from selfplay.analyse.request import MAX_LINE, Limits
from selfplay.player_spec import parse_player
from selfplay.players import Player
from training.players import find_game


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    for stream, name in ((sys.stdin, "input"), (sys.stdout, "output")):
        if stream is None:
            raise ValueError(f"standard {name} is closed: requests come, and answers go, there")
    spec = find_game((args.player,), args.game)
    announce_devices()
    make = functools.partial(_make_player, args.player, spec)
    make(args.simulations)  # what is wrong with it is told before anything is compiled
    outbox = Outbox(sys.stdout.fileno())
    engine = Engine(
        games.load(spec),
        make,
        Limits(args.simulations, args.max_simulations),
        args.batch,
        tell=lambda answer: outbox.put(_line(answer)),
        about=_about(args, spec),
        note=say,
    )
    engine.warm_up()
    say("ready")
    _serve(engine, outbox, sys.stdin.fileno())
    return 0


def _serve(engine: Engine, outbox: Outbox, descriptor: int) -> None:
    """Answers until the input has ended and all is answered.

    Raises:
      BrokenPipeError: nobody reads the answers.
    """

    def read() -> None:
        for line in lines_of(descriptor, MAX_LINE):
            engine.read(line)
        engine.close()

    outbox.on_break = engine.stop
    threading.Thread(target=read, daemon=True).start()
    engine.run()
    outbox.close()
    if outbox.is_broken:
        raise BrokenPipeError


def _make_player(name: str, spec: str, simulations: int) -> Player:
    """Returns the player with so many simulations.

    Raises:
      ValueError: there is none, or it is not for this.
    """
    game = games.load(spec)
    # A position is searched anew, so nothing is kept of the last tree.
    load = functools.partial(training.load_player, search={"reuse_nodes": 0})
    player = parse_player(name, game, simulations, load)
    if player.game != game:
        raise ValueError(f"{name} was not trained on {spec}: leave out --game")
    if not player.on_device or name == "random":
        raise ValueError(
            f"player {name!r} does not search on the device: analyse takes a run folder R, R@STEP, "
            "shipped:NAME, or uniform"
        )
    return player


def _about(args: Args, spec: str) -> dict[str, Any]:
    return {
        "version": version("selfplay-zero"),
        "player": args.player,
        "game": spec,
        "simulations": args.simulations,
        "max_simulations": args.max_simulations,
        "batch": args.batch,
    }


def _line(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer, allow_nan=False).encode() + b"\n"
