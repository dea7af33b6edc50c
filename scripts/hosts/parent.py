"""The command of a host: it starts the process that trains, and answers for it.

jax ends a process outright when another of the same run is gone, and Python never hears of it. So
this one imports no jax: it takes the signals, sees how its process ends, says so to the commands of
the other hosts, and ends all of them within seconds, with a sentence and an exit code.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from scripts.hosts import ENVIRONMENT, line
from scripts.hosts.line import GONE, SILENT_SECONDS, Event, Events, Wire
from scripts.hosts.place import Place, free_port, place_of
from scripts.terminal.console import progress, say
from scripts.terminal.signals import INTERRUPTED, scratch, stop_on_signal
from selfplay import children

PROGRAM = [sys.executable, "-m", "scripts.cli"]
GRACE_SECONDS = 8.0  # for a better reason than that others are gone
LEAVE_SECONDS = 30.0  # in which all ranks end, once the first has ended well
POLL_SECONDS = 0.2
GOES_ON = "the same command goes on from the last save, with as many hosts as there are then"


@dataclasses.dataclass
class Ending:
    """Why the run ends here."""

    text: str
    code: int
    since: float
    is_cause: bool  # else it is what follows from one


class Args(Protocol):
    """The flags of `train` that say where this host stands."""

    hosts: int
    coordinator: str
    rank: int


def run(args: Args) -> int:
    """Runs the ranks of this host; returns the exit code."""
    place = place_of(args.hosts, args.coordinator, args.rank, os.environ)
    assert place is not None
    with stop_on_signal(worth_saving=1) as stop:
        return Command(place, sys.argv[1:]).run(stop)


class Command:
    """What a host's command knows."""

    def __init__(self, place: Place, words: Sequence[str]) -> None:
        self._place, self._argv = place, words
        self._events: Events = queue.Queue()
        self._wires: dict[int, Wire] = {}  # of rank 0's command to all others, of those to rank 0
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._names = dict.fromkeys(place.ranks, socket.gethostname())
        self._heard: dict[int, float] = {}  # when a rank was heard last: of ours, the process
        self._ended: dict[int, int] = {}  # codes of ranks that have ended well
        self._worth = False  # there is something to save
        self._ending: Ending | None = None
        self._logs = pathlib.Path()  # what libraries of C++ write

    def run(self, stop: Callable[[], bool]) -> int:
        """Runs until all ranks have ended."""
        with scratch() as logs:
            self._logs = pathlib.Path(logs)
            try:
                coordinator = self._meet()
                if coordinator:
                    self._start(coordinator)
                    self._watch(stop)
                return self._conclude()
            finally:
                for process in self._processes.values():
                    children.end(process)

    # ---- the start ------------------------------------------------------------------------------

    def _meet(self) -> str:
        """Returns where jax's service is to be, once all hosts are here; empty: it ends first."""
        place = self._place
        if not place.host:
            return f"127.0.0.1:{free_port('127.0.0.1')}"
        with progress("hosts", None, "") as update:

            def wait(text: str) -> None:
                update(0, text)

            if 0 in place.ranks:
                self._wires, self._names = line.gather(
                    place.host, place.port, place.hosts, self._events, wait
                )
                # jax listens where it is reached, at a port of its own.
                coordinator = f"{_bracketed(place.host)}:{free_port(place.host)}"
                for wire in self._wires.values():
                    wire.say({"kind": "go", "coordinator": coordinator})
                here = ", ".join(f"{rank} on {name}" for rank, name in sorted(self._names.items()))
                say(f"hosts: rank {here}")
                return coordinator
            rank = place.ranks[0]
            where = place.host, place.port
            self._wires = {0: line.reach(*where, place.hosts, rank, self._events, wait)}
            heard = time.monotonic()
            while time.monotonic() - heard <= SILENT_SECONDS:
                wait(f"rank {rank} of {place.hosts}: waiting for the others")
                with contextlib.suppress(queue.Empty):
                    word = self._events.get(timeout=POLL_SECONDS).word
                    heard = time.monotonic()
                    if word["kind"] == "go":
                        say(f"hosts: rank {rank} of {place.hosts}, rank 0 at {place.host}")
                        return str(word["coordinator"])
                    if word["kind"] in ("over", GONE):
                        text = word.get("text", "rank 0 has left")
                        self._end(text, word.get("code", INTERRUPTED), is_cause=True)
                        return ""
            self._end(
                f"who listens at {place.host}:{place.port} has said nothing for "
                f"{SILENT_SECONDS:.0f} s: is that the port of rank 0's --coordinator?",
                INTERRUPTED,
            )
            return ""

    def _start(self, coordinator: str) -> None:
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        ranks = self._place.ranks
        for number, rank in enumerate(ranks):
            share = [core for core in cores if cores.index(core) % len(ranks) == number]
            told = {
                "coordinator": coordinator,
                "rank": rank,
                "hosts": self._place.hosts,
                "name": self._names[rank],
                "cores": [] if len(ranks) == 1 else share or [cores[number % len(cores)]],
                "device": rank if len(ranks) > 1 else None,
                "log": str(self._logs / f"rank-{rank}.log"),
            }
            process = children.start([*PROGRAM, *self._argv], more={ENVIRONMENT: json.dumps(told)})
            self._processes[rank] = process
            self._heard[rank] = time.monotonic()
            threading.Thread(target=self._hear, args=(rank, process), daemon=True).start()
        for rank in self._wires:
            self._heard[rank] = time.monotonic()

    def _hear(self, rank: int, process: subprocess.Popen[bytes]) -> None:
        """Passes on what a process says, then how it ended."""
        assert process.stdout is not None
        with contextlib.suppress(ValueError):  # it was closed: we are at the end
            for text in process.stdout:
                if (word := line.read(text)) is not None:
                    self._events.put(Event(rank, word))
        self._events.put(Event(rank, {"kind": "exit", "code": process.wait()}))

    # ---- while it runs --------------------------------------------------------------------------

    def _watch(self, stop: Callable[[], bool]) -> None:
        """Returns when all ranks of this host have ended, or the reason is known to end them."""
        wished, looked = False, time.monotonic()
        while not self._is_over():
            with contextlib.suppress(queue.Empty):
                self._take(self._events.get(timeout=POLL_SECONDS))
            if self._worth and not wished and stop():
                wished = True
                self._wish()
                for wire in self._wires.values():  # rank 0 may be waiting for workers
                    wire.say({"kind": "stop"})
            now = time.monotonic()
            if now - looked > SILENT_SECONDS / 2:  # we were stopped ourselves, as by Ctrl-Z
                self._heard = dict.fromkeys(self._heard, now)
            looked = now
            for rank, heard in self._heard.items():
                silent = now - heard
                if rank not in self._ended and silent > SILENT_SECONDS:
                    self._end(
                        f"{self._name(rank)} has said nothing for {silent:.0f} s", INTERRUPTED
                    )

    def _is_over(self) -> bool:
        ending = self._ending
        if ending is not None:
            return ending.is_cause or time.monotonic() - ending.since > GRACE_SECONDS
        return all(rank in self._ended for rank in self._place.ranks)

    def _wish(self) -> None:
        """Tells the run to stop: our processes, whose ranks agree on when."""
        for process in self._processes.values():
            assert process.stdin is not None
            with contextlib.suppress(OSError):
                process.stdin.write(b'{"kind": "stop"}\n')
                process.stdin.flush()

    def _take(self, event: Event) -> None:
        """Takes a word of a process here, or of another host's command."""
        rank, word = event
        kind, is_ours = word["kind"], rank in self._processes
        if rank in self._heard:
            self._heard[rank] = time.monotonic()
        if kind == "worth":
            self._worth = True
        elif kind == "stop":
            self._wish()
        elif kind == "out":
            sys.stdout.write(word["text"])
            sys.stdout.flush()
        elif kind == "ended":
            self._ended[rank] = word["code"]
        elif kind in ("failed", "over"):
            # Another host's command has named the rank.
            text = f"{self._name(rank)}: {word['text']}" if is_ours else word["text"]
            self._end(text, word["code"])
        elif kind == "lost":
            self._end(word["text"], INTERRUPTED, is_cause=False)
        elif kind == "exit" and rank not in self._ended:
            self._exited(rank, word["code"])
        elif kind == GONE and rank not in self._ended:
            self._end(f"{self._name(rank)} is gone: its command has ended", INTERRUPTED)

    def _exited(self, rank: int, code: int) -> None:
        """Takes that a process of ours has ended without a word."""
        if code == -signal.SIGABRT:  # what jax does to the others
            text = f"{self._name(rank)} was ended by jax, which missed another rank"
            self._end(text, INTERRUPTED, is_cause=False)
        elif code < 0:
            name = signal.Signals(-code).name
            self._end(f"{self._name(rank)} was ended by {name}", INTERRUPTED)
        else:
            self._end(f"{self._name(rank)} has ended with code {code}", code or 1)

    def _name(self, rank: int) -> str:
        where = f" on {self._names[rank]}" if rank in self._names and self._wires else ""
        return f"rank {rank} of {self._place.hosts}{where}"

    def _end(self, text: str, code: int, is_cause: bool = True) -> None:
        """Notes why the run ends; the first cause counts, else the first that follows from one."""
        if self._ending is None or (is_cause and not self._ending.is_cause):
            since = self._ending.since if self._ending else time.monotonic()
            self._ending = Ending(text, code, since, is_cause)

    # ---- the end --------------------------------------------------------------------------------

    def _conclude(self) -> int:
        """Tells the other hosts how it ended, says it here, and returns the exit code."""
        ending = self._ending
        if ending is None:
            code = self._ended[self._place.ranks[0]]
            for wire in self._wires.values():
                wire.say({"kind": "ended", "code": code})
            if 0 in self._place.ranks:
                self._wait_for_others()
            else:  # rank 0 says where the run stands
                how = "stopped with the others" if code == INTERRUPTED else "done"
                say(f"{self._name(self._place.ranks[0])}: {how}")
            return code
        for wire in self._wires.values():
            wire.say({"kind": "over", "text": ending.text, "code": ending.code})
        say(f"selfplay train: {ending.text}")
        if ending.code == INTERRUPTED:
            say(f"selfplay train: {GOES_ON}")
        if not ending.is_cause:
            kept = tempfile.mkdtemp(prefix="selfplay-hosts-")
            shutil.copytree(self._logs, kept, dirs_exist_ok=True)
            say(f"what jax wrote about it is in {kept}")
        return ending.code

    def _wait_for_others(self) -> None:
        """Lets the other commands end first: they would take our end for a loss."""
        end = time.monotonic() + LEAVE_SECONDS
        while any(rank not in self._ended for rank in self._wires) and time.monotonic() < end:
            with contextlib.suppress(queue.Empty):
                event = self._events.get(timeout=POLL_SECONDS)
                if event.word["kind"] in ("ended", GONE):
                    self._ended[event.rank] = event.word.get("code", 0)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
