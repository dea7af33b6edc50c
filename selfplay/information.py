"""Measures of information between policies, in nats and in NumPy."""

import numpy as np

# Least probability whose logarithm is taken. Measures that are kept in files have a floor of their
# own, which decides their last bits.
FLOOR = 1e-30


def kl_divergence(
    policy: np.ndarray, reference: np.ndarray, floor: float | np.floating = FLOOR
) -> np.ndarray:
    """Returns float[N], KL(policy || reference) of policies [N, A]."""
    logs = np.log(np.maximum(policy, floor)) - np.log(np.maximum(reference, floor))
    divergence: np.ndarray = (policy * logs).sum(axis=1)
    return divergence


def cross_entropy(target: np.ndarray, policy: np.ndarray) -> np.ndarray:
    """Returns float[N], the cross-entropy of policies [N, A]; of one with itself, its entropy."""
    entropy: np.ndarray = -(target * np.log(np.maximum(policy, FLOOR))).sum(axis=1)
    return entropy
