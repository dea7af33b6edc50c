"""What the server reads of matches: figures, their course, and pairs of games. Without jax."""

import contextlib
import dataclasses
import functools
import pathlib
from typing import Any

from games import registry
from scripts.terminal.match_report import sprt_summary, summary
from scripts.web.query import Query, Reader, whole
from scripts.web.shelf import Shelf
from selfplay.arena import watching
from selfplay.arena.result import MatchResult
from selfplay.arena.watching import Watched
from selfplay.rating.elo import MAX_ELO, score_to_elo
from selfplay.rating.sprt import Sprt

USUAL_TEST = Sprt(0.0, 50.0)  # the example of `arena --help`; match.json names none
MOST_PAIRS = 50  # of one answer


def match(shelf: Shelf, args: Query) -> dict[str, Any]:
    """Returns a match as far as it has been played, all figures from the first player's side.

    Raises:
      ValueError: there is no such match, it is damaged, or the test cannot be.
    """
    path = shelf.match(args.get("match", ""))
    test = _test(args)
    playing = watching.is_played(path)  # asked first: what is read then is at least as new
    watched = _read(path)
    result = watched.result
    return {
        "name": str(path),
        "game": registry.canonical(watched.game),
        "settings": watched.settings,
        "players": list(result.players),
        "playing": playing,
        "of": watched.games,
        "unfinished": watched.unfinished,
        "problem": watched.problem,
        **({"games": 0} if not result.games else summary(result)),
        "by_seat": list(result.by_seat),
        "pairs": result.pair_counts.tolist(),
        "most_elo": MAX_ELO,
        "sprt": _sprt(result, test),
    }


def pairs(shelf: Shelf, args: Query) -> dict[str, Any]:
    """Returns pairs of games from `from` on, each with where its games part.

    Args:
      args: `match`; `points`, of the first player in a pair, doubled: 0 to 4, all without it;
        `from`, how many of those to leave out.
    """
    watched = _read(shelf.match(args.get("match", "")))
    played, result = watched.result.played, watched.result
    points = (result.results.reshape(-1, 2).sum(axis=1) + 2).tolist()
    wanted = args.get("points", "")
    chosen = [i for i, of_pair in enumerate(points) if wanted in ("", str(of_pair))]
    start = whole(args, "from") or 0
    return {
        "game": registry.canonical(watched.game),
        "players": list(result.players),
        "count": len(chosen),
        "from": start,
        "pairs": [
            {
                "number": i,
                "points": points[i] / 2,
                "parting": watching.parting((played[2 * i], played[2 * i + 1])),
                "games": [played[2 * i + seat]._asdict() for seat in (0, 1)],
            }
            for i in chosen[start : start + MOST_PAIRS]
        ],
    }


def _sprt(result: MatchResult, test: Sprt) -> dict[str, Any]:
    """Returns a test of the match, and how it came there."""
    if not result.games:
        return {**dataclasses.asdict(test), "bounds": list(test.bounds)}
    course = watching.course(result, test)
    columns = {name: getattr(course, name).tolist() for name in ("games", "llr", "score")}
    for name, scores in (("elo", course.score), ("elo_low", course.low), ("elo_high", course.high)):
        columns[name] = [score_to_elo(score) for score in scores]
    return sprt_summary(result, test) | {"decided": course.decided, "course": columns}


def _test(args: Query) -> Sprt:
    """Returns the test that is asked for. Raises ValueError if there can be none."""
    given = {}
    for name in ("elo0", "elo1", "alpha", "beta"):
        text = args.get(name, "")
        try:
            given[name] = float(text) if text else getattr(USUAL_TEST, name)
        except ValueError:
            raise ValueError(f"{name} must be a number, got {text[:40]!r}") from None
    test = Sprt(**given)
    if problems := test.problems():
        raise ValueError("; ".join(problems))
    return test


def _read(path: pathlib.Path) -> Watched:
    stamps = []
    for name in (watching.SETTINGS, watching.GAMES):
        with contextlib.suppress(FileNotFoundError):
            status = (path / name).stat()
            stamps.append((name, status.st_ino, status.st_size, status.st_mtime_ns))
    return _read_once(path, tuple(stamps))


@functools.lru_cache(maxsize=4)
def _read_once(path: pathlib.Path, stamps: tuple[Any, ...]) -> Watched:
    """Returns a match; `stamps` tell when its files have changed."""
    del stamps
    return watching.read(path)


READERS: dict[str, Reader] = {"match": match, "pairs": pairs}
