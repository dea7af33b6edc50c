"""The cost of one simulation of the search on a device, counted in the compiled program.

    python -m scripts.developer.search_cost connect_four 256
    python -m scripts.developer.search_cost connect_four 4096 h100

prints kernels (instructions of the compiled loop that are not free) and bytes read and written, on
the device at hand. With `h100` it compiles for that card, which need not be there, but
`jax[cuda12]` must. The network does nothing, so this is the cost of rules and tree alone. On a CPU,
where a scatter is a loop, kernels mean little. Bytes are an estimate of the compiler, which counts
a loop's body once and the root's evaluation too; NaN if it makes none.
"""

import os
import re
import sys
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import topologies

import games
from mcts import Evaluation, SearchConfig, search, tree_bytes

SEARCHES = (
    SearchConfig(simulations=32),
    SearchConfig(simulations=32, proven=True),
    SearchConfig(policy="puct", simulations=200),
)
FREE = {"parameter", "tuple", "get-tuple-element", "constant", "bitcast", "partition-id"}
H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_core: 233472
  shared_memory_per_block_optin: 232448 registers_per_core_limit: 65536
  registers_per_block_limit: 65536 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: 84929347584 cuda_compute_capability { major: 9 }
}
platform_name: "CUDA" dnn_version_info { major: 9 minor: 7 }
runtime_version { major: 12 minor: 8 } device_description_str: "NVIDIA H100 80GB HBM3"
"""


def main() -> None:
    """Prints a line a search."""
    game, batch = games.load(sys.argv[1]), int(sys.argv[2])
    device = _absent_h100() if sys.argv[3:] == ["h100"] else None
    for config in SEARCHES:
        kernels, moved = cost(game, config, batch, device)
        held = tree_bytes(game, config, batch) / batch / (config.simulations + 1)
        print(
            f"{config.policy} {config.simulations}{', proven' if config.proven else ''}: "
            f"{kernels} kernels a simulation; {moved / batch:,.0f} bytes moved a game and "
            f"simulation; {held:,.0f} bytes a node"
        )


def cost(game: Any, config: SearchConfig, batch: int, device: Any = None) -> tuple[int, float]:
    """Returns kernels a simulation, and bytes moved by the program with each loop run once.

    A loop whose number of rounds the compiler knows counts as often as it runs, others once. The
    bytes are NaN for a `device` that is not there: its compiler does not estimate them.

    Args:
      device: a sharding to compile for; None for the device at hand.
    """
    compiled = _compile(game, config, batch, device)
    text = re.sub(r"/\*.*?\*/", "", compiled.as_text())
    bodies = dict(re.findall(r"^%?([\w.\-]+) \(.*?\{\n(.*?)^\}", text, re.M | re.S))
    loops = set(re.findall(r"body=%?([\w.\-]+)", text))
    # The loop over simulations holds the others.
    kernels = max(_kernels(bodies, name) for name in loops)
    estimate = compiled.cost_analysis() or {}
    return kernels, estimate.get("bytes accessed", float("nan"))


def _absent_h100() -> Any:
    """Returns a sharding over one H100 that need not be there."""
    flags = os.environ.get("XLA_FLAGS", "")  # kernels cannot be tried out
    os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_autotune_level=0".strip()
    card = topologies.get_topology_desc(platform="cuda", target_config=H100, topology="1x1x1")
    mesh = topologies.make_mesh(card, (1,), ("data",))
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())


def _compile(game: Any, config: SearchConfig, batch: int, device: Any) -> Any:
    def evaluate(variables: Any, observation: jax.Array) -> Evaluation:
        del variables
        value = observation.reshape(batch, -1)[:, 0].astype(float)
        return Evaluation(jnp.tile(value[:, None], (1, game.num_actions)), value)

    def run(state: Any) -> Any:
        return search(game, evaluate, (), state, jax.random.key(0), config)

    def roots() -> Any:
        return jax.vmap(game.init)(jax.random.split(jax.random.key(0), batch))

    shapes = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), jax.eval_shape(roots)
    )
    return jax.jit(run).lower(shapes).compile()


def _kernels(bodies: dict[str, str], name: str) -> int:
    """Returns how many instructions that are not free a computation runs, inner loops once."""
    count = 0
    for line in bodies[name].splitlines():
        match = re.search(r"= (?:\([^=]*\)|\S+) ([\w\-]+)\(", line)
        if not match or match[1] in FREE:
            continue
        if match[1] == "while":
            rounds = re.search(r'"known_trip_count":\{"n":"(\d+)"', line)
            body = sum(_kernels(bodies, x) for x in re.findall(r"body=%?([\w.\-]+)", line))
            count += body * int(rounds[1] if rounds else 1)
        elif match[1] == "conditional":
            branches = re.search(r"branch_computations=\{(.*?)\}", line)
            names = branches[1].replace("%", "").split(", ") if branches else []
            count += max((_kernels(bodies, x) for x in names), default=0)
        elif match[1] == "call":
            count += sum(_kernels(bodies, x) for x in re.findall(r"to_apply=%?([\w.\-]+)", line))
        else:
            count += 1
    return count


if __name__ == "__main__":
    main()
