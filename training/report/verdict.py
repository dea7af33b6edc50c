"""The doctor's last diagnosis of a run, which lies in report/doctor.json."""

import json
import math
from typing import Any

from selfplay.files import durable, json_lines
from training.storage.run_folder import RunFolder

MAX_BYTES = 1 << 20


def keep(folder: RunFolder, diagnosis: dict[str, Any]) -> str:
    """Writes a diagnosis beside its run; returns why that was not possible, else an empty text.

    Args:
      diagnosis: as `Diagnosis.as_json` returns it.
    """
    file = folder.report / "doctor.json"
    try:
        durable.make_folder(folder.report)
        durable.write_whole(file, (json.dumps(_finite(diagnosis)) + "\n").encode())
    except OSError as error:
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        return f"reports and the list of runs will not show this: {file}: {cause.strerror}"
    return ""


def read(folder: RunFolder) -> dict[str, Any] | None:
    """Returns the last diagnosis, None if there is none.

    It has `step`, of the checkpoint that was looked at; `healthy`, null where that is not known
    yet; `sentence`; and `checks` and `findings` as lists of objects.

    Raises:
      ValueError: it is damaged; says which file.
      OSError: it cannot be read.
    """
    file = folder.report / "doctor.json"
    try:
        content = json_lines.read_object(file, MAX_BYTES)
    except FileNotFoundError:
        return None
    try:
        return _checked(content)
    except (KeyError, TypeError, AttributeError):
        raise ValueError(f"{file} is damaged: selfplay doctor writes it anew") from None


def _checked(content: Any) -> dict[str, Any]:
    """Returns what of a diagnosis is shown; raises KeyError or TypeError if it is none."""
    if type(content["step"]) is not int or type(content["healthy"]) not in (bool, type(None)):
        raise TypeError("not what the doctor writes")
    checks = [
        {name: str(check[name]) for name in ("check", "verdict", "summary", "healthy", "unjudged")}
        | {"notes": [str(note) for note in check["notes"]]}
        for check in content["checks"]
    ]
    findings = [
        {name: str(finding[name]) for name in ("fault", "sentence", "change")}
        for finding in content["findings"]
    ]
    return {
        "step": content["step"],
        "healthy": content["healthy"],
        "sentence": _sentence(checks, findings),
        "checks": checks,
        "findings": findings,
    }


def _sentence(checks: list[dict[str, Any]], findings: list[dict[str, str]]) -> str:
    if findings:
        others = f" and {len(findings) - 1} more" if len(findings) > 1 else ""
        return f"{findings[0]['fault']}{others}"
    early = [check["check"] for check in checks if check["verdict"] == "too early"]
    if early:
        return f"no finding; too early to judge: {', '.join(early)}"
    return "healthy: no finding"


def _finite(value: Any) -> Any:
    """Returns JSON with null for numbers that are not finite, which browsers cannot read."""
    if isinstance(value, dict):
        return {str(name): _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
