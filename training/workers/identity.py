"""Whether two processes compute alike: a digest of the code, the version of jax, the devices.

A worker whose code differs may play by other rules, or search otherwise, and nobody would see it.
"""

import hashlib
import inspect
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

import games
from games.game import Game
from selfplay import devices

ROOT = pathlib.Path(__file__).parents[2]
LAYERS = ("games", "mcts", "selfplay", "training")  # whose code decides what is played


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


def difference(theirs: Alike, ours: Alike, fields: Sequence[str] = Alike._fields) -> str:
    """Returns in which of the fields a worker is not as we are; empty if in none."""
    pairs = {name: (getattr(theirs, name), getattr(ours, name)) for name in fields}
    return "; ".join(
        "another version of the code" if name == "code" else f"{name} {there} there, {here} here"
        for name, (there, here) in pairs.items()
        if there != here
    )


def of_code(game: Game[Any]) -> str:
    """Returns the digest of our code, and of the game's own file if it is somebody else's."""
    total = hashlib.sha256()
    paths = [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]
    for path in paths:
        total.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    if own := inspect.getsourcefile(type(game)):
        total.update(pathlib.Path(own).read_bytes())
    return total.hexdigest()
