"""`selfplay gtp`."""

import os
import sys
import threading
from collections import deque
from typing import Any

import games
import training
from games.game import Game
from scripts.flags.gtp import Args
from scripts.terminal.console import announce_devices, say
from scripts.terminal.pipes import lines_of
from selfplay.gtp import GtpServer
from selfplay.gtp.protocol import MAX_LINE
from selfplay.player_spec import parse_player
from selfplay.players import Player
from training.players import find_game

MAX_WAITING = 1000  # lines read ahead of the answers


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    if args.simulations < 0:
        raise ValueError(f"--simulations must be at least 0, got {args.simulations}")
    if not 0 <= args.resign <= 1:
        raise ValueError(f"--resign must be a winrate from 0 to 1, got {args.resign}")
    if sys.stdin is None:
        raise ValueError("standard input is closed: commands come from there")
    spec = find_game((args.player,), args.game)
    announce_devices()

    def make(game: Game[Any], simulations: int) -> Player:
        return parse_player(args.player, game, simulations, training.load_player)

    lines = Lines(sys.stdin.fileno())
    say(f"compiling for {spec}")
    server = GtpServer(games.load(spec), make, args.simulations, args.resign, args.seed, lines.wait)
    say("ready")
    serve(server, lines)
    return 0


def serve(server: GtpServer, lines: "Lines") -> None:
    """Answers until the input ends, or `quit`."""
    try:
        while not server.closed and (line := lines.next()) is not None:
            for text in server.answer(line):
                sys.stdout.buffer.write(text.encode())
                sys.stdout.buffer.flush()
    except BrokenPipeError:  # the front end has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Lines:
    """Lines of an open file, read by a thread: one can know of the next before taking it."""

    def __init__(self, descriptor: int) -> None:
        self._lines: deque[bytes | None] = deque()  # None: the end
        self._changed = threading.Condition()
        threading.Thread(target=self._read, args=(descriptor,), daemon=True).start()

    def next(self) -> bytes | None:
        """Returns the next line, None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines)
            line = self._lines[0] if self._lines[0] is None else self._lines.popleft()
            self._changed.notify_all()
            return line

    def wait(self, seconds: float) -> bool:
        """Waits up to so many seconds for a line; returns whether there is one, or the end."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: self._lines, seconds))

    def _read(self, descriptor: int) -> None:
        for line in lines_of(descriptor, MAX_LINE):
            self._put(line)
        self._put(None)

    def _put(self, line: bytes | None) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._lines) < MAX_WAITING)
            self._lines.append(line)
            self._changed.notify_all()
