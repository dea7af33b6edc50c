"""The cost of one simulation of the search on a device, counted in the compiled program.

    python -m scripts.developer.search_cost connect_four 256
    python -m scripts.developer.search_cost connect_four 4096 h100

prints kernels (instructions of the compiled loop that are not free) and bytes read and written, on
the device at hand. With `h100` it compiles for that card, which need not be there, but
`jax[cuda13]` must. The network does nothing, so this is the cost of rules and tree alone. On a CPU,
where a scatter is a loop, kernels mean little. Bytes are an estimate of the compiler, which counts
a loop's body once and the root's evaluation too; NaN if it makes none.
"""

import sys
from typing import Any

import jax
import jax.numpy as jnp

import games
from mcts import Evaluation, SearchConfig, search, tree_bytes
from scripts.developer import check_gpu_card
from scripts.developer.check_gpu_text import Steps, count, loops, read

SEARCHES = (
    SearchConfig(simulations=32),
    SearchConfig(simulations=32, proven=True),
    SearchConfig(policy="puct", simulations=200),
)


def main() -> None:
    """Prints a line a search."""
    game, batch = games.load(sys.argv[1]), int(sys.argv[2])
    device = check_gpu_card.absent("h100") if sys.argv[3:] == ["h100"] else None
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
      device: one that need not be there; None for the device at hand.
    """
    compiled = _compile(game, config, batch, device)
    estimate = compiled.cost_analysis() or {}
    return count(_simulation(compiled)), estimate.get("bytes accessed", float("nan"))


def simulation(game: Any, config: SearchConfig, batch: int, device: Any = None) -> Steps:
    """Returns the steps of one simulation, without a network."""
    return _simulation(_compile(game, config, batch, device))


def _simulation(compiled: Any) -> Steps:
    # The loop over simulations holds the others.
    return max((loop.bodies[0] for loop in loops(read(compiled.as_text()))), key=count)


def _compile(game: Any, config: SearchConfig, batch: int, device: Any) -> Any:
    def evaluate(variables: Any, observation: jax.Array) -> Evaluation:
        del variables
        value = observation.reshape(batch, -1)[:, 0].astype(float)
        return Evaluation(jnp.tile(value[:, None], (1, game.num_actions)), value)

    def run(state: Any) -> Any:
        return search(game, evaluate, (), state, jax.random.key(0), config)

    def roots() -> Any:
        return jax.vmap(game.init)(jax.random.split(jax.random.key(0), batch))

    shapes = jax.eval_shape(roots)
    if device is None:
        return jax.jit(run).lower(shapes).compile()
    with check_gpu_card.on(device):
        return jax.jit(run).lower(check_gpu_card.shapes(shapes)).compile()


if __name__ == "__main__":
    main()
