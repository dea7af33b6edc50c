"""Reading .npz files that may be damaged, or made by somebody else.

Nothing in them is executed (no pickles), and nothing is loaded before its declared size is known to
fit: a small file may unpack to a thousand times its size, or declare an array that is not there.
"""

import math
import os
import pathlib
import zipfile
from typing import Any

import numpy as np
from numpy.lib import format as npy

HEADERS: dict[tuple[int, int], Any] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a file by name.

    Raises:
      ValueError: it is damaged, holds something else than arrays, or is too large to load.
      OSError: it cannot be opened.
    """
    with path.open("rb") as raw:
        try:
            _check(raw)
            raw.seek(0)
            with np.load(raw, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except Exception as error:  # a damaged zip raises many kinds
            raise ValueError(f"{path} is damaged: {error}") from error


def largest() -> int:
    """Returns how many bytes may be loaded at once: half of this machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _check(raw: Any) -> None:
    with zipfile.ZipFile(raw) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if total > largest():
            raise ValueError(f"it would unpack to {total:,} bytes, more than fit in memory")
        for member in members:
            with archive.open(member) as file:
                version = npy.read_magic(file)
                if version not in HEADERS:
                    raise ValueError(f"{member.filename} has the unknown npy version {version}")
                shape, _, dtype = HEADERS[version](file)
                declared = file.tell() + math.prod(shape) * dtype.itemsize
            if dtype.hasobject:
                raise ValueError(f"{member.filename} holds Python objects")
            if declared != member.file_size:
                raise ValueError(f"{member.filename} does not have the size that it declares")
