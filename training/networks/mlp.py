"""A multilayer perceptron: residual dense layers on the observation as one vector.

For games whose observation is no board. Each block normalises what it
reads and adds to it (pre-norm, as in `transformer`), so that depth does not stop the gradient.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from mcts import Evaluation
from selfplay import example
from training.network import Network, read_value
from training.networks.folding import FoldedNetwork


@dataclasses.dataclass(frozen=True)
class Mlp(FoldedNetwork):
    """The observation as one vector, residual blocks of dense layers, a layer for each head."""

    width: int = 256  # units of a layer; NetworkConfig.channels is not used

    def build(self, rngs: nnx.Rngs) -> "Layers":
        """Returns the layers as they are trained."""
        if self.width < 1:
            raise ValueError(f"network mlp: width must be at least 1, got {self.width}")
        return Layers(self, self.width, rngs)


class Layers(nnx.Module):
    """The network as it is trained."""

    def __init__(self, network: Network, width: int, rngs: nnx.Rngs) -> None:
        config, shape = network.config, network.observation_shape
        self.dtype = jnp.dtype(config.dtype)
        self.stem = nnx.Linear(math.prod(shape), width, dtype=self.dtype, rngs=rngs)
        self.blocks = nnx.List([Block(width, self.dtype, rngs) for _ in range(config.blocks)])
        self.norm = nnx.RMSNorm(width, rngs=rngs)
        self.policy = nnx.Linear(width, network.num_actions, rngs=rngs)
        self.value_hidden = nnx.Linear(width, config.value_hidden, rngs=rngs)
        self.value = nnx.Linear(config.value_hidden, config.value_outputs, rngs=rngs)
        self.shapes = {
            name: example.shape(kind, shape, network.num_actions) for name, kind in network.targets
        }
        if network.targets:
            sizes = {name: math.prod(one) for name, one in self.shapes.items()}
            self.targets = nnx.Dict({n: nnx.Linear(width, k, rngs=rngs) for n, k in sizes.items()})

    def __call__(self, observation: jax.Array) -> tuple[Evaluation, dict[str, jax.Array]]:
        x = self.stem(observation.reshape(len(observation), -1).astype(self.dtype))
        for block in self.blocks:
            x = block(x)
        x = jax.nn.relu(self.norm(x.astype(jnp.float32)))  # the heads run in float32
        value, said = read_value(self.value(jax.nn.relu(self.value_hidden(x))))
        heads: Any = getattr(self, "targets", {})
        predicted = {
            name: head(x).reshape(len(x), *self.shapes[name]) for name, head in heads.items()
        }
        return Evaluation(self.policy(x), value), said | predicted


class Block(nnx.Module):
    """A residual block of two dense layers."""

    def __init__(self, width: int, dtype: Any, rngs: nnx.Rngs) -> None:
        self.norm = nnx.RMSNorm(width, dtype=dtype, rngs=rngs)
        self.first = nnx.Linear(width, width, dtype=dtype, rngs=rngs)
        self.second = nnx.Linear(width, width, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return x + self.second(jax.nn.relu(self.first(self.norm(x))))
