"""How many workers one learner feeds on, as tables: what was measured, and what follows for H100s.

The rates of an H100 are computed from speeds of its network and search, not measured with workers.
"""

import statistics
from typing import Any, NamedTuple

from selfplay import devices

FORWARD_PASSES = 3  # that a training row costs
ALL_IT_CAN = 0  # as a number of workers


class Budget(NamedTuple):
    """A game and search on one H100, in network evaluations a second: computed, not measured."""

    game: str
    search: str
    simulations: int
    network: float  # the network alone
    searching: float  # in self-play

    def rows(self) -> float:
        """Returns the rows that one worker plays a second."""
        return self.searching / (self.simulations + 1)

    def fed(self, reuse: float) -> float:
        """Returns how many workers one learner keeps up with: W = E_net (n+1) / (3 r E_search)."""
        return self.network / (FORWARD_PASSES * reuse * self.rows())


BUDGETS = (
    Budget("connect_four", "Gumbel, 32", 32, 6.39e6, 172_000 * 33),
    Budget("go:size=9", "Gumbel, 32", 32, 1.06e6, 24_500 * 33),
    Budget("go:size=9", "PUCT, 200", 200, 0.88e6, 0.51 * 0.88e6),
    Budget("go:size=19", "Gumbel, 64", 64, 32_200, 27_400),
    Budget("go:size=19", "PUCT, 400", 400, 32_300, 0.90 * 32_300),
)


def tables(held: list[dict[str, Any]]) -> str:
    """Returns all tables as Markdown: medians of what was measured, and what follows for H100s."""
    text = [f"Measured on {devices.described()}."]
    for part in dict.fromkeys(line["part"] for line in held):
        text.append(_measured(part, [line for line in held if line["part"] == part]))
    return "\n\n".join([*text, _fed_table(held)])


def _measured(part: str, lines: list[dict[str, Any]]) -> str:
    head = ("game", "workers", "efficiency", "rows/s", "learner, cores", "workers, cores", "reuse")
    rows = []
    for game, workers in dict.fromkeys((line["game"], line["workers"]) for line in lines):
        of = _medians(lines, game, workers)
        if part == "throttled":
            one = _medians(lines, game, 1)
            share = of["plies_s"] / (workers * one["plies_s"]) if one else float("nan")
            rate = of["plies_s"]
        else:
            share, rate = of["efficiency"], of["rows_s"]
        cells = [f"{share:.3f}" if workers else "", f"{rate:,.0f}"]
        cells += [f"{of[name]:.2f}" for name in ("learner_cores", "workers_cores")]
        rows.append(
            [
                game,
                str(workers or "all it can"),
                *cells,
                f"{of['reuse']:.1f}" if of.get("reuse") else "",
            ]
        )
    return f"{part}:\n\n{_table(head, rows)}"


def _medians(lines: list[dict[str, Any]], game: str, workers: int) -> dict[str, float]:
    """Returns the medians of the repeats; {} if there are none."""
    chosen = [line for line in lines if (line["game"], line["workers"]) == (game, workers)]
    if not chosen:
        return {}

    def median(name: str, each: str = "") -> float:
        return statistics.median(line[name] / (line[each] if each else 1) for line in chosen)

    rates = {"rows_s": "rows", "plies_s": "plies"}
    rates |= {"learner_cores": "learner_cpu", "workers_cores": "workers_cpu"}
    found = {name: median(counted, "seconds") for name, counted in rates.items()}
    kept = [name for name in ("efficiency", "reuse") if name in chosen[0]]
    return found | {name: median(name) for name in kept}


def _fed_table(held: list[dict[str, Any]]) -> str:
    """Returns how many H100 workers a learner feeds on: its GPU's limit, and its host's."""
    head = ("game", "search", "rows/s", "reuse 4", "reuse 1.5", "one host takes")
    rows, stub = [], [line for line in held if line["part"] == "stub"]
    for budget in BUDGETS:
        host = _medians(stub, budget.game, ALL_IT_CAN)
        takes = f"{_round(host['rows_s'] / budget.rows())}" if host else "not measured"
        cells = [_round(budget.fed(reuse)) for reuse in (4.0, 1.5)]
        rows.append([budget.game, budget.search, f"{budget.rows():,.0f}", *cells, takes])
    return f"H100 workers for one learner, computed:\n\n{_table(head, rows)}"


def _round(count: float) -> str:
    return f"{count:.1f}" if count < 10 else f"{count:,.0f}"


def _table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
