"""Array files of rows, written fast; and reading .npz files that may be damaged, or a stranger's.

Nothing in them is executed (no pickles), and nothing is loaded before its declared size is known to
fit: a small file may unpack to a thousand times its size, or declare an array that is not there.

Booleans are written eight to a byte, which is faster to compress than one a byte: the column
`observation` of shape [N, 6, 7, 2] as `observation.bits.6x7x2`, uint8[N, 11], which
`numpy.unpackbits` reads. `read` and `read_tail` give it back as it was.
"""

import contextlib
import errno
import math
import os
import pathlib
import re
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import IO, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.lib import format as npy

from selfplay.example import packed
from selfplay.files import durable

Arrays: TypeAlias = dict[str, np.ndarray]  # by name
BITS = re.compile(r"(?P<name>.+)\.bits\.(?P<shape>[0-9]+(x[0-9]+)*)")
# Of zlib. The default, 6, made rows of Breakthrough 5x5 a fifth smaller in three times the time.
LEVEL = 1
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
MOST_MEMBERS = 20_000  # arrays in a file
MOST_ROWS = 1 << 30  # bytes of rows that are read at once
PART = 64 << 20  # bytes of a part of `read_parts`
HEADERS: dict[tuple[int, int], Any] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}
# Where a container's limit, its use, and the part of it that is file cache stand: cgroups v2, v1.
CGROUPS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    (
        "/sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)


class Container(NamedTuple):
    """The memory of this process's container, in bytes."""

    limit: int
    left: int  # file caches, which give way, count as free


def write(file: IO[bytes], columns: Mapping[str, Any], comment: str = "") -> None:
    """Writes arrays of rows, axis 0, or `Bits`, compressed; equal arrays give equal bytes.

    Args:
      comment: of the archive.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
        for name, column in columns.items():
            member, held = _pack(name, column)
            with archive.open(f"{member}.npy", "w", force_zip64=True) as opened:
                npy.write_array(opened, held, allow_pickle=False)
        archive.comment = comment.encode()


def read(path: pathlib.Path, compressed: bool = True) -> dict[str, np.ndarray]:
    """Returns the arrays of a file by name.

    Args:
      compressed: whether its arrays may be larger than the file.

    Raises:
      ValueError: it is damaged, holds something else than arrays, or is too large to load.
      OSError: it cannot be opened or read, or is a pipe.
      Exception: what this machine lacks just now, such as memory or a thread, as it came: the file
        may be right.
    """
    with _opened(path, compressed) as raw, np.load(raw, allow_pickle=False) as file:
        return dict(_unpack(name, file[name]) for name in file.files)


def read_tail(path: pathlib.Path, names: Collection[str], count: int) -> Arrays:
    """Returns the last `count` rows of those arrays that the file has; no more is held in memory.

    Raises: as `read`; rows of more than MOST_ROWS bytes are damage too.
    """
    return _read_rows(path, names, lambda rows: range(max(0, rows - count), rows))


def read_rows(path: pathlib.Path, names: Collection[str], first: int, count: int) -> Arrays:
    """Returns rows from `first` on, at most `count`, of those arrays that the file has.

    Raises: as `read_tail`.
    """
    return _read_rows(path, names, lambda rows: range(rows)[first : first + count])


def read_parts(path: pathlib.Path) -> Iterator[Arrays]:
    """Yields the rows of a file in parts of PART bytes, or of one row; no more is held in memory.

    Raises: as `read`.
    """
    with _opened(path, compressed=True) as raw, _members(raw) as members:
        each = max(1, PART // max(1, sum(member.row for member in members)))
        for first in range(0, max([member.rows for member in members], default=0), each):
            yield dict(member.take(range(member.rows)[first : first + each]) for member in members)


def _read_rows(
    path: pathlib.Path, names: Collection[str], choose: Callable[[int], range]
) -> Arrays:
    """Returns the rows that `choose` takes of so many; no more is held in memory."""
    with _opened(path, compressed=True) as raw, _members(raw, names) as members:
        chosen = [choose(member.rows) for member in members]
        size = sum(len(rows) * member.row for rows, member in zip(chosen, members, strict=True))
        if size > MOST_ROWS:
            raise ValueError(f"{size:,} bytes of rows, more than {MOST_ROWS:,}")
        return dict(member.take(rows) for member, rows in zip(members, chosen, strict=True))


@contextlib.contextmanager
def _opened(path: pathlib.Path, compressed: bool) -> Iterator[IO[bytes]]:
    """A file whose headers are sound; what is raised in the block tells of damage."""
    durable.check_file(path)
    with path.open("rb") as raw:
        try:
            most = largest()
            if not compressed:
                most = min(most, os.fstat(raw.fileno()).st_size)
            _check(
                raw, most, "fit in memory" if compressed else "fit in memory, or than it has itself"
            )
            raw.seek(0)
            yield raw
        except Exception as error:  # a damaged zip raises many kinds
            if not _is_damage(error):
                raise
            raise ValueError(f"{path} is damaged: {error}") from error


def _pack(name: str, column: Any) -> tuple[str, np.ndarray]:
    """Returns the name and the array that a column is written as."""
    if column.dtype != bool or len(column.shape) < 2 or 0 in column.shape[1:]:
        return name, np.asarray(column)
    held = packed(column)
    return f"{name}.bits.{'x'.join(map(str, held.row))}", held.data


def _name_of(member: str) -> str:
    packed = BITS.fullmatch(member)
    return packed["name"] if packed else member


def _bytes_of_each(file: str) -> int:
    """Returns how many bytes each byte of a member becomes."""
    return 8 if BITS.fullmatch(file.removesuffix(".npy")) else 1


def _unpack(member: str, held: np.ndarray) -> tuple[str, np.ndarray]:
    """Returns the name and the array of a column from what it was written as.

    Raises:
      ValueError: it holds more or less than the shape in its name says.
    """
    packed = BITS.fullmatch(member)
    if not packed:
        return member, held
    shape = tuple(map(int, packed["shape"].split("x")))
    bits = math.prod(shape)
    if held.dtype != np.uint8 or held.ndim != 2 or held.shape[1] != -(-bits // 8):
        raise ValueError(f"{member} does not hold rows of {bits} bits")
    column = np.unpackbits(held, axis=1, count=bits).view(bool)
    return packed["name"], column.reshape(len(held), *shape)


class _Member:
    """An array of rows in a file, read from its beginning to its end."""

    def __init__(self, name: str, file: IO[bytes]) -> None:
        shape, by_columns, self._dtype = HEADERS[npy.read_magic(file)](file)
        if not shape or (by_columns and len(shape) > 1):
            raise ValueError(f"{name}.npy does not hold rows one behind the other")
        self._name, self._file, self._shape, self._at = name, file, shape[1:], 0
        self.rows = shape[0]
        self._stored = math.prod(shape[1:]) * self._dtype.itemsize  # bytes of a row
        self.row = self._stored * _bytes_of_each(f"{name}.npy")  # as it is held

    def take(self, rows: range) -> tuple[str, np.ndarray]:
        """Returns the column's name, and rows that lie behind all that were taken."""
        self._file.seek((rows.start - self._at) * self._stored, os.SEEK_CUR)
        self._at = rows.stop
        held = self._file.read(len(rows) * self._stored)
        column = np.frombuffer(held, self._dtype).reshape(len(rows), *self._shape)
        return _unpack(self._name, column)


@contextlib.contextmanager
def _members(raw: IO[bytes], names: Collection[str] | None = None) -> Iterator[list[_Member]]:
    """The arrays of a file, or those of `names` that it has."""
    with zipfile.ZipFile(raw) as archive, contextlib.ExitStack() as files:
        members = [name.removesuffix(".npy") for name in archive.namelist()]
        yield [
            _Member(name, files.enter_context(archive.open(f"{name}.npy")))
            for name in members
            if names is None or _name_of(name) in names
        ]


def largest() -> int:
    """Returns how many bytes may be loaded at once: half of the machine's or container's memory."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limited = container()
    return min(machine, limited.limit if limited else machine) // 2


def container() -> Container | None:
    """Returns what a container's limit allows, None where there is no limit."""
    for folder, limit, usage, cache in CGROUPS:
        most, used = _text(f"{folder}/{limit}").strip(), _text(f"{folder}/{usage}").strip()
        if most.isdigit() and used.isdigit():
            stat = _text(f"{folder}/memory.stat").splitlines()
            words = dict(line.split() for line in stat if line)
            return Container(int(most), int(most) - int(used) + int(words.get(cache, 0)))
    return None


def _is_damage(error: Exception) -> bool:
    """Whether an error tells of the file's content, not of this machine or this Python."""
    if isinstance(error, OSError):
        return error.errno == errno.EINVAL  # sought before the beginning, as a damaged zip says
    if isinstance(error, RuntimeError):  # a plain one, of a member that is said to be encrypted
        return type(error) is not RuntimeError or "encrypted" in str(error)
    if isinstance(error, LookupError):  # a plain one tells of a codec that Python lacks
        return isinstance(error, KeyError | IndexError)
    return not isinstance(error, MemoryError | ImportError)


def _text(path: str) -> str:
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""


def _check(raw: Any, most: int, what: str) -> None:
    with zipfile.ZipFile(raw) as archive:
        members = archive.infolist()
        if len(members) > MOST_MEMBERS:
            raise ValueError(f"it has {len(members):,} arrays, more than {MOST_MEMBERS:,}")
        # Only of these does the library bound what is unpacked at once.
        if any(member.compress_type not in COMPRESSIONS for member in members):
            raise ValueError("it is compressed by another method than deflate")
        total = sum(member.file_size * _bytes_of_each(member.filename) for member in members)
        if total > most:
            raise ValueError(f"it would unpack to {total:,} bytes, more than {what}")
        for member in members:
            with archive.open(member) as file:
                version = npy.read_magic(file)
                if version not in HEADERS:
                    raise ValueError(f"{member.filename} has the unknown npy version {version}")
                try:
                    shape, _, dtype = HEADERS[version](file)
                except (MemoryError, RecursionError) as error:  # it is nested: Python's parser
                    raise ValueError(f"{member.filename} has no header of an array") from error
                declared = file.tell() + math.prod(shape) * dtype.itemsize
            if dtype.hasobject:
                raise ValueError(f"{member.filename} holds Python objects")
            if declared != member.file_size:
                raise ValueError(f"{member.filename} does not have the size that it declares")
