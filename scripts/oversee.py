"""`selfplay oversee`."""

import contextlib
import getpass
import pathlib
from collections.abc import Callable
from typing import Any

import games
import training
from scripts.flags.oversee import Args
from scripts.terminal.console import (
    announce_devices,
    ask,
    print_json,
    progress,
    say,
)
from scripts.terminal.signals import INTERRUPTED, concluding
from selfplay.files import durable
from selfplay.oversight import decisions, images, terminal
from selfplay.oversight.program import Program, oversee
from selfplay.oversight.session import OverseerSession
from selfplay.player_name import run_of
from selfplay.players import Player
from training.oversight.queries import from_file, select_queries, with_images
from training.storage.run_folder import RunFolder

BY_HAND, BY_PROGRAM = 20, 300  # positions, where --count does not say


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    _check(args)
    path, step = run_of(args.run) or (args.run, None)
    spec = RunFolder(path).read_config().game
    announce_devices()
    player = training.load_player(
        path, simulations=args.simulations, checkpoint=step, search={"reuse_nodes": 0}
    )
    file = RunFolder(path).decisions
    durable.make_folder(file.parent)
    with durable.lock(file.parent / "lock"):
        waiting = _find_positions(args, player, path, step, file)
        about = {"by": _who(args), "player": player.name, "simulations": args.simulations}
        desk = OverseerSession(player, spec, str(file), about, waiting, args.play)
        return _work(args, desk)


def _check(args: Args) -> None:
    if args.program and args.script:
        raise ValueError("--program and --script both decide: name one")
    if args.play and args.positions:
        raise ValueError("--play starts from the opening position: leave out --positions")
    for name, least in (("count", 0), ("simulations", 1)):
        if getattr(args, name) < least:
            raise ValueError(f"--{name} must be at least {least}, got {getattr(args, name)}")
    if not args.seconds > 0:
        raise ValueError(f"--seconds must be above 0, got {args.seconds}")
    if args.script and not pathlib.Path(args.script).is_file():
        raise ValueError(f"--script: there is no file {args.script}")


def _find_positions(
    args: Args, player: Player, path: str, step: int | None, file: pathlib.Path
) -> list[tuple[int, ...]]:
    """Returns the moves to each position that waits for a decision."""
    spec = RunFolder(path).read_config().game
    decided: set[tuple[int, ...]] = set()
    if file.exists():
        known = decisions.scan(file, spec, games.load(spec))
        for problem in known.problems:
            say(f"note: decision left out: {problem}")
        decided = {decision.moves for decision in known.decisions}
    if args.play:
        return [()]
    count = args.count or (BY_PROGRAM if args.program else BY_HAND)
    if args.positions:
        waiting, problems = from_file(args.positions, spec, player.game)
        for problem in problems:
            say(f"note: left out: {problem}")
    else:
        raw = training.load_player(path, simulations=0, checkpoint=step)
        waiting = select_queries(raw, player, args.seed, count + len(decided))
    waiting = [moves for moves in waiting if moves not in decided][:count]
    if args.program and not args.positions:
        return with_images(player.game, waiting, decided)
    return waiting


def _who(args: Args) -> str:
    if args.by:
        return args.by
    if args.program or args.script:
        return f"program {args.program}" if args.program else f"script {args.script}"
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # as in a container without users
        return "unknown"


def _work(args: Args, desk: OverseerSession) -> int:
    write: Callable[[str], None] = say if args.json else print
    faults, interrupted = 0, False
    if not desk.waiting and not args.script:
        say("every position found is decided already: another --seed draws others")
    try:
        with concluding():
            if args.program:
                faults = _with_program(args, desk)
            elif args.script:
                terminal.follow_script(desk, args.script, write)
            else:
                terminal.converse(desk, ask, write)
    except KeyboardInterrupt:
        interrupted = True
    _conclude(args, desk, faults)
    return INTERRUPTED if interrupted else 0


def _with_program(args: Args, desk: OverseerSession) -> int:
    total = len(desk.waiting)
    with (
        contextlib.closing(Program(args.program, args.seconds)) as program,
        progress("oversee", None if args.play else total) as update,
    ):

        def report(text: str) -> None:
            say(f"note: {text}")

        desk.watch = lambda: update(len(desk.done), _describe(desk.summary()))
        return oversee(desk, program, report)


def _describe(summary: dict[str, Any]) -> str:
    if not summary["decided"]:
        return f"0 decided, {summary['skipped']} skipped"
    return (
        f"{summary['decided']} decided, {summary['skipped']} skipped; A's search would have played "
        f"{summary['agrees']:.0%} of the decisions, and sees a mean loss of value of "
        f"{summary['regret']:.3f} in them"
    )


def _conclude(args: Args, desk: OverseerSession, faults: int) -> None:
    summary, by = desk.summary(), desk.about["by"]
    say(f"{_describe(summary)}; by {by}")
    if pathlib.Path(desk.path).exists():
        known = decisions.scan(desk.path, desk.spec, desk.game)
        say(f"{desk.path} holds {decisions.tally(known.decisions) or 'no decision'}")
        if summary["decided"] and known.states is not None:
            likeness = images.compare(desk.game, known.decisions, known.states)
            if told := images.in_words(desk.game, likeness):
                say(f"note: {told}")
    if args.json:
        print_json({"file": desk.path, "by": by, **summary, "faults": faults})
