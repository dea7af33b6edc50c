"""The law of whole numbers: what is kept in int8 or the like fits in there.

Narrow integers wrap round without a word: 127 + 1 is -128, and a constant of 300 that an int8 is
compared with is 44. So each game's `step`, `observe` and `returns` are computed a second time, with
every narrow integer held in an int32. Where that leads to another result, a number did not fit.

Unsigned integers are left alone where bits are shifted or inverted: there it is meant.
"""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from games.conformance.cases import action_name, rendered, scene
from games.conformance.playouts import Batch, differs, look, one
from games.game import Game
from games.laws import Findings
from games.plug_in import installed

SIGNED, UNSIGNED = ("int8", "int16"), ("uint8", "uint16")
# What is done to bits, not to numbers.
OF_BITS = {
    "not",
    "and",
    "or",
    "xor",
    "shift_left",
    "shift_right_logical",
    "population_count",
    "clz",
}
NEVER = {"bitcast_convert_type", "shift_right_logical", "population_count", "clz"}
IN_HASTE: dict[str, str | bool] = {"xla_backend_optimization_level": "0"}  # run a few times
OF_DTYPES = ("new_dtype", "dtype", "index_dtype", "preferred_element_type")


@dataclasses.dataclass(frozen=True)
class Widening:
    """Which types of integers are held in an int32 instead."""

    types: frozenset[str]

    def of(self, dtype: Any) -> Any:
        """Returns the dtype in which values of `dtype` are held."""
        return np.dtype(np.int32) if str(dtype) in self.types else dtype

    def value(self, value: Any) -> Any:
        """Returns one array, widened."""
        narrow = hasattr(value, "dtype") and str(value.dtype) in self.types
        return jnp.asarray(value).astype(np.int32) if narrow else value


def check_overflow(
    findings: Findings, game: Game[Any], batches: Sequence[tuple[Batch, np.ndarray, Batch]]
) -> None:
    """Computes moves again with wide integers.

    Args:
      batches: positions, a legal action in each, and what `step` made of that; all of one size.
    """
    state, action = one(batches[0][0].state, 0), jnp.int32(0)

    def move(state: Any, action: jax.Array) -> Batch:
        return look(game, game.step(state, action))

    narrow = jax.make_jaxpr(move)(state, action)
    widening = _widening(narrow.jaxpr)
    if not widening.types:
        return
    for traced in (_traced_wide(move, state, action, widening), narrow):
        if traced is None:
            continue
        try:
            wide = _compiled(traced, widening, batches[0])
        except Exception:  # an operation that is not known here: nothing is proven
            continue
        for before, chosen, after in batches:
            leaves = wide(before.state, chosen)
            if _blame(findings, game, (narrow, traced, widening), (before, chosen, after), leaves):
                return
        return


def _widening(jaxpr: core.Jaxpr) -> Widening:
    types = {*SIGNED, *UNSIGNED}
    for eqn in _equations(jaxpr):
        used = {str(v.aval.dtype) for v in (*eqn.invars, *eqn.outvars) if hasattr(v.aval, "dtype")}
        if eqn.primitive.name in OF_BITS:
            types -= used & set(UNSIGNED)
        if eqn.primitive.name in NEVER:
            types -= used
    return Widening(frozenset(types))


def _equations(jaxpr: core.Jaxpr) -> Any:
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in core.jaxprs_in_params(eqn.params):
            yield from _equations(getattr(inner, "jaxpr", inner))


def _traced_wide(move: Any, state: Any, action: Any, widening: Widening) -> Any | None:
    """Traces `move` on widened inputs, so that constants that fit nowhere else keep their value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return jax.make_jaxpr(move)(jax.tree.map(widening.value, state), action)
        except Exception:  # two types that may not be mixed
            return None


def _compiled(traced: Any, widening: Widening, example: Any) -> Callable[..., list[np.ndarray]]:
    def run(state: Any, action: jax.Array) -> list[jax.Array]:
        args = [widening.value(leaf) for leaf in jax.tree.leaves((state, action))]
        return _evaluate(widening, traced.jaxpr, traced.consts, args)

    before, chosen, _ = example
    lowered = jax.jit(jax.vmap(run)).lower(before.state, chosen)
    program = lowered.compile(IN_HASTE)
    return lambda *args: [np.asarray(leaf) for leaf in program(*args)]


def _evaluate(widening: Widening, jaxpr: Any, consts: Any, args: Any) -> list[Any]:
    """Returns the outputs of `jaxpr`, all narrow integers held wide."""
    known: dict[Any, Any] = {}

    def read(atom: Any) -> Any:
        if isinstance(atom, core.Literal):
            return widening.value(_literal(atom))
        return known[atom]

    known.update(zip(jaxpr.constvars, map(widening.value, consts), strict=True))
    known.update(zip(jaxpr.invars, args, strict=True))
    for eqn in jaxpr.eqns:
        results = _apply(widening, eqn, [read(atom) for atom in eqn.invars])
        for variable, result in zip(eqn.outvars, results, strict=True):
            dtype = getattr(variable.aval, "dtype", None)
            if str(dtype) in widening.types and result.dtype != np.int32:
                result = result.astype(np.int32)
            known[variable] = result
    return [read(atom) for atom in jaxpr.outvars]


def _apply(widening: Widening, eqn: Any, values: list[Any]) -> list[Any]:
    name, params = eqn.primitive.name, dict(eqn.params)
    if name == "cond":
        branches = [_function(widening, branch) for branch in params["branches"]]
        return list(jax.lax.switch(values[0], branches, *values[1:]))
    if name == "while":
        return _while(widening, params, values)
    if name == "scan":
        return _scan(widening, params, values)
    inner = params.get("jaxpr", params.get("call_jaxpr"))
    if inner is not None:  # a call, of whatever kind
        return list(_function(widening, inner)(*values))
    if name.startswith("scatter"):
        return [_scatter(name, params, values)]
    if name == "gather" and str(eqn.outvars[0].aval.dtype) in widening.types:
        limits = np.iinfo(eqn.outvars[0].aval.dtype)
        if params.get("fill_value") is None:
            params["fill_value"] = limits.min if limits.min else limits.max
    for key in OF_DTYPES:
        if params.get(key) is not None:
            params[key] = widening.of(params[key])
    results = eqn.primitive.bind(*values, **params)
    return list(results) if eqn.primitive.multiple_results else [results]


def _function(widening: Widening, inner: Any) -> Callable[..., list[Any]]:
    jaxpr, consts = getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())
    return lambda *args: _evaluate(widening, jaxpr, consts, args)


def _while(widening: Widening, params: Any, values: list[Any]) -> list[Any]:
    test, body = (_function(widening, params[key]) for key in ("cond_jaxpr", "body_jaxpr"))
    first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    return list(
        jax.lax.while_loop(
            lambda carry: test(*values[:first], *carry)[0],
            lambda carry: body(*values[first:second], *carry),
            values[second:],
        )
    )


def _scan(widening: Widening, params: Any, values: list[Any]) -> list[Any]:
    body = _function(widening, params["jaxpr"])
    consts, carried = params["num_consts"], params["num_carry"]

    def turn(carry: list[Any], row: list[Any]) -> tuple[list[Any], list[Any]]:
        results = body(*values[:consts], *carry, *row)
        return results[:carried], results[carried:]

    carry, rows = jax.lax.scan(
        turn,
        values[consts : consts + carried],
        values[consts + carried :],
        length=params["length"],
        reverse=params["reverse"],
    )
    return [*carry, *rows]


def _scatter(name: str, params: Any, values: list[Any]) -> Any:
    function = getattr(jax.lax, name.replace("-", "_"))
    kept = ("dimension_numbers", "indices_are_sorted", "unique_indices", "mode")
    return function(*values, **{key: params[key] for key in kept})


def _blame(
    findings: Findings, game: Game[Any], programs: Any, moves: Any, leaves: list[np.ndarray]
) -> bool:
    before, chosen, after = moves
    live = ~before.terminated & before.mask[np.arange(len(chosen)), chosen]
    paths = jax.tree_util.tree_leaves_with_path(after)
    for (path, leaf), wide in zip(paths, leaves, strict=True):
        bad = np.flatnonzero(live & differs([leaf], [wide]))
        if len(bad):
            lane = int(bad[0])
            at = tuple(np.argwhere(np.asarray(leaf[lane] != wide[lane]))[0])
            name = jax.tree_util.keystr(path).removeprefix(".")
            args = [one(before.state, lane), jnp.int32(chosen[lane])]
            findings.add(
                "overflow",
                "int8, int16 and the like to hold every number computed or compared in them",
                f"{name} is {leaf[lane][at].item()}, and would be {wide[lane][at].item()} in int32"
                f"{_lines(programs, args)}",
                rendered(game, before.state, lane),
                action_name(game, before.state, lane, int(chosen[lane])),
                [scene(before.state, lane, chosen[lane], after.state)],
            )
            return True
    return False


def _lines(programs: tuple[Any, Any, Widening], args: Any) -> str:
    """Returns the source lines at which a number did not fit, or a constant does not."""
    narrow, traced, widening = programs
    places: list[str] = []
    _locate(widening, narrow.jaxpr, narrow.consts, jax.tree.leaves(args), places)
    if not places:
        for eqn in _equations(traced.jaxpr):
            values = [v.val for v in eqn.invars if isinstance(v, core.Literal)]
            if any(_constant_too_large(value) for value in values):
                places.append(_place(eqn))
    places = list(dict.fromkeys(filter(None, places)))[:3]
    return f": see {', '.join(places)}" if places else ""


def _constant_too_large(value: Any) -> bool:
    array, limits = np.asarray(value), np.iinfo(np.int32)
    odd = array.dtype == np.int32 and array.ndim == 0 and array not in (limits.min, limits.max)
    return bool(odd and not -129 < array < 128)


def _locate(widening: Widening, jaxpr: Any, consts: Any, args: Any, places: list[str]) -> list[Any]:
    """Evaluates `jaxpr` as it is; adds the lines of operations that wide integers do otherwise."""
    known: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    known.update(zip(jaxpr.invars, args, strict=True))
    for eqn in jaxpr.eqns:
        values = [_literal(v) if isinstance(v, core.Literal) else known[v] for v in eqn.invars]
        inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
        before = len(places)
        if inner is not None and eqn.primitive.name != "scan":
            body, held = getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())
            results = _locate(widening, body, held, values, places)
            places[before:] = [place or _place(eqn) for place in places[before:]]
        else:
            plain = _apply(Widening(frozenset()), eqn, values)
            wide = _apply(widening, eqn, [widening.value(value) for value in values])
            results = plain
            if any(
                np.any(np.asarray(x) != np.asarray(y)) for x, y in zip(plain, wide, strict=True)
            ):
                places.append(_place(eqn))
        known.update(zip(eqn.outvars, results, strict=True))
    return [_literal(v) if isinstance(v, core.Literal) else known[v] for v in jaxpr.outvars]


def _literal(atom: Any) -> jax.Array:
    return jnp.asarray(atom.val, atom.aval.dtype)


def _place(eqn: Any) -> str:
    """Returns the innermost line of the game's own source that made this operation."""
    frames = getattr(eqn.source_info.traceback, "frames", ())
    for frame in frames:
        if not installed(frame.file_name) and frame.file_name != __file__:
            return f"{frame.file_name}:{frame.line_num}"
    return ""
