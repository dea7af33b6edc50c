"""Positions of random games: to compare networks on, and to read the names of actions from."""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from games.game import Game, State
from selfplay import positions

GAMES = 32
MAX_PLIES = 64  # of each game; later positions are not looked at
COUNT = 256  # positions at most


class Sample(NamedTuple):
    """N unfinished positions."""

    observations: np.ndarray  # [N, *observation_shape], in the game's own dtype
    # Of each action its name, None if it was legal in none of many positions. None for all where
    # an action had two names, as in games that count moves from the mover's side: there a name of
    # one position may be wrong in the next.
    names: list[str | None] | None


def draw(game: Game[Any], seed: int = 0) -> Sample:
    """Returns positions of random games, drawn from all of their plies."""
    states, observations = jax.tree.map(np.asarray, _play(game, jax.random.key(seed)))
    goes_on = np.flatnonzero(~states.terminated)
    chosen = np.random.default_rng(seed).permutation(goes_on)[:COUNT]
    return Sample(observations[chosen], _names(game, positions.take(states, chosen)))


@functools.partial(jax.jit, static_argnums=0)
def _play(game: Game[Any], key: jax.Array) -> tuple[State, jax.Array]:
    """Returns all positions of the games, each leaf [plies * GAMES, ...], and what is observed."""
    plies = min(game.max_plies, MAX_PLIES)
    start = jax.vmap(game.init)(jax.random.split(key, GAMES))

    def ply(states: Any, ply_key: jax.Array) -> tuple[Any, Any]:
        action = positions.random_actions(ply_key, states.legal_action_mask)
        return jax.vmap(game.step)(states, action), (states, jax.vmap(game.observe)(states))

    _, seen = jax.lax.scan(ply, start, jax.random.split(jax.random.fold_in(key, 1), plies))
    flat: tuple[State, jax.Array] = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), seen)
    return flat


def _names(game: Game[Any], states: State) -> list[str | None] | None:
    found: list[set[str]] = [set() for _ in range(game.num_actions)]
    for number, legal in enumerate(np.asarray(states.legal_action_mask)):
        state = positions.take(states, number)
        for action in map(int, np.flatnonzero(legal)):
            found[action].add(game.action_to_string(state, action))
    if any(len(names) > 1 for names in found):
        return None
    return [next(iter(names), None) for names in found]
