"""One GTP engine: a process that is asked commands and cannot harm us.

It may hang, crash, flood or talk nonsense: then `ask` raises `EngineFault` with a sentence, and the
process, with all that it started, is killed.
"""

import itertools
import os
import re
import select
import selectors
import shlex
import subprocess
import time
from collections.abc import Sequence

from selfplay import children

MAX_ANSWER = 1 << 20  # bytes
KEPT_ERRORS = 300  # bytes of the end of what it writes to stderr, for our sentence
START_SECONDS = 180.0  # for its first answers: some compile first
LONGEST_WAIT = 1.0  # seconds without a look whether another thread has ended the engine
_ANSWER = re.compile(r"([=?])(\d*)\s*(.*)", re.DOTALL)


def shared(one: Sequence[str], other: Sequence[str]) -> int:
    """Returns how many items two sequences have in common from the start."""
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(1 for _ in pairs)


class EngineFault(Exception):
    """The engine failed; the message is a sentence without its subject."""


class Engine:
    """A running engine on the opening position; `moves` are the commands that led further.

    Args:
      command: split as a shell would, but no shell runs it.
      setup: commands that prepare it, such as the board's size.
      seconds: for each later answer.
    """

    def __init__(self, command: str, setup: Sequence[str], seconds: float) -> None:
        self.moves: tuple[str, ...] = ()
        self._seconds = seconds
        self._number, self._pending, self._errors = 0, b"", b""
        try:
            self._process = children.start(shlex.split(command), stderr=subprocess.PIPE)
        except (OSError, ValueError, IndexError) as error:
            raise EngineFault(f"does not start: {error}") from None
        try:
            self._undoes = "undo" in self.ask("list_commands", START_SECONDS).split()
            for line in setup:
                self.ask(line, START_SECONDS)
        except BaseException:
            self.kill()
            raise

    def go_to(self, moves: tuple[str, ...]) -> None:
        """Brings the engine to the position after these `play` commands."""
        common = shared(self.moves, moves)
        if self._undoes and len(self.moves) - common <= common:
            for i in reversed(range(common, len(self.moves))):
                self.ask("undo")
                self.moves = self.moves[:i]
        else:
            self.ask("clear_board")
            self.moves = ()
        for move in moves[len(self.moves) :]:
            self.ask(move)
            self.moves = (*self.moves, move)

    def ask(self, command: str, seconds: float = 0.0) -> str:
        """Returns the answer to a command.

        Args:
          seconds: for the answer; 0 for as many as usual.

        Raises:
          EngineFault: no answer, an error message, or something else.
        """
        self._number += 1
        deadline = time.monotonic() + (seconds or self._seconds)
        try:
            return self._converse(f"{self._number} {command}", command, deadline)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """Ends the process and all that it started."""
        children.end(self._process)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def _converse(self, line: str, command: str, deadline: float) -> str:
        try:
            self._process.stdin.write(f"{line}\n".encode())  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
        except (OSError, ValueError):
            raise EngineFault(self._ended(command)) from None
        answer = self._read(command, deadline).decode("utf-8", errors="replace")
        match = _ANSWER.fullmatch(answer.strip())
        if not match or match[2] != str(self._number):
            raise EngineFault(
                f"answered nonsense to {command!r}: {answer.strip()[:80]!r} (an answer begins with "
                "= and the command's number)"
            )
        if match[1] == "?":
            raise EngineFault(f"refused {command!r}: {match[3][:80]}")
        return match[3]

    def _read(self, command: str, deadline: float) -> bytes:
        """Returns the bytes up to the next empty line after something else."""
        with selectors.DefaultSelector() as selector:
            for pipe in (self._process.stdout, self._process.stderr):
                selector.register(pipe, selectors.EVENT_READ)  # type: ignore[arg-type]
            while True:
                self._pending = self._pending.replace(b"\r\n", b"\n").lstrip(b"\n")
                answer, end, rest = self._pending.partition(b"\n\n")
                if end:
                    self._pending = rest
                    return answer
                if len(self._pending) > MAX_ANSWER:
                    raise EngineFault(f"wrote more than {MAX_ANSWER} bytes to {command!r}")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise EngineFault(f"did not answer {command!r} in time")
                if self._process.stdout.closed:  # type: ignore[union-attr]
                    raise EngineFault(self._ended(command))
                # Not for all the time at once: a pipe that another thread closes wakes nobody.
                self._take(selector.select(min(left, LONGEST_WAIT)), selector, command)

    def _take(
        self,
        ready: list[tuple[selectors.SelectorKey, int]],
        selector: selectors.BaseSelector,
        command: str,
    ) -> None:
        for key, _ in ready:
            data = os.read(key.fd, 1 << 16)
            if key.fileobj is self._process.stderr:
                self._errors = (self._errors + data)[-KEPT_ERRORS:]
                if not data:
                    selector.unregister(key.fileobj)
            elif data:
                self._pending += data
            else:
                raise EngineFault(self._ended(command))

    def _ended(self, command: str) -> str:
        try:
            code = f"exit status {self._process.wait(1)}"
        except subprocess.TimeoutExpired:
            code = "it closed its output"
        errors = self._process.stderr
        if errors and not errors.closed and select.select([errors], [], [], 0)[0]:
            self._errors += os.read(errors.fileno(), 1 << 16)  # last words, still in the pipe
        last = self._errors.decode("utf-8", errors="replace").strip().split("\n")[-1][:120]
        return f"ended at {command!r} ({code}{': ' if last else ''}{last})"
