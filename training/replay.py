"""The window of samples that training draws from, and its files on disk.

Rows live in a NumPy ring on the host, truth values as bits: device memory belongs to the search
tree. Every row also goes
to a compressed chunk `replay/<first>-<last>.npz` (row numbers counted from the run's first row),
written at each save: the durable record from which a resumed run fills its ring.
"""

import pathlib
import re
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from selfplay import row
from selfplay.files import durable, npz
from selfplay.row import Form, Sample
from training.settings import ReplayConfig

NAME = re.compile(r"[0-9]{12}-[0-9]{12}\.npz")
# More arrays of a chunk that a worker made, see training/workers/batch.py: one, and the names of
# games before it begin so.
HEADER, LANES = "header", "lanes/"
NO_TARGETS: Mapping[str, Form] = {}
LEFT = re.compile(rf"{NAME.pattern}({durable.UNIQUE})?{re.escape(durable.PARTIAL)}")


class Block(NamedTuple):
    """Rows of ours that came at once."""

    own: int  # the number of the first among our rows
    number: int  # and among those of all hosts; of a chunk's, that of the chunk's first


class ReplayBuffer:
    """A ring of the newest rows; `total` counts every row ever added.

    `targets` are the columns of the run's targets, as `row.target_forms` gives them. Of several
    hosts each has its `share`, (rank, count), of the rows and of the window; `total` counts those
    of all, and numbers go through all: call by call, and within a call rank by rank.
    """

    def __init__(
        self,
        config: ReplayConfig,
        targets: Mapping[str, Form] = NO_TARGETS,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self.config, self.targets = config, targets
        self.rank, self.count = share
        self.capacity = max(1, config.capacity // self.count)
        self.total = 0
        self._own = 0  # the number among our rows of the next one
        self._blocks: list[Block] = []
        # Ranks that have no row yet, of several.
        self._without = set(range(self.count)) if self.count > 1 else set()
        self._forms: dict[str, Form] = {}  # of the columns; empty as long as there is no row
        self._held: dict[str, np.ndarray] = {}  # the ring, as `row.packed` makes it
        self._unsaved: list[tuple[int, Sample]] = []

    def add(
        self,
        rows: Sample | None,
        is_saved: bool = False,
        counts: Sequence[int] | None = None,
    ) -> None:
        """Appends rows; the oldest make room.

        Args:
          is_saved: a chunk holds them already.
          counts: of several hosts, how many rows each adds now.
        """
        if counts is None:
            counts = [len(rows.ply) if rows is not None else 0]
        first = self.total + sum(counts[: self.rank])
        self.total += sum(counts)
        self._without -= {rank for rank, count in enumerate(counts) if count}
        if rows is None or len(rows.ply) == 0:
            return
        if not is_saved:
            self._unsaved.append((first, rows))
        self._append(rows, first)

    def window(self, total: int | None = None) -> int:
        """Returns the number of newest rows that `sample` draws from (when it held `total`)."""
        total = self.total if total is None else total
        first, growth = self.config.min_rows, self.config.window_growth
        wanted = 1 + self.config.window_scale * ((total / first) ** growth - 1) / growth
        return min(total, self.config.capacity, max(first, int(first * wanted)))

    def steps_allowed(self, minibatch: int) -> int:
        """Returns how many training steps of `minibatch` rows the rows so far allow."""
        if self.total < self.config.min_rows or self._without:
            return 0
        return int(self.total * self.config.samples_per_row) // minibatch

    def sample(self, rng: np.random.Generator, count: int, total: int | None = None) -> Sample:
        """Draws rows from our share of the window, uniformly and with replacement.

        Args:
          total: draw as when the buffer held so many rows; those overwritten since are left out.
        """
        if not self._forms:
            raise ValueError("the replay buffer is empty: nothing to sample")
        total = self.total if total is None else total
        own = self._own_of(total)
        window = min(own, self.capacity, max(1, self.window(total) // self.count))
        rows = own - 1 - rng.integers(0, window, count)
        places = rows[rows >= self._own - self.capacity] % self.capacity
        columns = {n: row.unpacked(self._held[n][places], form) for n, form in self._forms.items()}
        return row.nested(Sample, columns)

    def oldest_kept(self) -> int:
        """Returns the number of the first row that a resume needs, or that is to be kept."""
        if self.config.keep == "all":
            return 0
        if self.count == 1:
            return max(0, self.total - self.capacity)
        return self._blocks[0].number if self._blocks else self.total

    def take_unsaved(self) -> tuple[int, Sample | None]:
        """Returns the rows since the last call, for a chunk, and the number of the first one."""
        numbers, rows = self.take_unsaved_numbered()
        return (int(numbers[0]), rows) if rows is not None else (self.total, None)

    def take_unsaved_numbered(self) -> tuple[np.ndarray, Sample | None]:
        """Returns the rows since the last call, and int64[N], the number of each in the run."""
        unsaved, self._unsaved = self._unsaved, []
        if not unsaved:
            return np.zeros(0, np.int64), None
        numbers = [np.arange(first, first + len(rows.ply)) for first, rows in unsaved]
        return np.concatenate(numbers), row.concatenate([rows for _, rows in unsaved])

    def restore(self, folder: pathlib.Path, total: int, run_id: str = "") -> None:
        """Fills the ring from the chunks of a run in `folder`, up to row `total`.

        The chunks are as `training/storage/checkpoint.py` has checked them.

        Raises:
          ValueError: rows are missing, or a chunk cannot be read.
        """
        oldest = max(0, total - self.config.capacity)
        self.total = self._own = oldest
        for first, rows in stored(folder, oldest, total, run_id, self.targets):
            assert first == self.total
            self.add(rows, is_saved=True)

    def restore_share(self, number: int, rows: Sample) -> None:
        """Takes our rows of a chunk that begins with row `number`; chunks come oldest first."""
        if len(rows.ply):
            self._append(rows, number)

    def restored(self, total: int, ranks: Collection[int]) -> None:
        """Ends `restore_share`: the run has so many rows, and these ranks have some."""
        self.total = total
        self._without -= set(ranks)

    def has_rows(self) -> bool:
        """Whether we have rows of our own."""
        return bool(self._forms)

    def _own_of(self, total: int) -> int:
        """Returns how many rows we had when the run had `total`."""
        if self.count == 1:
            return total
        later = [block.own for block in self._blocks if block.number >= total]
        return later[0] if later else self._own

    def _append(self, rows: Sample, number: int) -> None:
        capacity, columns = self.capacity, row.flat(rows)
        forms = {n: Form(column.shape[1:], column.dtype) for n, column in columns.items()}
        if not self._forms:
            self._forms = forms
            self._held = {name: row.held(form).zeros(capacity) for name, form in forms.items()}
        for name, form in forms.items():
            if form != (ours := self._forms[name]):
                raise ValueError(
                    f"replay rows of {form.dtype}{form.shape} do not go with the others, "
                    f"of {ours.dtype}{ours.shape}"
                )
        count = len(rows.ply)
        places = np.arange(self._own, self._own + count)[-capacity:] % capacity
        for name, column in columns.items():
            self._held[name][places] = row.packed(column[-capacity:])
        if self.count > 1:
            self._blocks.append(Block(self._own, number))
        self._own += count
        while len(self._blocks) > 1 and self._blocks[1].own <= self._own - capacity:
            del self._blocks[0]


def stored(
    folder: pathlib.Path,
    oldest: int,
    total: int,
    run_id: str = "",
    targets: Mapping[str, Form] = NO_TARGETS,
) -> Iterator[tuple[int, Sample]]:
    """Yields the rows from `oldest` up to `total`, chunk by chunk, with the first one's number.

    Raises:
      ValueError: rows are missing, or a chunk cannot be read.
    """
    expected = oldest
    for first, last, path in chunks(folder):
        if last < oldest or first >= total:
            continue
        rows = read_chunk(path, run_id, targets)
        if first > expected:
            break
        yield expected, row.take(rows, slice(max(0, oldest - first), None))
        expected = last + 1
    if expected != total:
        raise ValueError(f"{folder}: replay rows {expected} to {total - 1} are missing")


def chunks(folder: pathlib.Path) -> list[tuple[int, int, pathlib.Path]]:
    """Returns (first row, last row, path) of each chunk, oldest first."""
    names = filter(NAME.fullmatch, durable.names_in(folder))
    return sorted((int(name[:12]), int(name[13:25]), folder / name) for name in names)


def newest(
    folder: pathlib.Path, names: Collection[str], count: int, run_id: str = ""
) -> dict[str, np.ndarray]:
    """Returns columns of the newest rows that can be read, oldest first: `count` at most.

    For onlookers. Chunks that are damaged, another run's, or were erased since they were listed
    are passed over. {} where there is no row.
    """
    parts = [part for _, part in newest_parts(folder, names, count, run_id)]
    return {name: np.concatenate([part[name] for part in parts]) for name in names if parts}


def newest_parts(
    folder: pathlib.Path, names: Collection[str], count: int, run_id: str = ""
) -> list[tuple[int, dict[str, np.ndarray]]]:
    """Returns what `newest` joins: for each chunk the number of a first row, and the columns."""
    parts: list[tuple[int, dict[str, np.ndarray]]] = []
    left = count
    for first, last, path in reversed(chunks(folder)):
        rows = min(left, last + 1 - first)
        try:
            part = npz.read_tail(path, names, rows)
            known = _run_of(path)
        except (ValueError, OSError):
            continue
        whole = len(part) == len(names) and all(len(column) == rows for column in part.values())
        if whole and run_id in ("", known):
            parts.insert(0, (last + 1 - rows, part))
            left -= rows
        if not left:
            break
    return parts


def stretch(
    folder: pathlib.Path, names: Collection[str], first: int, count: int, run_id: str = ""
) -> dict[str, np.ndarray]:
    """Returns columns, those that there are, of rows from number `first` on, of one chunk.

    For onlookers. {} where no chunk on disk has that row; fewer rows where its chunk ends earlier.

    Raises:
      ValueError: the chunk is damaged, or another run's.
      OSError: it cannot be read, or was erased since it was listed.
    """
    for start, last, path in chunks(folder):
        if start <= first <= last:
            if run_id not in ("", _run_of(path)):
                raise ValueError(f"{path} is another run's")
            return npz.read_rows(path, names, first - start, count)
    return {}


def write_chunk(folder: pathlib.Path, first: int, rows: Sample, run_id: str = "") -> pathlib.Path:
    """Writes one chunk of a run whole or not at all; returns its path."""
    last = first + len(rows.ply) - 1
    path = folder / f"{first:012d}-{last:012d}.npz"

    durable.write_whole(path, lambda file: npz.write(file, row.flat(rows), run_id))
    return path


def read_chunk(
    path: pathlib.Path, run_id: str = "", targets: Mapping[str, Form] = NO_TARGETS
) -> Sample:
    """Reads a chunk.

    Args:
      run_id: of the run that it must be of; empty: of any.
      targets: the columns of targets to read. Where the chunk lacks one, the rows have weight 0
        for it; others that it has are left out.

    Raises:
      ValueError: it is damaged, not of the rows in its name, or another run's.
    """
    held = npz.read(path).items()
    columns = {n: c for n, c in held if n != HEADER and not n.startswith(LANES)}
    if run_id not in ("", _run_of(path)):
        raise ValueError(f"{path} is another run's: put this run's own replay/ there")
    first, _, last = path.stem.partition("-")
    count = int(last) - int(first) + 1
    core = columns.keys() & row.COLUMNS.keys()
    others = {name for name in columns.keys() - core if not name.startswith(row.OF_TARGETS)}
    wrong_size = any(column.shape[:1] != (count,) for column in columns.values())
    if others or len(core) < len(row.COLUMNS) or wrong_size:
        raise ValueError(f"{path} is damaged: it does not hold {count} replay rows")
    absent = {name: form.zeros(count) for name, form in targets.items() if name not in columns}
    return row.nested(Sample, {n: (columns | absent)[n] for n in (*row.COLUMNS, *targets)})


def _run_of(path: pathlib.Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return archive.comment.decode(errors="replace")
