"""A program as the overseer: it gets positions and gives decisions, JSON lines both ways.

It is kept running. To a position (`overseer.position_json`) it answers with a decision
(`overseer.answer_of`), with `{"skip": true}`, or with `{"look": [[4], [0, 8]]}`: then it gets
`{"lines": [...]}`, what copies of A say behind these lines, and answers again.
"""

import json
import shlex
import shutil
import time
from collections.abc import Callable
from typing import Any

from games import consent
from selfplay.engines.process import EngineFault, Process
from selfplay.files import json_lines
from selfplay.oversight.decisions import moves_of
from selfplay.oversight.session import OverseerSession, answer_of, position_json

ASKED = "a position"  # what a fault calls what the program was asked
MAX_LOOKS = 16  # questions a position
MAX_FAILURES = 3  # positions in a row for which it crashed or hung


class Program:
    """A running program; started when it is first asked, and again after it failed."""

    def __init__(self, command: str, seconds: float) -> None:
        consent.require(consent.command(command), f"program {command!r}")
        self.command, self._seconds = command, seconds
        self._process: Process | None = None

    def check(self) -> None:
        """Raises ValueError if there is no such program, without starting it."""
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise ValueError(f"program {self.command!r} does not start: {error}") from None
        if not words or shutil.which(words[0]) is None:
            raise ValueError(f"program {self.command!r}: there is no such command")

    def ask(self, message: dict[str, Any]) -> str:
        """Returns the line that the program answers to a message.

        Raises:
          EngineFault: there is none; the program has been ended.
        """
        deadline = time.monotonic() + self._seconds
        try:
            self._process = self._process or Process(self.command)
            self._process.tell(json.dumps(message), ASKED)
            return self._process.hear(ASKED, deadline, _first_line)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the program and all that it started."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()


def _first_line(unread: bytes) -> tuple[bytes, bytes] | None:
    line, newline, rest = unread.partition(b"\n")
    return (line, rest) if newline else None


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
        except EngineFault as error:
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
