"""Matches between two players: batched, from paired openings, each played from both seats.

Games 2i and 2i + 1 start from opening i, the first player in seat 0 of the one and in seat 1 of the
other. A match is played in blocks of G games, an environment each. A round gives each player the
environments where it is to move, up to a fixed number C, in the order of the environments; the rest
wait for a later round. So no player evaluates the other's positions, shapes never change, and a
player may move twice.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games import registry
from games.game import Game, State
from selfplay import devices, positions
from selfplay.arena import blocks, openings
from selfplay.arena.result import BY_FORFEIT, BY_RESIGNATION, MatchResult, PlayedGame, result_of
from selfplay.players import FORFEIT, RESIGN, Player, batch_asked
from selfplay.randomness import BlockPurpose, MatchPurpose
from selfplay.tasks import InOrder

MAX_BATCH = 512  # C at most: environments that a player evaluates at once
BLOCK = 256  # games that are played side by side
PLAYING, ILLEGAL, ABSENT = 0, -3, -4  # beside RESIGN and FORFEIT: how an environment stopped


class _Match(NamedTuple):
    """G games under way; T is the game's `max_plies`."""

    states: State  # [G, ...]
    history: jax.Array  # int32[G, T], padded with -1
    plies: jax.Array  # int32[G]
    stopped: jax.Array  # int32[G]: PLAYING unless something other than the rules ended it
    first_seat: jax.Array  # int8[G]


class _Turn(NamedTuple):
    """What one player is asked in a round: C positions."""

    envs: jax.Array  # int32[C], ascending, then G for rows without a game
    states: State  # [C, ...], the opening position in rows without a game


def play_match(
    first: Player,
    second: Player,
    game: Game[Any],
    games: int,
    seed: int = 0,
    opening_plies: int | None = None,
    batch: int = MAX_BATCH,
    progress: Callable[[int], None] | None = None,
    elsewhere: blocks.Elsewhere | None = None,
) -> MatchResult:
    """Plays `games` games between two players, from random openings.

    Args:
      games: even; half as many openings are drawn from the seed.
      opening_plies: random plies before the players take over; by default
        `openings.default_plies`.
      batch: positions that a player evaluates at once, at most.
      progress: called with the number of finished games, now and then.
      elsewhere: finds who plays the blocks; without it, this process does.

    Raises:
      ValueError: an odd or non-positive number of games, a player of another game, or a player
        that chose an illegal action.
    """
    check(first, second, game, games)
    at_once = batch_asked()  # then all matches are of one shape, filled up with absent games
    opened = openings.make_openings(
        game, games // 2, openings.purpose_key(seed, MatchPurpose.OPENINGS), opening_plies
    )
    played: list[PlayedGame] = []
    for block in play_blocks(
        *(first, second, game, opened, seed, 2 * at_once or BLOCK),
        batch=at_once or batch,
        progress=progress,
        elsewhere=elsewhere,
    ):
        played += block
    return result_of((first.name, second.name), played, opened.distinct)


def play_blocks(
    first: Player,
    second: Player,
    game: Game[Any],
    opened: openings.Openings,
    seed: int,
    block: int = BLOCK,
    batch: int = MAX_BATCH,
    progress: Callable[[int], None] | None = None,
    done: int = 0,
    elsewhere: blocks.Elsewhere | None = None,
) -> Iterator[list[PlayedGame]]:
    """Plays two games from each opening, `block` games at a time; yields the games of each block.

    A block's games depend on the openings, the seed and the block's number only, so that a match
    may go on after any block, and others may play it (`elsewhere`, see `play_match`).

    Args:
      block: even.
      done: games that have been played before: whole blocks.

    Raises:
      ValueError: as `play_match` says.
      TaskError: others could not play a block.
    """
    games = 2 * len(opened.moves)
    check(first, second, game, games, block, batch)
    order = blocks.Order(opened.moves, seed, block, batch)
    begin, end = -(-done // block), -(-games // block)

    def report(number: int, over: int = 0) -> None:
        if progress:
            progress(min(number * block + over, games))

    if elsewhere is None:
        for number in range(begin, end):
            over = functools.partial(report, number)
            yield play_block(first, second, game, opened, order, number, over)
        return
    theirs = InOrder(elsewhere(first, second, order), begin, end, "block")
    for number, played in enumerate(theirs.results(report), start=begin):
        report(number, len(played))
        yield played


def play_block(
    first: Player,
    second: Player,
    game: Game[Any],
    opened: openings.Openings,
    order: blocks.Order,
    number: int,
    progress: Callable[[int], None] = lambda over: None,
) -> list[PlayedGame]:
    """Returns the games of one block.

    Args:
      opened: the positions after the moves of `order`.
      progress: called with the number of the block's games that are over, now and then.
    """
    games = 2 * len(opened.moves)
    # Of every block, the last one too: one compilation.
    envs = order.block if batch_asked() else min(order.block, games)
    start = number * order.block
    chosen = slice(start // 2, min(start + order.block, games) // 2)
    began = _start(game, opened, chosen, envs, min(envs // 2, order.batch))
    blocks_key = openings.purpose_key(order.seed, MatchPurpose.GAMES)
    block_key = jax.random.fold_in(blocks_key, number)
    return _play_block((first, second), game, began, block_key, progress)


def check(
    first: Player,
    second: Player,
    game: Game[Any],
    games: int,
    block: int = BLOCK,
    batch: int = MAX_BATCH,
) -> None:
    """Raises ValueError about settings that no match can be played with."""
    check_games(games)
    check_games(block, "block")
    if batch < 1:
        raise ValueError(f"a match needs a batch of at least 1, got {batch}")
    for player in (first, second):
        if player.game != game:
            raise ValueError(
                f"player {player.name!r} plays {registry.spec_of(player.game)}, the match is of "
                f"{registry.spec_of(game)}"
            )


def check_games(count: int, name: str = "number of games") -> None:
    """Raises ValueError unless so many games are pairs."""
    if count < 2 or count % 2:
        raise ValueError(
            f"a match needs an even {name}, each opening being played from both seats, got {count}"
        )


def _play_block(
    players: tuple[Player, Player],
    game: Game[Any],
    began: tuple[_Match, tuple[_Turn, _Turn]],
    block_key: jax.Array,
    progress: Callable[[int], None],
) -> list[PlayedGame]:
    """Plays a block to its end."""
    match, turns = began
    absent = int((np.asarray(match.stopped) == ABSENT).sum())
    faults: dict[int, str] = {}
    pending, number = None, 0
    while True:
        actions = tuple(
            _choose(player, turn, match, _round_key(block_key, purpose, number), faults)
            for player, turn, purpose in zip(players, turns, BlockPurpose, strict=True)
        )
        match, turns, tally = _ply(game, match, turns, actions)
        # The tally of the round before: the device is never idle while the host waits for it.
        if pending is not None:
            over, illegal = np.asarray(pending).tolist()
            if illegal:
                _refuse_illegal(players, game, match)
            progress(over - absent)
            if over == len(match.plies):
                return _finished(game, match, faults, over - absent)
        pending, number = tally, number + 1


def _finished(
    game: Game[Any], match: _Match, faults: dict[int, str], games: int
) -> list[PlayedGame]:
    returns = np.asarray(positions.returns(game, match.states)).tolist()
    stopped, loser = np.asarray(match.stopped), np.asarray(match.states.to_play)
    played = []
    for i, moves in enumerate(positions.move_lists(np.asarray(match.history))[:games]):
        if stopped[i] == PLAYING:
            played.append(PlayedGame(moves, (returns[i][0], returns[i][1])))
            continue
        lost = (1.0, -1.0) if loser[i] == 1 else (-1.0, 1.0)
        if stopped[i] == RESIGN:
            played.append(PlayedGame(moves, lost, BY_RESIGNATION))
        else:
            fault = faults.get(i, "failed and did not say why")
            played.append(PlayedGame(moves, lost, BY_FORFEIT, fault))
    return played


def _round_key(block_key: jax.Array, purpose: BlockPurpose, number: int) -> jax.Array:
    return jax.random.fold_in(jax.random.fold_in(block_key, purpose), number)


def _start(
    game: Game[Any], opened: openings.Openings, chosen: slice, envs: int, capacity: int
) -> tuple[_Match, tuple[_Turn, _Turn]]:
    """Returns a block before its first round, and empty turns: the first `_ply` deals only."""
    opening_moves = np.repeat(positions.pad_moves(opened.moves[chosen]), 2, axis=0)
    games = len(opening_moves)
    history = np.full((envs, game.max_plies), positions.NO_ACTION, np.int32)
    width = min(opening_moves.shape[1], game.max_plies)
    history[:games, :width] = opening_moves[:, :width]
    opening = positions.opening_position(game)

    def fill(leaf: Any, empty: Any) -> np.ndarray:
        """The openings twice each, then the opening position in environments without a game."""
        absent = np.repeat(np.asarray(empty)[None], envs - games, axis=0)
        return np.concatenate([np.repeat(np.asarray(leaf)[chosen], 2, axis=0), absent])

    idle = jax.tree.map(lambda leaf: np.repeat(np.asarray(leaf)[None], capacity, axis=0), opening)
    match: _Match
    turn: _Turn
    match, turn = devices.replicate(
        (
            _Match(
                states=jax.tree.map(fill, opened.states, opening),
                history=history,  # type: ignore[arg-type]  # on their way to the device
                plies=(history != positions.NO_ACTION).sum(axis=1, dtype=np.int32),
                stopped=np.where(np.arange(envs) < games, PLAYING, ABSENT).astype(np.int32),  # type: ignore[arg-type]
                first_seat=np.arange(envs, dtype=np.int8) % 2,  # type: ignore[arg-type]
            ),
            _Turn(np.full(capacity, envs, np.int32), idle),  # type: ignore[arg-type]
        )
    )
    return match, (turn, turn)


def _choose(
    player: Player, turn: _Turn, match: _Match, key: jax.Array, faults: dict[int, str]
) -> jax.Array:
    """Returns int32[C], the player's actions; those of rows without a game mean nothing.

    Adds the player's faults to `faults`, by environment.
    """
    if player.on_device:
        return player(turn.states, key).action
    envs = np.asarray(turn.envs)
    asked = envs[envs < len(match.plies)]  # no padding: an engine would answer it in earnest
    actions = np.zeros(len(envs), np.int32)
    if len(asked):
        states = positions.take(turn.states, slice(len(asked)))
        known = len(player.faults)
        actions[: len(asked)] = player(states, key, np.asarray(match.history)[asked]).action
        forfeited = asked[actions[: len(asked)] == FORFEIT].tolist()
        faults |= zip(forfeited, player.faults[known:], strict=False)
    return jnp.asarray(actions)


@functools.partial(jax.jit, static_argnums=0)
def _ply(
    game: Game[Any],
    match: _Match,
    turns: tuple[_Turn, _Turn],
    actions: tuple[jax.Array, jax.Array],
) -> tuple[_Match, tuple[_Turn, _Turn], jax.Array]:
    """Plays the answers to the last turns, deals the next; int32[2]: environments over, illegal."""
    games, capacity = len(match.plies), len(turns[0].envs)
    action, moved = jnp.zeros(games, jnp.int32), jnp.zeros(games, bool)
    for turn, chosen in zip(turns, actions, strict=True):
        action = action.at[turn.envs].set(chosen, mode="drop")  # environment G is no environment
        moved = moved.at[turn.envs].set(True, mode="drop")
    match = _step(game, match, action, moved)

    live = ~match.states.terminated & (match.stopped == PLAYING)
    is_first = match.states.to_play == match.first_seat

    def deal(mine: jax.Array) -> _Turn:
        envs = jnp.nonzero(live & mine, size=capacity, fill_value=games)[0].astype(jnp.int32)
        return _Turn(envs, _states_of(game, match, envs))

    tally = jnp.stack([(~live).sum(), (match.stopped == ILLEGAL).sum()])
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

    gave_up = (action == RESIGN) | (action == FORFEIT)
    stopped = jnp.where(gave_up, action, jnp.where(legal, PLAYING, ILLEGAL))
    noted = moved & ~gave_up  # an illegal action too: it is reported
    here = noted[:, None] & (jnp.arange(plies)[None, :] == match.plies[:, None])
    return match._replace(
        states=jax.tree.map(choose, match.states, after),
        history=jnp.where(here, action[:, None], match.history),
        plies=match.plies + noted,
        stopped=jnp.where(moved, stopped, match.stopped),
    )


def _states_of(game: Game[Any], match: _Match, envs: jax.Array) -> State:
    """Returns the positions [C, ...] of int32[C] `envs`, the opening position for environment G."""
    gathered: State = jax.tree.map(
        lambda leaf, opening: jnp.concatenate([leaf, opening[None]])[envs],
        match.states,
        positions.opening_position(game),
    )
    return gathered


def _refuse_illegal(players: tuple[Player, Player], game: Game[Any], match: _Match) -> None:
    """Raises ValueError about the first game in which a player chose an illegal action."""
    number = int(np.flatnonzero(np.asarray(match.stopped) == ILLEGAL)[0])
    state = positions.take(match.states, number)
    ply = int(match.plies[number]) - 1
    action = int(match.history[number, ply])
    culprit = players[int(state.to_play) != int(match.first_seat[number])]
    raise ValueError(
        f"player {culprit.name!r} chose action {action} in game {number} at ply {ply}, where it is "
        f"illegal; legal: {np.flatnonzero(state.legal_action_mask).tolist()}\n{game.render(state)}"
    )
