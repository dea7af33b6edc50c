"""Data parallelism: a batch of games split over the devices, along one `data` axis.

Games do not see each other, so each device runs its own share of environments without any exchange
(`jax.shard_map`), and no search waits for the deepest tree of another device. One device is
the case of one.
"""

import contextlib
import os
import pathlib
import platform
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from selfplay.example import Bits

AXIS = "data"
BY_ENV = PartitionSpec(AXIS)
WHOLE = PartitionSpec()
# Truth values go to a device, and come from it, in a bit each.
jax.tree_util.register_dataclass(Bits, data_fields=["data"], meta_fields=["row"])


def mesh() -> Mesh:
    """Returns all devices of this process in a row."""
    return Mesh(np.array(jax.local_devices()), (AXIS,))


def kind() -> str:
    """Returns the kind of our devices; of CPUs, whose last bits differ, the processor's name."""
    # The compilation cache and bit-equal resume depend on it.
    name = jax.local_devices()[0].device_kind
    return _processor() if name == "cpu" else name


def cores() -> int:
    """Returns on how many cores we are: of a CPU's results, the last bits may depend on it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def described() -> str:
    """Returns, in a line, all of our devices that results may depend on."""
    return f"{mesh().size} x {kind()}, cores: {cores()}"


def _processor() -> str:
    with contextlib.suppress(OSError):
        # Linux names the model here; elsewhere platform does.
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "cpu"


def replicated() -> NamedSharding:
    """Returns the placement of arrays that are whole on every device."""
    return NamedSharding(mesh(), WHOLE)


def replicate(tree: Any) -> Any:
    """Puts a copy of every leaf on every device."""
    return jax.device_put(tree, replicated())


def split_envs(tree: Any) -> Any:
    """Splits every leaf over the devices along axis 0, the batch."""
    return jax.device_put(tree, NamedSharding(mesh(), BY_ENV))


@jax.jit
def copy(tree: Any) -> Any:
    """Returns copies of all leaves, in one call: leaf by leaf, the host would queue for each."""
    return jax.tree.map(jnp.copy, tree)


def shard(
    function: Callable[..., Any], over: Mesh, in_specs: Any, out_specs: Any
) -> Callable[..., Any]:
    """Returns `function` run on every device of `over`, with its share of each argument."""
    return jax.shard_map(
        function,
        mesh=over,
        in_specs=in_specs,
        out_specs=out_specs,
        check_vma=False,  # else every loop carry that starts as a constant needs a cast
    )


def data_parallel(
    function: Callable[[Any, Any, jax.Array], Any], out_specs: Any = BY_ENV
) -> Callable[..., Any]:
    """Returns `function(variables, batch, key)` run on every device's share of the batch.

    `variables` is on every device, each leaf of `batch` splits along axis 0, and each device gets
    a key of its own. The batch must divide by the number of devices.

    What is returned takes one more argument, `first`, 0 unless it is given: the number of our
    first device among those of several processes that share a larger batch. So each of these
    computes what it would compute as a part of one process with all devices.
    """

    def on_one_device(variables: Any, batch: Any, key: jax.Array, first: Any) -> Any:
        own = jax.random.fold_in(key, first + jax.lax.axis_index(AXIS))
        return function(variables, batch, own)

    specs = (WHOLE, BY_ENV, WHOLE, WHOLE)
    on_all = shard(on_one_device, mesh(), in_specs=specs, out_specs=out_specs)

    def on_share(variables: Any, batch: Any, key: jax.Array, first: Any = 0) -> Any:
        return on_all(variables, batch, key, jnp.int32(first))

    return on_share
