"""What a worker and its learner must have in common, as digests: settings, code, rules.

A worker whose code differs may play by other rules, or search otherwise, and nobody would see it.
"""

import hashlib
import inspect
import json
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

import games
from games.game import Game
from selfplay import devices, positions
from training import config as config_module
from training.config import FREE, RunConfig

ROOT = pathlib.Path(__file__).parents[2]
LAYERS = ("games", "mcts", "selfplay", "training")  # whose code decides what is played
GAMES, LONGEST = 8, 512  # random games by which rules are compared, and the most plies of each


def of_settings(config: RunConfig) -> str:
    """Returns the digest of all settings that change what is computed."""
    content = {k: v for k, v in config_module.to_dict(config).items() if k not in FREE}
    return _digest([json.dumps(content, sort_keys=True).encode()])


def of_code(game: Game[Any]) -> str:
    """Returns the digest of our code, and of the game's own file if it is somebody else's."""
    return _digest(_sources(game))


def of_rules(game: Game[Any]) -> str:
    """Returns the digest of what some random games look like, ply after ply."""
    length = min(game.max_plies, LONGEST)

    def ply(states: Any, key: jax.Array) -> tuple[Any, Any]:
        action = positions.random_actions(key, states.legal_action_mask)
        after = jax.vmap(game.step)(states, action)
        seen = (
            jax.vmap(game.observe)(states),
            states.legal_action_mask,
            states.to_play,
            states.terminated,
            jax.vmap(game.returns)(states),
        )
        return after, seen

    @jax.jit
    def play(key: jax.Array) -> Any:
        first, plies = jax.random.split(key)
        states = jax.vmap(game.init)(jax.random.split(first, GAMES))
        return jax.lax.scan(ply, states, jax.random.split(plies, length))[1]

    seen = jax.device_get(play(jax.random.key(0)))
    return _digest(np.ascontiguousarray(leaf).tobytes() for leaf in seen)


def _sources(game: Game[Any]) -> Iterator[bytes]:
    for layer in LAYERS:
        for path in sorted((ROOT / layer).rglob("*.py")):
            yield str(path.relative_to(ROOT)).encode()
            yield path.read_bytes()
    own = inspect.getsourcefile(type(game))
    if own is not None:
        yield pathlib.Path(own).read_bytes()


def _digest(parts: Any) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
    return total.hexdigest()


class Alike(NamedTuple):
    """What must be equal where games are to be, bit by bit."""

    code: str  # digest
    jax: str  # version
    device: str  # kind
    devices: int  # with whose numbers keys are folded
    cores: int  # on which the last bits of a CPU's results may depend


def alike(game: str) -> Alike:
    """Returns what this process is, as far as games depend on it."""
    code = of_code(games.load(game))
    return Alike(code, jax.__version__, devices.kind(), devices.mesh().size, devices.cores())


def difference(theirs: Alike, ours: Alike) -> str:
    """Returns in which way a worker is not as we are; empty if it is."""
    pairs = zip(Alike._fields, theirs, ours, strict=True)
    different = [
        f"{name} {there} there, {here} here" for name, there, here in pairs if there != here
    ]
    return "; ".join(different)
