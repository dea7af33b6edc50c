"""The command `selfplay`: finds the subcommand, runs it, turns a mistake into one sentence.

Each command is two files. `flags/NAME.py` has a frozen dataclass `Args`, whose docstring is its
help, and may have `defaults(argv)`, `check(args)`, and IN_SIGHT, the fields that `--help` shows.
`NAME.py` has `run(args) -> int`, the exit code. Only the second may import jax and the like.

Exit codes: 0 done; 75 interrupted, saved, run the same command again; 2 wrong use;
130 interrupted, nothing is kept; 1 anything else.
"""

import contextlib
import importlib
import os
import sys
from types import ModuleType

from scripts.terminal import signals

GROUPS = {
    "train": {
        "train": "train a network by self-play or from recorded games, or go on with a run",
        "oversee": "decide positions yourself, or by a program, for a run to learn from",
        "sweep": "compare settings: variants, from several seeds, at equal compute",
    },
    "look": {
        "runs": "list runs; sum one up, with curves and games",
        "web": "see runs learn, play and explore them, in the browser",
        "doctor": "is a run learning, and if not, why?",
    },
    "compare": {
        "evaluate": "measure a run against random, its past, perfect play, or its overseer",
        "arena": "play matches between players, or rate many of them",
    },
    "play": {
        "play": "play against a run, or analyse a position",
        "engine": "be an engine for front ends and programs: by GTP, UCI, or JSON lines",
        "export": "write a run's network as ONNX or safetensors, for other programs",
    },
    "games, and your own": {
        "game list": "list the games that are known by name",
        "game new": "write the template of a new game",
        "game check": "check a game against the laws",
    },
    "the machine": {
        "bench": "measure speed: network, game, search, self-play",
        "completion": "print a script that completes commands, flags, games and runs",
    },
}
COMMANDS = {name: about for group in GROUPS.values() for name, about in group.items()}
OF_ANY = {
    "--debug": "show the traceback of an error",
    "--allow NAME": "trust code that a file from elsewhere names, as the settings of a copied run "
    "may: module:NAME or a command; repeatable",
    "--version": "(without a command) print the version",
}
# These modules import no jax either.
WITHOUT_DEVICES = ("game_list", "game_new", "runs", "web", "completion", "local_hosts")
GO_ON = ("train", "oversee", "sweep")  # the same command goes on where it was interrupted
ALLOW = "--allow"
DETERMINISTIC = "--xla_gpu_deterministic_ops=true"


def main() -> None:
    """The entry point of the `selfplay` command."""
    argv = sys.argv[1:]
    signals.begin(*_if_interrupted(argv))  # before what takes long to import
    code: object
    try:
        try:
            code = run(argv)
        except SystemExit as end:  # of the parser, after help or a mistake
            code = end.code
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has left, as `head` does
        code = 1
    except OSError as error:  # the output's disk is full
        print(f"selfplay: {error}", file=sys.stderr)
        code = 1
    signals.conclude(code if isinstance(code, int) else int(code is not None))
    _leave_no_pipe_broken()
    sys.exit(code)


def _if_interrupted(argv: list[str]) -> tuple[str, int]:
    """The message and the exit code where a signal ends the command at once."""
    command = next((word for word in argv if word in COMMANDS), "")
    flags = {word.partition("=")[0] for word in argv}
    goes_on = command in GO_ON and not flags & {"--dry-run", "--dry_run"}
    if goes_on or (command == "arena" and flags & {"--out", "--ladder"}):
        return f"selfplay {command}: interrupted; the same command goes on", signals.INTERRUPTED
    return f"{f'selfplay {command}'.rstrip()}: interrupted", signals.NOTHING_KEPT


def _leave_no_pipe_broken() -> None:
    """Python writes what is left in its buffers at exit, and complains where nobody reads."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def run(argv: list[str]) -> int:
    """Runs one command line; returns its exit code."""
    debug = "--debug" in argv
    argv = [word for word in argv if word != "--debug"]
    try:
        argv, allowed = _take_allowed(argv)
    except ValueError as error:
        print(f"selfplay: {error}", file=sys.stderr)
        return 2
    if not argv or argv[0] in ("-h", "--help"):
        print(_usage())
        return 0 if argv else 2
    if argv[0] == "--version":
        from importlib.metadata import version

        print(f"selfplay {version('selfplay-zero')}")
        return 0
    words = 2 if argv[0] == "game" else 1
    command, rest = " ".join(argv[:words]), argv[words:]
    if command not in COMMANDS:
        from games.spelling import did_you_mean

        asked = did_you_mean(command, COMMANDS) or f"\n\n{_usage()}"
        print(f"selfplay: unknown command {command!r}{asked}", file=sys.stderr)
        return 2
    try:
        return _run_command(command, rest, allowed)
    except KeyboardInterrupt:  # a person who decides for `train` has quit
        line, code = _if_interrupted([command, *rest])
        print(line, file=sys.stderr)
        return code
    except BrokenPipeError:
        raise  # of stdout: `main` knows what to do
    except Exception as error:
        if debug:
            raise
        from scripts.terminal.console import code_of, sentence

        print(f"selfplay {command}: {sentence(error)}", file=sys.stderr)
        return code_of(error)


def _take_allowed(argv: list[str]) -> tuple[list[str], list[str]]:
    """Returns the words without each `--allow NAME`, and the names."""
    rest, allowed, words = [], [], iter(argv)
    for word in words:
        flag, equals, name = word.partition("=")
        if flag != ALLOW:
            rest.append(word)
            continue
        name = name if equals else next(words, "")
        if not name:
            raise ValueError(f"{ALLOW} needs a name: module:NAME, or a command")
        allowed.append(name)
    return rest, allowed


def _run_command(command: str, argv: list[str], allowed: list[str]) -> int:
    from games import consent

    if "--deterministic" in argv:  # XLA reads its flags once, when the first device starts
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DETERMINISTIC}".strip()
    consent.close(argv, allowed)
    try:
        return _call(command, argv)
    finally:
        consent.reset()  # a program may call us, and go on


def _call(command: str, argv: list[str]) -> int:
    """Reads the flags, refuses what is wrong at first sight, and only then imports what works."""
    from scripts.terminal import console

    name = command.replace(" ", "_")
    flags = importlib.import_module(f"scripts.flags.{name}")
    defaults = getattr(flags, "defaults", lambda _: None)(argv)
    in_sight = getattr(flags, "IN_SIGHT", ())
    args = console.parse(flags.Args, argv, command, defaults, in_sight)
    getattr(flags, "check", lambda _: None)(args)
    name = getattr(flags, "script", lambda _: name)(args)
    quick = name in WITHOUT_DEVICES
    with contextlib.nullcontext() if quick else console.starting():
        script = importlib.import_module(f"scripts.{name}")
    code: int = script.run(args) if quick else _on_devices(script, args)
    return code


def _on_devices(script: ModuleType, args: object) -> int:
    from scripts.terminal import compilation_cache, devices, out_of_memory

    devices.one_per_core()
    if script.__name__ == "scripts.train":  # what is short takes as little as may be
        devices.take_free_cards()
    compilation_cache.start()
    less_memory = getattr(script, "less_memory", out_of_memory.halve)
    with out_of_memory.advise(lambda: less_memory(args)):
        code: int = script.run(args)
    return code


def _usage() -> str:
    """Returns the commands in groups, for the width of the terminal."""
    import shutil
    import textwrap

    columns, width = shutil.get_terminal_size().columns, max(map(len, [*COMMANDS, *OF_ANY]))

    def entry(name: str, about: str) -> str:
        margin = f"  {name:{width}}  "
        lines = textwrap.wrap(about, max(columns - len(margin), 20))
        return margin + f"\n{' ' * len(margin)}".join(lines)

    groups = {**GROUPS, "with any command": OF_ANY}
    parts = ["usage: selfplay COMMAND [flags]\nselfplay COMMAND --help shows its flags"]
    for title, group in groups.items():
        parts.append("\n".join([f"{title}:", *(entry(*pair) for pair in group.items())]))
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
