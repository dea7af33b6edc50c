"""Child processes that end with their parent, even when it is killed.

An owner that gets SIGKILL can do nothing more, and what it started may be deaf to the end of its
input. So a small watcher, a process in a session of its own, holds the list of what is to end, and
ends it when the pipe breaks whose other end only the owner has.
"""

import atexit
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence

_Process = subprocess.Popen[bytes]
ROOT = pathlib.Path(__file__).parents[1]  # of our code
_RUN = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); name = sys.argv.pop(1); "
    "runpy.run_module(name, run_name='__main__', alter_sys=True)"
)
CLOSING_SECONDS = 10.0  # for the watcher to end after its owner is done

# SIGTERM often goes to all processes of a job: the watcher must outlive an owner that tidies up.
_WATCH = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
def began(number):  # since the number of one that has ended may later be another's
    try:
        with open(f"/proc/{number}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return ""
groups, processes = set(), {}
def add(number):
    processes[number] = began(number)
for line in sys.stdin:
    change = {"+": groups.add, "-": groups.discard, "*": add}
    change[line[0]](int(line[1:]))
ours = [number for number in processes if began(number) == processes[number]]
for end, numbers in ((os.killpg, groups), (os.kill, ours)):
    for number in numbers:
        try:
            end(number, signal.SIGKILL)
        except OSError:
            pass
"""


def our_module(name: str) -> list[str]:
    """The command line that runs a module of ours, to which its arguments are added.

    Nothing in the current folder is imported: a `jax.py` there, of a download perhaps, must not
    stand for a module of ours or of a library.
    """
    return [sys.executable, "-P", "-c", _RUN, str(ROOT), name]


def start(
    words: Sequence[str], stderr: int | None = None, more: Mapping[str, str] | None = None
) -> _Process:
    """Starts a process with pipes for its input and output; it ends with us, however we end.

    It leads a process group: `end` ends all that it started, too, unless that left the group.

    Args:
      stderr: as `subprocess.Popen` takes it.
      more: variables of its environment, beside ours.

    Raises:
      OSError, ValueError, IndexError: it does not start.
    """
    _WATCHER.begin()
    process = subprocess.Popen(
        list(words),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, **(more or {})},
        start_new_session=True,  # a process group of its own, to kill as a whole
    )
    try:
        _WATCHER.add(process.pid)
    except BaseException:
        end(process)
        raise
    return process


def end_with_us(processes: Iterable[int]) -> None:
    """Has processes that somebody else started for us, in our group, ended when we are gone."""
    _WATCHER.begin()
    for number in processes:
        _WATCHER.add_process(number)


def end(process: _Process) -> None:
    """Ends a process of `start` with all that it started; a second call does nothing."""
    # The whole group goes: what the process started too.
    _WATCHER.end(process.pid)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        with contextlib.suppress(BrokenPipeError):  # it did not read all that we wrote
            if pipe:
                pipe.close()


class Watcher:
    """The groups that this process answers for, and the process that ends them after it."""

    def __init__(self) -> None:
        self.process: _Process | None = None
        self._groups: set[int] = set()
        self._processes: set[int] = set()
        # A finalizer may end a process while its thread is in here.
        self._lock = threading.RLock()
        self._hooked = False

    def begin(self) -> None:
        """Starts the watcher, unless it runs."""
        with self._lock:
            if self.process is None or self.process.poll() is not None:
                self._start()

    def add(self, group: int) -> None:
        """Has the group ended when this process is gone."""
        with self._lock:
            # The watcher ends the groups that it was told of when our pipe to it closes.
            self._groups.add(group)
            try:
                self._tell(f"+{group}\n")
            except BrokenPipeError:  # somebody has killed it
                self._start()

    def add_process(self, number: int) -> None:
        """Has one process ended when this one is gone."""
        with self._lock:
            if number in self._processes or (self.process and number == self.process.pid):
                return
            self._processes.add(number)
            try:
                self._tell(f"*{number}\n")
            except BrokenPipeError:
                self._start()

    def end(self, group: int) -> None:
        """Ends a group that was added, once: later its number may be another's."""
        with self._lock:
            if group not in self._groups:
                return
            with contextlib.suppress(ProcessLookupError):  # it has ended, and so have its children
                os.killpg(group, signal.SIGKILL)
            self._groups.discard(group)
            with contextlib.suppress(BrokenPipeError):
                self._tell(f"-{group}\n")

    def close(self) -> None:
        """Ends all groups, and the watcher."""
        with self._lock:
            if self.process is None:
                return
            watcher, self.process = self.process, None
            watcher.stdin.close()  # type: ignore[union-attr]
            try:
                watcher.wait(CLOSING_SECONDS)
            except subprocess.TimeoutExpired:  # somebody has stopped it
                watcher.kill()
                watcher.wait()

    def _start(self) -> None:
        """Starts a watcher, in the place of one that was killed, that knows all groups."""
        if not self._hooked:
            self._hooked = True
            atexit.register(self.close)
            os.register_at_fork(after_in_child=self._forget)
        self.close()
        self.process = subprocess.Popen(
            # The last word is for who reads a list of processes.
            [sys.executable, "-I", "-S", "-c", _WATCH, f"selfplay: for process {os.getpid()}"],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # or who reads ours would wait for its end
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # Ctrl-C is not for it
        )
        told = [f"+{group}\n" for group in self._groups]
        self._tell("".join(told + [f"*{number}\n" for number in self._processes]))

    def _tell(self, lines: str) -> None:
        # So short a write is whole or not at all.
        if self.process is not None and lines:
            self.process.stdin.write(lines.encode())  # type: ignore[union-attr]

    def _forget(self) -> None:
        """Leaves the groups to the owner: in a copy of it, which else would keep the pipe open."""
        if self.process is not None:
            self.process.stdin.close()  # type: ignore[union-attr]
            self.process.returncode = 0  # not our child: nothing to wait for
        self.process, self._groups, self._lock = None, set(), threading.RLock()
        self._processes = set()


_WATCHER = Watcher()
