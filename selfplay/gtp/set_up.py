"""Parses the arguments of GTP commands; sets up handicap stones and positions of SGF files."""

import importlib.metadata
import math
import os
from collections.abc import Sequence
from typing import NamedTuple

from games.go import Go
from selfplay.engines.server import Refused
from selfplay.gtp import protocol
from selfplay.gtp.game import GtpGame, handicap_points
from selfplay.records import sgf
from selfplay.records.game_record import MAX_BYTES


class Wanted(NamedTuple):
    """What an analysis command asks for."""

    seat: int
    interval: float  # seconds
    most: int  # moves to show


def version() -> str:
    """Returns the version of the installed package."""
    try:
        return importlib.metadata.version("selfplay-zero")
    except importlib.metadata.PackageNotFoundError:
        return "0"


def whole(words: Sequence[str], index: int) -> int:
    """Returns a whole number, not negative. Raises Refused if the word is missing or none."""
    if index >= len(words) or not (words[index].isascii() and words[index].isdigit()):
        raise Refused("syntax error")
    return int(words[index][:9])


def number(words: Sequence[str], index: int) -> float:
    """Returns a finite number. Raises Refused if the word is missing or none."""
    try:
        value = float(words[index])
    except (IndexError, ValueError):
        raise Refused("syntax error") from None
    if not math.isfinite(value):
        raise Refused("syntax error")
    return value


def read_analysis(words: Sequence[str], seat: int, interval: float) -> Wanted:
    """Returns what `[colour] [centiseconds] [key value ...]` asks for.

    Known are the keys `interval` and `maxmoves`; the rest changes nothing.
    """
    left = list(words)
    if left and (named := protocol.read_colour(left[0])) is not None:
        seat = named
        left.pop(0)
    if left and left[0].isascii() and left[0].isdigit():
        left.insert(0, "interval")
    most = 10**9
    for i, key in enumerate(left[:-1]):
        if key == "interval":
            interval = whole(left, i + 1) / 100
        elif key == "maxmoves":
            most = max(whole(left, i + 1), 1)
    return Wanted(seat, max(interval, 0.01), most)


def fixed_handicap(game: GtpGame, words: Sequence[str]) -> str:
    """Sets the stones of the specification; returns their points."""
    assert isinstance(game.game, Go)
    stones, known = whole(words, 0), handicap_points(game.game.size)
    if not 2 <= stones <= len(known) + 1:
        raise Refused("invalid number of stones")
    game.place_handicap(known[stones - 2])
    return " ".join(known[stones - 2])


def free_handicap(game: GtpGame, words: Sequence[str]) -> str:
    """Sets at most as many stones as asked for; returns their points."""
    assert isinstance(game.game, Go)
    stones, known = whole(words, 0), handicap_points(game.game.size)
    if stones < 2 or not known:
        raise Refused("invalid number of stones")
    return fixed_handicap(game, [str(min(stones, len(known) + 1))])


def set_handicap(game: GtpGame, words: Sequence[str]) -> str:
    """Sets stones on the given points."""
    if len(words) < 2:
        raise Refused("invalid number of stones")
    game.place_handicap(words)
    return ""


def status_list(game: GtpGame, words: Sequence[str]) -> str:
    """Returns the chains of a status: by our rules all stones on the board are alive."""
    if not words or words[0] not in ("alive", "dead", "seki"):
        raise Refused("syntax error")
    return "\n".join(game.chains()) if words[0] == "alive" else ""


def read_sgf(words: Sequence[str]) -> sgf.Plays:
    """Returns the game of a file, without the moves from the number on that may follow its name."""
    if not words:
        raise Refused("syntax error")
    last = whole(words, 1) if len(words) > 1 else 10**9
    if not os.path.isfile(words[0]):  # nor a pipe, which may never end
        raise Refused("cannot load file")
    try:
        with open(words[0], "rb") as file:
            data = file.read(MAX_BYTES)
        plays = sgf.read_plays(data.decode("utf-8", errors="replace"))
    except (OSError, ValueError):
        raise Refused("cannot load file") from None
    return plays._replace(moves=plays.moves[: max(last - 1, 0)])


def set_plays(game: GtpGame, plays: sgf.Plays) -> None:
    """Plays the game of a file; where that is refused, nothing changes."""
    stones = plays.setup + plays.moves
    if any(action >= game.game.num_actions for _, action in stones):
        raise Refused("cannot load file: it swaps, and our game does not")
    with game.kept_if_refused():
        game.clear()
        if plays.komi is not None:
            game.set_komi(plays.komi)
        try:
            for seat, action in stones:
                game.play(seat, action)
        except Refused:
            raise Refused("cannot load file: our rules forbid a move in it") from None
