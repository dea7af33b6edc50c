"""The laws of import and of purity: no device at import, and methods that are pure functions."""

import os
import pickle
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from games import consent
from games.conformance.cases import Trial
from games.conformance.playouts import Batch, differs, fill, look, one, take
from games.form import options_of
from games.game import Game
from games.laws import Findings

# Repeated vmapped calls: a coin tossed at each is then missed once in 2 ** 8 times at most. Those
# that trace to one program give one result, so that it is compiled and run once.
VMAPPED_CALLS = 8
# Run in a process in which no device can be had, so that any attempt raises an error.
CONSTRUCT = """
import importlib, pickle, sys
module, name, path, options = pickle.load(sys.stdin.buffer)
sys.path[:] = path
getattr(importlib.import_module(module), name)(**options)
"""


def check_import(findings: Findings, game: Game[Any]) -> None:
    """Imports and constructs the game in a process of its own that has no device."""
    kind, options = type(game), options_of(game)
    if kind.__module__ == "__main__" or "." in kind.__qualname__ or options is None:
        findings.note("import: only a dataclass at the top of a module can be tried")
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


def check_purity(trial: Trial, chosen: Batch, plain: bool = True) -> None:
    """Calls every method plain, unless that is left out, vmapped and jitted, and compares."""
    findings, game, count = trial.findings, trial.game, trial.envs.count
    order = range(len(chosen.terminated))
    action = chosen.mask.argmax(axis=1).astype(np.int32)
    jitted = trial.rules.step(fill(chosen.state, count), fill(action, count))
    jitted = take(jitted, slice(len(order)))
    attributes = vars(game).copy() if hasattr(game, "__dict__") else {}
    trials: dict[str, Batch] = {}
    results: dict[str, Batch] = {}  # by program

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

    if plain:
        with findings.trying("purity", doing="step, observe and returns without jit"):
            trials["a plain call"] = one_by_one([*order])
            trials["a second plain call"] = one_by_one([*order][::-1])
    with findings.trying("purity", doing="step, observe and returns under vmap"):
        for number in range(1, VMAPPED_CALLS + 1):
            trials[f"vmapped call {number}"] = together()
    for what, result in trials.items():
        for part in ("state", "observation", "returns"):
            trial.blame(
                "purity",
                "the same result plain, jitted and vmapped, and from every call "
                "(no NumPy or Python randomness, no variable kept outside the state)",
                f"{what} gives another {part}",
                differs(getattr(result, part), getattr(jitted, part)),
                chosen.state,
                action,
                jitted.state,
            )
    if plain:
        _check_init(trial)
    if attributes != (vars(game) if attributes else {}):
        findings.add("purity", "calls to leave the game object as it is", "its attributes changed")


def _check_init(trial: Trial) -> None:
    findings, game, count = trial.findings, trial.game, trial.envs.count
    with findings.trying("purity", doing="init without jit"):
        opening = take(trial.rules.init(np.zeros(count, np.uint32)).state, slice(1))
        for what in ("a plain call of init", "a second plain call of init"):
            plain = game.init(jax.random.key(0))
            if differs(jax.tree.map(lambda leaf: np.asarray(leaf)[None], plain), opening).any():
                findings.add("purity", "init to be a function of its key alone", f"{what} differs")
