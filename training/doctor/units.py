"""Dead ReLU units: which units of a network fire, found in its traced program, whichever it is."""

from typing import Any

import jax
import numpy as np

from mcts import Evaluate, Variables
from training.traced import bind, interpret


def dead(evaluate: Evaluate, variables: Variables, observation: np.ndarray) -> dict[str, float]:
    """Returns each ReLU layer's share of units that fire in none of the positions.

    A layer is named by its `jax.named_scope`, else by its number. Its units are its last axis.

    Args:
      observation: `[N, *observation_shape]`.
    """
    program = jax.make_jaxpr(evaluate)(variables, observation)
    scopes: list[str] = []

    def run(*leaves: jax.Array) -> list[jax.Array]:
        fires: list[jax.Array] = []

        def returned(name: str, scope: str, results: Any) -> None:
            if name == "relu":  # as `jax.nn.relu` calls itself
                units = results[0]
                fires.append((units > 0).any(axis=tuple(range(units.ndim - 1))))
                scopes.append(scope)

        interpret(program, leaves, bind, returned)
        return fires

    fires = jax.jit(run)(*jax.tree.leaves((variables, observation)))
    names = [name or f"ReLU {n} of {len(fires)}" for n, name in enumerate(scopes, start=1)]
    return {
        name: float(1 - np.asarray(units).mean()) for name, units in zip(names, fires, strict=True)
    }
