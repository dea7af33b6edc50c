"""The doctor's diagnosis of a run."""

from typing import Any

from scripts.web.ops.permission import require_run
from scripts.web.ops.question import Args, Op, Tell, finite, number, text
from training.doctor import CHECKS, diagnose
from training.storage.run_folder import RunFolder

SECONDS, MOST_SECONDS = 20, 600  # of each check that trains


def doctor(args: Args, tell: Tell) -> dict[str, Any]:
    """Returns what the doctor says of `run`; each check that trains takes `seconds` at most."""
    folder = RunFolder(text(args, "run"))
    require_run(str(folder.path))
    seconds = number(args, "seconds", SECONDS, 1, MOST_SECONDS)

    def progress(done: float, note: str) -> None:
        tell.often(f"{int(done)} of {CHECKS} checks done; {note}")

    result: dict[str, Any] = finite(diagnose(folder, seconds, progress).as_json())
    return result


OPS = {"doctor": Op(doctor, "long")}
