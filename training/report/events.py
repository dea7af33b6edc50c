"""What happened in a run, for marks on the axes of its curves: as JSON takes it.

An event has `kind` (resume, rollback, gate, verdict or decisions), `step` and `text`; `minutes` and
`iteration` are null where only the step is known.
"""

import collections
import contextlib
import pathlib
import re
from typing import Any

from selfplay.files import json_lines
from training.metrics import EvaluationLine, GateLine
from training.report import text
from training.storage import starts
from training.storage.run_folder import RunFolder

OF_STEP = re.compile(r"@([0-9]{1,15})\b")  # in a player's name


def of_gate(line: GateLine) -> dict[str, Any]:
    """Returns a match of new weights for their place as an event."""
    return _event("gate", line, text.describe_gate(line)) | {"promoted": line.promoted}


def of_verdict(line: EvaluationLine, verdict: str) -> dict[str, Any]:
    """Returns why a run ended at its fixed point as an event."""
    return _event("verdict", line, verdict)


def _event(kind: str, line: GateLine | EvaluationLine, said: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "minutes": round(line.seconds / 60, 4),
        "iteration": line.iteration,
        "step": line.step,
        "text": said,
    }


def of_files(folder: RunFolder) -> list[dict[str, Any]]:
    """Returns the events that a run's other files tell: where it went on, and after what."""
    return [_of_start(start) for start in starts.read(folder.path) if start["why"] != "new"]


def _of_start(start: dict[str, Any]) -> dict[str, Any]:
    rolled = start["why"] == "rollback"
    what = "NaN or infinity: back to" if rolled else "went on from"
    return {
        "kind": "rollback" if rolled else "resume",
        "minutes": round(start["seconds"] / 60, 4),
        "iteration": start["iteration"],
        "step": start["step"],
        "text": f"{what} step {start['step']}, {start['process']}, {start['device']}",
    }


def of_decisions(file: pathlib.Path) -> list[dict[str, Any]]:
    """Returns an overseer's decisions as events, by who made them beside which weights.

    Raises:
      ValueError: the file is no text, or too large.
    """
    counts: collections.Counter[tuple[int, str]] = collections.Counter()
    for place, line in json_lines.read(file, damaged=lambda problem: None):
        with contextlib.suppress(ValueError):
            decision = json_lines.parse(line, place)
            if isinstance(decision, dict) and "moves" in decision:
                beside = OF_STEP.search(str(decision.get("player", "")))
                by = str(decision.get("by") or "unknown")
                counts[int(beside[1]) if beside else 0, by] += 1
    return [
        {
            "kind": "decisions",
            "minutes": None,
            "iteration": None,
            "step": step,
            "text": f"{count} decision{'s' * (count > 1)} by {by}, beside step {step}",
        }
        for (step, by), count in sorted(counts.items())
    ]
