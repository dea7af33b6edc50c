"""One GTP engine: a process that is asked commands, and killed at the first thing it does wrong."""

import re
import time
from collections.abc import Sequence

from selfplay.engines.lines import shared
from selfplay.engines.process import START_SECONDS, Process

_ANSWER = re.compile(r"([=?])(\d*)\s*(.*)", re.DOTALL)


class Engine(Process):
    """A running engine on the opening position; `moves` are the commands that led further.

    Args:
      command: as `Process` takes it.
      setup: commands that prepare it, such as the board's size.
      seconds: for each later answer.
    """

    def __init__(self, command: str, setup: Sequence[str], seconds: float) -> None:
        super().__init__(command)
        self._seconds, self._number = seconds, 0
        self._undoes = "undo" in self.ask("list_commands", START_SECONDS).split()
        for line in setup:
            self.ask(line, START_SECONDS)

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
        self.tell(f"{self._number} {command}", command)
        answer = self.hear(command, deadline, _first_answer).strip()
        match = _ANSWER.fullmatch(answer)
        if not match or match[2] != str(self._number):
            raise self.fault(
                f"answered nonsense to {command!r}: {answer[:80]!r} (an answer begins with = and "
                "the command's number)"
            )
        if match[1] == "?":
            raise self.fault(f"refused {command!r}: {match[3][:80]}")
        return match[3]


def _first_answer(unread: bytes) -> tuple[bytes, bytes] | None:
    """Cuts at the first empty line after something else."""
    answer, end, rest = unread.replace(b"\r\n", b"\n").lstrip(b"\n").partition(b"\n\n")
    return (answer, rest) if end else None
