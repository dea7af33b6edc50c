"""Players of the game Pile that follow a rule, on the device and in plain Python."""

import jax.numpy as jnp

from mcts import SearchResult
from selfplay.players import Player
from tests.toys import double_move

PILE = double_move.Pile(stones=12)


def result_of(action):
    """A SearchResult of which a match reads the action only."""
    return SearchResult(action, *[None] * 6)


def rule(name, weight):
    """A deterministic player of PILE, on the device, and the same rule in plain Python."""

    def act(variables, states, key):
        wanted = (states.stones.astype(jnp.int32) * weight + states.to_play) % 3
        return result_of(jnp.minimum(wanted, states.stones.astype(jnp.int32) - 1))

    return Player(name, PILE, act), lambda stones, seat: min(
        (stones * weight + seat) % 3, stones - 1
    )


FIRST, first_rule = rule("first", 1)
SECOND, second_rule = rule("second", 2)
