"""A fleet through files: a folder that the learner and its workers see, and nothing else.

    run.json                        the run, as `Invitation`: settings, and digests of all
    current.json                    the weights that play now, as `Current`
    weights/<sha256>.npz            published weights; the newest few
    workers/<name>/hello.json       a worker, as `Hello`
    workers/<name>/answer.json      what the learner says to it, as `Answer`
    workers/<name>/beat             changes while the worker is alive
    workers/<name>/<seq>-<sha256>.npz   its batches; the learner removes those that it has taken
    workers/<name>/bye              it is gone, and this is all
    lock                            held by the learner

Each file is written whole, under another name first. No clock is compared, and no time of a file is
read: machines may disagree about the time.
"""

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import re
import secrets
import shutil
import socket
import stat
from typing import Any, TypeVar

import numpy as np

from selfplay.files import durable, json_lines, json_objects, npz
from training import config as config_module
from training.config import RunConfig
from training.network import Network, Weights
from training.workers import batch
from training.workers.transport import (
    FORMAT_VERSION,
    MOST_UNACKNOWLEDGED,
    Answer,
    Arrived,
    Event,
    Heard,
    Hello,
    Joined,
    Left,
    Own,
)
from training.workers.worker import Parcel, Version, weights_as_arrays, weights_of

WEIGHTS_FILE = re.compile(r"[0-9a-f]{64}\.npz")
BATCH = re.compile(r"(?P<seq>[0-9]{12})-(?P<sha256>[0-9a-f]{64})\.npz")
RUN, CURRENT, WEIGHTS, WORKERS = "run.json", "current.json", "weights", "workers"
HELLO, ANSWER, BEAT, BYE = "hello.json", "answer.json", "beat", "bye"
KEPT_WEIGHTS = 4  # beyond those that may be played with: a worker may be reading one
MAX_JSON = 1 << 20  # bytes
MAX_BATCH = 1 << 30
MOST_DELIVERED = 2 * MOST_UNACKNOWLEDGED  # batches of a worker that are held in memory
PLAYING, WAITING, ENDED = "playing", "waiting", "ended"  # what the learner does
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Invitation:
    """What a worker must know to join."""

    format_version: int
    run_id: str
    game: str
    digest: str
    code: str
    rules: str
    config: str  # JSON


@dataclasses.dataclass(frozen=True)
class Current:
    """Which weights play."""

    state: str  # one of the three above
    number: int
    step: int
    sha256: str
    max_lag: int


def invite(config: RunConfig, ours: Own) -> Invitation:
    """Returns what workers of a run must know."""
    return Invitation(
        format_version=FORMAT_VERSION,
        game=config.game,
        config=json.dumps(config_module.to_dict(config)),
        **ours._asdict(),
    )


def check_fleet(folder: pathlib.Path, run_id: str) -> None:
    """Raises ValueError if a folder cannot be the fleet's of a run, which need not be there yet."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; --fleet needs a folder")
    if (folder / RUN).exists():
        other = _read(folder / RUN, Invitation)
        if other.run_id != run_id:
            raise ValueError(
                f"{folder} is the fleet of another run (of {other.game}, with the id "
                f"{other.run_id}): name another folder with --fleet"
            )
    elif any(name != "lock" for name in durable.names_in(folder)):
        raise ValueError(f"{folder} is not empty and no fleet's: name another with --fleet")


class FolderTransport:
    """The learner's end; holds the folder while it is open."""

    def __init__(self, folder: pathlib.Path, invitation: Invitation) -> None:
        """Opens the folder for a run, and invites workers.

        Raises:
          ValueError: it is another run's, or holds other things.
          OSError: another learner holds it, or it cannot be written.
        """
        self.folder = folder.absolute()
        known = self.folder / RUN
        check_fleet(folder, invitation.run_id)
        for part in (WEIGHTS, WORKERS):
            durable.make_folder(self.folder / part)
        self._lock = durable.lock(self.folder / "lock")
        self._lock.__enter__()
        _write(known, invitation)
        before = self.folder / CURRENT
        if before.exists():  # of an earlier process, perhaps one that had reached its limits
            _write(before, dataclasses.replace(_read(before, Current), state=WAITING))
        self._current: Current | None = None
        self._published: list[str] = []  # sums of weights, oldest first
        self._greeted: set[str] = set()  # workers whose hello was passed on
        self._delivered: dict[str, set[int]] = {}  # batches that were, by worker
        self._beats: dict[str, bytes] = {}

    def publish(self, version: Version, max_lag: int) -> None:
        """Makes weights known; see `Transport`."""
        content = _weights_file(version.weights)
        sha256 = batch.digest(content)
        path = self.folder / WEIGHTS / f"{sha256}.npz"
        if not path.exists():
            durable.write_whole(path, content)
        self._say(Current(PLAYING, version.number, version.step, sha256, max_lag))
        self._published = [*(sha for sha in self._published if sha != sha256), sha256]
        kept = self._published[-max_lag - KEPT_WEIGHTS :]
        for name in filter(WEIGHTS_FILE.fullmatch, durable.names_in(self.folder / WEIGHTS)):
            if name.removesuffix(".npz") not in kept:
                with contextlib.suppress(OSError):
                    (self.folder / WEIGHTS / name).unlink()
        self._published = kept

    def poll(self) -> list[Event]:
        """Returns what has happened since the last call."""
        events: list[Event] = []
        for worker in sorted(durable.names_in(self.folder / WORKERS)):
            events += self._events_of(worker)
        return events

    def answer(self, worker: str, answer: Answer) -> None:
        """Answers a worker, unless it is gone; see `Transport`."""
        if not (self.folder / WORKERS / worker).is_dir():
            return
        _write(self.folder / WORKERS / worker / ANSWER, answer)

    def acknowledge(self, worker: str, seq: int) -> None:
        """Removes the batches of a worker up to `seq`."""
        folder = self.folder / WORKERS / worker
        for name in durable.names_in(folder):
            found = BATCH.fullmatch(name)
            if found and int(found["seq"]) <= seq:
                with contextlib.suppress(OSError):  # it is gone, or no file
                    (folder / name).unlink()

    def end(self, finished: bool) -> None:
        """Tells workers to wait, or to end; and lets go of the folder."""
        if self._current is not None:
            state = ENDED if finished else WAITING
            self._say(dataclasses.replace(self._current, state=state))
        self._lock.__exit__(None, None, None)

    def _say(self, current: Current) -> None:
        self._current = current
        _write(self.folder / CURRENT, current)

    def _events_of(self, worker: str) -> list[Event]:
        folder = self.folder / WORKERS / worker
        try:
            names = os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            return []
        events: list[Event] = []
        if worker not in self._greeted:
            if HELLO not in names:
                return []
            try:
                hello = _read(folder / HELLO, Hello)
            except (ValueError, OSError) as error:
                self._greeted.add(worker)
                self.answer(worker, Answer(refused=f"its hello is damaged: {error}"))
                return [Left(worker, f"it was refused, for its hello is damaged: {error}")]
            self._greeted.add(worker)
            events.append(Joined(worker, hello))
        batches = list(filter(None, map(BATCH.fullmatch, sorted(names))))
        delivered = self._delivered.setdefault(worker, set())
        delivered &= {int(found["seq"]) for found in batches}
        for found in batches:
            seq = int(found["seq"])
            if seq in delivered or len(delivered) >= MOST_DELIVERED:
                continue
            if (content := _content(folder / found[0])) is not None:
                delivered.add(seq)
                events.append(Arrived(worker, Parcel(seq, found["sha256"], content)))
        beat = _content(folder / BEAT) if BEAT in names else None
        if beat is not None and beat != self._beats.get(worker):
            self._beats[worker] = beat
            events.append(Heard(worker))
        if BYE in names and not any(map(BATCH.fullmatch, names)):
            events.append(Left(worker, "it left"))
            shutil.rmtree(folder, ignore_errors=True)
        return events


def is_there(folder: pathlib.Path) -> bool:
    """Returns whether a learner has made a folder its fleet's; an empty one may become that.

    Raises:
      ValueError: other things lie there.
    """
    if (folder / RUN).exists():
        return True
    if not set(durable.names_in(folder)) <= {"lock", WEIGHTS, WORKERS}:
        raise ValueError(
            f"{folder} is no fleet's folder: `selfplay train --fleet {folder}` makes one, of a "
            "folder that is empty or not there"
        )
    return False


class FolderWorker:
    """A worker's end."""

    def __init__(self, folder: pathlib.Path) -> None:
        """Looks at a fleet's folder.

        Raises:
          ValueError: it is none.
        """
        self.folder = folder.absolute()
        if not is_there(folder):
            raise ValueError(f"{folder} is no fleet's folder: no learner has opened it")
        self.invitation = _read(self.folder / RUN, Invitation)
        if self.invitation.format_version != FORMAT_VERSION:
            raise ValueError(
                f"{folder} has format {self.invitation.format_version}, this version knows "
                f"{FORMAT_VERSION}: use the version of selfplay that the learner runs"
            )
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._own = self.folder / WORKERS / self.name
        self._beats = 0

    def join(self, hello: Hello) -> None:
        """Asks to be let in."""
        durable.make_folder(self._own)
        self.beat()
        _write(self._own / HELLO, hello)

    def answer(self) -> Answer | None:
        """Returns what the learner said to this worker, None if it has not answered."""
        if not self._own.exists():
            return Answer(refused="its folder is gone", again=True)
        path = self._own / ANSWER
        return _read(path, Answer) if path.exists() else None

    def current(self) -> Current | None:
        """Returns which weights play, None if none were published yet."""
        path = self.folder / CURRENT
        return _read(path, Current) if path.exists() else None

    def weights(self, network: Network, current: Current) -> Version | None:
        """Returns weights that were published, None if they are gone by now.

        Raises:
          ValueError: the file is damaged.
        """
        content = _content(self.folder / WEIGHTS / f"{current.sha256}.npz")
        if content is None:
            return None
        if batch.digest(content) != current.sha256:
            raise ValueError(f"{self.folder}: weights {current.sha256} are damaged")
        weights = weights_of(network, npz.parse(content, npz.largest()))
        return Version(current.number, current.step, weights)

    def send(self, parcel: Parcel) -> None:
        """Leaves a batch for the learner."""
        durable.write_whole(self._own / f"{parcel.seq:012d}-{parcel.sha256}.npz", parcel.content)

    def unacknowledged(self) -> int:
        """Returns how many batches the learner has not taken yet."""
        return sum(map(bool, map(BATCH.fullmatch, durable.names_in(self._own))))

    def beat(self) -> None:
        """Tells that this worker is alive."""
        self._beats += 1
        path = self._own / BEAT
        partial = durable.partial_of(path)
        partial.write_text(f"{self._beats}")  # need not survive a power cut
        partial.replace(path)

    def leave(self) -> None:
        """Tells that nothing more comes."""
        answer = self.answer()
        if answer is not None and answer.refused:
            shutil.rmtree(self._own, ignore_errors=True)
        else:
            durable.write_whole(self._own / BYE, b"")


def _weights_file(weights: Weights) -> bytes:
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **weights_as_arrays(weights))
    return file.getvalue()


def _write(path: pathlib.Path, value: Any) -> None:
    durable.write_whole(path, json.dumps(dataclasses.asdict(value), indent=1).encode())


def _read(path: pathlib.Path, kind: type[T]) -> T:
    durable.check_file(path)
    if path.stat().st_size > MAX_JSON:
        raise ValueError(f"{path} is damaged: it has {path.stat().st_size:,} bytes")
    try:
        return json_objects.read(kind, json_lines.parse(path.read_text(), str(path)))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def _content(path: pathlib.Path) -> bytes | None:
    """Returns what a file holds: nothing if it is no file, None if it is gone."""
    try:
        # A pipe would wait for ever for somebody who writes into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError:
        return b""
    with open(descriptor, "rb", closefd=True) if _is_file(descriptor) else io.BytesIO() as file:
        return file.read(MAX_BATCH)


def _is_file(descriptor: int) -> bool:
    """Returns whether an open file is a plain one; closes it if it is not."""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return True
    os.close(descriptor)
    return False
