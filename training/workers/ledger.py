"""The ledger of a run's workers: who joined, and in which order batches were taken.

`replay/order.jsonl`, a JSON line each. A batch's line is written once its rows are on the disk, and
only then is the batch acknowledged: so it is the truth about what the run has taken. A resume gives
the learner again what was taken after its save, and `selfplay train --replay-of R` all of it.
"""

import dataclasses
import json
import pathlib
from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

from selfplay.files import durable, json_lines, json_objects
from training.workers.batch import Key

NAME = "order.jsonl"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """A process with the run began to take batches."""

    kind: ClassVar[str] = "start"
    number: int  # from 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Join:
    """A worker joined."""

    kind: ClassVar[str] = "join"
    incarnation: int  # from 0, one more each time
    slot: int
    name: str  # of the worker, as its transport knows it
    host: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gone:
    """A worker left, or was given up: it does not come back as this incarnation."""

    kind: ClassVar[str] = "gone"
    incarnation: int
    why: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Taken:
    """A batch was taken, and is on the disk."""

    kind: ClassVar[str] = "batch"
    slot: int
    incarnation: int
    seq: int
    version: int  # of the weights that played it
    weights_step: int = -1  # the training step of these; -1: an early version did not note it
    first: int  # its rows in the replay are numbered from here
    rows: int
    plies: int
    games: int
    sha256: str
    step: int  # training steps before it
    horizon: float  # of the schedule, as it stood then

    @property
    def key(self) -> Key:
        """The batch's key."""
        return Key(self.slot, self.incarnation, self.seq)

    @property
    def chunk(self) -> str:
        """The name of the file with its rows, in the same folder; it has none without rows."""
        return f"{self.first:012d}-{self.first + self.rows - 1:012d}.npz"


Line = Start | Join | Gone | Taken
KINDS: dict[str, type[Line]] = {line.kind: line for line in (Start, Join, Gone, Taken)}


class Known(NamedTuple):
    """What a ledger says."""

    starts: int
    joins: list[Join]
    gone: list[int]  # incarnations
    taken: list[Taken]


def append(folder: pathlib.Path, line: Line) -> None:
    """Adds a line to the ledger in a replay folder; it is on the disk on return."""
    text = json.dumps({"kind": line.kind, **dataclasses.asdict(line)})
    durable.append(folder / NAME, f"{text}\n")


def read(folder: pathlib.Path) -> Known:
    """Returns what the ledger in a replay folder says; nothing where there is none.

    A last line that a kill cut off is left out: its batch was not acknowledged.

    Raises:
      ValueError: another line is damaged; says which.
    """
    known = Known(0, [], [], [])
    path = folder / NAME
    if not path.exists():
        return known
    starts = 0
    for place, text in json_lines.read(path):
        if not text.endswith("\n"):
            break
        line = _parse(text, place)
        if isinstance(line, Start):
            starts = line.number
        elif isinstance(line, Join):
            known.joins.append(line)
        elif isinstance(line, Gone):
            known.gone.append(line.incarnation)
        else:
            known.taken.append(line)
    return known._replace(starts=starts)


def taken_since(folder: pathlib.Path, count: int) -> list[Taken]:
    """Returns the batches that were taken after the first `count`."""
    return read(folder).taken[count:]


def next_seqs(known: Known) -> dict[int, int]:
    """Returns the number of the batch that is to come from each incarnation."""
    seqs = {join.incarnation: 0 for join in known.joins}
    return seqs | {line.incarnation: line.seq + 1 for line in known.taken}


def check_order(taken: Iterable[Taken]) -> None:
    """Raises ValueError unless each batch follows the one before it, of all and of its worker."""
    row, seqs = None, dict[int, int]()
    for line in taken:
        if line.first != (line.first if row is None else row):
            raise ValueError(f"rows from {row} on are missing before {line}")
        if line.seq != seqs.get(line.incarnation, line.seq):
            raise ValueError(f"a batch is missing before {line}")
        row, seqs[line.incarnation] = line.first + line.rows, line.seq + 1


def _parse(text: str, place: str) -> Line:
    value: Any = json_lines.parse(text, place)
    kind = KINDS.get(value.get("kind", "")) if isinstance(value, dict) else None
    if kind is None:
        raise ValueError(f"{place}: no line of a ledger: {text[:80]!r}")
    try:
        return json_objects.read(kind, value)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
