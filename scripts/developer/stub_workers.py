"""Stub workers: real batches at the pace of another machine, to measure what a learner takes.

They speak to the learner through a fleet's folder, as `selfplay worker` does. What they send was
played and compressed once; only the header of each batch is new. So many of them fit into one
process that takes little of this machine.
"""

import dataclasses
import hashlib
import io
import json
import os
import pathlib
import time
import zipfile

import jax
import numpy as np

from selfplay.files import npz
from training.config import RunConfig
from training.replay import HEADER
from training.workers import batch
from training.workers.batch import GAME_BITS, Header
from training.workers.folder import FolderWorker
from training.workers.transport import FORMAT_VERSION, MOST_UNACKNOWLEDGED, Hello
from training.workers.worker import Parcel, Version, Worker

LOOK_SECONDS = 0.002  # between the looks of a worker that waits


def play(config: RunConfig, rows: int) -> dict[str, np.ndarray]:
    """Returns the columns of about so many rows of whole games, played with fresh weights.

    Their numbers begin at 0, and lack what tells incarnations apart.
    """
    worker = Worker(config, "", 0, 0)
    version = Version(0, 0, worker.network.init(jax.random.key(0)))
    parts: list[dict[str, np.ndarray]] = []
    while sum(len(part["ply"]) for part in parts) < rows:
        part = npz.parse(worker.play(version).content, npz.largest())
        del part[HEADER]
        parts.append(part)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    ends = 1 + np.flatnonzero(np.diff(columns["game_id"], append=-1))
    count = ends[ends <= rows].max()
    columns = {name: column[:count] for name, column in columns.items()}
    return columns | {"game_id": columns["game_id"] & ((1 << GAME_BITS) - 1)}


class Packed:
    """A batch whose columns are compressed, and whose header is still to come."""

    def __init__(self, columns: dict[str, np.ndarray], header: Header) -> None:
        """Compresses the columns as the batch of that incarnation."""
        self._header = header
        first = (header.incarnation + 1) << GAME_BITS
        file = io.BytesIO()
        npz.write(file, columns | {"game_id": columns["game_id"] + first}, header.run_id)
        self._content = file.getvalue()
        with zipfile.ZipFile(file) as archive:
            self._end = archive.start_dir  # of what stays as it is
        self._sum = hashlib.sha256(self._content[: self._end])

    def parcel(self, seq: int, version: int, step: int) -> Parcel:
        """Returns batch `seq`, played with those weights."""
        header = dataclasses.replace(self._header, seq=seq, version=version, weights_step=step)
        text = json.dumps(dataclasses.asdict(header)).encode()
        file = io.BytesIO(self._content)
        with zipfile.ZipFile(file, "a") as archive:
            array = io.BytesIO()
            np.save(array, np.frombuffer(text, np.uint8))
            archive.writestr(f"{HEADER}.npy", array.getvalue())
        content, total = file.getvalue(), self._sum.copy()
        total.update(memoryview(content)[self._end :])
        return Parcel(seq, total.hexdigest(), content)


class Schedule:
    """When a worker's calls end. One that was blocked has lost that time: it never catches up."""

    def __init__(self, period: float, first: float) -> None:
        """Begins a call at `first`; each takes `period` seconds."""
        self._period = period
        self.due: float | None = first + period  # None: it may not begin the next call yet

    def ends(self, now: float) -> bool:
        """Whether the call has ended; it is told once."""
        if self.due is None or now < self.due:
            return False
        self.due = None
        return True

    def begin(self, now: float, unacknowledged: int) -> None:
        """Begins the next call, unless one runs or too many batches are not acknowledged."""
        if self.due is None and unacknowledged < MOST_UNACKNOWLEDGED:
            self.due = now + self._period


@dataclasses.dataclass(eq=False)
class _Stub:
    link: FolderWorker
    packed: Packed
    schedule: Schedule
    seq: int = 0

    def look(self) -> None:
        """Does what is due."""
        now = time.monotonic()  # what sending takes is not lost
        if self.schedule.ends(now):
            current = self.link.current()
            assert current is not None, "it was let in, so weights were published"
            self.link.send(self.packed.parcel(self.seq, current.number, current.step))
            self.seq += 1
        if self.schedule.due is None:
            self.schedule.begin(now, self.link.unacknowledged())


def serve(
    folder: pathlib.Path, columns: dict[str, np.ndarray], plies: int, workers: int, period: float
) -> None:
    """Sends batches as so many workers, for ever; their calls begin evenly spread over a period.

    Args:
      plies: of a call, as the run's settings have them.
      period: seconds of a call.
    """
    links = [FolderWorker(folder) for _ in range(workers)]
    for link in links:
        link.join(_hello(link))
    packed = [Packed(columns, _header(link, columns, plies, period)) for link in links]
    now = time.monotonic()
    stubs = [
        _Stub(link, ready, Schedule(period, now + place * period / workers))
        for place, (link, ready) in enumerate(zip(links, packed, strict=True))
    ]
    while True:
        for stub in stubs:
            stub.look()
        now = time.monotonic()
        waits = [(stub.schedule.due or now + LOOK_SECONDS) - now for stub in stubs]
        time.sleep(max(0.0, min(waits)))


def _hello(link: FolderWorker) -> Hello:
    ours = link.invitation
    same = {name: getattr(ours, name) for name in ("run_id", "digest", "code", "rules")}
    return Hello(
        *(FORMAT_VERSION,),
        **same,
        host="stub",
        pid=os.getpid(),
        device="stub",
        devices=1,
        jax="",
        cores=1,
    )


def _header(
    link: FolderWorker, columns: dict[str, np.ndarray], plies: int, period: float
) -> Header:
    """Waits to be let in; returns what all batches of a worker say."""
    while (answer := link.answer()) is None:
        time.sleep(LOOK_SECONDS)
    if answer.refused:
        raise ValueError(f"a stub worker was refused: {answer.refused}")
    ours = link.invitation
    return Header(
        format_version=batch.FORMAT_VERSION,
        run_id=ours.run_id,
        digest=ours.digest,
        code=ours.code,
        game=ours.game,
        slot=answer.slot,
        incarnation=answer.incarnation,
        seq=0,
        version=0,
        weights_step=0,
        rows=len(columns["ply"]),
        plies=plies,
        games=len(np.unique(columns["game_id"])),
        devices=1,
        device_kind="stub",
        seconds=period,
        kl=0.0,
        entropy=0.0,
    )
