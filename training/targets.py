"""Targets that a run may also learn: how each of `selfplay/row.py` is computed, and its loss.

docs/targets.md says how to add one. The head follows from what the target holds of a row
(`training/network.py`).
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax

from selfplay import row
from selfplay.row import Kind
from selfplay.self_play import Compute
from training.losses import Minibatch

# `(predicted, target, batch) -> float32[M]`, a row's own loss. `predicted` is float32[M], [M, A] or
# [M, H, W]; `target` has its shape and the column's dtype. Both are of `batch`, whose rows are
# already shown through their symmetries.
TargetLoss = Callable[[jax.Array, jax.Array, Minibatch], jax.Array]


class Learned(NamedTuple):
    """How a target is computed on the device, and learned."""

    compute: Compute
    loss: TargetLoss


LEARNED: dict[str, Learned] = {}


def computes(names: Iterable[str]) -> dict[str, Compute]:
    """Returns how self-play computes these targets."""
    return {name: LEARNED[name].compute for name in names}


def heads(names: Iterable[str]) -> tuple[tuple[str, Kind], ...]:
    """Returns what a network must predict for these targets."""
    return tuple((name, row.TARGETS[name].column.kind) for name in names)
