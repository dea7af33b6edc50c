"""The amplification gap: how far Amplify(A) still moves the policy of A, and where.

At the fixed point of `A <- Distill(Amplify(A))` it is zero: amplification no longer changes what A
would do. It is measured on two sets of positions: `fresh`, from games in which A plays its best
moves against random ones (so that every reply comes up), and `probe`, from random games, the same
for the whole run.
"""

import functools
import itertools
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game, State
from selfplay import positions
from selfplay.information import kl_divergence
from selfplay.players import Act, Player

LANES = 256  # games from which positions are taken, half of them from each seat
MAX_PLIES = 256  # of a game; later positions are not looked at
BLUNDER = 0.5  # a quarter of the way from a loss (-1) to a win (1): half a drawn game
PARTS = 4  # of the game, by ply, that are told apart


class Positions(NamedTuple):
    """N unfinished positions, in NumPy."""

    states: State  # each leaf [N, ...]
    history: np.ndarray  # int32[N, T], the actions so far, padded with -1
    ply: np.ndarray  # int32[N]


class Moved(NamedTuple):
    """What Amplify(A) changes at N positions."""

    kl: np.ndarray  # float[N], KL(Amplify(A) || A) of the policies, in nats
    value: np.ndarray  # float[N], |value of Amplify(A) - value of A|
    changed: np.ndarray  # bool[N], another best move
    regret: np.ndarray  # float[N], by how much A's best move is worse, as Amplify(A) sees it


def reach(
    game: Game[Any],
    act: Act,
    variables: Any,
    seed: np.random.SeedSequence,
    count: int,
    only_own: bool,
) -> Positions:
    """Returns `count` positions from games of `act` against random moves, half of them a seat each.

    They are distinct as long as there are enough; else each comes equally often, up to one.

    Args:
      act: `act(variables, states, key) -> SearchResult`, of a player on the device.
      only_own: leave out the positions where the random side is to move.
    """
    number = seed.generate_state(1)[0]
    visited, actions, own = jax.device_get(
        _play(game, act, variables, jax.random.key(int(number)), min(game.max_plies, MAX_PLIES))
    )
    wanted = ~visited.terminated & (own if only_own else True)
    plies, lanes = np.nonzero(wanted)
    states = jax.tree.map(lambda leaf: leaf[plies, lanes], visited)
    _, distinct = np.unique(positions.fingerprints(states), return_index=True)
    chosen = np.random.default_rng(seed).permutation(distinct)
    chosen = chosen[np.arange(count) % len(chosen)]
    ply = plies[chosen].astype(np.int32)
    history = actions.T[lanes[chosen]].astype(np.int32)
    history[np.arange(history.shape[1]) >= ply[:, None]] = positions.NO_ACTION
    return Positions(positions.take(states, chosen), history, ply)


@functools.partial(jax.jit, static_argnums=(0, 1, 4))
def _play(
    game: Game[Any], act: Act, variables: Any, key: jax.Array, plies: int
) -> tuple[State, jax.Array, jax.Array]:
    """Returns states [T, LANES, ...], int32[T, LANES] actions, and where it was `act`'s turn."""
    opening = positions.opening_position(game)
    states = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (LANES, *leaf.shape)), opening)
    seat = jnp.arange(LANES) % 2

    def ply(states: State, key: jax.Array) -> tuple[State, Any]:
        act_key, random_key = jax.random.split(key)
        drawn = positions.random_actions(random_key, states.legal_action_mask)
        own = states.to_play == seat
        action = jnp.where(own, act(variables, states, act_key).action, drawn)
        return jax.vmap(game.step)(states, action), (states, action, own)

    visited: tuple[State, jax.Array, jax.Array]
    _, visited = jax.lax.scan(ply, states, jax.random.split(key, plies))
    return visited


def measure(amplified: Player, where: Positions, key: jax.Array) -> tuple[Moved, float]:
    """Returns what `amplified` changes at these positions, and the seconds that it took."""
    began = time.perf_counter()
    result = jax.device_get(amplified(where.states, key, where.history))
    seconds = time.perf_counter() - began
    lanes = np.arange(len(where.ply))
    prior, weights, q = (
        np.asarray(part, float) for part in (result.prior, result.action_weights, result.q)
    )
    best = np.where(where.states.legal_action_mask, prior, -1.0).argmax(axis=1)
    # An engine may resign or forfeit: then it names no move, and none is better than A's.
    action = np.where(result.action < 0, best, result.action)
    moved = Moved(
        kl=np.maximum(kl_divergence(weights, prior, np.finfo(np.float32).tiny), 0.0),
        value=np.abs(np.asarray(result.value, float) - result.raw_value),
        changed=action != best,
        regret=np.maximum(q[lanes, action] - q[lanes, best], 0.0),
    )
    return moved, seconds


def summary(moved: Moved, ply: np.ndarray) -> dict[str, Any]:
    """Returns the gap as metrics.jsonl holds it: means, and those of parts of the game."""
    edges = np.linspace(0, ply.max() + 1, PARTS + 1).astype(int)
    parts = []
    for first, end in itertools.pairwise(edges):
        inside = (ply >= first) & (ply < end)
        if inside.any():
            kl = float(moved.kl[inside].mean())
            parts.append(
                {"plies": [int(first), int(end) - 1], "kl": kl, "positions": int(inside.sum())}
            )
    return {
        "kl": float(moved.kl.mean()),
        "value": float(moved.value.mean()),
        "changed": float(moved.changed.mean()),
        "regret": float(moved.regret.mean()),
        "blunders": float((moved.regret > BLUNDER).mean()),
        "by_ply": parts,
    }
