"""`selfplay check`."""

import time
from typing import Any

import games
from games.conformance import LAWS, Report, Violation, check
from games.conformance.laws import described
from scripts.flags.check import Args
from scripts.terminal.console import print_json, print_text, say


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
    lines += ["", *report.portrait] if report.portrait else []
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
        "portrait": list(report.portrait),
        "games": args.games,
        "seconds": round(seconds, 3),
    }
