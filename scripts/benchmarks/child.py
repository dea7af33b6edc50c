"""Measurements in processes of their own: a crash of one, or its memory, concerns no other.

`python -m scripts.benchmarks.child MODULE WHAT` prints, as one JSON object, what `measure` of that
module here returns.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from scripts.terminal import signals
from scripts.terminal.console import print_json, say
from selfplay import children
from selfplay.files import durable

ROOT = pathlib.Path(__file__).parents[2]  # of this code
RUN = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module(sys.argv.pop(1), "
RUN += "run_name='__main__', alter_sys=True)"
POLL_SECONDS = 0.2
SAVING_SECONDS = 45.0  # that a run may take to save itself
MAX_SAID = 600  # characters of an error
SHRUNK, XLA = "--shrunk", "--xla="


class ChildError(Exception):
    """A child has failed; the message is its own last word, or how it ended."""


class Ended(NamedTuple):
    """How a process ended."""

    code: int  # its exit code; below 0: minus the signal that ended it
    printed: str  # on stdout
    said: str  # its last line on stderr
    cut: bool  # by us: its time was over, or it was wished

    @property
    def how(self) -> str:
        """Why it failed."""
        said = self.said[:MAX_SAID]
        if self.code >= 0:
            return said or f"exit code {self.code}"
        return f"killed by signal {-self.code}" + (f"; it last said: {said}" if said else "")


def command(module: str, *words: str) -> list[str]:
    """Returns the words that run a module of ours as a program, wherever we are started."""
    return [sys.executable, "-c", RUN, str(ROOT), module, *words]


def measuring(module: str, what: str, shrunk: bool, xla: str = "") -> list[str]:
    """Returns the words of a child that measures; `xla` are flags that it starts XLA with."""
    flags = ([SHRUNK] if shrunk else []) + ([f"{XLA}{xla}"] if xla else [])
    return command("scripts.benchmarks.child", module, what, *flags)


def run(
    words: Sequence[str],
    log: pathlib.Path,
    seconds: float,
    saves: bool = False,
    wish: Callable[[], bool] = lambda: False,
) -> Ended:
    """Runs a process until it ends, `seconds` are over, or the wish to stop comes.

    Args:
      log: gets what it writes to stderr, after what is there.
      saves: it saves on SIGTERM, and gets the time for that.
    """
    with open(log, "ab", opener=durable.no_link) as file:
        process = children.start(words, stderr=file.fileno())
    until, printed = time.monotonic() + seconds, None
    try:
        while printed is None and time.monotonic() < until and not wish():
            printed = _wait(process, POLL_SECONDS)
        cut = printed is None
        if cut and saves:
            process.terminate()
            printed = _wait(process, SAVING_SECONDS)
    finally:
        children.end(process)
    return Ended(process.returncode, printed or "", _last_line(log), cut)


def result(words: Sequence[str], log: pathlib.Path, seconds: float) -> dict[str, Any]:
    """Returns what a child has measured. Raises ChildError if it failed."""
    return parsed(run(words, log, seconds), seconds)


def parsed(ended: Ended, seconds: float) -> dict[str, Any]:
    """Returns the JSON that a child printed. Raises ChildError if it failed."""
    if ended.cut:
        raise ChildError(f"not done after {seconds:.0f} s; it last said: {ended.said[:MAX_SAID]}")
    if ended.code:
        raise ChildError(ended.how)
    try:
        found = json.loads(ended.printed.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise ChildError(f"printed no result: {ended.printed[-80:]!r}") from None
    return dict(found)


def _wait(process: "subprocess.Popen[bytes]", seconds: float) -> str | None:
    """Returns what a process printed; None if it goes on."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.communicate(timeout=seconds)[0].decode(errors="replace")
    return None


def _last_line(log: pathlib.Path) -> str:
    lines = log.read_text(errors="replace")[-20_000:].splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def main(argv: Sequence[str]) -> int:
    """What the child does: sets up jax as the commands do, measures, prints; returns 0 or 1."""
    module, what, *flags = argv
    for flag in flags:  # XLA reads its flags once, when the first device starts
        if flag.startswith(XLA):
            os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag[len(XLA) :]}"
    signals.begin("interrupted", signals.NOTHING_KEPT)
    import importlib

    from scripts.terminal import compilation_cache, devices

    devices.one_per_core()
    compilation_cache.start()
    try:
        measured = importlib.import_module(f"scripts.benchmarks.{module}")
        print_json(measured.measure(what, SHRUNK in flags))
    except Exception as error:
        say(f"{type(error).__name__}: {' '.join(str(error).split())}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
