"""The leftovers of a kill in the middle of a save."""

import pathlib
import re

from selfplay.files import durable
from selfplay.files.durable import PARTIAL
from training import replay

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
        final = folder / name.removesuffix(OLD)
        if name.endswith(OLD) and not final.exists():
            (folder / name).rename(final)
        else:
            durable.remove(folder / name)
    for place, left in ((run_folder / "replay", replay.LEFT), (run_folder, LEFT_OF_CONFIG)):
        for name in filter(left.fullmatch, durable.names_in(place)):
            durable.remove(place / name)
