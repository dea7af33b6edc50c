"""Layers of convolutional networks: convolution with batch norm, residual block, target heads."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from selfplay.example import Kind
from training.network import Network
from training.settings import NetworkConfig

EPSILON = 1e-5  # batch norm's, in training and when folding alike


class Affine(NamedTuple):
    """A convolution or dense layer ready to run: `x * kernel + bias`."""

    kernel: jax.Array
    bias: jax.Array


class ConvNorm(nnx.Module):
    """A convolution without bias, then batch norm."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        config: NetworkConfig,
        rngs: nnx.Rngs,
        scale_init: Any = nnx.initializers.ones_init(),  # noqa: B008 - a function
    ) -> None:
        dtype = jnp.dtype(config.dtype)
        self.conv: Any = nnx.Conv(
            inputs,
            outputs,
            (size, size),
            use_bias=False,
            dtype=dtype,
            kernel_init=nnx.initializers.he_normal(),
            rngs=rngs,
        )
        self.norm: Any = nnx.BatchNorm(
            outputs,
            momentum=config.momentum,
            epsilon=EPSILON,
            dtype=dtype,
            scale_init=scale_init,
            rngs=rngs,
        )

    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Convolves and norms; batch statistics are those of the cells in `mask` [B, H, W, 1]."""
        x = self.conv(x)
        return x if self.norm is None else self.norm(x, use_running_average=False, mask=mask)

    def fold(self) -> None:
        """Puts the norm, with its running statistics, into the convolution."""
        self.conv, self.norm = BiasedConv(fold_norm(self, self.conv.dtype)), None


def keep(x: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Returns `x` with 0 beside the board, as a convolution pads it; all of it without a mask."""
    return x if mask is None else jnp.where(mask, x, 0)


class BiasedConv(nnx.Module):
    """A convolution with bias: one that a batch norm is folded into."""

    def __init__(self, layer: Affine) -> None:
        self.dtype = layer.kernel.dtype
        self.kernel, self.bias = nnx.Param(layer.kernel), nnx.Param(layer.bias)

    def __call__(self, x: jax.Array) -> jax.Array:
        return convolve(x.astype(self.dtype), Affine(self.kernel[...], self.bias[...]))


class Block(nnx.Module):
    """A residual block."""

    def __init__(self, config: NetworkConfig, rngs: nnx.Rngs) -> None:
        self.first = ConvNorm(config.channels, config.channels, 3, config, rngs)
        # A block starts as the identity, so that a deep tower trains from its first step.
        zeros = nnx.initializers.zeros_init()
        self.second = ConvNorm(config.channels, config.channels, 3, config, rngs, zeros)

    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        inner = keep(jax.nn.relu(self.first(x, mask)), mask)
        return keep(jax.nn.relu(x + self.second(inner, mask)), mask)


class ScalarHead(nnx.Module):
    """A number of each position, made as the value is, without its tanh."""

    def __init__(self, network: Network, rngs: nnx.Rngs) -> None:
        config, (height, width, _) = network.config, network.observation_shape
        size = height * width * config.value_channels
        self.conv = ConvNorm(config.channels, config.value_channels, 1, config, rngs)
        self.hidden = nnx.Linear(size, config.value_hidden, rngs=rngs)
        self.out = nnx.Linear(config.value_hidden, 1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        hidden = jax.nn.relu(self.hidden(flat(jax.nn.relu(self.conv(x)))))
        return self.out(hidden)[:, 0]


class ActionHead(nnx.Module):
    """A number of each action, made as the policy's logits are."""

    def __init__(self, network: Network, rngs: nnx.Rngs) -> None:
        config, (height, width, _) = network.config, network.observation_shape
        size = height * width * config.policy_channels
        self.conv = ConvNorm(config.channels, config.policy_channels, 1, config, rngs)
        self.out = nnx.Linear(size, network.num_actions, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.out(flat(jax.nn.relu(self.conv(x))))


class CellHead(nnx.Module):
    """A number of each cell, made of what the tower says there."""

    def __init__(self, network: Network, rngs: nnx.Rngs) -> None:
        config = network.config
        self.conv = ConvNorm(config.channels, config.value_channels, 1, config, rngs)
        self.out = nnx.Linear(config.value_channels, 1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.out(jax.nn.relu(self.conv(x)).astype(jnp.float32))[..., 0]


# Of targets, by what they hold of an example. Only training runs them: what plays has no such
# weights.
HEADS: dict[Kind, Callable[[Network, nnx.Rngs], Any]] = {
    Kind.SCALAR: ScalarHead,
    Kind.PER_ACTION: ActionHead,
    Kind.PER_CELL: CellHead,
}


def add_targets(layers: Any, network: Network, rngs: nnx.Rngs) -> None:
    """Gives a network's layers its heads of targets, made last: they change no other draw."""
    if network.targets:
        heads = {name: HEADS[kind](network, rngs) for name, kind in network.targets}
        layers.targets = nnx.Dict(heads)


def predict_targets(layers: Any, trunk: jax.Array) -> dict[str, jax.Array]:
    """Returns what the heads of targets say of a trunk [B, H, W, C], by name."""
    return {name: head(trunk) for name, head in getattr(layers, "targets", {}).items()}


def fold_norm(layer: ConvNorm, dtype: Any) -> Affine:
    """Returns convolution and batch norm, with its running statistics, as one convolution."""
    norm = layer.norm
    # Batch norm is affine in evaluation, so it goes into kernel and bias.
    scale = norm.scale[...] / jnp.sqrt(norm.var[...] + EPSILON)
    return Affine(
        (jnp.asarray(layer.conv.kernel[...]) * scale[None, None, None, :]).astype(dtype),
        (norm.bias[...] - norm.mean[...] * scale).astype(dtype),
    )


def convolve(x: jax.Array, layer: Affine) -> jax.Array:
    """Returns [B, H, W, C] convolved with a kernel [k, k, C, D], and its bias added."""
    y = jax.lax.conv_general_dilated(
        x, layer.kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return y + layer.bias[None, None, None, :]


def flat(x: jax.Array) -> jax.Array:
    """Returns float32[B, H * W * C]: the heads' dense layers run in float32."""
    return x.reshape(x.shape[0], -1).astype(jnp.float32)
