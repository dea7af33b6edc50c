"""KL divergence and entropy of policies, in nats: of arrays of NumPy, or of JAX in a jit."""

from types import ModuleType
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

Policies = TypeVar("Policies", np.ndarray, jax.Array)

# Least probability whose logarithm is taken. Measures that are kept in files have a floor of their
# own, which decides their last bits.
FLOOR = 1e-30


def kl_divergence(
    policy: Policies, reference: Policies, floor: float | np.floating = FLOOR
) -> Policies:
    """Returns float[N], KL(policy || reference) of policies [N, A]."""
    xp = _namespace(policy)
    logs = xp.log(xp.maximum(policy, floor)) - xp.log(xp.maximum(reference, floor))
    divergence: Policies = (policy * logs).sum(axis=1)
    return divergence


def jensen_shannon(policy: Policies, other: Policies) -> Policies:
    """Returns float[N], how far policies [N, A] are apart, the same both ways: 0 to ln 2.

    The mean of their divergences from the policy half-way between them (Lin 1991, "Divergence
    measures based on the Shannon entropy"), which is finite where either never plays a move.
    """
    half_way = (policy + other) / 2
    apart: Policies = (kl_divergence(policy, half_way) + kl_divergence(other, half_way)) / 2
    return apart


def cross_entropy(target: Policies, policy: Policies) -> Policies:
    """Returns float[N], the cross-entropy of policies [N, A]; of one with itself, its entropy."""
    xp = _namespace(target)
    entropy: Policies = -(target * xp.log(xp.maximum(policy, FLOOR))).sum(axis=1)
    return entropy


def _namespace(values: np.ndarray | jax.Array) -> ModuleType:
    return jnp if isinstance(values, jax.Array) else np
