"""The runs of a sweep as processes: a few at once, each on its own share of the cores.

A run gets a process of its own. So one that crashes, or that the system kills for its memory, ends
no other, and none finds the memory of an accelerator taken by the one before. All end with us, even
if we are killed (`selfplay/children.py`).
"""

import contextlib
import os
import pathlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from selfplay import children
from selfplay.files import durable, json_lines

POLL_SECONDS = 0.2
MAX_SAID = 20_000  # characters of what a process said last
_Process = subprocess.Popen[bytes]


class Ended(NamedTuple):
    """How a process ended."""

    name: str
    code: int  # its exit code; below 0: minus the signal that killed it
    said: str  # its last line on stderr

    @property
    def how(self) -> str:
        """Why it failed: in its own words, unless it was killed, which nobody foretells."""
        if self.code >= 0:
            return self.said or f"exit {self.code}"
        said = f"; it last said: {self.said}" if self.said else ""
        return f"killed by signal {-self.code}{said}"


class _Running(NamedTuple):
    name: str
    process: _Process
    log: pathlib.Path
    cores: frozenset[int]
    share: list[float]  # the newest share that it told, one entry
    reader: threading.Thread


def shares(count: int) -> list[frozenset[int]]:
    """Returns the cores of each of so many processes at once; empty sets where none can be chosen.

    Raises:
      ValueError: there are fewer cores.
    """
    if not hasattr(os, "sched_setaffinity"):
        return [frozenset()] * count
    cores = sorted(os.sched_getaffinity(0))
    if count > len(cores):
        raise ValueError(
            f"--workers {count}: there are {len(cores)} cores, and each run needs its own"
        )
    size = len(cores) // count  # alike for all: results may change with the number of cores
    return [frozenset(cores[place * size : (place + 1) * size]) for place in range(count)]


def run_all(
    work: Sequence[tuple[str, Sequence[str], pathlib.Path]],
    cores: Sequence[frozenset[int]],
    stop: Callable[[], bool],
    show: Callable[[dict[str, float]], None],
    ended: Callable[[Ended], None],
) -> None:
    """Runs processes, as many at once as there are shares of cores, until all have ended.

    Args:
      work: names, command lines, and the files that get what they write to stderr.
      stop: asked all the time; once true, nothing more is started, and what runs gets SIGTERM.
      show: called now and then with the share of itself that each running process has done, by
        name. A process tells it by lines of JSON on stdout, `{"share": 0.5}`.
      ended: called as each process ends.
    """
    waiting, free = list(reversed(work)), list(reversed(cores))
    running: list[_Running] = []
    told = False
    try:
        while running or (waiting and not told):
            while waiting and free and not told:
                running.append(_start(*waiting.pop(), free.pop()))
            if stop() and not told:
                told = True
                for one in running:
                    with contextlib.suppress(ProcessLookupError):
                        one.process.terminate()
            for one in [one for one in running if one.process.poll() is not None]:
                running.remove(one)
                free.append(one.cores)
                ended(_end(one))
            show({one.name: one.share[0] for one in running})
            time.sleep(POLL_SECONDS)
    finally:
        for one in running:
            children.end(one.process)


def last_line(text: str) -> str:
    """Returns the last line that says something."""
    lines = [line.strip() for line in text[-MAX_SAID:].splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _start(name: str, words: Sequence[str], log: pathlib.Path, cores: frozenset[int]) -> _Running:
    durable.make_folder(log.parent)
    with on(cores), open(log, "ab", opener=durable.no_link) as file:
        process = children.start(words, stderr=file.fileno())
    share = [0.0]
    reader = threading.Thread(target=_follow, args=(process, share), daemon=True)
    reader.start()
    return _Running(name, process, log, cores, share, reader)


@contextlib.contextmanager
def on(cores: frozenset[int]) -> Iterator[None]:
    """Lets a process that starts here have these cores only, from its first instruction on."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _follow(process: _Process, share: list[float]) -> None:
    assert process.stdout is not None
    with contextlib.suppress(ValueError, OSError):  # the pipe was closed under us
        for line in process.stdout:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                told = json_lines.parse(line.decode(errors="replace"), "stdout")["share"]
                share[0] = float(told)


def _end(one: _Running) -> Ended:
    code = one.process.returncode
    one.reader.join(1.0)
    children.end(one.process)  # what it started, too
    with one.log.open(errors="replace") as file:
        file.seek(max(0, one.log.stat().st_size - MAX_SAID))
        return Ended(one.name, code, last_line(file.read()))
