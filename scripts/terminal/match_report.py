"""The results of matches as the commands show them: as text, and as JSON."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from scripts.terminal.console import print_json, print_text
from selfplay.arena.result import MatchResult
from selfplay.rating.sprt import Sprt


def report(result: MatchResult, as_json: bool) -> None:
    """Prints a match's result on stdout."""
    report_all([result], as_json)


def report_all(results: Sequence[MatchResult], as_json: bool, test: Sprt | None = None) -> None:
    """Prints one match, or a table of several, on stdout."""
    if len(results) == 1:
        content = summary(results[0]) | ({"sprt": _sprt_summary(results[0], test)} if test else {})
        lines = [describe(results[0]), *([_describe_sprt(results[0], test)] if test else [])]
    else:
        content = {"matches": [{"players": list(r.players), **summary(r)} for r in results]}
        lines = [*_table(results)]
    if as_json:
        print_json(content)
    else:
        print_text("\n".join(lines))


def summary(result: MatchResult) -> dict[str, Any]:
    """Returns what `--json` prints, from the first player's side."""
    return {
        "games": result.games,
        "wins": result.wins,
        "draws": result.draws,
        "losses": result.losses,
        "score": result.score,
        "interval": list(result.interval),
        "distinct_games": result.distinct_games,
        "elo": result.elo,
        "elo_interval": list(result.elo_interval),
        "los": result.superiority,
        "resigned": list(result.resigned),
        "faults": [dict(reasons) for reasons in result.faults],
    }


def _sprt_summary(result: MatchResult, test: Sprt) -> dict[str, Any]:
    outcome = result.decide(test)
    return {**dataclasses.asdict(test), "verdict": outcome.verdict, "llr": outcome.llr} | {
        "bounds": list(outcome.bounds)
    }


def describe(result: MatchResult) -> str:
    """Returns the result in a few lines."""
    (low, high), (elo_low, elo_high) = result.interval, result.elo_interval
    seats = [
        f"in seat {seat}: {wins} won, {draws} drawn, {losses} lost"
        for seat, (wins, draws, losses) in enumerate(result.by_seat)
    ]
    return "\n".join(
        [
            f"{result.players[0]} against {result.players[1]}: {result.games} games, "
            f"{result.distinct_games} of them distinct",
            f"{result.wins} won, {result.draws} drawn, {result.losses} lost ({'; '.join(seats)})",
            f"score {result.score:.3f}, 95% interval {low:.3f} to {high:.3f}",
            f"Elo difference {result.elo:+.0f}, 95% interval {elo_low:+.0f} to {elo_high:+.0f}",
            f"likelihood that {result.players[0]} is the stronger one: {result.superiority:.1%}",
            *_describe_ends(result),
        ]
    )


def _describe_ends(result: MatchResult) -> Iterator[str]:
    for name, resigned, faults in zip(result.players, result.resigned, result.faults, strict=True):
        if resigned:
            yield f"{name} resigned {resigned} games"
        for reason, times in faults.most_common():
            yield f"{name} lost {times} games by a fault: {reason}"


def _describe_sprt(result: MatchResult, test: Sprt) -> str:
    outcome = result.decide(test)
    (low, high), llr = outcome.bounds, outcome.llr
    meaning = {
        "H0": f"H0 is accepted: rather {test.elo0:+g} Elo than {test.elo1:+g}",
        "H1": f"H1 is accepted: rather {test.elo1:+g} Elo than {test.elo0:+g}",
        "undecided": f"undecided between {test.elo0:+g} and {test.elo1:+g} Elo: raise --games",
    }
    return f"SPRT: {meaning[outcome.verdict]} (LLR {llr:+.2f}, bounds {low:.2f} and {high:.2f})"


def _table(results: Sequence[MatchResult]) -> Iterator[str]:
    """Yields a line for each match of a round robin."""
    rows = [
        (
            f"{r.players[0]} - {r.players[1]}",
            f"{r.wins}-{r.draws}-{r.losses}",
            f"{r.score:.3f}",
            f"{r.interval[0]:.3f} to {r.interval[1]:.3f}",
            f"{r.elo:+.0f}",
            f"{r.superiority:.1%}",
        )
        for r in results
    ]
    head = ("match", "won-drawn-lost", "score", "95% interval", "Elo", "stronger")
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    for result in results:
        yield from _describe_ends(result)
