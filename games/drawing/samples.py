"""Pictures of a few positions of random games, each with all that its moves lead to."""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from games.drawing import characters
from games.drawing.children import children, legal_actions, opening, rendered

PLIES, EVERY = 27, 3  # of random games; every which of them is looked at: odd, for both seats


class Sample(NamedTuple):
    """A position of the random game and all that its moves lead to."""

    seat: int  # to play
    pictures: np.ndarray  # uint32[1 + L, H, W], its own and one for each legal action


@functools.lru_cache(maxsize=16)
def samples(game: Any) -> tuple[Sample, ...]:
    """Returns what random games show; the same whenever it is asked."""
    return tuple(_samples(game))


def _samples(game: Any) -> Iterator[Sample]:
    rng, state = np.random.default_rng(0), opening(game)
    for ply in range(PLIES):
        actions = legal_actions(state)
        if not len(actions):
            state = opening(game)
            actions = legal_actions(state)
        if not len(actions):
            break  # a game that is over when it begins
        after = list(children(game, state, actions))
        if ply % EVERY == 0:
            texts = [rendered(game, at) for at in (state, *after)]
            yield Sample(int(state.to_play), characters.aligned(texts))
        state = after[int(rng.integers(len(after)))]
