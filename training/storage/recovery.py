"""The checkpoint from which a run goes on: the newest whole one, never silently an older one."""

import contextlib
import shlex
from collections.abc import Callable

from training.storage.checkpoint import Checkpoint, CheckpointStore
from training.storage.manifest import CheckpointError, DamagedError
from training.storage.run_folder import RunFolder


def last_good(
    folder: RunFolder, store: CheckpointStore, tell: Callable[[str], None]
) -> Checkpoint | None:
    """Returns the newest checkpoint that is whole; None if there is none at all yet.

    Damaged ones that are newer move to discarded/, which `tell` is told. It never goes back to
    step 0: that would be a new run, which a person may ask for.

    Raises:
      CheckpointError: there is no such checkpoint, or it is of another format.
    """
    damaged: dict[int, DamagedError] = {}
    for step in reversed(store.steps()):
        if step == 0 and damaged:
            break
        try:
            saved = store.load(step)
        except DamagedError as error:
            damaged[step] = error
            continue
        if damaged:
            _set_aside(folder, store, damaged, step, tell)
        return saved
    if not damaged:
        return None
    raise CheckpointError(
        f"{next(iter(damaged.values()))}, and there is no other checkpoint to go on from: put the "
        f"file back from a copy{_way_out(folder, store)}"
    )


def _way_out(folder: RunFolder, store: CheckpointStore) -> str:
    """Returns advice to start anew from the newest weights that can be loaded."""
    for step in reversed(store.steps()):
        with contextlib.suppress(CheckpointError):
            store.load(step, with_replay=False)
            return (
                ", or start a new run from its weights, --from "
                f"{shlex.quote(f'{folder.path}@{step}')} --run-dir NEW"
            )
    return ""


def _set_aside(
    folder: RunFolder,
    store: CheckpointStore,
    damaged: dict[int, DamagedError],
    step: int,
    tell: Callable[[str], None],
) -> None:
    why = "; ".join(str(error) for error in damaged.values())
    target = folder.discarded(why)
    for bad in damaged:
        store.set_aside(bad, target)
    steps = ", ".join(map(str, damaged))
    tell(f"{why}: going on from step {step}; step {steps} is now in {target}")
