"""A match's folder as an onlooker reads it, while it is played or later: nothing in it is written.

Without jax, so that a page which only looks does not wait for it. `folder.py` says what lies there.
"""

import fcntl
import pathlib
from typing import Any, NamedTuple

import numpy as np

from selfplay.arena.result import BY_FORFEIT, MatchResult, PlayedGame, played_of, result_of
from selfplay.files import durable, json_lines
from selfplay.files.game_lines import read_line
from selfplay.rating import sprt
from selfplay.rating.elo import PAIR_SCORES, score_interval
from selfplay.rating.sprt import Sprt

SETTINGS, GAMES = "match.json", "games.jsonl"
MAX_SETTINGS = 1 << 20  # bytes
MOST_POINTS = 240  # of a course: what a curve can show


class Watched(NamedTuple):
    """A match as far as it has been played."""

    game: str  # its spec
    games: int  # that will be played
    settings: dict[str, Any]  # what else match.json says: numbers and texts
    result: MatchResult  # of the finished blocks; perhaps of no game
    unfinished: int  # games in the file that are of no finished block
    problem: str  # what is wrong with the first game that cannot be read; empty for nothing


class Course(NamedTuple):
    """A match after more and more of its pairs, P of them."""

    games: np.ndarray  # int[P]
    llr: np.ndarray  # float[P], of a test
    score: np.ndarray  # float[P]
    low: np.ndarray  # float[P], the 95% interval of the score
    high: np.ndarray  # float[P]
    decided: int | None  # the games after which the test, asked after every pair, would end it


def read(path: pathlib.Path) -> Watched:
    """Reads a match.

    Raises:
      ValueError: match.json is not there, or not what a match writes.
      OSError: it cannot be read.
    """
    settings = _settings(path / SETTINGS)
    players = settings.pop("players")
    spec, games, block = settings["game"], settings["games"], settings["block"]
    played, problem = _played(path / GAMES, games)
    whole = len(played) if len(played) == games else len(played) // block * block
    whole -= whole % 2  # a pair is one observation
    result = result_of(players, played[:whole], games // 2)
    return Watched(spec, games, settings, result, len(played) - whole, problem)


def is_played(path: pathlib.Path) -> bool:
    """Returns whether a process plays the match, asking for as short a time as can be."""
    try:
        with open(path / "lock", opener=durable.no_link) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def course(result: MatchResult, test: Sprt) -> Course:
    """Returns how a match went on, at `MOST_POINTS` of its pairs at most, the last one among them.

    A match that faults alone have decided so far has an LLR of 0, as in `MatchResult.decide`.
    """
    points = result.results.reshape(-1, 2).sum(axis=1) + 2  # int[P], a pair's points, doubled
    counts = np.cumsum(points[:, None] == np.arange(len(PAIR_SCORES)), axis=0)
    distinct = _distinct(result)
    llr = sprt.log_likelihood_ratio(test, counts, distinct)
    llr = np.where(_by_faults_alone(result), 0.0, llr)
    low, high = test.bounds
    over = (distinct >= sprt.FEWEST_PAIRS) & ~((low < llr) & (llr < high))
    chosen = np.unique(np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(int))
    interval = score_interval(counts[chosen], distinct[chosen])
    return Course(
        games=2 * (chosen + 1),
        llr=llr[chosen],
        score=(np.cumsum(points) / (4 * np.arange(1, len(points) + 1)))[chosen],
        low=interval[0],
        high=interval[1],
        decided=2 * (int(over.argmax()) + 1) if over.any() else None,
    )


def parting(pair: tuple[PlayedGame, PlayedGame]) -> int:
    """Returns how many moves two games have in common, from the first one on."""
    first, second = (game.moves for game in pair)
    shorter = min(len(first), len(second))
    return next((ply for ply in range(shorter) if first[ply] != second[ply]), shorter)


def _distinct(result: MatchResult) -> np.ndarray:
    """Returns int[P], how many of the pairs so far differ from each other."""
    moves, seen = result.moves, set[Any]()
    numbers = []
    for pair in zip(moves[::2], moves[1::2], strict=True):
        seen.add(pair)
        numbers.append(len(seen))
    return np.array(numbers, int)


def _by_faults_alone(result: MatchResult) -> np.ndarray:
    """Returns bool[P], whether all games so far that somebody won were forfeited."""
    forfeited = np.array([game.ended_by == BY_FORFEIT for game in result.played])
    won = result.results != 0
    played, given = np.cumsum(won & ~forfeited)[1::2], np.cumsum(won & forfeited)[1::2]
    alone: np.ndarray = (played == 0) & (given > 0)
    return alone


def _settings(file: pathlib.Path) -> dict[str, Any]:
    """Returns what match.json says that is a number, a text or, of players, two of them."""
    given = json_lines.read_object(file, MAX_SETTINGS)
    _check(file, given)
    plain = {name: v for name, v in given.items() if json_lines.is_number(v) or type(v) is str}
    return plain | {"players": tuple(given["players"])}


def _check(file: pathlib.Path, given: dict[str, Any]) -> None:
    players, games, block = given.get("players"), given.get("games"), given.get("block")
    two = isinstance(players, list) and [type(name) for name in players] == [str, str]
    faults = {
        "players must be two texts": not two,
        "game must be a text": type(given.get("game")) is not str,
        "games must be an even number above 0": type(games) is not int or games < 1 or games % 2,
        "block must be a number above 0": type(block) is not int or block < 1,
    }
    if wrong := [sentence for sentence, is_wrong in faults.items() if is_wrong]:
        raise ValueError(f"{file} is damaged: {'; '.join(wrong)}")


def _played(file: pathlib.Path, most: int) -> tuple[list[PlayedGame], str]:
    """Returns the whole games of a file up to the first that is damaged, and what is wrong there.

    The last line may be being written: without its end it is none.
    """
    games: list[PlayedGame] = []
    durable.check_file(file)
    if not file.exists():
        return games, ""
    if file.stat().st_size > json_lines.MAX_BYTES or most > json_lines.MAX_LINES:
        return games, f"{file} is larger, or would be, than any that selfplay writes"
    with open(file, "rb", opener=durable.no_link) as opened:
        while len(games) < most and (line := opened.readline(json_lines.MAX_LINE + 1)):
            place = f"{file}, line {len(games) + 1}"
            if line[-1:] != b"\n" and len(line) <= json_lines.MAX_LINE:
                break
            record = read_line(line)
            if isinstance(record, str):
                return games, f"{place}: {record}"
            games.append(played_of(record))
    return games, ""
