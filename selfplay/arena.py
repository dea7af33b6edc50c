"""Matches between two players: batched, from paired openings, each played from both seats.

A match is G games in lanes. Games 2i and 2i + 1 start from opening i, the first player in seat 0 of
the one and in seat 1 of the other. A round gives each player the lanes where it is to move, up to a
fixed number C, in the order of the lanes; the rest wait for a later round. So no player evaluates
the other's positions, shapes never change, and a player may move twice.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game, State
from selfplay import devices, openings, positions
from selfplay.players import Player
from selfplay.rating import PAIR_SCORES, score_interval, score_to_elo

MAX_BATCH = 512  # C at most: lanes that a player evaluates at once
OPENING, FIRST, SECOND = 0, 1, 2  # purposes of keys


@dataclasses.dataclass(frozen=True)
class MatchResult:
    """How G games went, told from the first player's side."""

    players: tuple[str, str]
    moves: tuple[tuple[int, ...], ...]  # of each game, from its first ply, opening included
    returns: np.ndarray  # float32[G, 2], by seat
    first_seat: np.ndarray  # int8[G], the seat of the first player
    distinct_openings: int  # below G / 2 only if the game has too few

    @property
    def games(self) -> int:
        return len(self.moves)

    @property
    def results(self) -> np.ndarray:
        """int[G]: 1 where the first player won, 0 drawn, -1 lost."""
        own = self.returns[np.arange(self.games), self.first_seat.astype(int)]
        return np.sign(own).astype(int)

    @property
    def wins(self) -> int:
        return int((self.results == 1).sum())

    @property
    def draws(self) -> int:
        return int((self.results == 0).sum())

    @property
    def losses(self) -> int:
        return int((self.results == -1).sum())

    @property
    def by_seat(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Wins, draws and losses of the first player in seat 0, then in seat 1."""

        def count(seat: int) -> tuple[int, int, int]:
            results = self.results[self.first_seat == seat]
            return int((results == 1).sum()), int((results == 0).sum()), int((results == -1).sum())

        return count(0), count(1)

    @property
    def score(self) -> float:
        """The first player's points per game, a draw being half a point."""
        return float((self.results + 1).mean() / 2)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the score; pairs of games that repeat an earlier pair add nothing."""
        doubled = (self.results.reshape(-1, 2) + 1).sum(axis=1)  # 0 to 4: a pair's points, doubled
        pairs = set(zip(self.moves[::2], self.moves[1::2], strict=True))
        low, high = score_interval(np.bincount(doubled, minlength=len(PAIR_SCORES)), len(pairs))
        return float(low), float(high)

    @property
    def distinct_games(self) -> int:
        return len(set(self.moves))

    @property
    def elo(self) -> float:
        """How much stronger the first player is; see `rating.score_to_elo` for its limits."""
        return score_to_elo(self.score)

    @property
    def elo_interval(self) -> tuple[float, float]:
        low, high = self.interval
        return score_to_elo(low), score_to_elo(high)


class _Match(NamedTuple):
    """G games under way; T is the game's `max_plies`."""

    states: State  # [G, ...]
    history: jax.Array  # int32[G, T], padded with -1
    plies: jax.Array  # int32[G]
    stuck: jax.Array  # bool[G]: a player chose an illegal action, the last of `history`
    first_seat: jax.Array  # int8[G]


class _Turn(NamedTuple):
    """What one player is asked in a round: C positions."""

    lanes: jax.Array  # int32[C], ascending, then G for rows without a game
    states: State  # [C, ...], the opening position in rows without a game


def play_match(
    first: Player,
    second: Player,
    game: Game[Any],
    games: int,
    seed: int = 0,
    opening_plies: int = openings.DEFAULT_PLIES,
    batch: int = MAX_BATCH,
    progress: Callable[[int], None] | None = None,
) -> MatchResult:
    """Plays `games` games between two players.

    Args:
      games: even; half as many openings are drawn from the seed.
      opening_plies: random plies before the players take over.
      batch: positions that a player evaluates at once, at most.
      progress: called with the number of finished games, now and then.

    Raises:
      ValueError: an odd or non-positive number of games, a player of another game, or a player
        that chose an illegal action.
    """
    _check(first, second, game, games, batch)
    match_key = jax.random.key(seed)
    opening_key = jax.random.fold_in(match_key, OPENING)
    opened = openings.make_openings(game, games // 2, opening_key, opening_plies)
    match, turns = _start(game, opened, games, min(games // 2, batch))
    pending, number = None, 0
    while True:
        actions = tuple(
            _choose(player, turn, match, _round_key(match_key, purpose, number))
            for player, turn, purpose in zip((first, second), turns, (FIRST, SECOND), strict=True)
        )
        match, turns, tally = _ply(game, match, turns, actions)
        # The tally of the round before: the device is never idle while the host waits for it.
        if pending is not None:
            over, stuck = np.asarray(pending).tolist()
            if stuck:
                _refuse_illegal(first, second, game, match)
            if progress:
                progress(over)
            if over == games:
                break
        pending, number = tally, number + 1
    return MatchResult(
        players=(first.name, second.name),
        moves=tuple(positions.move_lists(np.asarray(match.history))),
        returns=np.asarray(positions.returns(game, match.states)),
        first_seat=np.asarray(match.first_seat),
        distinct_openings=opened.distinct,
    )


def _check(first: Player, second: Player, game: Game[Any], games: int, batch: int) -> None:
    if games < 2 or games % 2:
        raise ValueError(
            "a match needs an even number of games, each opening being played from both seats, "
            f"got {games}"
        )
    if batch < 1:
        raise ValueError(f"a match needs a batch of at least 1, got {batch}")
    for player in (first, second):
        if player.game != game:
            raise ValueError(f"player {player.name!r} plays {player.game}, the match is of {game}")


def _round_key(match_key: jax.Array, purpose: int, number: int) -> jax.Array:
    return jax.random.fold_in(jax.random.fold_in(match_key, purpose), number)


def _start(
    game: Game[Any], opened: openings.Openings, games: int, capacity: int
) -> tuple[_Match, tuple[_Turn, _Turn]]:
    """Returns the match before its first round, and empty turns: the first `_ply` deals only."""
    history = np.full((games, game.max_plies), positions.NO_ACTION, np.int32)
    opening_moves = np.repeat(positions.pad_moves(opened.moves), 2, axis=0)
    width = min(opening_moves.shape[1], game.max_plies)
    history[:, :width] = opening_moves[:, :width]
    idle = jax.tree.map(
        lambda leaf: np.repeat(np.asarray(leaf)[None], capacity, axis=0),
        positions.opening_position(game),
    )
    match: _Match
    turn: _Turn
    match, turn = devices.replicate(
        (
            _Match(
                states=jax.tree.map(lambda leaf: np.repeat(leaf, 2, axis=0), opened.states),
                history=history,  # type: ignore[arg-type]  # on their way to the device
                plies=(history != positions.NO_ACTION).sum(axis=1, dtype=np.int32),
                stuck=np.zeros(games, bool),  # type: ignore[arg-type]
                first_seat=np.arange(games, dtype=np.int8) % 2,  # type: ignore[arg-type]
            ),
            _Turn(np.full(capacity, games, np.int32), idle),  # type: ignore[arg-type]
        )
    )
    return match, (turn, turn)


def _choose(player: Player, turn: _Turn, match: _Match, key: jax.Array) -> jax.Array:
    """Returns int32[C], the player's actions; those of rows without a game mean nothing."""
    if player.on_device:
        return player(turn.states, key).action
    lanes = np.asarray(turn.lanes)
    asked = lanes[lanes < len(match.plies)]  # no padding: an engine would answer it in earnest
    actions = np.zeros(len(lanes), np.int32)
    if len(asked):
        states = positions.take(turn.states, slice(len(asked)))
        actions[: len(asked)] = player(states, key, np.asarray(match.history)[asked]).action
    return jnp.asarray(actions)


@functools.partial(jax.jit, static_argnums=0)
def _ply(
    game: Game[Any],
    match: _Match,
    turns: tuple[_Turn, _Turn],
    actions: tuple[jax.Array, jax.Array],
) -> tuple[_Match, tuple[_Turn, _Turn], jax.Array]:
    """Plays the answers to the last turns and deals the next; also int32[2]: games over, stuck."""
    games, capacity = len(match.plies), len(turns[0].lanes)
    action, moved = jnp.zeros(games, jnp.int32), jnp.zeros(games, bool)
    for turn, chosen in zip(turns, actions, strict=True):
        action = action.at[turn.lanes].set(chosen, mode="drop")  # lane G is no lane
        moved = moved.at[turn.lanes].set(True, mode="drop")
    match = _step(game, match, action, moved)

    live = ~match.states.terminated & ~match.stuck
    is_first = match.states.to_play == match.first_seat

    def deal(mine: jax.Array) -> _Turn:
        lanes = jnp.nonzero(live & mine, size=capacity, fill_value=games)[0].astype(jnp.int32)
        return _Turn(lanes, _states_of(game, match, lanes))

    tally = jnp.stack([(~live).sum(), match.stuck.sum()])
    # Placed as `_start` does, so that one compilation serves all rounds.
    return jax.lax.with_sharding_constraint(
        (match, (deal(is_first), deal(~is_first)), tally), devices.replicated()
    )


def _step(game: Game[Any], match: _Match, action: jax.Array, moved: jax.Array) -> _Match:
    """Plays int32[G] `action` where bool[G] `moved`; illegal ones are noted, not played."""
    games, plies = match.history.shape
    known = (action >= 0) & (action < game.num_actions)
    safe = jnp.where(known, action, 0)
    legal = known & match.states.legal_action_mask[jnp.arange(games), safe]
    after = jax.vmap(game.step)(match.states, jnp.where(legal, safe, 0))

    def choose(old: jax.Array, new: jax.Array) -> jax.Array:
        return jnp.where((moved & legal).reshape(games, *[1] * (old.ndim - 1)), new, old)

    here = moved[:, None] & (jnp.arange(plies)[None, :] == match.plies[:, None])
    return match._replace(
        states=jax.tree.map(choose, match.states, after),
        history=jnp.where(here, action[:, None], match.history),
        plies=match.plies + moved,
        stuck=match.stuck | (moved & ~legal),
    )


def _states_of(game: Game[Any], match: _Match, lanes: jax.Array) -> State:
    """Returns the positions [C, ...] of int32[C] `lanes`, the opening position for lane G."""
    gathered: State = jax.tree.map(
        lambda leaf, opening: jnp.concatenate([leaf, opening[None]])[lanes],
        match.states,
        positions.opening_position(game),
    )
    return gathered


def _refuse_illegal(first: Player, second: Player, game: Game[Any], match: _Match) -> None:
    """Raises ValueError about the first game in which a player chose an illegal action."""
    number = int(np.flatnonzero(np.asarray(match.stuck))[0])
    state = positions.take(match.states, number)
    ply = int(match.plies[number]) - 1
    action = int(match.history[number, ply])
    culprit = first if int(state.to_play) == int(match.first_seat[number]) else second
    raise ValueError(
        f"player {culprit.name!r} chose action {action} in game {number} at ply {ply}, where it is "
        f"illegal; legal: {np.flatnonzero(state.legal_action_mask).tolist()}\n{game.render(state)}"
    )
