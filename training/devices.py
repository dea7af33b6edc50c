"""The devices that train a network: all of them, of all hosts, each with its share of a batch."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from selfplay.devices import AXIS, WHOLE
from training import multihost

# Batch norm's statistics are of a device's share of the examples: of few, they are mostly noise.
LEAST_SHARE = 64
MOST_IN_FLIGHT = 16  # training steps of a CPU that are dispatched and not waited for


def learner_mesh(examples: int) -> Mesh:
    """Returns the devices that train on batches of so many examples, of all hosts: all of them.

    Of a CPU's, which are as many as its cores, as many as get equal shares that are large enough;
    of each host as many as of the others.
    """
    by_host: dict[int, list[jax.Device]] = {}
    for device in jax.devices():
        by_host.setdefault(device.process_index, []).append(device)
    # As many devices on each host, so that every share has the same size.
    hosts, each = len(by_host), min(map(len, by_host.values()))
    # CPU "devices" share cores: fewer, larger shares are faster and norm better.
    if jax.local_devices()[0].platform == "cpu":
        most = max(1, min(each, examples // hosts // LEAST_SHARE))
        fits = (count for count in range(1, most + 1) if examples % (hosts * count) == 0)
        each = max(fits, default=1)
    chosen = [device for host in sorted(by_host) for device in by_host[host][:each]]
    return Mesh(np.array(chosen), (AXIS,))


def to_learner(tree: Any, examples: int) -> Any:
    """Puts a copy of every leaf on every device that trains on batches of so many examples."""
    return _put(tree, NamedSharding(learner_mesh(examples), WHOLE))


def split_examples(tree: Any, axis: int = 0) -> Any:
    """Splits every leaf of a training batch over the devices that train, along its examples' axis.

    Of several hosts, each gives its own share of the examples.
    """
    examples = jax.tree.leaves(tree)[0].shape[axis] * multihost.parts()
    spec = PartitionSpec(*[None] * axis, AXIS)
    return _put(tree, NamedSharding(learner_mesh(examples), spec))


def _put(tree: Any, sharding: NamedSharding) -> Any:
    if multihost.parts() == 1:
        return jax.device_put(tree, sharding)

    # `device_put` would compare the arrays of all hosts, by an exchange.
    def put(leaf: Any) -> jax.Array:
        return jax.make_array_from_process_local_data(sharding, np.asarray(leaf))

    return jax.tree.map(put, tree)


def local(tree: Any) -> Any:
    """Returns arrays that no exchange is needed for: of those on several hosts, this one's copy."""

    def own(leaf: jax.Array) -> jax.Array:
        return leaf if leaf.is_fully_addressable else leaf.addressable_data(0)

    return jax.tree.map(own, tree)


def steps_a_dispatch() -> int:
    """Returns how many training steps go to the devices in one dispatch, at most.

    On a CPU one: inside a loop its convolutions took 8 times as long (`train --game connect_four
    --minutes 0.6` on 2 cores of an EPYC).
    """
    return 1 if jax.local_devices()[0].platform == "cpu" else 8


def wait_for_all_but_last(results: Sequence[Any]) -> None:
    """On several devices of a CPU: waits until at most `MOST_IN_FLIGHT` results are to be computed.

    These devices share one pool of threads. Where more than 32 computations are dispatched, an
    exchange between them can wait for ever for one that is queued behind it (jax 0.10.2).
    Accelerators have no such pool: there the host goes on preparing batches while they play.
    """
    devices = jax.local_devices()
    share_a_pool = devices[0].platform == "cpu" and len(devices) > 1
    if share_a_pool and len(results) >= MOST_IN_FLIGHT:
        jax.block_until_ready(results[-MOST_IN_FLIGHT])


def sum_shares(tree: Any) -> Any:
    """Inside `shard`: returns the sums over the devices, by one exchange for all leaves."""
    flat, rebuild = ravel_pytree(tree)
    return rebuild(jax.lax.psum(flat, AXIS))
