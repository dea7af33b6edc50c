"""One UCI engine: a process that is shown positions, and killed at the first thing it does wrong.

Source: Kahlen and Meyer-Kahlen, "UCI protocol", 2006,
https://www.shredderchess.com/download/div/uci.zip.
"""

import re
import time
from collections.abc import Mapping

from selfplay.engines.process import START_SECONDS, Cut, EngineFault, Process
from selfplay.uci import options

GREETING_SECONDS = 60.0  # to its list of options: what takes long belongs behind it


class Engine(Process):
    """A running engine; `moves` lead to the position that it was asked about last.

    Args:
      command: as `Process` takes it.
      wanted: options of its own.
      variant: what it is to play, by the name of `UCI_Variant`.
      seconds: for each answer, once it has started.
    """

    def __init__(
        self, command: str, wanted: Mapping[str, str], variant: str, seconds: float
    ) -> None:
        super().__init__(command)
        self._seconds = seconds
        self.tell("uci")
        offered = options.read_options(self._hear("uci", "uciok", GREETING_SECONDS))
        try:
            lines = options.commands(offered, wanted, variant)
        except EngineFault as error:
            raise self.fault(str(error)) from None
        for line in lines:
            self.tell(line)
        self._wait_until_ready(START_SECONDS)

    def best_move(self, moves: tuple[str, ...], go: str) -> str:
        """Returns what it would play after some moves.

        Each question is a new game to it, so that its answer rests on the position alone, and not
        on what else this process was asked.

        Raises:
          EngineFault: it does not answer, or not with a move.
        """
        self.moves = moves
        self.tell("ucinewgame")
        self._wait_until_ready(self._seconds)
        self.tell(f"position startpos{' moves ' if moves else ''}{' '.join(moves)}")
        self.tell(f"go {go}")
        answer = self._hear(f"go {go}", "bestmove", self._seconds)
        words = answer.rpartition("bestmove")[2].split()
        if not words:
            raise self.fault(f"answered nonsense to 'go {go}': no move after bestmove")
        return words[0]

    def _wait_until_ready(self, seconds: float) -> None:
        self.tell("isready")
        self._hear("isready", "readyok", seconds)

    def _hear(self, command: str, last: str, seconds: float) -> str:
        """Returns what it says up to a line that begins with the word `last`."""
        return self.hear(command, time.monotonic() + seconds, _line_of(last))


def _line_of(word: str) -> Cut:
    """Cuts after the first whole line that begins with a word; UCI ignores lines that are odd."""
    line = re.compile(rb"^[ \t]*" + word.encode() + rb"\b[^\n]*\n", re.MULTILINE)

    def cut(unread: bytes) -> tuple[bytes, bytes] | None:
        found = line.search(unread)
        return (unread[: found.end()], unread[found.end() :]) if found else None

    return cut
