"""What lies where in a run's folder, and who may write to it.

    config.json      format_version, configuration, library versions, commit
    metrics.jsonl    one line an iteration or evaluation
    checkpoints/     <step>/, see training/checkpoint.py
    replay/          <first>-<last>.npz, see training/replay.py
    games/           records of a sample of self-play, and of evaluation games
    report/          index.html and plots
    lock             held by the process that trains, with its name
    discarded/       what was written after the save that a resume started from

Nothing is erased except by the retention that the configuration states.
"""

import contextlib
import fcntl
import importlib.metadata
import json
import os
import pathlib
import platform
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from training import config as config_module
from training import replay
from training.checkpoint import CheckpointError, recover
from training.config import RunConfig

FORMAT_VERSION = 1
LIBRARIES = ("selfplay", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "mctx", "numpy")


class RunFolder:
    """Paths and files of one run. Creating the object touches nothing on disk."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = pathlib.Path(path)
        self.config_file = self.path / "config.json"
        self.metrics_file = self.path / "metrics.jsonl"
        self.games = self.path / "games"
        self.report = self.path / "report"

    def exists(self) -> bool:
        """Whether a run lives here."""
        return self.config_file.exists()

    def create(self, config: RunConfig) -> None:
        """Makes the folder of a new run. Raises ValueError if other things lie there."""
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path} is a file; --run-dir needs a folder")
        if self.path.exists() and any(self.path.iterdir()):
            raise ValueError(f"{self.path} is not empty and holds no run; name another --run-dir")
        self.path.mkdir(parents=True, exist_ok=True)
        self.games.mkdir(exist_ok=True)
        self.write_config(config)

    def write_config(self, config: RunConfig) -> None:
        """Writes config.json, whole or not at all."""
        content = {
            "format_version": FORMAT_VERSION,
            "config": config_module.to_dict(config),
            "versions": {"python": platform.python_version()} | _versions(),
            "commit": _commit(),
        }
        partial = self.config_file.with_suffix(".partial")
        partial.write_text(json.dumps(content, indent=1) + "\n")
        partial.replace(self.config_file)

    def read_config(self) -> RunConfig:
        """Returns the run's configuration.

        Raises:
          ValueError: there is no run here, or its config.json cannot be understood.
        """
        if not self.path.exists():
            raise ValueError(f"no such run folder: {self.path}")
        if not self.exists():
            raise ValueError(f"{self.path} is not a run folder: it has no config.json")
        try:
            content = json.loads(self.config_file.read_text())
            version = content["format_version"]
            stored = content["config"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.config_file} is damaged: {error}") from None
        if version != FORMAT_VERSION:
            raise ValueError(
                f"{self.config_file} has format {version}, this version reads {FORMAT_VERSION}: "
                "use the version of selfplay that wrote it"
            )
        return config_module.from_dict(stored)

    def append_metrics(self, line: dict[str, Any]) -> None:
        """Appends one line to metrics.jsonl, readable at once."""
        with self.metrics_file.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def read_metrics(self) -> list[dict[str, Any]]:
        """Returns the lines of metrics.jsonl; a last line cut off by a kill is left out."""
        if not self.metrics_file.exists():
            return []
        lines = []
        for text in self.metrics_file.read_text().splitlines():
            with contextlib.suppress(ValueError):
                lines.append(json.loads(text))
        return lines

    def discard_after(self, iteration: int, rows: int) -> None:
        """Moves what was written after a save to discarded/: a resume does it again.

        Args:
          iteration: the last iteration that the save holds.
          rows: the replay rows that it holds.
        """
        recover(self.path)
        discarded = self.path / "discarded" / time.strftime("%Y%m%d-%H%M%S")
        late_chunks = [
            path for first, _, path in replay.chunks(self.path / "replay") if first >= rows
        ]
        for path in late_chunks:
            discarded.mkdir(parents=True, exist_ok=True)
            path.rename(discarded / path.name)
        for file in (self.metrics_file, *sorted(self.games.glob("self_play*.jsonl"))):
            _split_lines(file, iteration, discarded)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the run for this process; the system frees it even when the process is killed.

        Raises:
          CheckpointError: another process holds it; says which.
        """
        try:
            file = (self.path / "lock").open("a+")
        except OSError as error:
            raise CheckpointError(
                f"cannot write to {self.path} ({error.strerror}): "
                "training needs a folder that it may write to"
            ) from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise CheckpointError(
                    f"{self.path} is in use by {file.read().strip() or 'another process'}: "
                    "stop it first, or name another --run-dir"
                ) from None
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            yield


def next_free(game: str, root: str = "runs") -> RunFolder:
    """Returns `runs/<game>-<n>` with the first free n."""
    name = "".join(c if c.isalnum() or c in "_-." else "-" for c in game)
    n = 1
    while (pathlib.Path(root) / f"{name}-{n}").exists():
        n += 1
    return RunFolder(pathlib.Path(root) / f"{name}-{n}")


def _split_lines(file: pathlib.Path, iteration: int, discarded: pathlib.Path) -> None:
    """Keeps the lines up to `iteration`, moves the rest."""
    if not file.exists():
        return
    kept: list[str] = []
    late: list[str] = []
    for text in file.read_text().splitlines(keepends=True):
        try:
            is_late = json.loads(text)["iteration"] > iteration
        except (ValueError, KeyError):
            is_late = True  # cut off by a kill
        (late if is_late else kept).append(text)
    if late:
        discarded.mkdir(parents=True, exist_ok=True)
        (discarded / file.name).write_text("".join(late))
        partial = file.with_suffix(".partial")
        partial.write_text("".join(kept))
        partial.replace(file)


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _commit() -> str | None:
    """Returns the commit of this code, if it runs from a checkout."""
    here = pathlib.Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
