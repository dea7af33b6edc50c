"""The replay buffer: the window of samples that training draws from, and its files on disk.

Examples live in a ring of rows on the host (`selfplay/example.py`): device memory belongs to the
search tree. Every example also goes to a compressed chunk `replay/<first>-<last>.npz` (example
numbers counted from the run's first example), written at each save: the durable record from which a
resumed run fills its ring.
"""

import pathlib
import re
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from selfplay import example
from selfplay.example import Form, Kind, Layout, Sample
from selfplay.files import durable, npz
from training.settings import ReplayConfig

NAME = re.compile(r"[0-9]{12}-[0-9]{12}\.npz")
ONE = (Kind.SCALAR, Kind.ACTION)  # of which an example has one number
NO_TARGETS: Mapping[str, Form] = {}
LEFT = re.compile(rf"{NAME.pattern}({durable.UNIQUE})?{re.escape(durable.PARTIAL)}")


class Stretch(NamedTuple):
    """Examples that came at once."""

    own: int  # number of the first in this ring
    number: int  # how many the run had before, of all processes
    kept_from: int  # number in the run from which chunks are kept as long as these examples are


class ReplayBuffer:
    """A ring of the newest examples; `total` counts every one ever added, of all processes.

    `forms` are those of the run's columns that are known, as `targets.forms` gives them: all of its
    targets. Of several processes each has one of `parts` equal parts of the window, filled by its
    own environments.
    """

    def __init__(
        self, config: ReplayConfig, forms: Mapping[str, Form] = NO_TARGETS, parts: int = 1
    ) -> None:
        self.config, self._forms, self._parts = config, dict(forms), parts
        self.capacity = max(1, config.capacity // parts)
        self.total = 0
        self.is_ready = True  # every process has examples to draw from, once there are enough
        self._own = 0  # examples that were ever added to this ring
        self.layout: Layout | None = None  # of the rows; None as long as there is no example
        self._ring = np.zeros(0)
        self._unsaved: list[Sample] = []
        self._first = 0  # of these, the first that was here: a resume begins with the newest
        self._saved = 0  # of all processes, that chunks hold
        self._stretches: list[Stretch] = []  # those with examples in the ring

    def __len__(self) -> int:
        """Number of examples in this ring."""
        return min(self._own - self._first, self.capacity)

    def add(self, examples: Sample, everywhere: int | None = None) -> None:
        """Appends examples; the oldest make room.

        Args:
          everywhere: how many examples all processes add now; None: there is one process.
        """
        count = len(examples.ply)
        if count:
            # Kept for the next chunk, and held in the ring.
            self._unsaved.append(examples)
            self._append(examples, self.total, self._saved)
        self.total += count if everywhere is None else everywhere

    def window(self, total: int | None = None) -> int:
        """Returns the number of newest examples that `sample` draws from (when it held `total`)."""
        total = self.total if total is None else total
        # KataGo's power law: the window grows with the examples, ever more slowly.
        first, growth = self.config.min_examples, self.config.window_growth
        wanted = 1 + self.config.window_scale * ((total / first) ** growth - 1) / growth
        return min(total, self.config.capacity, max(first, int(first * wanted)))

    def steps_allowed(self, minibatch: int) -> int:
        """Returns how many training steps of `minibatch` examples the examples so far allow."""
        # Training waits for a first window.
        if self.total < self.config.min_examples or not self.is_ready:
            return 0
        return int(self.total * self.config.samples_per_example) // minibatch

    def sample(self, rng: np.random.Generator, count: int, total: int | None = None) -> np.ndarray:
        """Draws examples of this ring that are in the window, uniformly and with replacement.

        Args:
          total: draw as when the run had so many examples; those overwritten since are left out.

        Returns:
          Rows of `layout`, [count].
        """
        if self.layout is None:
            raise ValueError("the replay buffer is empty: nothing to sample")
        own = self._own
        # As the ring was then: what to draw again after NaN or a resume.
        if total is not None:
            own = next((s.own for s in self._stretches if s.number >= total), own)
        # Uniformly from the newest examples of this ring.
        window = min(own - self._first, self.capacity, max(1, self.window(total) // self._parts))
        examples = own - 1 - rng.integers(0, window, count)
        places = examples[examples >= self._own - self.capacity] % self.capacity
        # As bytes, which NumPy copies faster than fields.
        held = self._ring.view(np.uint8).reshape(self.capacity, -1)
        return held[places].view(self._ring.dtype)[:, 0]

    def oldest_kept(self) -> int:
        """Returns the number of the first example that a resume needs, or that is to be kept."""
        if self.config.keep == "all":
            return 0
        if self._parts == 1:
            return max(0, self.total - self.capacity)
        return self._stretches[0].kept_from if self._stretches else self.total

    def take_unsaved(self) -> tuple[int, list[Sample]]:
        """Returns the examples since the last call, in parts, and how many the run had then."""
        unsaved, self._unsaved = self._unsaved, []
        before, self._saved = self._saved, self.total
        return before, unsaved

    def restore(
        self,
        folder: pathlib.Path,
        total: int,
        run_id: str = "",
        oldest: int = 0,
        owned: Callable[[np.ndarray], np.ndarray] = lambda game_id: np.ones(len(game_id), bool),
    ) -> None:
        """Fills the ring from the chunks of a run in `folder`, from example `oldest` up to `total`.

        The chunks are as `training/storage/checkpoint.py` has checked them.

        Args:
          owned: which examples are this process's, by their game's number.

        Raises:
          ValueError: examples are missing, or a chunk cannot be read.
        """
        if self._parts == 1:
            oldest = max(oldest, total - self.capacity)
            # An example has the place it would have without a stop.
            self._own = self._first = oldest
        targets = {n: f for n, f in self._forms.items() if n.startswith(example.OF_TARGETS)}
        for first, examples in stored(folder, oldest, total, run_id, targets):
            kept = example.take(examples, owned(examples.game_id))
            if len(kept.ply):
                self._append(kept, first, first)
        # All that was read is on disk already.
        self.total = self._saved = total

    def _append(self, examples: Sample, number: int, kept_from: int) -> None:
        capacity, columns = self.capacity, example.flat(examples)
        layout = example.layout_of(columns)
        # Before the ring is allocated: a stranger's rows may have any size.
        ours = dict(self.layout.columns) if self.layout else dict(layout.columns) | self._forms
        for name, form in layout.columns:
            if form != ours.get(name):
                raise ValueError(
                    f"replay examples with {name} of {form.dtype}{form.shape} do not go with the "
                    f"others, of {ours.get(name)}"
                )
        if self.layout is None:
            self.layout, self._ring = layout, np.zeros(capacity, layout.dtype)
        count = len(examples.ply)
        # Overwrite the oldest places of the ring.
        places = np.arange(self._own, self._own + count)[-capacity:] % capacity
        example.fill_rows(
            self._ring, {name: column[-capacity:] for name, column in columns.items()}, places
        )
        self._stretches.append(Stretch(self._own, number, kept_from))
        self._own += count
        # Forget stretches that were overwritten whole.
        while len(self._stretches) > 1 and self._stretches[1].own <= self._own - capacity:
            del self._stretches[0]


def stored(
    folder: pathlib.Path,
    oldest: int,
    total: int,
    run_id: str = "",
    targets: Mapping[str, Form] = NO_TARGETS,
) -> Iterator[tuple[int, Sample]]:
    """Yields the examples from `oldest` up to `total` in parts, with the first one's number.

    Raises:
      ValueError: examples are missing, or a chunk cannot be read.
    """
    # Chunks must join without a gap.
    expected = oldest
    for first, last, path in chunks(folder):
        if last < oldest or first >= total:
            continue
        if first > expected:
            break
        for start, examples in read_chunk(path, run_id, targets):
            if kept := max(0, start + len(examples.ply) - expected):
                yield expected, example.take(examples, slice(len(examples.ply) - kept, None))
                expected += kept
    if expected != total:
        raise ValueError(f"{folder}: replay examples {expected} to {total - 1} are missing")


def chunks(folder: pathlib.Path) -> list[tuple[int, int, pathlib.Path]]:
    """Returns (first example, last example, path) of each chunk, oldest first."""
    names = filter(NAME.fullmatch, durable.names_in(folder))
    return sorted((int(name[:12]), int(name[13:25]), folder / name) for name in names)


def newest(
    folder: pathlib.Path, names: Collection[str], count: int, run_id: str = ""
) -> dict[str, np.ndarray]:
    """Returns columns of the newest examples that can be read, oldest first: `count` at most.

    For onlookers. Chunks that are damaged, another run's, or were erased since they were listed
    are passed over. {} where there is no example.
    """
    parts = [part for _, part in newest_parts(folder, names, count, run_id)]
    return {name: np.concatenate([part[name] for part in parts]) for name in names if parts}


def newest_parts(
    folder: pathlib.Path, names: Collection[str], count: int, run_id: str = ""
) -> list[tuple[int, dict[str, np.ndarray]]]:
    """The parts that `newest` joins: the number of each chunk's first example, and its columns."""
    parts: list[tuple[int, dict[str, np.ndarray]]] = []
    left = count
    # Newest chunks first, until there are enough.
    for first, last, path in reversed(chunks(folder)):
        examples = min(left, last + 1 - first)
        try:
            part = npz.read_tail(path, names, examples)
            known = _run_of(path)
        except (ValueError, OSError):
            continue
        whole = len(part) == len(names) and all(
            len(column) == examples
            and (column.ndim == 1) == (getattr(example.column(name), "kind", None) in ONE)
            for name, column in part.items()
        )
        if whole and run_id in ("", known):
            parts.insert(0, (last + 1 - examples, part))
            left -= examples
        if not left:
            break
    return parts


def stretch(
    folder: pathlib.Path, names: Collection[str], first: int, count: int, run_id: str = ""
) -> dict[str, np.ndarray]:
    """Returns columns, those that there are, of examples from number `first` on, of one chunk.

    For onlookers. {} where no chunk on disk has that example; fewer examples where its chunk ends
    earlier.

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


def write_chunk(
    folder: pathlib.Path, first: int, parts: Sequence[Sample], run_id: str = ""
) -> pathlib.Path:
    """Writes one chunk of a run whole or not at all, of examples in parts; returns its path."""
    examples = example.concatenate(parts)
    last = first + len(examples.ply) - 1
    path = folder / f"{first:012d}-{last:012d}.npz"

    durable.write_whole(path, lambda file: npz.write(file, example.flat(examples), run_id))
    return path


def read_chunk(
    path: pathlib.Path, run_id: str = "", targets: Mapping[str, Form] = NO_TARGETS
) -> Iterator[tuple[int, Sample]]:
    """Yields the examples of a chunk in parts, with the number of each one's first example.

    Args:
      run_id: of the run that it must be of; empty: of any.
      targets: the columns of targets to read. Where the chunk lacks one, the examples have weight 0
        for it; others that it has are left out.

    Raises:
      ValueError: it is damaged, not of the examples in its name, or another run's.
    """
    if run_id not in ("", _run_of(path)):
        raise ValueError(f"{path} is another run's: put this run's own replay/ there")
    first, _, last = path.stem.partition("-")
    start, end = int(first), int(last) + 1
    for columns in npz.read_parts(path):
        count = len(next(iter(columns.values())))
        core = columns.keys() & example.COLUMNS.keys()
        others = {name for name in columns.keys() - core if not name.startswith(example.OF_TARGETS)}
        wrong_size = any(len(column) != count for column in columns.values())
        if others or len(core) < len(example.COLUMNS) or wrong_size:
            break
        given = columns | {
            name: form.zeros(count) for name, form in targets.items() if name not in columns
        }
        yield start, example.nested(Sample, {n: given[n] for n in (*example.COLUMNS, *targets)})
        start += count
    if start != end:
        count = end - int(first)
        raise ValueError(f"{path} is damaged: it does not hold {count} replay examples")


def may_be_of(path: pathlib.Path, run_id: str) -> bool:
    """Whether a chunk is not another run's; one that is damaged may be anybody's."""
    try:
        return _run_of(path) in ("", run_id)
    except (OSError, ValueError):
        return True


def _run_of(path: pathlib.Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment.decode(errors="replace")
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is damaged: {error}") from error
