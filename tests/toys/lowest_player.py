"""A plug-in player that plays the legal action of lowest number."""

import numpy as np


def lowest(states, key, history=None):
    """A plug-in player: the legal action of lowest number."""
    return np.asarray(states.legal_action_mask).argmax(axis=1)
