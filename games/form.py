"""The form of a game: how it is constructed, and the shapes and dtypes that its methods return.

And whether it is one for two players, zero-sum, without chance: what training would not notice.
"""

import dataclasses
import inspect
import math
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from games.game import Game, cells_of
from games.laws import Findings

CHEAP_SECONDS = 1.0
GAMES, PLIES = 16, 200  # played before training
NEAR = 1e-4  # of a sum that is zero
KEYED = ("random_seed", "random_wrap", "threefry2x32", "rng_bit_generator")  # by jax
# What a game must have; read from the class, so that a property that raises is not called missing.
CONTRACT = tuple(name for name in vars(Game) if not name.startswith("_"))


def require_form(game: Game[Any], spec: str) -> None:
    """Raises ValueError at once where a check would find that `game` cannot be trained on at all.

    For whoever is about to train on it without a check: what training would say is harder to read,
    or nothing. It takes a second, for a few random games. The games of this package are tested, so
    they are not traced again.
    """
    if type(game).__module__.partition(".")[0] == "games":
        return
    findings = Findings()
    if check_construction(findings, game) and check_form(findings, game):
        with findings.trying("form", doing="a few random games"):
            _check_kind(findings, game)
    if findings.violations:
        law, expected, observed, *_ = findings.violations[0]
        raise ValueError(
            f"game {spec!r} breaks the law of {law}: expected {expected}; found {observed}; "
            f"selfplay game check {spec} shows all"
        )


def check_construction(findings: Findings, game: Game[Any]) -> bool:
    """Checks the object itself; returns whether the rest can be checked at all."""
    with findings.trying("construction", doing="the game's attributes"):
        _check_frozen(findings, game)
    if not findings.violations:  # one that is not frozen has no hash either
        with findings.trying("construction", doing="hash(game)"):
            hash(game)
        with findings.trying("construction", doing="the game's constructor"):
            _check_equal_when_rebuilt(findings, game)
    lacking = [name for name in CONTRACT if inspect.getattr_static(game, name, None) is None]
    if lacking:
        findings.add("form", f"a game to have {', '.join(CONTRACT)}", f"no {', '.join(lacking)}")
    with findings.trying("form", doing="reading the game's sizes"):
        return _check_sizes(findings, game)
    return False


def _check_equal_when_rebuilt(findings: Findings, game: Game[Any]) -> None:
    options = options_of(game)
    if options is None:
        findings.notes.append("not a dataclass: whether equal options make equal games was skipped")
        return
    start = time.perf_counter()
    again = type(game)(**options)
    seconds = time.perf_counter() - start
    if seconds > CHEAP_SECONDS:
        findings.add(
            "construction",
            f"to be constructed within {CHEAP_SECONDS:.0f} s",
            f"{seconds:.1f} s; build tables at import with NumPy, or lazily",
        )
    if again != game:
        findings.add(
            "construction", "two games with equal options to be equal", "they are not equal"
        )
    elif hash(again) != hash(game):
        findings.add("construction", "equal games to have equal hashes", "two hashes")


def _check_frozen(findings: Findings, game: Game[Any]) -> None:
    owned = "num_actions" in vars(game) if hasattr(game, "__dict__") else True
    try:
        setattr(game, "num_actions", game.num_actions)  # noqa: B010, typed as read-only
    except (AttributeError, TypeError):
        return
    if not owned:
        delattr(game, "num_actions")
    findings.add(
        "construction",
        "a game to be frozen: @dataclasses.dataclass(frozen=True)",
        "its attributes can be assigned to",
    )


def _check_sizes(findings: Findings, game: Game[Any]) -> bool:
    shape = game.observation_shape
    wrong = [
        f"{name} = {value!r}"
        for name, value in (("num_actions", game.num_actions), ("max_plies", game.max_plies))
        if not isinstance(value, int | np.integer) or value < 1
    ]
    if not (isinstance(shape, tuple) and shape and all(int(n) == n > 0 for n in shape)):
        wrong.append(f"observation_shape = {shape!r}")
    if wrong:
        findings.add(
            "form",
            "num_actions and max_plies to be whole numbers above 0, observation_shape (H, W, C) of "
            "a board, (n,) of n numbers, (N, F) of N nodes",
            ", ".join(wrong),
        )
    return not wrong


def options_of(game: Game[Any]) -> dict[str, Any] | None:
    """Returns the arguments that construct an equal game, or None if that is not known."""
    if not dataclasses.is_dataclass(game):
        return None
    return {f.name: getattr(game, f.name) for f in dataclasses.fields(game) if f.init}


def check_form(findings: Findings, game: Game[Any]) -> bool:
    """Traces every method; returns whether all came back in the form of the contract."""
    before, state = len(findings.violations), None
    findings.tried.update(("form", "purity"))
    action = jax.ShapeDtypeStruct((), jnp.int32)
    with findings.trying("form", doing="init(key), which must return a pytree (a NamedTuple)"):
        state = jax.eval_shape(lambda: game.init(jax.random.key(0)))
        _check_state(findings, game, state)
    if len(findings.violations) > before:
        return False
    with findings.trying("form", doing="tracing step(state, action)"):
        _check_step_keeps_form(findings, state, jax.eval_shape(game.step, state, action))
    with findings.trying("form", doing="tracing observe(state)"):
        seen = jax.eval_shape(game.observe, state)
        if seen.shape != tuple(game.observation_shape) or not _plain(seen):
            _add_form(findings, "observe", f"numbers {list(game.observation_shape)}", seen)
    with findings.trying("form", doing="tracing returns(state)"):
        _check_leaf(findings, "returns", jax.eval_shape(game.returns, state), (2,), "float32")
    with findings.trying("form", doing="adjacency, of a graph's nodes"):
        _check_graph(findings, game)
    formed = len(findings.violations) == before
    if formed and _draws(jax.make_jaxpr(game.step)(state, action).jaxpr):
        found = "it draws with a key from the state: games of chance are not supported"
        findings.add("form", "step to draw no random numbers", found)
    return formed


def _check_graph(findings: Findings, game: Game[Any]) -> None:
    edges, nodes = getattr(game, "adjacency", None), math.prod(cells_of(game.observation_shape))
    if edges is None:
        return
    if not isinstance(edges, np.ndarray):  # jax's would touch a device
        findings.add("form", "adjacency to be a NumPy array", type(edges).__name__)
    elif (edges.dtype, edges.shape) != (bool, (nodes, nodes)):
        _add_form(findings, "adjacency", f"bool[{nodes}, {nodes}]", edges)
    elif (edges != edges.T).any():
        found = f"{np.argwhere(edges != edges.T)[0].tolist()} in one direction only"
        findings.add("form", "adjacency to be symmetric", found)


def _draws(jaxpr: Any) -> bool:
    """Whether a random key is made of the inputs; one of a constant alone is a table like any."""
    moved = set(jaxpr.invars)
    for eqn in jaxpr.eqns:
        if moved.isdisjoint(v for v in eqn.invars if not isinstance(v, core.Literal)):
            continue
        if eqn.primitive.name in KEYED or any(
            _draws(inner) for inner in core.jaxprs_in_params(eqn.params)
        ):
            return True
        moved.update(eqn.outvars)
    return False


def _check_kind(findings: Findings, game: Game[Any]) -> None:
    """Plays a few random games, and looks at seats and returns alone."""

    def play(key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        def move(state: Any, key: jax.Array) -> tuple[Any, Any]:
            legal = jnp.where(state.legal_action_mask, 0.0, -jnp.inf)
            after = game.step(state, jax.random.categorical(key, legal).astype(jnp.int32))
            return after, (after.to_play, ~after.terminated, game.returns(after))

        keys = jax.random.split(key, min(game.max_plies, PLIES) + 1)
        _, played = jax.lax.scan(move, game.init(keys[0]), keys[1:])
        return played

    keys = jax.random.split(jax.random.key(0), GAMES)
    seats, live, returns = map(np.asarray, jax.jit(jax.vmap(play))(keys))
    turns = seats[live]
    for law, expected, bad, values in (
        ("turns", "to_play to be 0 or 1, as two players have it", (turns < 0) | (turns > 1), turns),
        (
            "turns",
            "both seats to play in some game, as two players do",
            np.full(turns.shape, not turns.any()),
            turns,
        ),
        (
            "returns",
            "returns that sum to zero and lie in [-1, 1]",
            ~((abs(returns.sum(axis=-1)) <= NEAR) & (abs(returns).max(axis=-1) <= 1 + NEAR)),
            returns,
        ),
    ):
        if bad.any():
            findings.add(law, expected, str(values[bad][0].tolist()))


def _check_state(findings: Findings, game: Game[Any], state: Any) -> None:
    fields = (
        ("to_play", (), "int8"),
        ("legal_action_mask", (game.num_actions,), "bool"),
        ("terminated", (), "bool"),
    )
    for name, shape, dtype in fields:
        with findings.trying("form", doing=f"reading state.{name}"):
            # Traced, for it may also be a property that computes something.
            leaf = jax.eval_shape(lambda state, name=name: getattr(state, name), state)
            _check_leaf(findings, f"state.{name}", leaf, shape, dtype)
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        if not _plain(leaf):
            name = jax.tree_util.keystr(path)
            random = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
            chance = ", of random numbers: games of chance are not supported" if random else ""
            findings.add("form", "a state of plain arrays", f"{name} of dtype {leaf.dtype}{chance}")


def _plain(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jnp.number) or leaf.dtype == bool)


def _check_leaf(
    findings: Findings, what: str, leaf: Any, shape: tuple[int, ...], dtype: str
) -> None:
    if getattr(leaf, "shape", None) != shape or str(leaf.dtype) != dtype:
        _add_form(findings, what, f"{dtype}{list(shape)}", leaf)


def _add_form(findings: Findings, what: str, expected: str, leaf: Any) -> None:
    observed = f"{leaf.dtype}{list(leaf.shape)}" if hasattr(leaf, "dtype") else repr(leaf)
    findings.add("form", f"{what} to be {expected}", observed)


def _check_step_keeps_form(findings: Findings, before: Any, after: Any) -> None:
    kinds = [str(jax.tree.structure(state)) for state in (before, after)]
    if kinds[0] != kinds[1]:
        findings.add(
            "form", f"step to return the kind of state that init does, {kinds[0]}", kinds[1]
        )
        return
    old = jax.tree_util.tree_leaves_with_path(before)
    for (path, x), y in zip(old, jax.tree.leaves(after), strict=True):
        if (x.shape, x.dtype) != (y.shape, y.dtype):
            name = jax.tree_util.keystr(path)
            _add_form(
                findings, f"state{name} after step", f"{x.dtype}{list(x.shape)} as from init", y
            )
