"""`selfplay check`."""

import dataclasses
import time
from typing import Any

import games
from games.conformance import LAWS, Report, Violation, check
from games.conformance.laws import described
from scripts.terminal.console import Positional, print_json, print_text, say


@dataclasses.dataclass(frozen=True)
class Args:
    """Checks a game against the laws that training relies on, by playing it many times.

    Every law is named with its verdict. Of a broken one you see the position, the action, and what
    was expected. The exit code is 0 if the game conforms, else 1.

    Examples:
      selfplay check connect_four
      selfplay check my_game:MyGame                       # my_game.py in this folder
      selfplay check my_pkg.my_game:MyGame:size=5 --games 1000
      selfplay check go:size=19 --games 16 --json
    """

    game: Positional[str]
    """NAME, or package.module:Class, with options such as :size=5,komi=7.5."""
    games: int = 256
    """Random games to play; fewer for a game that is long or slow."""
    seed: int = 0
    """Another seed plays other games."""
    json: bool = False
    """Print one JSON object on stdout."""


def run(args: Args) -> int:
    """Checks the game; returns 0 if it conforms, else 1."""
    if args.games < 1:
        raise ValueError(f"--games must be at least 1, got {args.games}")
    start = time.perf_counter()
    report = _report(args)
    seconds = time.perf_counter() - start
    if args.json:
        print_json(_as_json(args, report, seconds))
    else:
        print_text(_as_text(args, report, seconds))
    return 1 if report.violations else 0


def _report(args: Args) -> Report:
    try:
        game = games.load(args.game)
    except ValueError:
        raise  # a name or an option that is wrong: the caller's mistake, not the game's
    except Exception as error:  # whatever a module may raise when it is imported
        broken = Violation(
            "construction", "the module to import and the game to construct", described(error)
        )
        return Report((broken,), (), frozenset(["construction"]))
    say(f"checking {args.game} over {args.games} random games")
    return check(game, games=args.games, seed=args.seed)


def _as_text(args: Args, report: Report, seconds: float) -> str:
    width = max(map(len, LAWS))
    lines = [f"{report.verdict(law):9}  {law:{width}}  {about}" for law, about in LAWS.items()]
    for violation in report.violations:
        lines += ["", str(violation)]
    lines += [f"\nnote: {note}" for note in report.notes]
    count = len(report.violations)
    verdict = f"breaks the laws in {count} way{'s'[: count != 1]}" if count else "conforms"
    return "\n".join([*lines, "", f"{args.game} {verdict} ({seconds:.1f} s)"])


def _as_json(args: Args, report: Report, seconds: float) -> dict[str, Any]:
    return {
        "game": args.game,
        "conforms": not report.violations,
        "laws": {law: report.verdict(law) for law in LAWS},
        "violations": [violation._asdict() for violation in report.violations],
        "notes": list(report.notes),
        "games": args.games,
        "seconds": round(seconds, 3),
    }
