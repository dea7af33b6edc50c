"""KataGo's network of nested bottleneck residual blocks.

A block runs two small residual blocks of half the channels between two 1x1 convolutions, which
make its channels fewer and many again: of equal cost, more layers than a plain residual network
has. Source: Wu, KataGo's docs, "Nested Bottleneck Residual Nets", after the appendix of Danihelka
et al. 2022; the trunk of its nets since b18c384nbt (2023):
https://github.com/lightvector/KataGo/blob/master/docs/KataGoMethods.md

KataGo normalises before each convolution, we after it, as `resnet` does: so batch norm folds.
"""

import dataclasses

import jax
from flax import nnx

from training.networks.folding import FoldedNetwork
from training.networks.layers import Block, ConvNorm
from training.networks.resnet import Tower
from training.settings import NetworkConfig


@dataclasses.dataclass(frozen=True)
class NestedBottleneck(FoldedNetwork):
    """Stem and heads of the residual network, with nested bottleneck blocks between."""

    def build(self, rngs: nnx.Rngs) -> Tower:
        """Returns the layers as they are trained."""
        return Tower(self, rngs, lambda _: NestedBlock(self.config, rngs))


class NestedBlock(nnx.Module):
    """A bottleneck residual block around two residual blocks of half its channels."""

    def __init__(self, config: NetworkConfig, rngs: nnx.Rngs) -> None:
        wide, narrow = config.channels, max(config.channels // 2, 1)
        inner = dataclasses.replace(config, channels=narrow)
        self.narrow = ConvNorm(wide, narrow, 1, config, rngs)
        self.blocks = nnx.List([Block(inner, rngs) for _ in range(2)])
        # Begins as the identity, as the blocks inside it do.
        self.widen = ConvNorm(narrow, wide, 1, config, rngs, nnx.initializers.zeros_init())

    def __call__(self, x: jax.Array) -> jax.Array:
        inner = jax.nn.relu(self.narrow(x))
        for block in self.blocks:
            inner = block(inner)
        return jax.nn.relu(x + self.widen(inner))
