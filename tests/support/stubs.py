"""A player that costs nothing, for tests of those who ask one."""

import numpy as np

from mcts import SearchResult
from selfplay import players


def stub(game, simulations, value=0.0, spend=lambda simulations: None):
    """A player without jax: the last legal move, a pass in Go; `spend` is its thinking."""

    def act(variables, states, key, history):
        spend(simulations)
        legal = np.asarray(states.legal_action_mask)
        action = legal.shape[1] - 1 - legal[:, ::-1].argmax(axis=1)
        one = np.eye(legal.shape[1], dtype=np.float32)[action]
        values = np.full(len(legal), value, np.float32)
        visits = (one * simulations).astype(np.int32)
        return SearchResult(action, one, visits, values, one * value, one, values)

    return players.Player("stub", game, act, on_device=False)
