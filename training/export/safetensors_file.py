"""A network's weights as a safetensors file."""

import pathlib
from typing import Any

import numpy as np

from selfplay.files import durable
from training.export.contents import Contents


def library() -> Any:
    """Returns the module of the package safetensors for NumPy.

    Raises:
      ValueError: it is not installed.
    """
    try:
        import safetensors.numpy
    except ImportError:
        raise ValueError(
            "--safetensors needs a package: pip install 'selfplay-zero[safetensors]'"
        ) from None
    return safetensors.numpy


def write(path: pathlib.Path, content: Contents) -> None:
    """Writes a network whole or not at all; then reads it again, and checks that all is there.

    Raises:
      OSError: what was read is not what was written.
    """
    safetensors = library()
    arrays = {name: np.ascontiguousarray(array) for name, array in content.weights.items()}
    durable.write_whole(path, safetensors.save(arrays, metadata=content.metadata))
    read = safetensors.load_file(path)
    if {n: a.tobytes() for n, a in read.items()} != {n: a.tobytes() for n, a in arrays.items()}:
        raise OSError(f"{path} holds other weights than were written: the disk may be damaged")
