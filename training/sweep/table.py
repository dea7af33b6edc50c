"""A sweep's result for people: as a table, and as rows of Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from training.sweep.summary import measures

NO_INTERVAL = "none"


def table(summary: Mapping[str, Any], notes: Sequence[str]) -> str:
    """Returns the result as text: a block for each measure, one of the compute, and notes."""
    [(limit, value)] = summary["limit"].items()
    seeds = " ".join(map(str, summary["seeds"]))
    lines = [
        f"sweep: {summary['game']}, preset {summary['preset']}, {value:g} {limit} a run, seeds "
        f"{seeds}",
        "means over seeds with 95% intervals (Student's t); differences are paired by seed",
    ]
    for name in measures(summary):
        lines += ["", *_block(summary, name)]
    lines += ["", *_compute(summary), *(f"note: {note}" for note in notes)]
    return "\n".join(lines)


def markdown(summary: Mapping[str, Any]) -> str:
    """Returns a row for each variant, with a column for each measure, and their head."""
    names, [(limit, value)] = measures(summary), summary["limit"].items()
    head = ["game", "compute", "seeds", "variant", *names]
    rows = [head, ["---"] * len(head)]
    for variant, entries in summary["variants"].items():
        cells = [summary["game"], f"{value:g} {limit}", str(len(entries["seeds"])), variant]
        rows.append(cells + [_cell(entries["measures"].get(name)) for name in names])
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)


def _block(summary: Mapping[str, Any], name: str) -> list[str]:
    baseline = summary["baseline"]
    head = ["", "seeds", "mean", "95% interval", f"points over {baseline}", "95% interval", ""]
    rows = [head]
    for variant, entries in summary["variants"].items():
        measured = entries["measures"].get(name)
        if measured is None:
            rows.append([variant, "0", "-", "", "", "", ""])
            continue
        difference = measured["to_baseline"]
        rows.append(
            [
                variant,
                str(len(measured["values"])),
                f"{measured['mean']:.2%}",
                _shares(measured["interval"]),
                f"{100 * difference['mean']:+.2f}" if difference else "",
                _points(difference["interval"]) if difference else "",
                difference["verdict"] if difference else "",
            ]
        )
    return [name, *_aligned(rows)]


def _compute(summary: Mapping[str, Any]) -> list[str]:
    counts = ("flops", "seconds", "positions", "games", "step")
    rows = [["", *counts]]
    for variant, entries in summary["variants"].items():
        rows.append([variant, *(_count(entries["compute"][name]) for name in counts)])
    return ["compute of a run, mean", *_aligned(rows)]


def _count(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value < 1e9 else f"{value:.4g}"


def _shares(ends: Sequence[float] | None) -> str:
    return NO_INTERVAL if ends is None else f"{ends[0]:.2%} to {ends[1]:.2%}"


def _points(ends: Sequence[float] | None) -> str:
    return NO_INTERVAL if ends is None else f"{100 * ends[0]:+.2f} to {100 * ends[1]:+.2f}"


def _cell(measured: Mapping[str, Any] | None) -> str:
    if measured is None:
        return "-"
    ends = measured["interval"]
    text = f"{measured['mean']:.2%}" + (f" ({_shares(ends)})" if ends else "")
    difference = measured["to_baseline"]
    return f"{text}, {difference['verdict']}" if difference and difference["verdict"] else text


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if place in (0, len(row) - 1) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
