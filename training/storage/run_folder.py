"""The layout of a run's folder, and who may write to it.

    config.json      format_version, configuration, library versions, commit, the run's id, and the
                     signature of the user who made it, see training/storage/trust.py
    metrics.jsonl    one line an iteration or evaluation; older parts in metrics-<n>.jsonl
    checkpoints/     <step>/, see training/storage/checkpoint.py
    replay/          <first>-<last>.npz, see training/replay.py
    games/           records of a sample of self-play, of evaluation games, and of those that
                     people play, see training/storage/played.py
    oversight/       an overseer's decisions, see selfplay/oversight/decisions.py
    ladder/          games of the ratings that the run takes of itself
    report/          plots, and doctor.json, see training/report/verdict.py
    lock             held by the process that trains, see selfplay/files/durable.py
    starts.jsonl     the processes that trained it, see training/storage/starts.py
    nan-<step>.npz   the minibatch at which NaN or infinity came up, see training/non_finite.py
    discarded/       what was written after the save that a resume started from, and checkpoints
                     that are damaged; why.txt says which

Nothing is erased except by the retention that the configuration states. Only checkpoints/ and
replay/ may be links: a folder from elsewhere could hold some to files of ours.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import itertools
import json
import os
import pathlib
import platform
import secrets
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

from games import consent
from selfplay import player_spec
from selfplay.files import durable, json_lines
from training import config as config_module
from training import replay
from training.config import RunConfig
from training.storage import trust
from training.storage.leftovers import LEFT_OF_CONFIG, recover
from training.storage.log import Log
from training.storage.manifest import STEP, CheckpointError

FORMAT_VERSION = 1
MAX_CONFIG = 1 << 20  # bytes
SIGNED = ("config", "run_id", "folder")  # entries of config.json
ENTRIES = {"format_version", *SIGNED, "versions", "commit", "source", "signature", "sha256"}
LINKS = ("checkpoints", "replay")  # what may be one: people keep these on larger disks
BEGUN = ("lock", "games")  # what a kill while a run is made may leave, beside partial files
LIBRARIES = ("selfplay-zero", "jax", "jaxlib", "flax", "optax", "mctx", "numpy")


class RunFolder:
    """Paths and files of one run. Creating the object touches nothing on disk."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = pathlib.Path(path)
        self.config_file = self.path / "config.json"
        self.metrics_file = self.path / "metrics.jsonl"
        self.games = self.path / "games"
        self.report = self.path / "report"
        self.decisions = self.path / "oversight" / "decisions.jsonl"
        self.logs = {
            "metrics": Log(self.metrics_file, check=self.check_held),
            "self_play": Log(self.games / "self_play.jsonl", check=self.check_held),
        }
        self._holder: str | None = None  # what `lock` holds, while this process has it

    def exists(self) -> bool:
        """Whether a run lives here."""
        return self.config_file.exists()

    def steps(self) -> list[int]:
        """Returns the steps of the run's checkpoints, rising, whole or damaged."""
        return sorted(map(int, filter(STEP.fullmatch, durable.names_in(self.path / "checkpoints"))))

    def check_free(self) -> None:
        """Raises ValueError if other things lie where a new run would be made."""
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path} is a file; --run-dir needs a folder")
        if copies := self._copies():
            raise ValueError(f"{self.config_file} is missing{copies}, or name another --run-dir")
        names = [path.name for path in self.path.iterdir()] if self.path.exists() else []
        left = (*BEGUN, *filter(LEFT_OF_CONFIG.fullmatch, names))
        if any(name not in left and not name.startswith(".") for name in names):
            raise ValueError(f"{self.path} is not empty and holds no run; name another --run-dir")

    def create(self, config: RunConfig, source: str = "") -> None:
        """Makes the folder of a new run. Raises ValueError if other things lie there.

        Args:
          source: where its first weights come from, R@STEP; empty for new ones.
        """
        self.check_free()
        durable.make_folder(self.games)
        self._write(config, source, secrets.token_hex(16))

    def write_config(self, config: RunConfig) -> None:
        """Writes the config.json of a run that goes on with other limits, whole or not at all.

        What it names may run from now on without being named again: it was typed, or allowed.
        """
        before = self._read()
        self._write(config, before["source"], before["run_id"], before)

    def _write(
        self, config: RunConfig, source: str, run_id: str, before: dict[str, Any] | None = None
    ) -> None:
        """Writes config.json, unless all of it stands there `before`."""
        folders = [
            folder
            for field, code in config_module.code_in(config).items()
            for folder in consent.require(code, f"{field} {code.name!r}")
        ]
        signed = {
            "config": config_module.to_dict(config),
            "run_id": run_id,
            "folder": folders[0] if folders else "",  # where its code was looked for
        }
        content = {
            "format_version": FORMAT_VERSION,
            **signed,
            "versions": {"python": platform.python_version()} | _versions(),
            "commit": _commit(),
            "source": source,
            "signature": trust.sign(signed),
        }
        if content == before:
            return
        content["sha256"] = _digest(content)
        text = json.dumps(content, indent=1) + "\n"
        durable.write_whole(self.config_file, text.encode())

    def read_config(self) -> RunConfig:
        """Returns the run's configuration.

        Raises:
          ValueError: there is no run here, or its config.json cannot be understood.
        """
        if not self.path.exists():
            raise player_spec.no_such_run(str(self.path))
        if not self.exists():
            raise ValueError(
                f"{self.path} is not a run folder: it has no config.json{self._copies()}"
            )
        try:
            content = self._read()
            config = config_module.from_dict(content["config"])
            config.check()
            self._allow(config, content)
        except ValueError as error:
            named = str(self.config_file) in str(error)
            raise ValueError(str(error) if named else f"{self.config_file}: {error}") from None
        return config

    def check_same(self, config: RunConfig) -> None:
        """Raises ValueError if the run computes with other settings than `config`."""
        own = self.read_config()
        different = config_module.differences(own, config)
        if different:
            name = shlex.quote(str(self.path))
            anew = f", or start from its weights with --from {name} --run-dir NEW"
            raise ValueError(
                f"{self.path} computes with other settings ({'; '.join(different)}): name another "
                f"--run-dir{anew if own.game == config.game else ''}"
            )

    def _allow(self, config: RunConfig, content: dict[str, Any]) -> None:
        """Lets run what config.json names, if this user made it."""
        signature, ours = content["signature"], _is_signed(content)
        why = trust.fault() if signature else " (it bears no signature)"
        folder = str(content["folder"])
        for code in config_module.code_in(config).values():
            if ours and consent.means_the_same(code, folder):
                consent.allow(code, folder)
            else:
                consent.named_by(f"{self.config_file}{why}", code)

    def run_id(self) -> str:
        """Returns what tells this run from others; empty where there is none."""
        return str(self._read()["run_id"]) if self.exists() else ""

    def source(self) -> str:
        """Returns R@STEP if the run began with the weights of another, else an empty text."""
        return str(self._read()["source"]) if self.exists() else ""

    def _read(self) -> dict[str, Any]:
        """Returns what config.json holds; raises ValueError if it is not what a run wrote."""
        file = self.config_file
        try:
            content = json_lines.read_object(file, MAX_CONFIG)
            version, _ = content["format_version"], content["config"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{file} is damaged: {error}{self._copies()}") from None
        if version != FORMAT_VERSION:
            raise ValueError(
                f"{file} has format {version}, this version reads {FORMAT_VERSION}: "
                "use the version of selfplay that wrote it"
            )
        unknown, missing = content.keys() - ENTRIES, ENTRIES - content.keys()
        for what, names in (("unknown", unknown), ("missing", missing)):
            if names:
                entries = ", ".join(sorted(names))
                raise ValueError(f"{file}: {what} {entries}: the run was made by another version")
        if content.pop("sha256") != _digest(content):
            raise ValueError(
                f"{file} is damaged, or was edited (flags change settings): "
                f"its checksum differs{self._copies()}"
            )
        return dict(content)

    def _copies(self) -> str:
        copies = sorted(
            filter(pathlib.Path.is_file, self.path.glob("checkpoints/*/config.json")),
            key=lambda path: path.stat().st_mtime,
        )
        return f"; copy {copies[-1]} over it" if copies else ""

    def append_metrics(self, line: dict[str, Any]) -> None:
        """Appends one line to metrics.jsonl, readable at once."""
        self.logs["metrics"].append(json.dumps(line) + "\n")

    def read_metrics(self, damaged: Callable[[str], None] | None = None) -> list[dict[str, Any]]:
        """Returns the lines of metrics.jsonl and its older parts.

        A last line that a kill cut off is left out.

        Args:
          damaged: called with what is wrong with another line, which is left out then.

        Raises:
          ValueError: a line is damaged; says which.
        """
        try:
            return self.logs["metrics"].read(damaged)
        except ValueError as error:
            raise ValueError(f"{error}; remove that line to go without it") from None

    def seal_logs(self) -> dict[str, dict[str, int]]:
        """Returns the bytes of each log, and their CRC-32, for `discard_after`."""
        seals = {name: log.seal() for name, log in self.logs.items()}
        return {
            "sizes": {name: size for name, (size, _) in seals.items()},
            "sums": {name: crc for name, (_, crc) in seals.items()},
        }

    def sync_logs(self) -> None:
        """Waits until the logs are on the disk."""
        for log in self.logs.values():
            log.sync()

    def check_unbegun(self) -> None:
        """Raises CheckpointError if a run without a checkpoint has written more than its settings.

        Its first save comes before all else: the checkpoints must be elsewhere.
        """
        chunks = replay.chunks(self.path / "replay")
        if chunks or any(log.size() for log in self.logs.values()):
            raise CheckpointError(
                f"{self.path} has examples and metrics of a run but no checkpoint: put checkpoints/"
                " back (is its disk away?), or name another --run-dir"
            )

    def discard_after(
        self, oldest_example: int, seals: dict[str, Any], chunks: frozenset[str]
    ) -> list[str]:
        """Moves what was written after a save to discarded/: a resume does it again.

        Args:
          oldest_example: the first replay example that the save's chunks hold; older ones are not
            its.
          seals: of the logs at the save, as `seal_logs` returned them.
          chunks: the names of the replay chunks that belong to the save.

        Returns:
          What a person should know about it, a sentence each.
        """
        discarded = functools.cache(self.discarded)
        run_id = self.run_id()
        for _, last, path in replay.chunks(self.path / "replay"):
            later = last >= oldest_example and path.name not in chunks
            if later and replay.may_be_of(path, run_id):
                durable.move(path, discarded() / path.name)
        notices = []
        for name, log in self.logs.items():
            size, crc = seals["sizes"].get(name, 0), seals["sums"].get(name)
            if problem := log.cut(size, crc, discarded):
                notices.append(f"{log.path} is not as it was saved: {problem}")
        return notices

    def discarded(self, why: str = "") -> pathlib.Path:
        """Makes a folder for things that the run does without; never one that is there."""
        stamp = self.path / "discarded" / time.strftime("%Y%m%d-%H%M%S")
        durable.make_folder(stamp.parent)
        for number in itertools.count(1):
            folder = stamp.with_name(f"{stamp.name}-{number}")
            with durable.writing(folder), contextlib.suppress(FileExistsError):
                folder.mkdir()
                break
        if why:
            with durable.writing(folder):
                (folder / "why.txt").write_text(why + "\n")
        return folder

    def _check_links(self) -> None:
        """Raises WriteError if anything inside is a link that may not be one.

        In a stranger's run none may: files of this user's could be moved, renamed and deleted.
        """
        for path in (*self.path.iterdir(), *self.games.glob("*")):
            # Editors leave links whose name begins with a dot; nothing is written there.
            if path.is_symlink() and path.name not in LINKS and path.name[0] != ".":
                raise durable.WriteError(
                    f"{path} is a link: inside a run only {' and '.join(LINKS)} may be some; put "
                    "what it leads to in its place"
                )
        followed = [self.path / name for name in LINKS if (self.path / name).is_symlink()]
        if followed and self.exists() and not _is_signed(self._read()):
            raise durable.WriteError(
                f"{followed[0]} is a link in a run that you have not made here: put what it leads "
                f"to in its place{trust.fault()}"
            )

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the run for this process; the system frees it even when the process is killed.

        What a kill in the middle of a save left behind is mended first.

        Raises:
          CheckpointError: another process holds it; says which.
        """
        path = self.path / "lock"
        with durable.writing(path):
            if not self.path.exists():
                durable.make_folder(self.path)
            self._check_links()
        with contextlib.ExitStack() as stack:
            try:
                self._holder = stack.enter_context(durable.lock(path))
            except BlockingIOError as error:
                raise CheckpointError(str(error)) from None
            try:
                recover(self.path)
                yield
            finally:
                self._holder = None

    def check_held(self) -> None:
        """Raises CheckpointError if another process has taken the run from this one.

        That happens where the locks of a shared file system do not reach other machines, and when
        the folder is moved away.
        """
        path = self.path / "lock"
        if self._holder is None:
            return
        with durable.writing(path), path.open(errors="replace") as file:
            holder = file.read(durable.MAX_HOLDER).strip()
        if holder != self._holder:
            raise CheckpointError(
                f"{self.path} has been taken over by {durable.name_of(holder)}: this one stops"
            )


def reserve(game: str) -> RunFolder:
    """Makes the folder `runs/<game>-<n>` with the first free n, which no other process gets."""
    while True:
        folder = next_free(game)
        durable.make_folder(folder.path.parent)
        with durable.writing(folder.path), contextlib.suppress(FileExistsError):
            folder.path.mkdir()
            return folder


def next_free(game: str, root: str = "runs") -> RunFolder:
    """Returns `runs/<game>-<n>` with the first free n."""
    name = "".join(c if c.isalnum() or c in "_-." else "-" for c in game)
    n = 1
    while (pathlib.Path(root) / f"{name}-{n}").exists():
        n += 1
    return RunFolder(pathlib.Path(root) / f"{name}-{n}")


def _is_signed(content: dict[str, Any]) -> bool:
    """Whether this user made the run that config.json is of."""
    return trust.is_signed({name: content[name] for name in SIGNED}, content["signature"])


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _versions() -> dict[str, str]:
    versions = {}
    for name in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


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
