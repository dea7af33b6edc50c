"""What an exported network says beside what the network itself says."""

import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

from training.export import onnx_file
from training.export.onnx_graph import INPUT
from training.players import Trained


class Differences(NamedTuple):
    """The largest differences over all positions and actions."""

    positions: int
    policy_logits: float
    value: float


def compare(path: pathlib.Path, trained: Trained, observations: np.ndarray) -> Differences | None:
    """Returns how far an ONNX file, run by onnxruntime, is from the network; None without that.

    Args:
      observations: [N, H, W, C], in the game's own dtype.
    """
    try:
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = {INPUT: observations.astype(np.float32)}
    found: list[Any] = session.run([onnx_file.POLICY, onnx_file.VALUE], given)
    own = jax.jit(trained.network.evaluate)(trained.folded, observations)
    policy, value = (
        float(np.abs(theirs - np.asarray(ours)).max())
        for theirs, ours in zip(found, own, strict=True)
    )
    return Differences(len(observations), policy, value)
