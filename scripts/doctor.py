"""`selfplay doctor`."""

import itertools
import textwrap

from scripts.flags.doctor import Args
from scripts.terminal.console import print_json, print_text, progress, say
from training.doctor import CHECKS, Diagnosis, diagnose
from training.report import verdict
from training.storage.run_folder import RunFolder

MARKS = {"healthy": "ok", "finding": "FINDING", "too early": "too early"}
WIDTH = 96


def run(args: Args) -> int:
    """Runs the command; returns its exit code, 0 with and without findings."""
    if not args.seconds > 0:
        raise ValueError(f"--seconds must be above 0, got {args.seconds}")
    with progress("doctor", CHECKS, "checks") as update:
        diagnosis = diagnose(RunFolder(args.run), args.seconds, update)
    if problem := verdict.keep(RunFolder(args.run), diagnosis.as_json()):
        say(f"note: {problem}")
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
    for note in itertools.chain(*(result.notes for result in diagnosis.results)):
        lines += textwrap.wrap(note, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
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
        lines += textwrap.wrap(_no_finding(diagnosis), WIDTH)
    return "\n".join(lines)


def _no_finding(diagnosis: Diagnosis) -> str:
    """Returns the last line of a report without findings, which is no clean bill if it is early."""
    early = diagnosis.too_early
    if not early:
        return "no finding"
    checks = f"{len(early)} of {len(diagnosis.results)} checks"
    return (
        f"no finding, but {checks} could not be judged, or not all that they look at: "
        f"{', '.join(early)}. Ask again when the run has trained for longer"
    )
