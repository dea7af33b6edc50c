"""The window of samples that training draws from, and its files on disk.

Rows live in a NumPy ring on the host, truth values as bits: device memory belongs to the search
tree. Every row also goes
to a compressed chunk `replay/<first>-<last>.npz` (row numbers counted from the run's first row),
written at each save: the durable record from which a resumed run fills its ring.
"""

import pathlib
import re
import zipfile
from collections.abc import Collection, Mapping

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


class ReplayBuffer:
    """A ring of the newest rows; `total` counts every row ever added.

    `targets` are the columns of the run's targets, as `row.target_forms` gives them.
    """

    def __init__(self, config: ReplayConfig, targets: Mapping[str, Form] = NO_TARGETS) -> None:
        self.config, self.targets = config, targets
        self.total = 0
        self._forms: dict[str, Form] = {}  # of the columns; empty as long as there is no row
        self._held: dict[str, np.ndarray] = {}  # the ring, as `row.packed` makes it
        self._unsaved: list[Sample] = []

    def add(self, rows: Sample, is_saved: bool = False) -> None:
        """Appends rows; the oldest make room.

        Args:
          is_saved: a chunk holds them already.
        """
        if len(rows.ply) == 0:
            return
        if not is_saved:
            self._unsaved.append(rows)
        self._append(rows)

    def window(self, total: int | None = None) -> int:
        """Returns the number of newest rows that `sample` draws from (when it held `total`)."""
        total = self.total if total is None else total
        first, growth = self.config.min_rows, self.config.window_growth
        wanted = 1 + self.config.window_scale * ((total / first) ** growth - 1) / growth
        return min(total, self.config.capacity, max(first, int(first * wanted)))

    def steps_allowed(self, minibatch: int) -> int:
        """Returns how many training steps of `minibatch` rows the rows so far allow."""
        if self.total < self.config.min_rows:
            return 0
        return int(self.total * self.config.samples_per_row) // minibatch

    def sample(self, rng: np.random.Generator, count: int, total: int | None = None) -> Sample:
        """Draws rows from the window, uniformly and with replacement.

        Args:
          total: draw as when the buffer held so many rows; those overwritten since are left out.
        """
        if not self._forms:
            raise ValueError("the replay buffer is empty: nothing to sample")
        total = self.total if total is None else total
        rows = total - 1 - rng.integers(0, self.window(total), count)
        places = rows[rows >= self.total - self.config.capacity] % self.config.capacity
        columns = {n: row.unpacked(self._held[n][places], form) for n, form in self._forms.items()}
        return row.nested(Sample, columns)

    def oldest_kept(self) -> int:
        """Returns the number of the first row that a resume needs, or that is to be kept."""
        return 0 if self.config.keep == "all" else max(0, self.total - self.config.capacity)

    def take_unsaved(self) -> tuple[int, Sample | None]:
        """Returns the rows since the last call, for a chunk, and the number of the first one."""
        rows, self._unsaved = self._unsaved, []
        if not rows:
            return self.total, None
        joined = row.concatenate(rows)
        return self.total - len(joined.ply), joined

    def restore(self, folder: pathlib.Path, total: int, run_id: str = "") -> None:
        """Fills the ring from the chunks of a run in `folder`, up to row `total`.

        The chunks are as `training/storage/checkpoint.py` has checked them.

        Raises:
          ValueError: rows are missing, or a chunk cannot be read.
        """
        oldest = max(0, total - self.config.capacity)
        self.total = expected = oldest
        for first, last, path in chunks(folder):
            if last < oldest or first >= total:
                continue
            rows = read_chunk(path, run_id, self.targets)
            if first > expected:
                break
            self._append(row.take(rows, slice(max(0, oldest - first), None)))
            expected = last + 1
        if expected != total:
            raise ValueError(f"{folder}: replay rows {expected} to {total - 1} are missing")

    def _append(self, rows: Sample) -> None:
        capacity, columns = self.config.capacity, row.flat(rows)
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
        places = np.arange(self.total, self.total + count)[-capacity:] % capacity
        for name, column in columns.items():
            self._held[name][places] = row.packed(column[-capacity:])
        self.total += count


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
        if whole and not (run_id and known and known != run_id):
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
            known = _run_of(path)
            if run_id and known and known != run_id:
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
    known = _run_of(path)
    if run_id and known and known != run_id:
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
        return archive.comment.decode(errors="replace")  # the first chunks had none
