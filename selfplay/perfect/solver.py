"""Exhaustive solving of small games, used in evaluation only.

All positions that can be reached are enumerated ply by ply in batches by the game's own `step`,
told apart by their bytes; then results are passed back from the ends of games.
"""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game, State
from selfplay import positions

ILLEGAL = -2  # below every outcome, so that a maximum over actions needs no mask
UNKNOWN = -3
CHUNK = 4096  # moves made at once
POSITION_LIMIT = 1_000_000
SAMPLE_SEED = 0

Progress = Callable[[int], None]


class TooLongError(Exception):
    """The outcome was not found in the time that there was."""


class SolvedSet(NamedTuple):
    """N solved positions, each with a choice: play goes on in all of them."""

    states: State  # batched, [N, ...], in NumPy
    outcomes: np.ndarray  # int8[N, A], for the mover: win 1, draw 0, loss -1, `ILLEGAL`
    plies: np.ndarray  # int32[N], after the opening position


def solve(
    game: Game[Any],
    by_observation: bool = False,
    position_limit: int = POSITION_LIMIT,
    seconds: float = float("inf"),
    keep_per_ply: int | None = None,
    progress: Progress = lambda positions: None,
) -> SolvedSet:
    """Returns the live positions that can be reached in `game`, with their outcomes, by ply.

    Args:
      by_observation: take positions for the same where seat and observation are, not only where
        the whole state is. Right for games whose observation tells all that the rest of the game
        depends on, and needed where the state also holds how the position came about.
      position_limit, seconds: where to give up.
      keep_per_ply: the most positions of one ply to return, drawn once and for all; None: all.
      progress: called with the number of live positions found so far.

    Raises:
      ValueError: the game has more live positions than the limit, takes longer than `seconds`, or
        has moves that lead back to an earlier position, which have no result by this method.
    """
    graph = _enumerate(game, by_observation, position_limit, seconds, keep_per_ply, progress)
    outcomes = _induce(graph)
    parents = graph.parents()
    # Row r of the result is position kept[r]; the others have no row.
    row_of = np.full(graph.size, -1)
    row_of[graph.kept] = np.arange(len(graph.kept))
    table = np.full((len(graph.kept), game.num_actions), ILLEGAL, np.int8)
    shown = row_of[parents] >= 0
    table[row_of[parents[shown]], graph.actions[shown]] = outcomes[shown]
    return SolvedSet(graph.states, table, np.repeat(np.arange(len(graph.widths)), graph.widths))


class _Graph(NamedTuple):
    """N live positions, numbered ply after ply, and their E legal moves, position by position."""

    states: State  # of the kept positions
    kept: np.ndarray  # int64[K], their numbers, rising
    widths: np.ndarray  # int64[plies], how many are kept of each ply
    levels: np.ndarray  # int64[plies + 1], the number of the first position of each ply
    to_play: np.ndarray  # int8[N]
    first_move: np.ndarray  # int64[N + 1], where each position's moves begin
    actions: np.ndarray  # int32[E]
    children: np.ndarray  # int32[E], the position reached, -1 where the game ends
    endings: np.ndarray  # int8[E], the mover's result where the game ends

    @property
    def size(self) -> int:
        return len(self.to_play)

    def parents(self) -> np.ndarray:
        """Returns int64[E]: the position that each move is made in."""
        return np.repeat(np.arange(self.size), np.diff(self.first_move))


def _enumerate(
    game: Game[Any],
    by_observation: bool,
    position_limit: int,
    seconds: float,
    keep_per_ply: int | None,
    progress: Progress,
) -> _Graph:
    began = time.monotonic()
    frontier = jax.tree.map(lambda leaf: np.asarray(leaf)[None], positions.opening_position(game))
    if frontier.terminated[0]:
        raise ValueError("solver: the game is over before its first move")
    rng = np.random.default_rng(SAMPLE_SEED)
    known = _Numbers()
    kept_states, kept, widths, levels = [], [], [], [0]
    seats, degrees, actions, children, endings = [], [], [], [], []
    while count := len(frontier.to_play):
        chosen = _sample(rng, count, keep_per_ply)
        kept_states.append(positions.take(frontier, chosen))
        kept.append(levels[-1] + chosen)
        widths.append(len(chosen))
        levels.append(levels[-1] + count)
        legal = np.asarray(frontier.legal_action_mask)
        parent, action = np.nonzero(legal)
        fresh = []
        for part in range(0, len(parent), 64 * CHUNK):  # so that memory holds few positions
            here = slice(part, part + 64 * CHUNK)
            after, seen, result = _make_moves(game, frontier, parent[here], action[here])
            live = np.flatnonzero(~after.terminated)
            reached = positions.take(after, live)
            same = positions.observation_keys(reached, seen[live]) if by_observation else None
            numbers, new = known.add(positions.fingerprints(reached) if same is None else same)
            child = np.full(len(result), -1, np.int32)
            child[live] = numbers
            children.append(child)
            endings.append(np.where(after.terminated, result, 0).astype(np.int8))
            fresh.append(positions.take(reached, new))
            progress(known.count)
            if known.count > position_limit:
                raise ValueError(f"solver: the game has more than {position_limit} live positions")
            if time.monotonic() - began > seconds:
                raise ValueError(
                    f"solver: after {seconds:g} seconds, {known.count} live positions are found "
                    f"and the game has more: it is too big"
                )
        seats.append(np.asarray(frontier.to_play))
        degrees.append(legal.sum(axis=1))
        actions.append(action.astype(np.int32))
        frontier = positions.concatenate(fresh)
    return _Graph(
        states=positions.concatenate(kept_states),
        kept=np.concatenate(kept),
        widths=np.array(widths),
        levels=np.array(levels),
        to_play=np.concatenate(seats),
        first_move=np.concatenate([[0], np.cumsum(np.concatenate(degrees))]),
        actions=np.concatenate(actions),
        children=np.concatenate(children),
        endings=np.concatenate(endings),
    )


class _Numbers:
    """Numbers positions from 1 in the order of their first appearance; 0 is the opening's."""

    def __init__(self) -> None:
        self._keys: np.ndarray | None = None  # sorted
        self._numbers = np.zeros(0, np.int32)
        self.count = 1

    def add(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the number of each key, and where each new one appears first, in that order."""
        distinct, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        numbers, is_new = np.zeros(len(distinct), np.int32), np.ones(len(distinct), bool)
        if self._keys is not None and len(self._keys):
            place = np.minimum(np.searchsorted(self._keys, distinct), len(self._keys) - 1)
            numbers, is_new = self._numbers[place], self._keys[place] != distinct
        order = np.argsort(first[is_new])
        fresh = np.empty(len(order), np.int32)
        fresh[order] = np.arange(self.count, self.count + len(order))
        numbers[is_new] = fresh
        known = distinct[:0] if self._keys is None else self._keys
        joined = np.concatenate([known, distinct[is_new]])
        by_key = np.argsort(joined, kind="stable")  # of two sorted runs: a merge
        self._keys = joined[by_key]
        self._numbers = np.concatenate([self._numbers, fresh])[by_key]
        self.count += len(fresh)
        return numbers[inverse], first[is_new][order]


def _sample(rng: np.random.Generator, count: int, most: int | None) -> np.ndarray:
    if most is None or count <= most:
        return np.arange(count)
    return np.sort(rng.choice(count, most, replace=False))


def _make_moves(
    game: Game[Any], states: State, parent: np.ndarray, action: np.ndarray
) -> tuple[State, np.ndarray, np.ndarray]:
    """Returns, after moves: positions [E, ...], observations, int8[E] results for who moved."""
    parts = []
    for start in range(0, len(parent), CHUNK):
        # Moves beyond the end repeat the last: one shape, one compilation.
        rows = np.minimum(np.arange(start, start + CHUNK), len(parent) - 1)
        before = positions.take(states, parent[rows])
        parts.append(jax.tree.map(np.asarray, _step(game, before, action[rows])))
    joined: Any = positions.concatenate(parts)
    made: tuple[State, np.ndarray, np.ndarray] = positions.take(joined, slice(len(parent)))  # type: ignore[assignment]
    return made


@functools.partial(jax.jit, static_argnums=0)
def _step(game: Game[Any], states: State, actions: jax.Array) -> Any:
    def one(state: State, action: jax.Array) -> tuple[State, jax.Array, jax.Array]:
        after = game.step(state, action)
        result = jnp.sign(game.returns(after)[state.to_play.astype(jnp.int32)])
        return after, game.observe(after), result.astype(jnp.int8)

    return jax.vmap(one)(states, actions)


def _induce(graph: _Graph) -> np.ndarray:
    """Returns int8[E], each move's outcome for the mover, from the ends of games backwards."""
    outcomes = np.where(graph.children < 0, graph.endings, UNKNOWN).astype(np.int8)
    values = np.full(graph.size, UNKNOWN, np.int8)
    waiting = graph.size
    while waiting:
        # From the last ply back, nearly all are known in one pass. The others were reached first
        # on a shorter way: one position may lie at several plies.
        for first, last in zip(graph.levels[-2::-1], graph.levels[:0:-1], strict=True):
            _pass_back(graph, outcomes, values, first, last)
        left = int((values == UNKNOWN).sum())
        if left == waiting:
            raise ValueError("solver: the game has moves that lead back to an earlier position")
        waiting = left
    return outcomes


def _pass_back(
    graph: _Graph, outcomes: np.ndarray, values: np.ndarray, first: int, last: int
) -> None:
    """Fills what is known of the moves and positions numbered from `first` to before `last`."""
    begin, end = graph.first_move[first], graph.first_move[last]
    child, moves = graph.children[begin:end], outcomes[begin:end]
    starts = graph.first_move[first:last] - begin
    mover = np.repeat(graph.to_play[first:last], np.diff(graph.first_move[first : last + 1]))
    # A value changes sign when the turn passes.
    value = values[child]
    passed = np.where(graph.to_play[child] == mover, value, -value)
    moves[:] = np.where((child >= 0) & (value != UNKNOWN), passed, moves)
    known = np.minimum.reduceat(moves, starts) != UNKNOWN
    values[first:last] = np.where(known, np.maximum.reduceat(moves, starts), UNKNOWN)
