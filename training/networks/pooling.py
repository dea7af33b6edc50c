"""Residual blocks that see the whole board: global pooling, squeeze-and-excitation.

A convolution sees its neighbourhood: these bring in what holds of the board as a whole, such as a
ko elsewhere, in one block.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from training.networks.layers import ConvNorm, keep
from training.settings import NetworkConfig

# Of a block's channels: KataGo pools 1/3 to 1/4; lc0 squeezes to 1/8, Hu et al. to 1/16, of more.
POOLED, SQUEEZED = 4, 4


class GlobalBlock(nnx.Module):
    """A residual block with global pooling, with squeeze-and-excitation, or with both."""

    def __init__(self, config: NetworkConfig, pool: bool, squeeze: bool, rngs: nnx.Rngs) -> None:
        wide = config.channels
        if wide < max(POOLED, SQUEEZED):
            raise ValueError(
                f"network {config.name!r} needs network.channels of at least "
                f"{max(POOLED, SQUEEZED)}, got {wide}"
            )
        zeros = nnx.initializers.zeros_init()  # begins as the identity
        self.first = ConvNorm(wide, wide, 3, config, rngs)
        self.pool: Any = PoolBias(wide, rngs) if pool else None
        left = wide - wide // POOLED if pool else wide
        self.second = ConvNorm(left, wide, 3, config, rngs, zeros)
        self.squeeze: Any = SqueezeExcite(wide, rngs) if squeeze else None

    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        inner = self.first(x, mask)
        if self.pool is not None:
            inner = self.pool(inner, mask)
        inner = self.second(keep(jax.nn.relu(inner), mask), mask)
        if self.squeeze is not None:
            inner = self.squeeze(inner)
        return keep(jax.nn.relu(x + inner), mask)


class PoolBias(nnx.Module):
    """Mean and maximum over the board of some channels, as a bias of all others.

    Source: Wu 2019, "Accelerating Self-Play Learning in Go", section 3.3, "Global pooling",
    https://arxiv.org/abs/1902.10565. Its third part, a mean that grows with the board, serves nets
    of several sizes.
    """

    def __init__(self, wide: int, rngs: nnx.Rngs) -> None:
        self.pooled = wide // POOLED
        self.dense = nnx.Linear(2 * self.pooled, wide - self.pooled, rngs=rngs)

    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        over = over_board(jax.nn.relu(x[..., : self.pooled]), mask)
        return x[..., self.pooled :] + self.dense(over).astype(x.dtype)[:, None, None, :]


def over_board(x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """Returns float32[B, 2 C]: the means over the board of [B, H, W, C], then the maxima.

    Of a board that is smaller than the array, `mask` tells the cells, and `x` must not be below 0.
    """
    seen = keep(x.astype(jnp.float32), mask)
    # Not `seen.max`, whose gradient is 0 / 0 where a compiler computes `seen` twice and rounds it
    # otherwise: it divides by how many cells equal the maximum.
    largest = nnx.max_pool(seen, seen.shape[1:3])[:, 0, 0]
    mean = (
        seen.mean((1, 2)) if mask is None else seen.sum((1, 2)) / jnp.maximum(mask.sum((1, 2)), 1)
    )
    return jnp.concatenate([mean, largest], axis=-1)


class SqueezeExcite(nnx.Module):
    """Scales each channel, and adds to it, by what the means of all say.

    Source: Hu et al. 2018, "Squeeze-and-Excitation Networks", https://arxiv.org/abs/1709.01507,
    which only scales; what is added is lc0's: https://lczero.org/dev/backend/nn/
    """

    def __init__(self, wide: int, rngs: nnx.Rngs) -> None:
        self.squeeze = nnx.Linear(wide, wide // SQUEEZED, rngs=rngs)
        self.excite = nnx.Linear(wide // SQUEEZED, 2 * wide, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        means = x.astype(jnp.float32).mean((1, 2))
        excited = self.excite(jax.nn.relu(self.squeeze(means))).astype(x.dtype)
        scale, bias = jnp.split(excited[:, None, None, :], 2, axis=-1)
        return x * jax.nn.sigmoid(scale) + bias
