"""The laws of form: how a game is built, what its methods return, that they are pure functions."""

import dataclasses
import inspect
import os
import pickle
import subprocess
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from games import consent
from games.conformance.laws import Findings, Scene
from games.conformance.playouts import Batch, Rules, differs, fill, look, one, take
from games.game import Game
from games.plug_in import described

CHEAP_SECONDS = 1.0
# Repeated vmapped calls: a coin tossed at each is then missed once in 2 ** 8 times at most. Those
# that trace to one program give one result, so that it is compiled and run once.
VMAPPED_CALLS = 8
# What a game must have; read from the class, so that a property that raises is not called missing.
CONTRACT = tuple(name for name in vars(Game) if not name.startswith("_"))
# Run in a process in which no device can be had, so that any attempt raises an error.
CONSTRUCT = """
import importlib, pickle, sys
module, name, path, options = pickle.load(sys.stdin.buffer)
sys.path[:] = path
getattr(importlib.import_module(module), name)(**options)
"""


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
    if not (isinstance(shape, tuple) and len(shape) == 3 and all(int(n) == n > 0 for n in shape)):
        wrong.append(f"observation_shape = {shape!r}")
    if wrong:
        findings.add(
            "form",
            "num_actions and max_plies to be whole numbers above 0, observation_shape (H, W, C)",
            ", ".join(wrong),
        )
    return not wrong


def options_of(game: Game[Any]) -> dict[str, Any] | None:
    """Returns the arguments that construct an equal game, or None if that is not known."""
    if not dataclasses.is_dataclass(game):
        return None
    return {f.name: getattr(game, f.name) for f in dataclasses.fields(game) if f.init}


def check_import(findings: Findings, game: Game[Any]) -> None:
    """Imports and constructs the game in a process of its own that has no device."""
    kind, options = type(game), options_of(game)
    if kind.__module__ == "__main__" or "." in kind.__qualname__ or options is None:
        findings.notes.append("import: only a dataclass at the top of a module can be tried")
        return
    with findings.trying("import", doing="importing the module in a process without devices"):
        path = [*sys.path, *consent.folders_of(kind.__module__)]
        order = pickle.dumps((kind.__module__, kind.__name__, path, options))
        done = subprocess.run(
            [sys.executable, "-I", "-c", CONSTRUCT],
            input=order,
            capture_output=True,
            env={**os.environ, "JAX_PLATFORMS": "none_at_import"},
            timeout=300,
            check=False,
        )
        if done.returncode:
            findings.add(
                "import",
                "import and constructor to touch no device, so that flags can still be set after "
                "them (tables in NumPy, jax arrays inside methods only)",
                _blamed(done.stderr.decode(errors="replace")),
            )


def _blamed(stderr: str) -> str:
    """Returns the last line of source outside of libraries in a traceback, and the error."""
    lines = [line.strip() for line in stderr.splitlines()]
    files = [line for line in lines if line.startswith("File ") and "site-packages" not in line]
    files = [line for line in files if '"<' not in line]
    errors = [line for line in lines if "Error: " in line]
    if any("none_at_import" in line for line in errors):
        errors = ["a device was asked for"]
    return "; ".join([*errors[-1:], *files[-1:]]) or "it failed and said nothing"


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
    return len(findings.violations) == before


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


def check_purity(
    findings: Findings, game: Game[Any], rules: Rules, chosen: Batch, count: int
) -> None:
    """Calls every method plain, vmapped and jitted (`count` lanes) at `chosen`, and compares."""
    lanes = range(len(chosen.terminated))
    action = chosen.mask.argmax(axis=1).astype(np.int32)
    jitted = take(rules.step(fill(chosen.state, count), fill(action, count)), slice(len(lanes)))
    attributes = vars(game).copy() if hasattr(game, "__dict__") else {}

    def one_by_one(order: list[int]) -> Batch:
        rows = {i: look(game, game.step(one(chosen.state, i), jnp.int32(action[i]))) for i in order}
        return jax.tree.map(lambda *leaves: np.stack(leaves), *(rows[i] for i in sorted(rows)))

    def together() -> Batch:
        def step(state: Any, chosen_action: jax.Array) -> Batch:  # a new function: traced again
            return look(game, game.step(state, chosen_action))

        program = jax.jit(jax.vmap(step)).lower(chosen.state, action)
        text = program.as_text()
        if text not in results:
            results[text] = jax.tree.map(np.asarray, program.compile()(chosen.state, action))
        return results[text]

    forwards = list(range(len(lanes)))
    trials: dict[str, Batch] = {}
    results: dict[str, Batch] = {}  # by program
    with findings.trying("purity", doing="step, observe and returns without jit"):
        trials["a plain call"] = one_by_one(forwards)
        trials["a second plain call"] = one_by_one(forwards[::-1])
    with findings.trying("purity", doing="step, observe and returns under vmap"):
        trials["a vmapped call"] = together()
        for number in range(2, VMAPPED_CALLS + 1):
            trials[f"vmapped call {number}"] = together()
    for what, result in trials.items():
        for part in ("state", "observation", "returns"):
            bad = np.flatnonzero(differs(getattr(result, part), getattr(jitted, part)))
            if len(bad):
                case = scene(chosen.state, int(bad[0]), int(action[bad[0]]), jitted.state)
                _add_impure(findings, game, chosen, int(bad[0]), case, what, part)
    with findings.trying("purity", doing="init without jit"):
        _check_init(findings, game, rules, count)
    if attributes != (vars(game) if attributes else {}):
        findings.add("purity", "calls to leave the game object as it is", "its attributes changed")


def _check_init(findings: Findings, game: Game[Any], rules: Rules, count: int) -> None:
    jitted = take(rules.init(np.zeros(count, np.uint32)).state, slice(1))
    for what in ("a plain call of init", "a second plain call of init"):
        plain = game.init(jax.random.key(0))
        if differs(jax.tree.map(lambda leaf: np.asarray(leaf)[None], plain), jitted).any():
            findings.add("purity", "init to be a function of its key alone", f"{what} differs")


def _add_impure(
    findings: Findings, game: Game[Any], at: Batch, lane: int, case: Scene, what: str, part: str
) -> None:
    assert case.action is not None
    findings.add(
        "purity",
        "the same result plain, jitted and vmapped, and from every call "
        "(no NumPy or Python randomness, no variable kept outside the state)",
        f"{what} gives another {part}",
        rendered(game, at.state, lane),
        action_name(game, at.state, lane, case.action),
        [case],
    )


def scene(
    states: Any, lane: int, action: Any = None, after: Any | None = None, about: str = ""
) -> Scene:
    """Returns a lane of batched states, and of the batch that an action led to."""

    def alone(batch: Any) -> Any:  # a copy: a view would keep the whole batch
        return None if batch is None else jax.tree.map(lambda leaf: np.array(leaf[lane]), batch)

    return Scene(alone(states), None if action is None else int(action), alone(after), about)


def rendered(game: Game[Any], states: Any, lane: int) -> str:
    """Returns the position as the game renders it, or its fields if it can't."""
    try:
        return str(game.render(one(states, lane)))
    except Exception as error:  # reported by the law of notation
        fields = jax.tree_util.tree_leaves_with_path(take(states, lane))
        listed = [f"{jax.tree_util.keystr(path)} = {leaf.tolist()}" for path, leaf in fields]
        return "\n".join([f"(render failed: {described(error)})", *listed])


def action_name(game: Game[Any], states: Any, lane: int, action: int) -> str:
    """Returns the action in the game's notation, with its number."""
    try:
        return f"{game.action_to_string(one(states, lane), action)} (number {action})"
    except Exception:  # an illegal action need not have a name
        return f"number {action}"
