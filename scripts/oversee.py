"""`selfplay oversee`."""

import contextlib
import pathlib
from collections.abc import Callable

from scripts.flags.oversee import Args
from scripts.terminal.console import (
    announce_devices,
    ask,
    print_json,
    progress,
    say,
)
from scripts.terminal.signals import INTERRUPTED, concluding
from selfplay.oversight import terminal
from selfplay.oversight.program import Program, oversee
from selfplay.oversight.session import OverseerSession
from selfplay.player_spec import run_of
from training.oversight import desk
from training.storage.run_folder import RunFolder

BY_PROGRAM = 300  # positions, where --count does not say


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    _check(args)
    order = _order(args)
    RunFolder(order.run).read_config()  # before devices are looked for
    announce_devices()
    with desk.sit_down(order, _note) as session:
        return _work(args, session)


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


def _order(args: Args) -> desk.Order:
    path, step = run_of(args.run) or (args.run, None)
    return desk.Order(
        run=path,
        by=_who(args),
        step=step,
        simulations=args.simulations,
        count=args.count or (BY_PROGRAM if args.program else desk.BY_HAND),
        seed=args.seed,
        positions=args.positions,
        play=args.play,
        images=bool(args.program),
    )


def _who(args: Args) -> str:
    if args.by:
        return args.by
    if args.program or args.script:
        return f"program {args.program}" if args.program else f"script {args.script}"
    return desk.user_name()


def _note(text: str) -> None:
    say(f"note: {text}")


def _work(args: Args, session: OverseerSession) -> int:
    write: Callable[[str], None] = say if args.json else print
    faults, interrupted = 0, False
    if not session.waiting and not args.script:
        say("every position found is decided already: another --seed draws others")
    try:
        with concluding():
            if args.program:
                faults = _with_program(args, session)
            elif args.script:
                terminal.follow_script(session, args.script, write)
            else:
                terminal.converse(session, ask, write)
    except KeyboardInterrupt:
        interrupted = True
    _conclude(args, session, faults)
    return INTERRUPTED if interrupted else 0


def _with_program(args: Args, session: OverseerSession) -> int:
    total = len(session.waiting)
    with (
        contextlib.closing(Program(args.program, args.seconds)) as program,
        progress("oversee", None if args.play else total) as update,
    ):
        session.watch = lambda: update(len(session.done), desk.in_words(session.summary()))
        return oversee(session, program, _note)


def _conclude(args: Args, session: OverseerSession, faults: int) -> None:
    summary, by = session.summary(), session.about["by"]
    for text in (f"{desk.in_words(summary)}; by {by}", *desk.conclusion(session)):
        say(text)
    if args.json:
        print_json({"file": session.path, "by": by, **summary, "faults": faults})
