"""Where two players think differently: positions of games, and how far both are apart there."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from games.game import Game, State
from selfplay import positions
from selfplay.information import jensen_shannon
from selfplay.players import Player

GAMES, BATCH = 32, 128  # that are played again, and positions that are judged, at once


class Seen(NamedTuple):
    """N positions in which play goes on, no two of which look alike."""

    moves: list[tuple[int, ...]]  # that led there
    states: State  # leaves [N, ...], in NumPy
    looks: np.ndarray  # bytes[N], equal where a symmetry of the game makes one of the other


class Judgement(NamedTuple):
    """What a player thinks of N positions."""

    policy: np.ndarray  # float32[N, A]: its search's, or the network's without search
    value: np.ndarray  # float32[N], for the seat to play


class Apart(NamedTuple):
    """How far two judgements of N positions are apart."""

    policy: np.ndarray  # float[N], `information.jensen_shannon`, in nats
    value: np.ndarray  # float[N], 0 to 2
    both: np.ndarray  # float[N], 0 to 1, the mean of the two as shares of their most


def positions_of(
    game: Game[Any], lists: Sequence[Sequence[int]], most: int, progress: Callable[[int], None]
) -> Seen:
    """Returns up to `most` positions of games, those of the first lists first.

    A list counts up to its first illegal move.

    Args:
      lists: N lists of action numbers from the opening position on.
      progress: called with the number of positions so far, again and again.

    Raises:
      ValueError: there is no position in which play goes on.
    """
    longest = max(map(len, lists), default=1)
    moves: list[tuple[int, ...]] = []
    kept: list[State] = []
    observed: list[np.ndarray] = []
    known: set[bytes] = set()
    # Games in chunks of one shape, so that one program serves all.
    for first in range(0, len(lists), GAMES):
        progress(len(moves))
        chunk = [tuple(line) for line in lists[first : first + GAMES]]
        chunk += [()] * (GAMES - len(chunk))  # one shape, one compilation
        legal = positions.replay(game, chunk, longest).legal_plies.tolist()
        chunk = [line[:plies] for line, plies in zip(chunk, legal, strict=True)]
        states, seen = jax.device_get(_along(game, positions.pad_moves(chunk, longest)))
        chosen = []
        for env, line in enumerate(chunk):
            for ply in range(len(line)):
                # A position counts once, as the network sees it.
                look = seen[env, ply].tobytes() + bytes([int(states.to_play[env, ply])])
                if look not in known and len(moves) < most:
                    known.add(look)
                    moves.append(line[:ply])
                    chosen.append((env, ply))
        if chosen:
            envs, plies = np.array(chosen).T
            kept.append(jax.tree.map(lambda leaf, at=(envs, plies): leaf[at], states))
            observed.append(seen[envs, plies])
        if len(moves) == most:
            break
    if not moves:
        raise ValueError("there is no position to judge: no recorded game has a legal move")
    joined = positions.concatenate(kept)
    return Seen(moves, joined, _looks(game, joined, np.concatenate(observed)))


def judge(player: Player, seen: Seen, key: jax.Array, progress: Callable[[int], None]) -> Judgement:
    """A player's searches of positions, in batches.

    Args:
      key: PRNG key, consumed.
      progress: called with the number of positions so far, again and again.
    """
    count = len(seen.moves)
    history = positions.pad_moves(seen.moves)
    policies, values = [], []
    for first in range(0, count, BATCH):
        progress(first)
        # The last batch is padded with the last position.
        chosen = np.minimum(np.arange(first, first + BATCH), count - 1)
        states = positions.take(seen.states, chosen)
        result = player(states, jax.random.fold_in(key, first), history[chosen])
        policies.append(np.asarray(result.action_weights))
        values.append(np.asarray(result.value))
    progress(count)
    return Judgement(np.concatenate(policies)[:count], np.concatenate(values)[:count])


def apart(one: Judgement, other: Judgement) -> Apart:
    """Returns how far two judgements of the same positions are apart."""
    policy = jensen_shannon(one.policy.astype(float), other.policy.astype(float))
    value = np.abs(one.value.astype(float) - other.value)
    return Apart(policy, value, (policy / np.log(2) + value / 2) / 2)


def furthest(measure: np.ndarray, looks: np.ndarray, count: int) -> list[int]:
    """Returns the numbers of up to `count` positions with the largest float[N] `measure`.

    Of positions that a symmetry makes of each other, the one with the largest.
    """
    chosen: dict[Any, int] = {}
    for number in np.argsort(-measure, kind="stable").tolist():
        chosen.setdefault(looks[number], number)
        if len(chosen) == count:
            break
    return list(chosen.values())


@functools.partial(jax.jit, static_argnums=0)
def _along(game: Game[Any], history: jax.Array) -> tuple[State, jax.Array]:
    """Returns states and observations [N, T, ...] before each move."""
    seen, _ = positions.watch(game, history, lambda state: (state, game.observe(state)))
    return seen


def _looks(game: Game[Any], states: State, observations: np.ndarray) -> np.ndarray:
    """Returns the least of the images' bytes, and who is to play."""
    # The smallest image stands for all images of a position.
    rank = len(game.observation_shape)
    images = [np.asarray(s.on_observation(observations, rank)) for s in game.symmetries()]
    seats = np.asarray(states.to_play).tolist()
    least = [
        min(image[i].tobytes() for image in images) + bytes([seat]) for i, seat in enumerate(seats)
    ]
    looks = np.empty(len(least), object)
    looks[:] = least
    return looks
