"""Metrics as a flat table, and the state of a run as JSON: for spreadsheets and programs."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from training import metrics
from training.evaluation import value_quality
from training.report import curves, values
from training.report.text import operations_so_far
from training.storage.checkpoint import CheckpointStore
from training.storage.run_folder import RunFolder

# What every table begins with, whatever its runs measured: new entries come behind these.
COLUMNS = (
    "run",
    "kind",
    *(
        field.name
        for field in dataclasses.fields(metrics.IterationLine)
        if field.name != "target_losses"
    ),
)


def table(folders: Sequence[RunFolder]) -> tuple[list[str], list[dict[str, Any]]]:
    """Returns columns, and a row for each line of the runs' metrics, oldest first.

    Entries inside entries are named with points (`random.score`), the ends of an interval `.low`
    and `.high`; other lists are left out. These columns follow `COLUMNS`, by name.

    Raises:
      ValueError: a folder is no run, or has no metrics yet.
    """
    rows = []
    for folder in folders:
        curves.read_history(folder)  # says what is wrong
        rows += [{"run": str(folder.path), **dict(_flat(line))} for line in folder.read_metrics()]
    return [*COLUMNS, *sorted({name for row in rows for name in row} - set(COLUMNS))], rows


def _flat(entries: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in entries.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif not isinstance(value, list):
            yield prefix + name, value
        elif len(value) == 2 and name.endswith("interval"):
            yield f"{prefix}{name}.low", value[0]
            yield f"{prefix}{name}.high", value[1]


def summary(folder: RunFolder) -> dict[str, Any]:
    """Returns the state of a run, as JSON has it.

    It has game, operations, checkpoints, how values agree with results, and the newest line of
    metrics of each kind.

    Raises:
      ValueError: the folder is no run, or has no metrics yet.
    """
    history = curves.read_history(folder)  # says what is wrong
    computed = operations_so_far(history)
    config = folder.read_config()
    newest = {line["kind"]: line for line in folder.read_metrics()}
    quality = values.read(folder)
    return {
        "run": str(folder.path),
        "game": config.game,
        "preset": config.preset,
        "flops": computed and computed.learning,
        "flops_measured": computed and computed.measuring,
        "checkpoints": CheckpointStore(folder.path).steps(),
        "values": value_quality.as_json(quality) if quality else None,
        **{kind: newest.get(kind) for kind in metrics.KINDS},
    }
