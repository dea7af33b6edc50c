"""Positions of Go for its tests: by a list of moves, by a diagram, many of them side by side."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from games import go
from games.go import Go
from tests.oracles.go import moves_to

MANY = 64  # games played side by side; one number, because each batch size is compiled anew


@functools.cache
def jitted(size):
    """Returns the batched `step` of a size; the komi plays no part in it."""
    return jax.jit(jax.vmap(Go(size).step))


@functools.cache
def jitted_returns(size, komi):
    return jax.jit(jax.vmap(Go(size, komi).returns))


def start(size, batch=1):
    return jax.vmap(Go(size).init)(jax.random.split(jax.random.key(0), batch))


def played(size, actions):
    """Returns the state after `actions`, a batch of one; each of them must be legal."""
    state = start(size)
    for ply, action in enumerate(actions):
        assert state.legal_action_mask[0, action], (ply, action, Go(size).render(first(state)))
        state = jitted(size)(state, jnp.array([action]))
    return state


def first(state):
    return jax.tree.map(lambda leaf: np.asarray(leaf[0]), state)


def names(state):
    """Returns the legal actions' names."""
    game = Go(round(len(state.chain[0]) ** 0.5))
    actions = np.flatnonzero(state.legal_action_mask[0]).tolist()
    return {game.action_to_string(first(state), action): action for action in actions}


def reach(text, to_play, moves=""):
    """Returns the state of a diagram with `to_play` to move, after `moves`."""
    size = round(len("".join(text.split())) ** 0.5)
    actions = moves_to(text, to_play)
    everywhere = names(start(size))
    return played(size, actions + [everywhere[name] for name in moves.split()])


def symbols(state):
    return "".join(".XO"[np.sign(name)] for name in state.chain[0].tolist())


def joined(text):
    return "".join(text.split())


def area_of(board):
    """Returns the game's count of a board of symbols, for which each kind of device has a form."""
    chain = jnp.array(["O.X".index(symbol) - 1 for symbol in board], jnp.int16)
    size = round(len(board) ** 0.5)
    on_cpu, elsewhere = (jitted_area(size, name)(chain) for name in ("_reach_on_cpu", "_reach"))
    assert on_cpu.tolist() == elsewhere.tolist(), board
    return on_cpu.tolist()


@functools.cache
def jitted_area(size, form):
    def area(chain):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(go, "_reach_on_cpu", getattr(go, form))
            return go._area(chain, size)

    # Compiled for long and run for microseconds, so in haste.
    return jax.jit(area, compiler_options={"xla_backend_optimization_level": 0})
