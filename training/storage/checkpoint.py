"""Saving a run and getting it back.

A checkpoint is a folder `checkpoints/<step>/`:

- `train_state/arrays.npz`: weights, averages and optimizer;
- `games.npz`, and `games-<n>.npz` of each further process: the games in flight and their plies so
  far, each of its part of the environments;
- `counters.json`: iteration, examples, seconds and the like;
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
import json
import pathlib
import shutil
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from selfplay.example import Sample
from selfplay.files import durable, npz
from training import replay
from training.settings import CheckpointConfig
from training.storage.leftovers import OLD, REMOVED, SHARE
from training.storage.manifest import (
    ARRAYS,
    CONFIG,
    FORMAT_VERSION,
    STEP,
    CheckpointError,
    DamagedError,
    by_step,
    check_counters,
    check_logs,
    is_file,
    oldest_example,
    read_json,
    read_manifest,
    sha256,
    verify,
    write_json,
)

GAMES = "games.npz"
SHARE_SECONDS = 300.0  # in which the other processes must have written their shares of a save
SHARE_POLL = 0.02
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


class Part(NamedTuple):
    """The part of a save that a process writes: its own games and examples."""

    number: int = 0
    of: int = 1
    start: str = ""  # of the processes, a name that no other start of theirs has


WHOLE = Part()


class CheckpointStore:
    """The checkpoints of one run folder."""

    def __init__(
        self,
        run_folder: pathlib.Path,
        config: CheckpointConfig | None = None,
        part: Part = WHOLE,
    ) -> None:
        # Absolute: it also holds if somebody changes the working folder.
        self.folder = run_folder.absolute() / "checkpoints"
        self.replay_folder = run_folder.absolute() / "replay"
        self.config = config or CheckpointConfig()
        self.wanted: set[int] = set()  # steps that retention must keep
        self.sync_logs: Callable[[], None] = lambda: None  # called before a save counts
        self.check_held: Callable[[], None] = lambda: None  # and before anything gets its name
        self._part, self._saves = part, 0
        self._chunk_hashes: dict[str, str] = {}
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "checkpoint")
        self._saving: concurrent.futures.Future[None] | None = None

    def steps(self) -> list[int]:
        """Returns the steps that have a checkpoint, whole or damaged, oldest first.

        Raises:
          CheckpointError: the folder is a link to one that is not there.
          OSError: it cannot be listed now: a run must not start over for that.
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
            state = npz.read(folder / ARRAYS, compressed=False)
            games = _read_games(folder, manifest["files"])
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

    def save(self, checkpoint: Checkpoint, first_example: int, examples: Sequence[Sample]) -> None:
        """Starts saving; `examples`, numbered from `first_example`, become a replay chunk first.

        Of several processes, each saves its part: its examples, and `checkpoint.games`. The first
        one writes all else, and the save counts once it has the shares of the others.

        Leaves may be device arrays: they are fetched by the saving thread. Waits for an earlier
        save, and raises what that one met: `WriteError`, or `NonFiniteError`, as no state with
        NaN or infinity in it is ever saved.
        """
        self.wait()
        self._saves += 1
        save = self._save if self._part.number == 0 else self._save_share
        self._saving = self._thread.submit(save, checkpoint, first_example, examples)

    def wait(self) -> None:
        """Returns when the last save is on disk. Raises what it met, for example OSError."""
        if self._saving is not None:
            saving, self._saving = self._saving, None
            saving.result()

    def close(self) -> None:
        """Ends the saving thread, after the save that it is at."""
        self._thread.shutdown()

    def set_aside(self, step: int, folder: pathlib.Path) -> None:
        """Moves a checkpoint that cannot be loaded to `folder`."""
        durable.move(self.folder / str(step), folder / f"checkpoint-{step}")

    def _save(self, checkpoint: Checkpoint, first_example: int, examples: Sequence[Sample]) -> None:
        final = self.folder / str(checkpoint.step)
        state = {name: np.asarray(leaf) for name, leaf in checkpoint.train_state.items()}
        _check_finite(state, checkpoint.step)
        with durable.writing(final):
            self._write(final, checkpoint, state, first_example, examples)
            self.check_held()
            self._apply_retention()

    def _write(
        self,
        final: pathlib.Path,
        checkpoint: Checkpoint,
        state: dict[str, np.ndarray],
        first_example: int,
        examples: Sequence[Sample],
    ) -> None:
        self.sync_logs()
        self.check_held()
        self._write_chunk(first_example, examples)
        partial = durable.partial_of(final)
        partial.mkdir()
        (partial / ARRAYS).parent.mkdir()
        np.savez(partial / ARRAYS, allow_pickle=False, **state)
        games = {name: np.asarray(value) for name, value in checkpoint.games.items()}
        np.savez(partial / GAMES, allow_pickle=False, **games)
        oldest = self._take_shares(partial, checkpoint.counters["replay_oldest_kept"])
        counters = checkpoint.counters | {"replay_oldest_kept": oldest}
        write_json(partial / "counters.json", counters)
        losses = {"losses": by_step(checkpoint.logs.get("losses", []))}
        write_json(partial / "logs.json", checkpoint.logs | losses)
        config = self.folder.parent / CONFIG
        if config.exists():
            shutil.copy(config, partial / CONFIG)
        files = sorted(path for path in partial.rglob("*") if path.is_file())
        manifest = {
            "format_version": FORMAT_VERSION,
            "run_id": self._run_id,
            "files": {str(path.relative_to(partial)): sha256(path) for path in files},
            "replay": self._chunks(oldest),
        }
        write_json(partial / "manifest.json", manifest)
        durable.sync_tree(partial)
        self.check_held()
        _put_in_place(partial, final)

    def _write_chunk(self, first_example: int, examples: Sequence[Sample]) -> dict[str, str]:
        """Writes a chunk of the replay if there are examples; returns its name and SHA-256."""
        for folder in (self.replay_folder, self.folder):
            if not folder.is_dir():  # it may be a link
                durable.make_folder(folder)
        if not examples:
            return {}
        chunk = replay.write_chunk(self.replay_folder, first_example, examples, self._run_id)
        written = {chunk.name: sha256(chunk)}
        self._chunk_hashes |= written
        return written

    # ---- shares of several processes ------------------------------------------------------------

    def _share(self, number: int) -> pathlib.Path:
        """The file of a process's share of the save in progress."""
        return self.folder / f"{SHARE}{self._part.start}-{self._saves}-{number}.npz"

    def _save_share(
        self, checkpoint: Checkpoint, first_example: int, examples: Sequence[Sample]
    ) -> None:
        """Writes this process's games and examples for the first one to take."""
        share = self._share(self._part.number)
        with durable.writing(share):
            chunks = self._write_chunk(first_example, examples)
            known = {"chunks": chunks, "oldest": checkpoint.counters["replay_oldest_kept"]}
            arrays = {name: np.asarray(value) for name, value in checkpoint.games.items()}
            arrays[SHARE] = np.frombuffer(json.dumps(known).encode(), np.uint8)
            durable.write_whole(share, lambda file: np.savez(file, allow_pickle=False, **arrays))

    def _take_shares(self, partial: pathlib.Path, oldest: int) -> int:
        """Waits for the shares of the other processes, and moves them into a checkpoint.

        Returns:
          The first example that any of them needs.
        """
        for number in range(1, self._part.of):
            share = self._share(number)
            deadline = time.monotonic() + SHARE_SECONDS
            while not is_file(share):
                if time.monotonic() > deadline:
                    raise durable.WriteError(
                        f"{share} did not come within {SHARE_SECONDS:.0f} s: do all hosts see the "
                        "same run folder, and can they write there?"
                    )
                time.sleep(SHARE_POLL)
            arrays = npz.read(share)
            known = json.loads(arrays.pop(SHARE).tobytes())
            self._chunk_hashes |= known["chunks"]
            oldest = min(oldest, known["oldest"])
            share.rename(partial / games_file(number))
        return oldest

    def _is_own(self, step: int) -> bool:
        """Returns whether a folder is a checkpoint of this run."""
        try:
            self._check_own(self.folder / str(step), read_manifest(self.folder / str(step)))
        except CheckpointError:
            return False
        return True

    def _chunks(self, oldest: int) -> dict[str, str]:
        """Returns the hashes of the chunks with examples from `oldest` on."""
        chunks = replay.chunks(self.replay_folder)
        names = {path.name for _, last, path in chunks if last >= oldest}
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
            oldest = min(oldest_example(self.folder / str(step)) for step in newest)
        except CheckpointError:
            return  # one is damaged: which chunks it needs will be known once it is mended or gone
        for _, last, path in replay.chunks(self.replay_folder):
            if last < oldest and replay.may_be_of(path, self._run_id):
                path.unlink()
                self._chunk_hashes.pop(path.name, None)


def games_file(number: int) -> str:
    """The name of the file with the games of a process's environments."""
    return f"games-{number}.npz" if number else GAMES


def _read_games(folder: pathlib.Path, files: Collection[str]) -> dict[str, np.ndarray]:
    """Returns the games of all environments, put together from those of each process."""
    parts = [npz.read(folder / GAMES, compressed=False)]
    while (name := games_file(len(parts))) in files:
        parts.append(npz.read(folder / name, compressed=False))
        del parts[-1][SHARE]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


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
