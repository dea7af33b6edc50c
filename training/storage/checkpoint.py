"""Saving a run and getting it back.

A checkpoint is a folder `checkpoints/<step>/`:

- `train_state/arrays.npz`: weights, averages and optimizer;
- `games.npz`: the games in flight and their plies so far;
- `counters.json`: iteration, rows, seconds and the like;
- `config.json`: a copy of the run's, should that be damaged;
- `logs.json`: the sizes and sums of the logs, and the line that they do not have yet;
- `manifest.json`: the run's id, and the SHA-256 of each of these files and of the replay chunks
  that belong to them, written last. A folder is trusted only if it matches.

Only damage is damage: where the system cannot read, for want of memory, handles or a thread, the
error passes through, and nothing is thought of the checkpoint.

It is written beside its place, brought to the disk and renamed when whole, by a thread of its own:
a run that is killed at any moment finds its last whole checkpoint again.
"""

import concurrent.futures
import functools
import pathlib
import shutil
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from selfplay.files import durable, npz
from selfplay.recorder import Sample
from training import replay
from training.settings import CheckpointConfig
from training.storage.leftovers import OLD, REMOVED
from training.storage.manifest import (
    ARRAYS,
    CONFIG,
    FORMAT_VERSION,
    STEP,
    CheckpointError,
    DamagedError,
    check_counters,
    check_logs,
    oldest_row,
    read_json,
    read_manifest,
    sha256,
    verify,
    write_json,
)

NO_LOGS: dict[str, Any] = {"sizes": {}, "sums": {}, "losses": [], "line": {}}  # never changed
# What the content of a file can cause that is not what it should be.
DAMAGE = (ValueError, KeyError, TypeError, AttributeError)


class NonFiniteError(RuntimeError):
    """NaN or infinity where a number must be; the message says where, and what to do."""


class Checkpoint(NamedTuple):
    """What a run needs to go on as if nothing had happened, its replay chunks apart."""

    step: int
    train_state: dict[str, np.ndarray]  # by `flatten`
    games: dict[str, np.ndarray]
    counters: dict[str, Any]  # JSON
    logs: dict[str, Any] = NO_LOGS  # JSON
    chunks: frozenset[str] = frozenset()  # names of the replay chunks that belong to it


Join = Callable[[Checkpoint], tuple[Checkpoint, int, Sample | None]]


class CheckpointStore:
    """The checkpoints of one run folder."""

    def __init__(self, run_folder: pathlib.Path, config: CheckpointConfig | None = None) -> None:
        # Absolute: it also holds if somebody changes the working folder.
        self.folder = run_folder.absolute() / "checkpoints"
        self.replay_folder = run_folder.absolute() / "replay"
        self.config = config or CheckpointConfig()
        self.wanted: set[int] = set()  # steps that retention must keep
        self.sync_logs: Callable[[], None] = lambda: None  # called before a save counts
        self.check_held: Callable[[], None] = lambda: None  # and before anything gets its name
        self._chunk_hashes: dict[str, str] = {}
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "checkpoint")
        self._saving: concurrent.futures.Future[None] | None = None

    def steps(self) -> list[int]:
        """Returns the steps that have a checkpoint, whole or damaged, oldest first.

        Raises:
          CheckpointError: the folder is a link to one that is not there.
          OSError: it cannot be listed now: a run must not begin anew for that.
        """
        if self.folder.is_symlink() and not self.folder.exists():
            raise CheckpointError(
                f"{self.folder} is a link to a folder that is not there: is its disk away?"
            )
        names = filter(STEP.fullmatch, durable.names_in(self.folder))
        return sorted(int(name) for name in names if (self.folder / name).is_dir())

    def load(self, step: int, with_replay: bool = True) -> Checkpoint:
        """Returns the checkpoint of `step`, every file checked first.

        Raises:
          CheckpointError: it is missing, damaged, another run's, or of a format this version does
            not know.
          OSError, MemoryError, RuntimeError: the system cannot read it now.
        """
        folder = self.folder / str(step)
        manifest = read_manifest(folder)
        self._check_own(folder, manifest)
        verify(folder, manifest["files"])
        if with_replay:
            verify(self.replay_folder, manifest["replay"])
            self._chunk_hashes = dict(manifest["replay"])
        try:
            state = npz.read(folder / ARRAYS)
            games = npz.read(folder / "games.npz")
            counters = check_counters(read_json(folder / "counters.json"))
            logs = check_logs(read_json(folder / "logs.json"))
        except DAMAGE as error:  # files as they were written, but not by us
            raise DamagedError(f"{folder} is not a checkpoint of ours: {error}") from error
        chunks = frozenset(manifest["replay"])
        return Checkpoint(step, state, games, counters, logs, chunks)

    def _check_own(self, folder: pathlib.Path, manifest: dict[str, Any]) -> None:
        """Raises CheckpointError if a checkpoint is another run's."""
        own, other = self._run_id, manifest["run_id"]
        if own != other:
            raise CheckpointError(
                f"{folder} is another run's (its id is {other or 'none'}, that of "
                f"{self.folder.parent} {own or 'none'}): put this run's own checkpoints there"
            )

    @functools.cached_property
    def _run_id(self) -> str:
        """The id in the run's config.json; empty where there is none."""
        file = self.folder.parent / CONFIG
        return str(read_json(file).get("run_id", "")) if file.exists() else ""

    def save(
        self,
        checkpoint: Checkpoint,
        first_row: int,
        rows: Sample | None,
        join: Join | None = None,
    ) -> None:
        """Starts saving; `rows`, numbered from `first_row`, become a replay chunk first.

        Of several hosts, `join` returns all three for the whole run, in the saving thread.

        Leaves may be device arrays: they are fetched by the saving thread. Waits for an earlier
        save, and raises what that one met: `WriteError`, or `NonFiniteError`, as no state with
        NaN or infinity in it is ever saved.
        """
        self.wait()
        self._saving = self._thread.submit(self._save, checkpoint, first_row, rows, join)

    def wait(self) -> None:
        """Returns when the last save is on disk. Raises what it met, for example OSError."""
        if self._saving is not None:
            saving, self._saving = self._saving, None
            saving.result()

    def close(self) -> None:
        """Ends the saving thread, after the save that it is at."""
        self._thread.shutdown()

    def add_chunk(self, name: str, sha256: str) -> None:
        """Notes a chunk that somebody else has written, for the saves from now on."""
        self._chunk_hashes[name] = sha256

    def set_aside(self, step: int, folder: pathlib.Path) -> None:
        """Moves a checkpoint that cannot be loaded to `folder`."""
        durable.move(self.folder / str(step), folder / f"checkpoint-{step}")

    def _save(
        self, checkpoint: Checkpoint, first_row: int, rows: Sample | None, join: Join | None
    ) -> None:
        if join is not None:
            checkpoint, first_row, rows = join(checkpoint)
        final = self.folder / str(checkpoint.step)
        state = {name: np.asarray(leaf) for name, leaf in checkpoint.train_state.items()}
        _check_finite(state, checkpoint.step)
        with durable.writing(final):
            self._write(final, checkpoint, state, first_row, rows)
            self.check_held()
            self._apply_retention()

    def _write(
        self,
        final: pathlib.Path,
        checkpoint: Checkpoint,
        state: dict[str, np.ndarray],
        first_row: int,
        rows: Sample | None,
    ) -> None:
        self.sync_logs()
        for folder in (self.replay_folder, self.folder):
            if not folder.is_dir():  # it may be a link
                durable.make_folder(folder)
        self.check_held()
        if rows is not None:
            chunk = replay.write_chunk(self.replay_folder, first_row, rows, self._run_id)
            self._chunk_hashes[chunk.name] = sha256(chunk)
        partial = durable.partial_of(final)
        partial.mkdir()
        (partial / ARRAYS).parent.mkdir()
        np.savez(partial / ARRAYS, allow_pickle=False, **state)
        games = {name: np.asarray(value) for name, value in checkpoint.games.items()}
        np.savez(partial / "games.npz", allow_pickle=False, **games)
        write_json(partial / "counters.json", checkpoint.counters)
        write_json(partial / "logs.json", checkpoint.logs)
        config = self.folder.parent / CONFIG
        if config.exists():
            shutil.copy(config, partial / CONFIG)
        files = sorted(path for path in partial.rglob("*") if path.is_file())
        manifest = {
            "format_version": FORMAT_VERSION,
            "run_id": self._run_id,
            "files": {str(path.relative_to(partial)): sha256(path) for path in files},
            "replay": self._chunks(
                checkpoint.counters["replay_oldest_kept"], checkpoint.counters["rows"]
            ),
        }
        write_json(partial / "manifest.json", manifest)
        durable.sync_tree(partial)
        self.check_held()
        _put_in_place(partial, final)

    def _is_own(self, step: int) -> bool:
        """Returns whether a folder is a checkpoint of this run."""
        try:
            self._check_own(self.folder / str(step), read_manifest(self.folder / str(step)))
        except CheckpointError:
            return False
        return True

    def _chunks(self, oldest: int, end: int) -> dict[str, str]:
        """Returns the hashes of the chunks with rows from `oldest` on.

        Those from `end` on are left out: workers' rows go on coming while a save is written.
        """
        names = {
            path.name
            for first, last, path in replay.chunks(self.replay_folder)
            if last >= oldest and first < end
        }
        known = dict(self._chunk_hashes)
        return {name: sha for name, sha in known.items() if name in names}

    def _apply_retention(self) -> None:
        steps = self.steps()
        newest = steps[-self.config.keep_newest :]
        kept = {0, *self.wanted, *newest}
        if self.config.keep_every:
            marks = {step // self.config.keep_every: step for step in reversed(steps)}
            kept |= set(marks.values())
        for step in set(steps) - kept:
            if not self._is_own(step):  # what a link leads to may hold others
                continue
            # Renamed first: a kill must not leave half a checkpoint under its name.
            removed = (self.folder / str(step)).rename(self.folder / f"{step}{REMOVED}")
            shutil.rmtree(removed)
        # A resume may start from any of the newest checkpoints.
        try:
            oldest = min(oldest_row(self.folder / str(step)) for step in newest)
        except CheckpointError:
            return  # one is damaged: which chunks it needs will be known once it is mended or gone
        for _, last, path in replay.chunks(self.replay_folder):
            if last < oldest:
                path.unlink()
                self._chunk_hashes.pop(path.name, None)


def _check_finite(state: dict[str, np.ndarray], step: int) -> None:
    for name, value in state.items():
        if not np.isfinite(value).all():
            raise NonFiniteError(f"{name} is not finite at step {step}: that state is not saved")


def _put_in_place(partial: pathlib.Path, final: pathlib.Path) -> None:
    """Renames a whole checkpoint into place; one of the same step makes room until it is there."""
    old = final.with_name(final.name + OLD)
    if final.exists():
        if old.exists():
            durable.remove(old)
        final.rename(old)
    partial.rename(final)
    durable.sync(final.parent)
    if old.exists():
        durable.remove(old)
