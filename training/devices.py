"""Training on several devices: all train, each with its share of a batch."""

from typing import Any

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding

from selfplay.devices import AXIS, BY_LANE, WHOLE


def learner_mesh() -> Mesh:
    """Returns the devices that train: all of them, but of a CPU's only the first.

    A CPU's devices share one pool of threads. There an exchange between devices can wait for ever
    for work that is queued behind it (seen with jax 0.10.2 on 2 cores, self-play under way).
    """
    devices = jax.local_devices()
    return Mesh(np.array(devices[:1] if devices[0].platform == "cpu" else devices), (AXIS,))


def to_learner(tree: Any) -> Any:
    """Puts a copy of every leaf on every device that trains."""
    return jax.device_put(tree, NamedSharding(learner_mesh(), WHOLE))


def split_rows(tree: Any) -> Any:
    """Splits every leaf of a training batch over the devices that train."""
    return jax.device_put(tree, NamedSharding(learner_mesh(), BY_LANE))


def sum_shares(tree: Any) -> Any:
    """Inside `shard`: returns the sums over the devices, by one exchange for all leaves."""
    flat, rebuild = ravel_pytree(tree)
    return rebuild(jax.lax.psum(flat, AXIS))
