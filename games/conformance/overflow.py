"""The law of whole numbers: what is kept in int8 or the like fits in there (integer overflow).

Narrow integers wrap round without a word: 127 + 1 is -128, and a constant of 300 that an int8 is
compared with is 44. So each game's `step`, `observe` and `returns` are computed a second time, with
every narrow integer held in an int32. Where that leads to another result, a number did not fit.

Unsigned integers are left alone where bits are shifted or inverted: there it is meant.
"""

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from games.conformance.cases import Trial
from games.conformance.playouts import Batch, differs, look, one
from games.plug_in import installed

SIGNED, UNSIGNED = ("int8", "int16"), ("uint8", "uint16")
# What is done to bits, not to numbers.
NEVER = {"bitcast_convert_type", "shift_right_logical", "population_count", "clz", "random_bits"}
OF_BITS = {*NEVER, "not", "and", "or", "xor", "shift_left"}
IN_HASTE: dict[str, str | bool] = {"xla_backend_optimization_level": "0"}  # run a few times


@dataclasses.dataclass(frozen=True)
class Widening:
    """Which types of integers are held in an int32 instead."""

    types: frozenset[str]

    def value(self, value: Any) -> Any:
        """Returns one array, widened."""
        return jnp.asarray(value).astype(np.int32) if self._is_narrow(value) else value

    def program(self, jaxpr: Any) -> Any:
        """Returns the jaxpr with every narrow integer in it an int32, at the same equations."""
        known: dict[Any, Any] = {}

        def wide(atoms: Any) -> list[Any]:
            return [atom(old) if self._is_narrow(old.aval) else old for old in atoms]

        def atom(old: Any) -> Any:
            aval = old.aval.update(dtype=np.dtype(np.int32), weak_type=False)
            if isinstance(old, core.Literal):
                return core.Literal(np.int32(old.val), aval)
            return known.setdefault(old, core.Var(aval))

        def equation(eqn: Any) -> Any:
            params = {name: self.param(value) for name, value in eqn.params.items()}
            if eqn.primitive.name == "gather" and self._is_narrow(eqn.outvars[0].aval):
                limits = np.iinfo(eqn.outvars[0].aval.dtype)  # read outside of an array, as it was
                if params["fill_value"] is None:
                    params["fill_value"] = limits.min or limits.max
            return eqn.replace(invars=wide(eqn.invars), outvars=wide(eqn.outvars), params=params)

        return jaxpr.replace(
            constvars=wide(jaxpr.constvars),
            invars=wide(jaxpr.invars),
            outvars=wide(jaxpr.outvars),
            eqns=[*map(equation, jaxpr.eqns)],
        )

    def param(self, value: Any) -> Any:
        """Returns one parameter of an equation, widened."""
        if isinstance(value, core.ClosedJaxpr):
            return core.ClosedJaxpr(self.program(value.jaxpr), [*map(self.value, value.consts)])
        if isinstance(value, core.Jaxpr):
            return self.program(value)
        if isinstance(value, tuple) and value and isinstance(value[0], core.ClosedJaxpr):
            return tuple(map(self.param, value))
        narrow = isinstance(value, np.dtype | type) and str(np.dtype(value)) in self.types
        return np.dtype(np.int32) if narrow else value

    def _is_narrow(self, value: Any) -> bool:
        return str(getattr(value, "dtype", "")) in self.types


def check_overflow(trial: Trial, batches: Sequence[tuple[Batch, np.ndarray, Batch]]) -> None:
    """Computes moves again with wide integers.

    Args:
      batches: positions, a legal action in each, and what `step` made of that; all of one size.
    """
    state, action = one(batches[0][0].state, 0), jnp.int32(0)

    def move(state: Any, action: jax.Array) -> Batch:
        return look(trial.game, trial.game.step(state, action))

    narrow = jax.make_jaxpr(move)(state, action)
    widening = _widening(narrow.jaxpr)
    if not widening.types:
        return
    traced = _traced_wide(move, state, action, widening) or narrow
    program = core.jaxpr_as_fun(widening.param(traced))

    def wide_move(state: Any, action: jax.Array) -> list[jax.Array]:
        return program(*map(widening.value, jax.tree.leaves((state, action))))

    before, chosen, _ = batches[0]
    try:
        wide = jax.jit(jax.vmap(wide_move)).lower(before.state, chosen).compile(IN_HASTE)
    except Exception:  # an operation that is not known here: nothing is proven
        return
    for batch in batches:
        leaves = [np.asarray(leaf) for leaf in wide(batch[0].state, batch[1])]
        if _blame(trial, (narrow, traced, widening), batch, leaves):
            return


def _widening(jaxpr: Any) -> Widening:
    types = {*SIGNED, *UNSIGNED}
    for eqn in _equations(jaxpr):
        used = {str(getattr(v.aval, "dtype", "")) for v in (*eqn.invars, *eqn.outvars)}
        if eqn.primitive.name in OF_BITS:
            types -= used & set(UNSIGNED)
        if eqn.primitive.name in NEVER:
            types -= used
    return Widening(frozenset(types))


def _equations(jaxpr: Any) -> Iterator[Any]:
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in core.jaxprs_in_params(eqn.params):
            yield from _equations(getattr(inner, "jaxpr", inner))


def _traced_wide(move: Any, state: Any, action: Any, widening: Widening) -> Any | None:
    """Traces `move` on widened inputs, so that constants that fit nowhere else keep their value.

    What is cast to a narrow integer on the way stays wide too, if `move` can be traced so.
    """
    for casts in (_wide_casts(widening), contextlib.nullcontext()):
        with warnings.catch_warnings(), casts:
            warnings.simplefilter("ignore")
            with contextlib.suppress(Exception):  # two types that may not be mixed
                return jax.make_jaxpr(move)(jax.tree.map(widening.value, state), action)
    return None


@contextlib.contextmanager
def _wide_casts(widening: Widening) -> Iterator[None]:
    """Traces casts to narrow integers as casts to int32."""
    cast, bind = jax.lax.convert_element_type_p, jax.lax.convert_element_type_p.bind

    def wide(operand: Any, **params: Any) -> Any:
        if isinstance(operand, jax.core.Tracer):  # a plain number is its own constant
            params["new_dtype"] = widening.param(params["new_dtype"])
        return bind(operand, **params)

    # Functions compiled by themselves are kept by this setting: what is traced here is not found
    # again by anyone else.
    config: Any = jax.config  # which its types leave out
    used = config.jax_default_matmul_precision
    other = "tensorfloat32" if used == "float32" else "float32"
    with jax.default_matmul_precision(other), mock.patch.object(cast, "bind", wide):
        yield


def _blame(trial: Trial, programs: Any, moves: Any, leaves: list[np.ndarray]) -> bool:
    before, chosen, after = moves
    live = ~before.terminated & before.mask[np.arange(len(chosen)), chosen]
    paths = jax.tree_util.tree_leaves_with_path(after)
    for (path, leaf), wide in zip(paths, leaves, strict=True):
        bad = live & differs([leaf], [wide])
        if bad.any():
            env = int(bad.argmax())
            at = tuple(np.argwhere(np.asarray(leaf[env] != wide[env]))[0])
            name = jax.tree_util.keystr(path).removeprefix(".")
            args = [*jax.tree.leaves(one(before.state, env)), jnp.int32(chosen[env])]
            return trial.blame(
                "overflow",
                "int8, int16 and the like to hold every number computed or compared in them",
                f"{name} is {leaf[env][at].item()}, and would be {wide[env][at].item()} in int32"
                f"{_line(programs, args)}",
                bad,
                before.state,
                chosen,
                after.state,
            )
    return False


def _line(programs: tuple[Any, Any, Widening], args: list[Any]) -> str:
    """Returns the source line at which a number did not fit, or a constant does not."""
    narrow, traced, widening = programs
    places = [_locate(widening, narrow, args), *map(_place_of_constant, _equations(traced.jaxpr))]
    place = next(filter(None, places), "")
    return f": see {place}" if place else ""


def _place_of_constant(eqn: Any) -> str:
    """Returns the line of an equation with a constant that fits no int8, "" without one."""
    limits = np.iinfo(np.int32)  # which are nobody's own
    constants = [np.asarray(v.val) for v in eqn.invars if isinstance(v, core.Literal)]
    whole = [int(value) for value in constants if value.dtype == np.int32 and not value.ndim]
    return (
        _place(eqn) if any(not -129 < n < 128 for n in whole if limits.min < n < limits.max) else ""
    )


def _locate(widening: Widening, closed: Any, args: list[Any]) -> str:
    """Returns the line of the first operation that gives something else in wide integers."""
    jaxpr = closed.jaxpr
    known = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    known.update(zip(jaxpr.invars, args, strict=True))
    for eqn in jaxpr.eqns:
        needed = list(dict.fromkeys(v for v in eqn.invars if not isinstance(v, core.Literal)))
        values = [known[v] for v in needed]
        nameless = jaxpr.debug_info._replace(arg_names=None, result_paths=None)
        alone = jaxpr.replace(
            constvars=[], invars=needed, outvars=eqn.outvars, eqns=[eqn], debug_info=nameless
        )
        one_step = core.ClosedJaxpr(alone, [])
        plain = core.jaxpr_as_fun(one_step)(*values)
        wide = core.jaxpr_as_fun(widening.param(one_step))(*map(widening.value, values))
        if any((np.asarray(x) != np.asarray(y)).any() for x, y in zip(plain, wide, strict=True)):
            return _place(eqn)
        known.update(zip(eqn.outvars, plain, strict=True))
    return ""


def _place(eqn: Any) -> str:
    """Returns the innermost line of the game's own source that made this operation."""
    for frame in getattr(eqn.source_info.traceback, "frames", ()):
        if frame.file_name == __file__:
            break
        if not installed(frame.file_name):
            return f"{frame.file_name}:{frame.line_num}"
    # A function that is compiled by itself: any line in it.
    inner = [_place(e) for jaxpr in core.jaxprs_in_params(eqn.params) for e in jaxpr.eqns]
    return next(filter(None, inner), "")
