"""A plug-in player that plays the legal action of lowest number."""

import numpy as np

from mcts import SearchResult


def lowest(states, key, history=None):
    """A plug-in player: the legal action of lowest number."""
    blank = np.zeros(states.legal_action_mask.shape, np.float32)
    action = np.asarray(states.legal_action_mask).argmax(axis=1)
    weights = np.eye(9, dtype=np.float32)[action]
    value = blank[:, 0]
    return SearchResult(action, weights, blank.astype(int), value, blank, weights, value)
