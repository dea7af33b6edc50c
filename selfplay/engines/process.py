"""An engine as a process: lines go in, bytes come out, and it cannot harm us.

It may hang, crash, flood or talk nonsense: then an `EngineFault` says so in a sentence, and the
process is killed before, and with it all that it has started.
"""

import os
import select
import selectors
import shlex
import subprocess
import time
from collections.abc import Callable

from selfplay import children

MAX_ANSWER = 1 << 20  # bytes
KEPT_ERRORS = 300  # bytes of the end of what it writes to stderr, for our sentence
START_SECONDS = 180.0  # for its first answers: some compile first
LONGEST_WAIT = 1.0  # seconds without a look whether another thread has ended the engine

# From all that has come and is unread: the answer and what follows it; None while it is unfinished.
Cut = Callable[[bytes], tuple[bytes, bytes] | None]


class EngineFault(Exception):
    """The engine failed; the message is a sentence without its subject."""


class Process:
    """A running engine, as far as no protocol is concerned; `moves` are where it stands.

    Args:
      command: split as a shell would, but no shell runs it.

    Raises:
      EngineFault: it does not start.
    """

    def __init__(self, command: str) -> None:
        self.moves: tuple[str, ...] = ()
        self._unread, self._errors = b"", b""
        try:
            self.popen = children.start(shlex.split(command), stderr=subprocess.PIPE)
        except (OSError, ValueError, IndexError) as error:
            raise EngineFault(f"does not start: {error}") from None

    def tell(self, line: str, command: str = "") -> None:
        """Writes a line; `command` is what a fault calls it, if not by its text."""
        try:
            self.popen.stdin.write(f"{line}\n".encode())  # type: ignore[union-attr]
            self.popen.stdin.flush()  # type: ignore[union-attr]
        except (OSError, ValueError):
            raise self.fault(self._ended(command or line)) from None

    def hear(self, command: str, deadline: float, cut: Cut) -> str:
        """Returns the answer to a command.

        Args:
          deadline: on the monotonic clock.
          cut: finds the answer's end.

        Raises:
          EngineFault: the answer is late or too long, or the engine has ended.
        """
        try:
            return self._hear_all(command, deadline, cut)
        except BaseException:
            self.kill()
            raise

    def _hear_all(self, command: str, deadline: float, cut: Cut) -> str:
        with selectors.DefaultSelector() as selector:
            for pipe in (self.popen.stdout, self.popen.stderr):
                selector.register(pipe, selectors.EVENT_READ)  # type: ignore[arg-type]
            while True:
                if found := cut(self._unread):
                    answer, self._unread = found
                    return answer.decode("utf-8", errors="replace")
                if len(self._unread) > MAX_ANSWER:
                    raise EngineFault(f"wrote more than {MAX_ANSWER} bytes to {command!r}")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise EngineFault(f"did not answer {command!r} in time")
                if self.popen.stdout.closed:  # type: ignore[union-attr]
                    raise EngineFault(self._ended(command))
                # Not for all the time at once: a pipe that another thread closes wakes nobody, nor
                # does the end of an engine whose children hold its output open.
                ready = selector.select(min(left, LONGEST_WAIT))
                if not ready and not self.alive:
                    raise EngineFault(self._ended(command))
                self._take(ready, selector, command)

    def fault(self, message: str) -> EngineFault:
        """Kills the process; returns what to raise."""
        self.kill()
        return EngineFault(message)

    def illegal(self, move: str, line: tuple[str, ...]) -> EngineFault:
        """Kills the process, for what it thinks of the position is anyone's guess."""
        return self.fault(f"played {move[:40]!r} at ply {len(line)}, which is illegal")

    def kill(self) -> None:
        """Ends the process and all that it started."""
        children.end(self.popen)

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    def _take(
        self,
        ready: list[tuple[selectors.SelectorKey, int]],
        selector: selectors.BaseSelector,
        command: str,
    ) -> None:
        for key, _ in ready:
            data = os.read(key.fd, 1 << 16)
            if key.fileobj is self.popen.stderr:
                self._errors = (self._errors + data)[-KEPT_ERRORS:]
                if not data:
                    selector.unregister(key.fileobj)
            elif data:
                self._unread += data
            else:
                raise EngineFault(self._ended(command))

    def _ended(self, command: str) -> str:
        try:
            code = f"exit status {self.popen.wait(1)}"
        except subprocess.TimeoutExpired:
            code = "it closed its output"
        errors = self.popen.stderr
        if errors and not errors.closed and select.select([errors], [], [], 0)[0]:
            self._errors += os.read(errors.fileno(), 1 << 16)  # last words, still in the pipe
        last = self._errors.decode("utf-8", errors="replace").strip().split("\n")[-1][:120]
        return f"ended at {command!r} ({code}{': ' if last else ''}{last})"
