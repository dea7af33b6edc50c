"""`selfplay doctor`."""

import dataclasses
import textwrap

from scripts.terminal.console import Positional, print_json, print_text, progress
from training.doctor import CHECKS, Diagnosis, diagnose
from training.storage.run_folder import RunFolder

MARKS = {"healthy": "ok", "finding": "FINDING", "too early": "too early"}
WIDTH = 96


@dataclasses.dataclass(frozen=True)
class Args:
    """Says whether a run is learning, and if not, why.

    Eleven checks of what the run has left on disk: its rows against the rules, the age of its rows,
    its games, exploration, weights, values, search, overseer, and whether a fresh network can learn
    from them. Each finding says what is wrong, what a healthy run looks like, and what to change;
    the likeliest cause comes first. Works on a run in progress and writes nothing.

    Examples:
      selfplay doctor runs/c4
      selfplay doctor runs/c4 --json
      selfplay doctor runs/go --seconds 60
    """

    run: Positional[str]
    """A run folder."""
    seconds: float = 20.0
    """The most that each of the two checks that train a fresh network may take."""
    json: bool = False
    """Print one JSON object on stdout."""


def run(args: Args) -> int:
    """Runs the command; returns its exit code, 0 with and without findings."""
    if not args.seconds > 0:
        raise ValueError(f"--seconds must be above 0, got {args.seconds}")
    with progress("doctor", CHECKS) as update:
        diagnosis = diagnose(RunFolder(args.run), args.seconds, update)
    if args.json:
        print_json(diagnosis.as_json())
    else:
        print_text(_text(args.run, diagnosis))
    return 0


def _text(name: str, diagnosis: Diagnosis) -> str:
    lines = [f"{name} at step {diagnosis.step}"]
    for result in diagnosis.results:
        line = f"  {result.check:12} {MARKS[result.verdict]:10} {result.summary}"
        if result.unjudged and result.unjudged != result.summary:
            line += f" ({result.unjudged})"
        lines += textwrap.wrap(line, WIDTH, subsequent_indent=" " * 26)
    healthy = {
        finding: result.healthy for result in diagnosis.results for finding in result.findings
    }
    for number, finding in enumerate(diagnosis.findings):
        lines.append("")
        lines.append("the likeliest cause:" if number == 0 else "also, perhaps because of it:")
        for label, text in (
            (finding.fault, finding.sentence),
            ("healthy", healthy[finding]),
            ("change", finding.change),
        ):
            lines += textwrap.wrap(
                f"  {label}: {text}", WIDTH, subsequent_indent="    ", break_on_hyphens=False
            )
    if not diagnosis.findings:
        lines.append("no finding")
    return "\n".join(lines)
