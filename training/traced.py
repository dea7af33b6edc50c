"""Jaxpr interpreter: runs the traced program of a network, equation by equation."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax.extend import core

CALLS = ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "remat2", "checkpoint")

Compute = Callable[[Any, list[Any]], Sequence[Any]]  # of an equation and its inputs, its results
Returned = Callable[[str, str, Sequence[Any]], None]


def interpret(
    program: Any,
    given: Sequence[Any],
    compute: Compute,
    returned: Returned = lambda name, scope, results: None,
    scope: str = "",
) -> list[Any]:
    """Returns the results of a traced program.

    Args:
      program: a jaxpr, with its constants if it has any.
      given: its arguments, flat.
      compute: computes an equation that calls nothing, as `bind` does.
      returned: told the name of each function that was called, its `jax.named_scope`, and what it
        has returned.
    """
    jaxpr = getattr(program, "jaxpr", program)
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, getattr(program, "consts", ()), strict=True))
    values |= dict(zip(jaxpr.invars, given, strict=True))

    def read(variable: Any) -> Any:
        if isinstance(variable, core.Literal):
            return np.asarray(variable.val, variable.aval.dtype)  # type: ignore[attr-defined]
        return values[variable]

    for equation in jaxpr.eqns:
        inputs = [read(variable) for variable in equation.invars]
        params = equation.params
        if equation.primitive.name in CALLS:
            called = params.get("jaxpr") or params["call_jaxpr"]
            where = "/".join(filter(None, (scope, str(equation.source_info.name_stack))))
            results: Any = interpret(called, inputs, compute, returned, where)
            returned(params.get("name", ""), where, results)
        else:
            results = compute(equation, inputs)
        values.update(zip(equation.outvars, results, strict=True))
    return [read(variable) for variable in jaxpr.outvars]


def bind(equation: Any, inputs: Sequence[Any]) -> Sequence[Any]:
    """Returns what JAX itself makes of an equation."""
    primitive = equation.primitive
    results: Any = primitive.bind(*inputs, **primitive.get_bind_params(equation.params))
    return results if primitive.multiple_results else [results]
