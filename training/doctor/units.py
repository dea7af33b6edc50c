"""Dead ReLU units: which units of a network fire, found in its traced program, whichever it is."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend import core

from mcts import Evaluate, Variables

CALLS = ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "remat2", "checkpoint")


class Layer(NamedTuple):
    """The units of a ReLU."""

    scope: str  # of `jax.named_scope`; empty without one
    fires: jax.Array  # bool[units], the last axis: whether it is above 0 anywhere


def dead(evaluate: Evaluate, variables: Variables, observation: np.ndarray) -> dict[str, float]:
    """Returns each ReLU layer's share of units that fire in none of the positions.

    A layer is named by its `jax.named_scope`, else by its number.

    Args:
      observation: `[N, *observation_shape]`.
    """
    program = jax.make_jaxpr(evaluate)(variables, observation)
    scopes: list[str] = []

    def run(*leaves: jax.Array) -> list[jax.Array]:
        found: list[Layer] = []
        _evaluate(program.jaxpr, program.consts, leaves, "", found)
        scopes[:] = [layer.scope for layer in found]
        return [layer.fires for layer in found]

    fires = jax.jit(run)(*jax.tree.leaves((variables, observation)))
    names = [name or f"ReLU {n} of {len(fires)}" for n, name in enumerate(scopes, start=1)]
    return {
        name: float(1 - np.asarray(units).mean()) for name, units in zip(names, fires, strict=True)
    }


def _evaluate(
    jaxpr: core.Jaxpr, consts: Any, given: Any, scope: str, found: list[Layer]
) -> list[Any]:
    """Runs a traced program, and notes what its ReLUs return."""
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    values |= dict(zip(jaxpr.invars, given, strict=True))

    def read(variable: Any) -> Any:
        return variable.val if isinstance(variable, core.Literal) else values[variable]

    for equation in jaxpr.eqns:
        inputs = [read(variable) for variable in equation.invars]
        where = "/".join(filter(None, (scope, str(equation.source_info.name_stack))))
        if equation.primitive.name in CALLS:
            inner = equation.params.get("jaxpr") or equation.params["call_jaxpr"]
            consts = getattr(inner, "consts", ())
            outputs = _evaluate(getattr(inner, "jaxpr", inner), consts, inputs, where, found)
            if equation.params.get("name") == "relu":  # as `jax.nn.relu` calls itself
                units = outputs[0]
                found.append(Layer(where, (units > 0).any(axis=tuple(range(units.ndim - 1)))))
        else:
            params = equation.primitive.get_bind_params(equation.params)
            bound = equation.primitive.bind(*inputs, **params)
            outputs = bound if equation.primitive.multiple_results else [bound]
        values.update(zip(equation.outvars, outputs, strict=True))
    return [read(variable) for variable in jaxpr.outvars]
