"""What every legal action leads to, as text: one compiled call, then the game's `render`."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from games.drawing import characters
from games.game import Game

LANES = 32  # actions in a call, so that a game compiles once however many are legal


def legal_actions(state: Any) -> np.ndarray:
    """Returns int32[L]: the legal actions, in order."""
    return np.flatnonzero(np.asarray(state.legal_action_mask)).astype(np.int32)


def children(game: Any, state: Any, actions: np.ndarray) -> Iterator[Any]:
    """Yields what each of int32[L] `actions` leads to, leaves on the host."""
    lanes = min(game.num_actions, LANES)
    here = jax.tree.map(_host, state)
    for first in range(0, len(actions), lanes):
        some = actions[first : first + lanes]
        after = jax.tree.map(_host, _stepper(game)(here, np.resize(some, lanes)))
        for lane in range(len(some)):
            yield jax.tree.map(lambda leaf, lane=lane: leaf[lane, ...], after)


def opening(game: Game[Any]) -> Any:
    """Returns a first position, leaves on the host."""
    return jax.tree.map(_host, jax.jit(game.init)(jax.random.key(0)))


def rendered(game: Game[Any], state: Any) -> str:
    """Returns the text of a position, without what is no picture of it."""
    try:
        text = game.render(state)
    except Exception:  # a `render` may want what only jax arrays have, such as `.at`
        text = game.render(jax.tree.map(jnp.asarray, state))
    return characters.plain(text)


@functools.lru_cache(maxsize=16)
def _stepper(game: Any) -> Callable[[Any, np.ndarray], Any]:
    return jax.jit(jax.vmap(game.step, in_axes=(None, 0)))


def _host(leaf: Any) -> Any:
    """Returns a leaf as NumPy array of a strong type; but keys for random numbers stay."""
    is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return leaf if is_key else np.asarray(leaf)
