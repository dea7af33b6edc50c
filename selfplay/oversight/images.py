"""Decisions in positions that are images of each other: does the overseer decide alike there?"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from games.game import Game, State
from selfplay import positions
from selfplay.oversight.decisions import Decision, by_of

MOST = 1 << 12  # decisions that are looked at, the newest


class Otherwise(NamedTuple):
    """Two decisions in images of one position that are not images of each other."""

    one: Decision
    other: Decision
    wanted: int  # the action in the other position that would be like `one`


class Likeness(NamedTuple):
    """Pairs of decisions in positions of which one is an image of the other."""

    pairs: int  # that were compared
    otherwise: int  # of them: more than half of the weight lies elsewhere
    example: Otherwise | None  # the first of these


def compare(game: Game[Any], decisions: Sequence[Decision], states: State) -> Likeness:
    """Compares each decision with the first one of the same overseer in an image of its position.

    Equal observations are one position, as the network sees it: decisions in these are not
    compared, for no symmetry is to blame where they differ. A position that several symmetries lead
    to is decided alike if one of them leads from the one decision to the other.

    Args:
      decisions: N of them, legal in their positions.
      states: their positions, each leaf [N, ...].
    """
    symmetries = game.symmetries()[1:]  # the first one is the identity
    decisions = decisions[-MOST:]
    if not symmetries or not decisions:
        return Likeness(0, 0, None)
    states = positions.take(states, slice(-len(decisions), None))
    seen = np.asarray(jax.device_get(_observe(game, states)))
    by = [by_of(decision) for decision in decisions]
    keys = [(who, row.tobytes()) for who, row in zip(by, seen, strict=True)]
    first = {key: i for i, key in reversed(list(enumerate(keys)))}
    nearest: dict[tuple[int, int], tuple[float, int]] = {}  # by pair: weight elsewhere, wanted
    for symmetry in symmetries:
        number_of = symmetry.inverse().action  # the number that an action has in the image
        for j, image in enumerate(np.asarray(symmetry.on_observation(seen, seen.ndim - 1))):
            i = first.get((by[j], image.tobytes()), j)
            if i >= j or keys[i] == keys[j]:
                continue  # each pair once
            one = {int(number_of[a]): w for a, w in decisions[j].weights.items()}
            apart = (_apart(one, decisions[i].weights), max(one, key=lambda a: one[a]))
            nearest[i, j] = min(nearest.get((i, j), apart), apart)
    unlike = sorted(pair for pair, (apart, _) in nearest.items() if apart > 0.5)
    example = None
    if unlike:
        i, j = unlike[0]
        example = Otherwise(decisions[j], decisions[i], nearest[i, j][1])
    return Likeness(len(nearest), len(unlike), example)


def in_words(game: Game[Any], likeness: Likeness) -> str:
    """Returns what to tell whoever learns from such decisions; "" if they are alike."""
    if likeness.example is None:
        return ""
    one, other, wanted = likeness.example
    number = (
        f"{likeness.otherwise} of {likeness.pairs} pairs of decisions in mirrored or turned boards"
    )
    return (
        f"{number} are not alike: after {_moves(game, one.moves)} it is "
        f"{_action(game, one.moves, one.action)}; after {_moves(game, other.moves)}, which looks "
        f"the same turned or mirrored, {_action(game, other.moves, other.action)}, where "
        f"{_action(game, other.moves, wanted)} would be like it. Training shows every decision "
        "through all symmetries, so it learns the average; with --overseer.no-augment and "
        "--learner.no-augment it shows each as it was made"
    )


def _apart(one: Mapping[int, float], other: Mapping[int, float]) -> float:
    """Returns the share of weight that lies elsewhere, from 0 to 1."""
    return sum(abs(one.get(a, 0.0) - other.get(a, 0.0)) for a in {*one, *other}) / 2


def _moves(game: Game[Any], moves: Sequence[int]) -> str:
    return " ".join(positions.notation(game, positions.opening_position(game), moves)) or "no move"


def _action(game: Game[Any], moves: Sequence[int], action: int) -> str:
    state = positions.take(positions.replay(game, [moves]).states, 0)
    return positions.notation(game, state, [action])[0]


@functools.partial(jax.jit, static_argnums=0)
def _observe(game: Game[Any], states: State) -> jax.Array:
    return jax.vmap(game.observe)(states)
