"""`selfplay game check`."""

import time
from typing import Any

import games
from games.conformance import LAWS, Comparison, Report, Violation, check, compare, reference
from games.game import Game
from games.plug_in import described
from scripts.flags.game_check import Args
from scripts.terminal.console import print_json, print_text, progress, say

TOLD = ("law", "expected", "found", "position", "action")  # of a violation, in JSON


def run(args: Args) -> int:
    """Checks the game; returns 0 if it conforms, else 1."""
    if args.games < 1:
        raise ValueError(f"--games must be at least 1, got {args.games}")
    start = time.perf_counter()
    try:
        game = games.load(args.game)
    except ValueError:
        raise  # a name or an option that is wrong: the caller's mistake, not the game's
    except Exception as error:  # whatever a module may raise when it is imported
        report, compared = _not_constructed(error), None
    else:
        against = _against(args, game)  # before the long work: a wrong name is told at once
        say(f"checking {args.game} over {'a few' if args.quick else args.games} random games")
        report = check(game, games=args.games, seed=args.seed, quick=args.quick)
        compared = _compare(args, game, *against, report) if against else None
    seconds = time.perf_counter() - start
    if args.json:
        print_json(_as_json(args, report, compared, seconds))
    else:
        print_text(_as_text(args, report, compared, seconds))
    return 1 if report.violations or not (compared is None or compared.agrees) else 0


def _not_constructed(error: Exception) -> Report:
    broken = Violation(
        "construction", "the module to import and the game to construct", described(error)
    )
    return Report((broken,), (), frozenset(["construction"]))


def _against(args: Args, game: Game[Any]) -> tuple[reference.Rules, Any] | None:
    """Returns the rules to compare with, and how their moves become ours."""
    if not args.against:
        return None
    named = args.actions in ("auto", "name", "index")
    actions = args.actions if named else reference.load_to_ours(args.actions)
    return reference.load(args.against, game), actions


def _compare(
    args: Args, game: Game[Any], rules: reference.Rules, actions: Any, report: Report
) -> Comparison:
    def nothing(error: str) -> Comparison:
        return Comparison(rules.name, "", args.games, 0, None, error)

    if "mask" not in report.tried:
        return nothing("the game cannot be played as it is")
    try:
        with progress(f"beside {args.against}", args.games) as update:
            return compare(
                game, rules, games=args.games, seed=args.seed, actions=actions, update=update
            )
    except ValueError as error:
        return nothing(str(error))
    except Exception as error:  # whatever a broken game raises
        return nothing(f"the game raised {described(error)}")


def _as_text(args: Args, report: Report, compared: Comparison | None, seconds: float) -> str:
    width = max(map(len, LAWS))
    lines = [f"{report.verdict(law):9}  {law:{width}}  {about}" for law, about in LAWS.items()]
    if compared:
        lines.append(f"{_agreement(compared):9}  {'reference':{width}}  {_how_much(compared)}")
    for violation in report.violations:
        lines += ["", str(violation)]
    if compared and not compared.agrees:
        lines += ["", str(compared.difference or f"reference: {compared.error}")]
    lines += [f"\nnote: {note}" for note in report.notes]
    lines += ["", *report.portrait] if report.portrait else []
    count = len(report.violations)
    verdict = f"breaks the laws in {count} way{'s'[: count != 1]}" if count else "conforms"
    if compared:
        said = {"agrees": "agrees with", "differs": "differs from"}
        how = said.get(_agreement(compared), "was not compared with")
        verdict += f"; it {how} {compared.reference}"
    return "\n".join([*lines, "", f"{args.game} {verdict} ({seconds:.1f} s)"])


def _agreement(compared: Comparison) -> str:
    if compared.error:
        return "not tried"
    return "differs" if compared.difference else "agrees"


def _how_much(compared: Comparison) -> str:
    if compared.error:
        return compared.reference
    matched = f"moves matched {compared.matched}"
    return (
        f"{compared.reference}: {compared.plies:,} positions of {compared.games} games, {matched}"
    )


def _as_json(
    args: Args, report: Report, compared: Comparison | None, seconds: float
) -> dict[str, Any]:
    difference = compared.difference if compared else None
    return {
        "game": args.game,
        "conforms": not report.violations,
        "laws": {law: report.verdict(law) for law in LAWS},
        "violations": [
            {name: getattr(violation, name) for name in TOLD} for violation in report.violations
        ],
        "notes": list(report.notes),
        "portrait": list(report.portrait),
        "reference": compared
        and compared._asdict()
        | {"agrees": compared.agrees, "difference": difference and difference._asdict()},
        "games": args.games,
        "seconds": round(seconds, 3),
    }
