"""The amplification gap: how far Amplify(A) still moves the policy of A, and where.

At the fixed point of `A <- Distill(Amplify(A))` it is zero: amplification no longer changes what A
would do. It is measured on three sets of positions: `own`, from games of A against A, its moves
drawn from its policy; `fresh`, from games in which A plays its best moves against random ones (so
that every reply comes up); and `probe`, from random games, the same for the whole run.

What a move of A loses is not read from the search that chose another one: that one may have looked
at A's move once. Both moves are made, and Amplify(A) is asked about both positions that follow.
"""

import functools
import itertools
import math
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game, State
from mcts import SearchResult
from selfplay import positions
from selfplay.information import kl_divergence
from selfplay.players import Act, Player

ENVS = 256  # games from which positions are taken at most, half of them from each seat
FEWEST_ENVS = 32
VISITED = 16  # so many positions are visited for each that is wanted, for they must differ
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
    # float[N]: Amplify(A)'s value of the position after its own move less that of the one after
    # A's best move, both for the seat that moves. 0 where they are one move; below 0 where a closer
    # look prefers A's. Of an amplifier that does not search: the difference of its `q`, at least 0.
    regret: np.ndarray
    asked: int  # about so many positions in all


def games_for(game: Game[Any], count: int) -> int:
    """Returns from how many games `reach` takes `count` positions."""
    plies = min(game.max_plies, MAX_PLIES)
    return min(ENVS, max(FEWEST_ENVS, 2 * math.ceil(VISITED * count / plies / 2)))


def reach(
    game: Game[Any],
    act: Act,
    variables: Any,
    seed: np.random.SeedSequence,
    count: int,
    only_own: bool = False,
    seats: int = 1,
) -> Positions:
    """Returns `count` positions from games of `act` against random moves, half of them a seat each.

    They are distinct as long as there are enough; else each comes equally often, up to one.

    Args:
      act: `act(variables, states, key) -> SearchResult`, of a player on the device.
      only_own: leave out the positions where the random side is to move.
      seats: that `act` plays. 2: its moves are drawn from its `action_weights`, so that its games
        against itself differ; 0: all moves are random. One compilation serves them all.
    """
    number = seed.generate_state(1)[0]
    longest = min(game.max_plies, MAX_PLIES)
    key = jax.random.key(int(number))
    visited, actions, own = jax.device_get(
        _play(game, act, variables, key, (longest, games_for(game, count)), seats)
    )
    wanted = ~visited.terminated & (own if only_own else True)
    plies, envs = np.nonzero(wanted)
    states = jax.tree.map(lambda leaf: leaf[plies, envs], visited)
    _, distinct = np.unique(positions.fingerprints(states), return_index=True)
    chosen = np.random.default_rng(seed).permutation(distinct)
    chosen = chosen[np.arange(count) % len(chosen)]
    ply = plies[chosen].astype(np.int32)
    history = actions.T[envs[chosen]].astype(np.int32)
    history[np.arange(history.shape[1]) >= ply[:, None]] = positions.NO_ACTION
    return Positions(positions.take(states, chosen), history, ply)


@functools.partial(jax.jit, static_argnums=(0, 1, 4))
def _play(
    game: Game[Any],
    act: Act,
    variables: Any,
    key: jax.Array,
    shape: tuple[int, int],
    seats: int | jax.Array,
) -> tuple[State, jax.Array, jax.Array]:
    """Returns states [T, B, ...], int32[T, B] actions, and where it was `act`'s turn.

    Args:
      shape: T and B.
      seats: that it plays: 0, 1 or 2.
    """
    plies, games = shape
    opening = positions.opening_position(game)
    states = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (games, *leaf.shape)), opening)
    seat = jnp.arange(games) % 2

    def ply(states: State, key: jax.Array) -> tuple[State, Any]:
        act_key, random_key, policy_key = jax.random.split(key, 3)
        result = act(variables, states, act_key)
        drawn = jax.random.categorical(policy_key, jnp.log(result.action_weights))
        own = jnp.where(seats == 1, states.to_play == seat, seats == 2)
        chosen = jnp.where(seats == 2, drawn, result.action)
        others = positions.random_actions(random_key, states.legal_action_mask)
        action = jnp.where(own, chosen, others)
        return jax.vmap(game.step)(states, action), (states, action, own)

    visited: tuple[State, jax.Array, jax.Array]
    _, visited = jax.lax.scan(ply, states, jax.random.split(key, plies))
    return visited


def measure(amplified: Player, where: Positions, key: jax.Array) -> tuple[Moved, float]:
    """Returns what `amplified` changes at these positions, and the seconds of its answer to them.

    It is asked once about all N positions, then about those after its move and after A's, where
    these differ, N at a time.
    """
    began = time.perf_counter()
    result = jax.device_get(amplified(where.states, key, where.history))
    seconds = time.perf_counter() - began
    prior, weights = np.asarray(result.prior, float), np.asarray(result.action_weights, float)
    best = np.where(where.states.legal_action_mask, prior, -1.0).argmax(axis=1).astype(np.int32)
    # An engine may resign or forfeit: then it names no move, and none is better than A's.
    action = np.where(result.action < 0, best, result.action).astype(np.int32)
    regret, asked = _regret(amplified, where, result, action, best, key)
    moved = Moved(
        kl=np.maximum(kl_divergence(weights, prior, np.finfo(np.float32).tiny), 0.0),
        value=np.abs(np.asarray(result.value, float) - result.raw_value),
        changed=action != best,
        regret=regret,
        asked=len(where.ply) + asked,
    )
    return moved, seconds


def _regret(
    amplified: Player,
    where: Positions,
    result: SearchResult,
    action: np.ndarray,
    best: np.ndarray,
    key: jax.Array,
) -> tuple[np.ndarray, int]:
    """Returns float[N], what the moves `best` lose, and about how many positions was asked."""
    number = len(where.ply)
    envs, q = np.arange(number), np.asarray(result.q, float)
    regret = np.maximum(q[envs, action] - q[envs, best], 0.0)
    searched = np.asarray(result.visit_counts).reshape(number, -1).sum(axis=1) > 0
    rows = np.flatnonzero((action != best) & searched)
    if not len(rows):
        return regret, 0
    parents = np.concatenate([rows, rows])
    moves = np.concatenate([action[rows], best[rows]])
    values, asked = [], 0
    for start in range(0, len(parents), number):  # N at a time: one compilation
        part = np.arange(start, start + number) % len(parents)
        asked += number
        values.append(_values_after(amplified, where, parents[part], moves[part], key))
    after, forced = np.concatenate(values)[: len(parents)].reshape(2, -1)
    regret[rows] = after - forced
    return regret, asked


def _values_after(
    amplified: Player, where: Positions, parents: np.ndarray, moves: np.ndarray, key: jax.Array
) -> np.ndarray:
    """Returns float[N], how good `moves` in the positions `parents` are for the seats that move."""
    before = positions.take(where.states, parents)
    game = amplified.game
    after = jax.device_get(positions.step_all(game, before, moves))
    history = np.pad(where.history[parents], ((0, 0), (0, 1)), constant_values=positions.NO_ACTION)
    envs, seat = np.arange(len(parents)), np.asarray(before.to_play, int)
    history[envs, where.ply[parents]] = moves
    # Nobody outside the device is asked about a game that is over: a row that goes on stands in.
    going = np.flatnonzero(~np.asarray(after.terminated))
    ended = np.asarray(positions.returns(game, after), float)[envs, seat]
    if not len(going):
        return ended
    rows = np.where(np.asarray(after.terminated), going[0], envs)
    answer = amplified(positions.take(after, rows), key, history[rows])
    value = np.asarray(jax.device_get(answer.value), float)
    same = np.asarray(after.to_play, int) == seat
    return np.where(np.asarray(after.terminated), ended, np.where(same, value, -value))


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
