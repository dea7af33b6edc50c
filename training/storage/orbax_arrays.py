"""Arrays that earlier versions saved by orbax. The only file that knows tensorstore.

Orbax is not asked itself: each `ocp.load` keeps a tenth of a megabyte for good, each
`ocp.metadata` two. What it writes is a store of tensorstore's.
"""

import functools
import math
import os
import pathlib
import re

import numpy as np
import tensorstore

from selfplay.files import json_lines, npz

ARRAY = "/zarr.json"  # ends the key of each array's description


def read(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a folder by name.

    Raises:
      ValueError: they are stored otherwise, damaged, or would not fit in memory: their files may
        be far smaller.
      OSError: the system cannot read them now.
    """
    state = folder / "state"  # as orbax names what it is given
    about = json_lines.parse((state / "_METADATA").read_text(), str(state / "_METADATA"))
    if about.get("use_ocdbt") is not True:
        raise ValueError(f"{state}: arrays are not stored as ours were")
    try:
        return _read({"driver": "file", "path": f"{state}/"})
    except ValueError as error:  # tensorstore tells in words what the system had against it
        code = re.search(r"os_error_code='(\d+)'", str(error))
        if code is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1])), str(state)) from error


def _read(base: dict[str, str]) -> dict[str, np.ndarray]:
    store = tensorstore.KvStore.open({"driver": "ocdbt", "base": base}, context=_context())
    keys = [key.decode() for key in store.result().list().result()]
    opening = {
        name: tensorstore.open(
            {"driver": "zarr3", "kvstore": {"driver": "ocdbt", "base": base, "path": f"{name}/"}},
            open=True,
            context=_context(),
        )
        for name in (key.removesuffix(ARRAY) for key in keys if key.endswith(ARRAY))
    }
    arrays = {name: opened.result() for name, opened in opening.items()}
    total = sum(math.prod(a.shape) * a.dtype.numpy_dtype.itemsize for a in arrays.values())
    if total > npz.largest():
        raise ValueError(f"its arrays would take {total:,} bytes, more than fit in memory")
    reading = {name: array.read() for name, array in arrays.items()}
    return {name: read.result() for name, read in reading.items()}


@functools.cache
def _context() -> tensorstore.Context:
    return tensorstore.Context()  # one for all loads: each would keep some memory
