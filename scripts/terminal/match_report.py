"""The results of matches as the commands show them: as text, and as JSON."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from games.consent import ENGINES
from scripts.terminal import csv_file
from scripts.terminal.console import print_json, print_text
from selfplay.arena.result import MatchResult
from selfplay.rating.sprt import Sprt

BY_FAULTS = "decided by faults alone, which rates nobody"


class Conditions(NamedTuple):
    """What all games of a match, or of a ladder, have in common."""

    openings: str  # "random", "balanced", or a file
    opening_plies: int
    simulations: tuple[int, ...]  # of players without a number of their own; 0 is the raw policy

    def in_words(self, players: Iterable[str]) -> str:
        """Returns them as a line; simulations only where one of the players searches with them."""
        said = str(self)
        return said if any(map(_at_default, players)) else said.rpartition(", ")[0]

    def __str__(self) -> str:
        count = f"{self.opening_plies} {'ply' if self.opening_plies == 1 else 'plies'}"
        openings = {
            "random": count.replace(" ", " random "),
            "balanced": f"{count}, balanced",
        }.get(self.openings, f"{self.openings} ({count} of a record)")
        return f"openings: {openings}, {' or '.join(map(str, self.simulations))} simulations"

    def summary(self) -> dict[str, Any]:
        """The conditions for `--json`."""
        budgets = list(self.simulations)
        return self._asdict() | {"simulations": budgets[0] if len(budgets) == 1 else budgets}


def _at_default(player: str) -> bool:
    """Whether a player may search with the simulations that the command names."""
    has_own = "simulations=" in player.rpartition(":")[2]
    return not (has_own or player == "random" or player.startswith(ENGINES))


def report_all(
    results: Sequence[MatchResult], conditions: Conditions, as_json: bool, test: Sprt | None = None
) -> None:
    """Prints one match, or a table of several, on stdout."""
    if len(results) == 1:
        content = summary(results[0]) | ({"sprt": sprt_summary(results[0], test)} if test else {})
        lines = [describe(results[0], conditions)]
        lines += [_describe_sprt(results[0], test)] if test else []
    else:
        content = {"matches": [{"players": list(r.players), **summary(r)} for r in results]}
        lines = [conditions.in_words(n for r in results for n in r.players), *_table(results)]
    if as_json:
        print_json(conditions.summary() | content)
    else:
        print_text("\n".join(lines))


COLUMNS = (
    *("first", "second", "openings", "opening_plies", "simulations", "games", "distinct_games"),
    *("wins", "draws", "losses", "score", "low", "high", "elo", "elo_low", "elo_high", "los"),
    *("first_resigned", "second_resigned", "first_faults", "second_faults", "decided_by_faults"),
)


def write_csv(path: str, results: Sequence[MatchResult], conditions: Conditions) -> None:
    """Writes matches, a line each, with `COLUMNS`."""
    rows = []
    for result in results:
        row = conditions.summary() | summary(result)
        low, high = row["interval"] or (None, None)
        elo_low, elo_high = row["elo_interval"] or (None, None)
        row |= {"low": low, "high": high, "elo_low": elo_low, "elo_high": elo_high}
        for name, player, resigned, faults in zip(
            ("first", "second"), result.players, result.resigned, result.faults, strict=True
        ):
            row |= {name: player, f"{name}_resigned": resigned, f"{name}_faults": faults.total()}
        rows.append(row)
    csv_file.write(path, COLUMNS, rows)


def summary(result: MatchResult) -> dict[str, Any]:
    """A match for `--json`, from the first player's side; null where faults decided."""
    rated = not result.decided_by_faults
    return {
        "games": result.games,
        "wins": result.wins,
        "draws": result.draws,
        "losses": result.losses,
        "score": result.score,
        "interval": list(result.interval) if rated else None,
        "distinct_games": result.distinct_games,
        "elo": result.elo if rated else None,
        "elo_interval": list(result.elo_interval) if rated else None,
        "los": result.superiority if rated else None,
        "resigned": list(result.resigned),
        "faults": [dict(reasons) for reasons in result.faults],
        "decided_by_faults": result.decided_by_faults,
    }


def sprt_summary(result: MatchResult, test: Sprt) -> dict[str, Any]:
    """Where a sequential test of a match stands, for `--json`."""
    outcome = result.decide(test)
    return {**dataclasses.asdict(test), "verdict": outcome.verdict, "llr": outcome.llr} | {
        "bounds": list(outcome.bounds)
    }


def describe(result: MatchResult, conditions: Conditions) -> str:
    """Returns the result in a few lines."""
    seats = [
        f"in seat {seat}: {wins} won, {draws} drawn, {losses} lost"
        for seat, (wins, draws, losses) in enumerate(result.by_seat)
    ]
    return "\n".join(
        [
            f"{result.players[0]} against {result.players[1]}: {result.games} games, "
            f"{result.distinct_games} of them distinct",
            conditions.in_words(result.players),
            f"{result.wins} won, {result.draws} drawn, {result.losses} lost ({'; '.join(seats)})",
            *_describe_strength(result),
            *_describe_ends(result),
        ]
    )


def _describe_strength(result: MatchResult) -> list[str]:
    if result.decided_by_faults:
        return [f"score {result.score:.3f}, {BY_FAULTS}"]
    (low, high), (elo_low, elo_high) = result.interval, result.elo_interval
    return [
        f"score {result.score:.3f}, 95% interval {low:.3f} to {high:.3f}",
        f"Elo difference {result.elo:+.0f}, 95% interval {elo_low:+.0f} to {elo_high:+.0f}",
        f"likelihood that {result.players[0]} is the stronger one: {result.superiority:.1%}",
    ]


def _describe_ends(result: MatchResult) -> Iterator[str]:
    for name, resigned, faults in zip(result.players, result.resigned, result.faults, strict=True):
        if resigned:
            yield f"{name} resigned {resigned} games"
        for reason, times in faults.most_common():
            yield f"{name} lost {times} games by a fault: {reason}"


def _describe_sprt(result: MatchResult, test: Sprt) -> str:
    if result.decided_by_faults:
        return f"SPRT: undecided, the match being {BY_FAULTS}"
    outcome = result.decide(test)
    (low, high), llr = outcome.bounds, outcome.llr
    meaning = {
        "H0": f"H0 is accepted: nearer to {test.elo0:+g} Elo than to {test.elo1:+g}",
        "H1": f"H1 is accepted: nearer to {test.elo1:+g} Elo than to {test.elo0:+g}",
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
            *_cells(r),
        )
        for r in results
    ]
    head = ("match", "won-drawn-lost", "score", "95% interval", "Elo", "stronger")
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    for result in results:
        yield from _describe_ends(result)


def _cells(result: MatchResult) -> tuple[str, str, str]:
    if result.decided_by_faults:
        return BY_FAULTS.partition(",")[0], "-", "-"
    low, high = result.interval
    return f"{low:.3f} to {high:.3f}", f"{result.elo:+.0f}", f"{result.superiority:.1%}"
