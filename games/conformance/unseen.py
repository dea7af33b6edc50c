"""Dataflow of a game's program: fields that its rules go by and its observation never reads.

The law of what looks alike needs two positions that meet. This asks the program itself (its jaxpr):
which leaves of a state can bear on legal actions, turn, end or result now or later, and which of
them `observe` does not even look at. A leaf that is only copied on bears on nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from games.game import Game

GIVEN = ("to_play", "legal_action_mask", "terminated")  # which whoever chooses is told anyway
SMALL = 64  # numbers; larger constants are not computed with

Reads = frozenset[int]  # the inputs that a value depends on, by number
NOTHING: Reads = frozenset()
KEY: Reads = frozenset([0])
Flow = tuple[Reads, Any]  # what a value depends on, and itself, if that is known


def unseen(game: Game[Any]) -> list[str]:
    """Returns the names of the leaves that the rules go by and `observe` never reads."""
    opening, state = jax.make_jaxpr(game.init, return_shape=True)(jax.random.key(0))
    names = [
        jax.tree_util.keystr(path).removeprefix(".")
        for path, _ in jax.tree_util.tree_leaves_with_path(state)
    ]

    def rules(state: Any, action: jax.Array) -> Any:
        after = game.step(state, action)
        return after, tuple(getattr(after, name) for name in GIVEN), game.returns(after)

    moved = jax.make_jaxpr(rules)(state, jax.ShapeDtypeStruct((), jnp.int32))
    view = jax.make_jaxpr(game.observe)(state)
    # Moves are made in games that go on.
    live = [np.bool_(False) if name.endswith("terminated") else None for name in names]
    given = [(NOTHING if x is not None else frozenset([i]), x) for i, x in enumerate(live)]
    flow = _flow(moved.jaxpr, moved.consts, [*given, (NOTHING, None)])
    leaves = [reads for reads, _ in flow]
    # What neither the key nor any move changes is no news to anyone.
    fixed = {
        i
        for i, (drawn, _) in enumerate(_flow(opening.jaxpr, opening.consts, [(KEY, None)]))
        if flow[i] is given[i] and not drawn
    }
    seen = _union(reads for reads, _ in _flow(view.jaxpr, view.consts, given))
    matters = _union(leaves[len(names) :])
    while not (more := _union(leaves[i] for i in matters | seen)) <= matters:
        matters |= more
    return [names[i] for i in sorted(matters - seen - fixed) if names[i] not in GIVEN]


def _union(sets: Iterable[Reads]) -> Reads:
    return NOTHING.union(*sets)


def _flow(jaxpr: Any, consts: Sequence[Any], given: Sequence[Flow]) -> list[Flow]:
    """Returns for each output what it depends on, and its value if that is known."""
    values: dict[Any, Flow] = dict(zip(jaxpr.invars, given, strict=True))
    small = [np.asarray(c) if np.size(c) <= SMALL else None for c in consts]
    values.update(zip(jaxpr.constvars, ((NOTHING, c) for c in small), strict=True))

    def read(atom: Any) -> Flow:
        return (NOTHING, atom.val) if isinstance(atom, core.Literal) else values[atom]

    for eqn in jaxpr.eqns:
        values.update(zip(eqn.outvars, _equation(eqn, [*map(read, eqn.invars)]), strict=True))
    return [*map(read, jaxpr.outvars)]


def _equation(eqn: Any, given: list[Flow]) -> list[Flow]:
    name, params = eqn.primitive.name, eqn.params
    if name in ("copy", "select_n", "cond"):
        return _choice(name, params, given)
    if name == "scan":
        body = params["jaxpr"]
        consts, carried = params["num_consts"], params["num_carry"]
        return _loop(lambda at: _flow(body.jaxpr, body.consts, at), given, consts, carried)
    if name == "while":
        return _while(params, given)
    for inner in params.values():  # a function that is compiled by itself
        if isinstance(inner, core.ClosedJaxpr):
            form = inner.jaxpr
            if (len(form.invars), len(form.outvars)) == (len(given), len(eqn.outvars)):
                return _flow(form, inner.consts, given)
    every = _union(reads for reads, _ in given)
    return [(every, value) for value in _computed(eqn, given)]


def _choice(name: str, params: Any, given: list[Flow]) -> list[Flow]:
    """Returns what comes of one of several values or branches, of the one if it is known which."""
    if name == "copy":
        return given
    (asked, value), *rest = given
    known = None if value is None else np.unique(value)
    found = [[way] for way in rest]
    if name == "cond":
        found = [_flow(branch.jaxpr, branch.consts, rest) for branch in params["branches"]]
    if known is not None and len(known) == 1:
        return found[int(known[0])]
    return [
        (_union([asked, *(reads for reads, _ in out)]), None) for out in zip(*found, strict=True)
    ]


def _while(params: Any, given: list[Flow]) -> list[Flow]:
    test, body = params["cond_jaxpr"], params["body_jaxpr"]
    split, consts = params["cond_nconsts"], params["body_nconsts"]

    def turn(at: list[Flow]) -> list[Flow]:
        goes_on, _ = _flow(test.jaxpr, test.consts, [*given[:split], *at[consts:]])[0]
        after = _flow(body.jaxpr, body.consts, at)
        return [(reads | goes_on, None) for reads, _ in after]

    return _loop(turn, given[split:], consts, len(given) - split - consts)


def _loop(
    turn: Callable[[list[Flow]], list[Flow]], given: list[Flow], consts: int, carried: int
) -> list[Flow]:
    """Returns what comes out of a loop: what is carried depends on all that it ever depended on."""
    at: list[Flow] = [(reads, None) for reads, _ in given]
    carry = slice(consts, consts + carried)
    while True:
        after = turn(at)
        pairs = zip(at[carry], after[:carried], strict=True)
        grown: list[Flow] = [(old | new, None) for (old, _), (new, _) in pairs]
        if grown == at[carry]:
            return [*grown, *((reads, None) for reads, _ in after[carried:])]
        at[carry] = grown


def _computed(eqn: Any, given: list[Flow]) -> list[Any]:
    """Returns what a small operation gives, if all of its inputs are known; else None for each."""
    nothing = [None] * len(eqn.outvars)
    sizes = [np.prod(getattr(v.aval, "shape", ()), dtype=int) for v in eqn.outvars]
    whole = all(
        value is not None and np.shape(value) == v.aval.shape
        for v, (_, value) in zip(eqn.invars, given, strict=True)
    )
    if not (given and whole) or max(sizes) > SMALL or any(core.jaxprs_in_params(eqn.params)):
        return nothing
    found = eqn.primitive.bind(*(value for _, value in given), **eqn.params)
    return [np.asarray(v) for v in (found if eqn.primitive.multiple_results else [found])]
