"""A program as the overseer: it gets positions and gives decisions, JSON lines both ways.

It is kept running. To a position (`overseer.position_json`) it answers with a decision
(`overseer.answer_of`), with `{"skip": true}`, or with `{"look": [[4], [0, 8]]}`: then it gets
`{"lines": [...]}`, what copies of A say behind these lines, and answers again.
"""

import json
import os
import selectors
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from typing import Any

from games import consent
from selfplay import children
from selfplay.files import json_lines
from selfplay.oversight.decisions import moves_of
from selfplay.oversight.session import OverseerSession, answer_of, position_json

MAX_ANSWER = 1 << 20  # bytes
MAX_LOOKS = 16  # questions a position
MAX_FAILURES = 3  # positions in a row for which it crashed or hung


class ProgramFault(Exception):
    """The program crashed or hung; the message is a sentence without its subject."""


class Program:
    """A running program; started when it is first asked, and again after it failed."""

    def __init__(self, command: str, seconds: float) -> None:
        consent.require(consent.command(command), f"program {command!r}")
        self.command, self._seconds = command, seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""

    def check(self) -> None:
        """Raises ValueError if there is no such program, without starting it."""
        try:
            words = self._words()
        except ProgramFault as fault:
            raise ValueError(f"program {self.command!r} {fault}") from None
        if shutil.which(words[0]) is None:
            raise ValueError(f"program {self.command!r}: there is no command {words[0]!r}")

    def ask(self, message: dict[str, Any]) -> str:
        """Returns the line that the program answers to a message.

        Raises:
          ProgramFault: there is none; the program has been ended.
        """
        try:
            process = self._process or self._start()
            process.stdin.write(json.dumps(message).encode() + b"\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            return self._read(process, time.monotonic() + self._seconds)
        except OSError as error:
            self.close()
            raise ProgramFault(f"ended or does not start: {error}") from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the program and all that it started."""
        process, self._process, self._pending = self._process, None, b""
        if process is not None:
            children.end(process)

    def _words(self) -> list[str]:
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise ProgramFault(f"does not start: {error}") from None
        if not words:
            raise ProgramFault("does not start: the command is empty")
        return words

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = children.start(self._words())
        return self._process

    def _read(self, process: subprocess.Popen[bytes], deadline: float) -> str:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
            while b"\n" not in self._pending:
                if len(self._pending) > MAX_ANSWER:
                    raise ProgramFault(f"wrote a line of more than {MAX_ANSWER:,} bytes")
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise ProgramFault(f"gave no answer within {self._seconds:g} s")
                data = os.read(process.stdout.fileno(), 1 << 16)  # type: ignore[union-attr]
                if not data:
                    raise ProgramFault("ended without an answer")
                self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode(errors="replace")


def oversee(session: OverseerSession, program: Program, report: Callable[[str], None]) -> int:
    """Lets a program decide all positions of a session; returns how many answers were no decision.

    A bad answer is reported, and its position left undecided.

    Raises:
      ValueError: the program failed for several positions in a row.
    """
    faults = failures = 0
    while session.waiting:
        where = f"after {list(session.moves)}"
        try:
            _decide(session, program)
            failures = 0
        except ProgramFault as error:
            faults, failures = faults + 1, failures + 1
            report(f"{where}, the program {error}")
            if failures == MAX_FAILURES:
                raise ValueError(
                    f"--program {program.command!r} failed {failures} times in a row, it {error}; "
                    f"{session.summary()['decided']} decisions are kept"
                ) from None
            session.skip()
        except ValueError as error:
            faults, failures = faults + 1, 0
            report(f"{where}, a bad answer: {error}")
            session.skip()
    return faults


def _decide(session: OverseerSession, program: Program) -> None:
    """Deals with the position in hand. Raises ValueError for a bad answer."""
    message = position_json(session)
    for _ in range(MAX_LOOKS + 1):
        answer = json_lines.parse(program.ask(message), "the answer")
        if isinstance(answer, dict) and answer.get("skip") is True:
            session.skip()
            return
        if not (isinstance(answer, dict) and "look" in answer):
            session.decide(*answer_of(answer))
            return
        if not isinstance(answer["look"], list):
            raise ValueError(f"look must be a list of lines, got {repr(answer['look'])[:40]}")
        looked = session.look([moves_of(line) for line in answer["look"]])
        message = {"lines": [line._asdict() for line in looked]}
    raise ValueError(f"it looked {MAX_LOOKS} times and did not decide")
