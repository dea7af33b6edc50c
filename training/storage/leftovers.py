"""The leftovers of a kill in the middle of a save."""

import pathlib
import re

from selfplay.files import durable
from selfplay.files.durable import PARTIAL
from training import replay
from training.storage.manifest import CONFIG, CheckpointError, read_json, read_manifest

OLD, REMOVED, SHARE = ".old", ".removed", "share-"
# What a kill leaves, and nothing else that may lie where a link leads.
LEFT = re.compile(
    rf"[0-9]{{1,18}}(({durable.UNIQUE})?{re.escape(PARTIAL)}|{re.escape(OLD)}|{re.escape(REMOVED)})"
    rf"|{SHARE}[0-9a-f]{{12}}-[0-9]+-[0-9]+\.npz(({durable.UNIQUE})?{re.escape(PARTIAL)})?"
)
LEFT_OF_CONFIG = re.compile(rf"config\.json({durable.UNIQUE})?{re.escape(PARTIAL)}")


def recover(run_folder: pathlib.Path) -> None:
    """Finishes or undoes what a kill in the middle of a save left behind.

    The caller holds the run, and has not written anything yet: the disk may be full of what is
    removed here.
    """
    folder = run_folder / "checkpoints"
    for name in filter(LEFT.fullmatch, durable.names_in(folder)):
        if folder.is_symlink() and _is_others(run_folder, folder / name):
            continue
        final = folder / name.removesuffix(OLD)
        if name.endswith(OLD) and not final.exists():
            (folder / name).rename(final)
        else:
            durable.remove(folder / name)
    for place, left in ((run_folder / "replay", replay.LEFT), (run_folder, LEFT_OF_CONFIG)):
        for name in filter(left.fullmatch, durable.names_in(place)):
            durable.remove(place / name)


def _is_others(run_folder: pathlib.Path, left: pathlib.Path) -> bool:
    """Whether a checkpoint that lies where a link leads is another run's."""
    try:
        own = read_json(run_folder / CONFIG).get("run_id")
        return left.is_dir() and bool(read_manifest(left)["run_id"] != own)
    except CheckpointError:  # a part of one, which nobody misses
        return False
