"""The manifest of a checkpoint, and the JSON beside it: what can be trusted of a save."""

import hashlib
import json
import pathlib
import re
import stat
from typing import Any

import numpy as np

from selfplay.files import json_lines

FORMAT_VERSION = 1
STEP = re.compile("[0-9]{1,18}")
ARRAYS = "train_state/arrays.npz"
FILES = {ARRAYS, "games.npz", "counters.json", "logs.json"}  # what every save has
# What a checkpoint calls the actor weights, and the step that they are from.
ACTOR, ACTOR_STEP = "actor", "actor_step"
COUNTERS = ("examples", "replay_oldest_kept", ACTOR_STEP)  # what every save has
CONFIG = "config.json"


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be trusted or does not fit; the message says what to do."""


class DamagedError(CheckpointError):
    """A checkpoint that is not as it was written; an older one may do."""


def read_manifest(folder: pathlib.Path) -> dict[str, Any]:
    """Returns the manifest of a checkpoint folder.

    Raises:
      CheckpointError: there is none, it is damaged, or of a format this version does not know.
    """
    path = folder / "manifest.json"
    manifest = read_json(path)
    if manifest.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{folder} has format {manifest.get('format_version')}, this version reads "
            f"{FORMAT_VERSION}: use the version of selfplay that wrote it"
        )
    if different := manifest.keys() ^ {"format_version", "run_id", "files", "replay"}:
        raise DamagedError(f"{path}: unknown or missing entries: {', '.join(sorted(different))}")
    for part in ("files", "replay"):
        hashes = manifest.get(part)
        if not isinstance(hashes, dict) or not all(type(sha) is str for sha in hashes.values()):
            raise DamagedError(f"{path} is damaged: it has no list of {part}")
    if outside := [name for name in manifest["files"] if not _is_inside(name)]:
        raise DamagedError(f"{path} is damaged: {outside[0]!r} is no file of the checkpoint")
    if absent := FILES - manifest["files"].keys():
        raise DamagedError(f"{path} is damaged: it does not list {', '.join(sorted(absent))}")
    # What else lies there, as file managers and editors leave it, is never read.
    for file in (folder, *folder.rglob("*")):
        if file.is_symlink() and not file.name.startswith("."):
            raise DamagedError(f"{file} is a link: it was not written by us")
    if any(pathlib.PurePath(name).name != name for name in manifest["replay"]):
        raise DamagedError(f"{path} is damaged: a replay chunk lies in no other folder")
    return manifest


def _is_inside(name: str) -> bool:
    path = pathlib.PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def oldest_example(folder: pathlib.Path) -> int:
    """Returns the oldest replay example that a checkpoint needs."""
    name = "counters.json"
    verify(folder, {name: read_manifest(folder)["files"].get(name, "")})
    return int(read_json(folder / name)["replay_oldest_kept"])


def verify(folder: pathlib.Path, hashes: dict[str, str]) -> None:
    """Raises DamagedError unless each file in a folder has the SHA-256 that `hashes` says."""
    for name, expected in hashes.items():
        path = folder / name
        if not is_file(path):
            raise DamagedError(f"{path} is missing")
        if sha256(path) != expected:
            raise DamagedError(f"{path} is damaged: its SHA-256 differs from the manifest's")


def is_file(path: pathlib.Path) -> bool:
    """Returns whether a file is there; raises OSError if that cannot be known now."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def check_counters(counters: dict[str, Any]) -> dict[str, Any]:
    """Returns a save's counters. Raises ValueError if one that a resume needs is no number."""
    for name in COUNTERS:
        if type(counters.get(name)) is not int:
            raise ValueError(f"counters.json: {name!r} must be a whole number")
    return counters


def check_logs(logs: dict[str, Any]) -> dict[str, Any]:
    """Returns what a save notes of the logs. Raises ValueError if it is of another form."""
    counts: list[Any] = [logs.get("sizes"), logs.get("sums")]
    line: Any = logs.get("line")
    losses: Any = logs.get("losses")
    objects = [*counts, line, *(losses if isinstance(losses, list) else [None])]
    if not all(isinstance(part, dict) for part in objects):
        raise ValueError("logs.json: 'sizes', 'sums', 'line' and each of 'losses' are objects")
    if not all(type(value) is int for part in counts for value in part.values()):
        raise ValueError("logs.json: 'sizes' and 'sums' hold whole numbers")
    if not all(json_lines.is_number(value) for part in losses for value in part.values()):
        raise ValueError("logs.json: 'losses' hold numbers")
    if line and not all(json_lines.is_number(line.get(name)) for name in ("step", "examples")):
        raise ValueError("logs.json: 'line' has a step and examples")
    return logs


def sha256(path: pathlib.Path) -> str:
    """Returns the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def by_step(dispatched: list[tuple[int, dict[str, Any]]]) -> list[dict[str, float]]:
    """Returns the losses of each training step; of a dispatch, its steps and arrays of K numbers.

    It waits for the devices.
    """
    fetched = [(count, {n: np.asarray(v) for n, v in all_.items()}) for count, all_ in dispatched]
    return [
        {name: float(values[step]) for name, values in measured.items()}
        for count, measured in fetched
        for step in range(count)
    ]


def write_json(path: pathlib.Path, value: dict[str, Any]) -> None:
    """Writes an object as JSON; numbers of other kinds, such as arrays of one, as floats."""
    path.write_text(json.dumps(value, indent=1, default=float))


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Returns an object from a file. Raises DamagedError if it is missing or holds none."""
    if not is_file(path):
        raise DamagedError(f"{path} is missing: there is no whole checkpoint there")
    try:
        return json_lines.read_object(path)
    except ValueError as error:
        raise DamagedError(str(error)) from None
