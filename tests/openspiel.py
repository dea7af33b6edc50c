"""Plays a game beside OpenSpiel's, move by move, and compares everything that both can tell."""

import random
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game

CHUNK = 256  # games stepped in one compiled call


def disagreement(
    game: Game[Any],
    other: Any,
    playouts: int,
    to_other: Callable[[int], int] = lambda action: action,
) -> str | None:
    """Returns the first difference in `playouts` random games, or None if there is none.

    Compared at every ply: the legal actions, the seat to play, whether the game has ended, and at
    its end the returns.

    Args:
      other: a game of pyspiel.
      to_other: our number of an action to OpenSpiel's.
    """
    rng = random.Random(game.num_actions)
    init = jax.jit(jax.vmap(lambda _: game.init(jax.random.key(0))))
    step = jax.jit(jax.vmap(game.step))
    returns = jax.jit(jax.vmap(game.returns))
    for _ in range(-(-playouts // CHUNK)):
        ours = jax.tree.map(np.asarray, init(jnp.arange(CHUNK)))
        theirs = [other.new_initial_state() for _ in range(CHUNK)]
        played: list[list[int]] = [[] for _ in range(CHUNK)]
        while True:
            results = np.asarray(returns(ours))
            for lane, their in enumerate(theirs):
                found = _compare(ours, lane, their, results[lane], to_other)
                if found:
                    return f"after {played[lane]}: {found}\n{their}"
            if all(their.is_terminal() for their in theirs):
                break
            actions = np.zeros(CHUNK, np.int32)
            for lane, their in enumerate(theirs):
                if not their.is_terminal():
                    actions[lane] = rng.choice(np.flatnonzero(ours.legal_action_mask[lane]))
                    their.apply_action(to_other(int(actions[lane])))
                    played[lane].append(int(actions[lane]))
            ours = jax.tree.map(np.asarray, step(ours, actions))
    return None


def _compare(
    ours: Any, lane: int, their: Any, returns: np.ndarray, to_other: Callable[[int], int]
) -> str:
    if bool(ours.terminated[lane]) != their.is_terminal():
        return f"terminated is {ours.terminated[lane]}, OpenSpiel says {their.is_terminal()}"
    if their.is_terminal():
        if returns.tolist() != their.returns():
            return f"returns are {returns.tolist()}, OpenSpiel says {their.returns()}"
        return ""
    legal = sorted(to_other(a) for a in np.flatnonzero(ours.legal_action_mask[lane]).tolist())
    if legal != sorted(their.legal_actions()):
        return f"legal are {legal}, OpenSpiel says {their.legal_actions()}"
    if int(ours.to_play[lane]) != their.current_player():
        return f"seat {ours.to_play[lane]} is to play, OpenSpiel says {their.current_player()}"
    return ""
