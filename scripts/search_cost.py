"""Counts what one simulation of the search makes the device do, from the compiled program.

    python -m scripts.search_cost connect_four 256

prints kernels (instructions of the compiled loop that are not free) and bytes read and written, on
the device at hand. The network does nothing, so this is the cost of rules and tree alone. Bytes are
the compiler's estimate, which counts a loop's body once and the root's evaluation too.
"""

import re
import sys
from typing import Any

import jax
import jax.numpy as jnp

import games
from mcts import Evaluation, SearchConfig, search, tree_bytes

SEARCHES = (
    SearchConfig(simulations=32),
    SearchConfig(simulations=32, proven=True),
    SearchConfig(policy="puct", simulations=200),
)
FREE = {"parameter", "tuple", "get-tuple-element", "constant", "bitcast", "partition-id"}


def main() -> None:
    """Prints a line a search."""
    game, batch = games.load(sys.argv[1]), int(sys.argv[2])
    for config in SEARCHES:
        kernels, moved = cost(game, config, batch)
        held = tree_bytes(game, config, batch) / batch / (config.simulations + 1)
        print(
            f"{config.policy} {config.simulations}{', proven' if config.proven else ''}: "
            f"{kernels} kernels a simulation; {moved / batch:,.0f} bytes moved a game and "
            f"simulation; {held:,.0f} bytes a node"
        )


def cost(game: Any, config: SearchConfig, batch: int) -> tuple[int, float]:
    """Returns kernels a simulation, and bytes moved by the program with each loop run once."""
    compiled = _compile(game, config, batch)
    bodies = dict(re.findall(r"^%?([\w.\-]+) \(.*?\{\n(.*?)^\}", compiled.as_text(), re.M | re.S))
    loops = set(re.findall(r"body=%?([\w.\-]+)", compiled.as_text()))
    # The loop over simulations holds the others.
    kernels = max(_kernels(bodies, name) for name in loops)
    return kernels, compiled.cost_analysis()["bytes accessed"]


def _compile(game: Any, config: SearchConfig, batch: int) -> Any:
    def evaluate(variables: Any, observation: jax.Array) -> Evaluation:
        del variables
        value = observation.reshape(batch, -1)[:, 0].astype(float)
        return Evaluation(jnp.tile(value[:, None], (1, game.num_actions)), value)

    def run(state: Any) -> Any:
        return search(game, evaluate, (), state, jax.random.key(0), config)

    state = jax.vmap(game.init)(jax.random.split(jax.random.key(0), batch))
    return jax.jit(run).lower(state).compile()


def _kernels(bodies: dict[str, str], name: str) -> int:
    """Returns how many instructions that are not free a computation runs, inner loops once."""
    count = 0
    for line in bodies[name].splitlines():
        found = re.search(r"= (?:\([^=]*\)|\S+) ([\w\-]+)\(", line)
        if not found or found[1] in FREE:
            continue
        if found[1] == "while":
            count += sum(_kernels(bodies, x) for x in re.findall(r"body=%?([\w.\-]+)", line))
        elif found[1] == "conditional":
            branches = re.search(r"branch_computations=\{(.*?)\}", line)
            names = branches[1].replace("%", "").split(", ") if branches else []
            count += max((_kernels(bodies, x) for x in names), default=0)
        elif found[1] == "call":
            count += sum(_kernels(bodies, x) for x in re.findall(r"to_apply=%?([\w.\-]+)", line))
        else:
            count += 1
    return count


if __name__ == "__main__":
    main()
