"""A fully convolutional residual network: the same weights play on boards of every size.

The policy is a number of each cell, and the value is made of means and maxima over the board, as in
KataGo (Wu 2019, "Accelerating Self-Play Learning in Go", section 3.3 and appendix A.3,
https://arxiv.org/abs/1902.10565). So a run may begin with the weights of one on a smaller board.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from mcts import Evaluation
from training.network import Network, read_value
from training.networks.folding import FoldedNetwork
from training.networks.layers import Block, ConvNorm, add_targets, keep, predict_targets
from training.networks.pooling import GlobalBlock, over_board


@dataclasses.dataclass(frozen=True)
class Convolutional(FoldedNetwork):
    """Residual blocks, half of them with global pooling, and heads that know no board size."""

    def build(self, rngs: nnx.Rngs) -> "Layers":
        """Returns the layers as they are trained."""
        return Layers(self, rngs)


class Layers(nnx.Module):
    """The network as it is trained."""

    def __init__(self, network: Network, rngs: nnx.Rngs) -> None:
        config, (height, width, planes) = network.config, network.observation_shape
        self.sizes = network.sizes
        others = network.num_actions - height * width - self.sizes
        if others not in (0, 1):
            raise ValueError(
                f"network {config.name!r} has an action for each cell of the board, and one more, "
                f"such as a pass; the game has {network.num_actions} actions on {height} x {width}"
            )
        wide, narrow = config.channels, config.policy_channels
        self.stem = ConvNorm(planes - bool(self.sizes), wide, 3, config, rngs)
        # The last block pools, and every second before it.
        self.blocks = nnx.List(
            GlobalBlock(config, True, False, rngs) if number % 2 else Block(config, rngs)
            for number in range(config.blocks, 0, -1)
        )
        # What holds of the whole board is added to each cell, and says how good a pass is.
        self.policy_conv = ConvNorm(wide, narrow, 1, config, rngs)
        self.pooled_conv = ConvNorm(wide, narrow, 1, config, rngs)
        self.pooled = nnx.Linear(2 * narrow, narrow, rngs=rngs)
        self.cell = nnx.Linear(narrow, 1, rngs=rngs)
        self.other: Any = nnx.Linear(2 * narrow, 1, rngs=rngs) if others else None
        self.value_hidden = nnx.Linear(2 * wide, config.value_hidden, rngs=rngs)
        self.value = nnx.Linear(config.value_hidden, config.value_outputs, rngs=rngs)
        add_targets(self, network, rngs)

    def __call__(self, observation: jax.Array) -> tuple[Evaluation, dict[str, jax.Array]]:
        # A smaller board in the middle of the array is scored as if it were alone: all beside it
        # is 0, as beside the array, and belongs to no mean.
        mask = None
        if self.sizes:
            observation, mask = observation[..., :-1], observation[..., -1:] > 0
        x = keep(jax.nn.relu(self.stem(observation.astype(jnp.float32), mask)), mask)
        for block in self.blocks:
            x = block(x, mask)
        over = over_board(jax.nn.relu(self.pooled_conv(x, mask)), mask)
        cells = self.policy_conv(x, mask).astype(jnp.float32) + self.pooled(over)[:, None, None, :]
        logits = self.cell(jax.nn.relu(cells)).reshape(len(x), -1)
        if self.other is not None:
            logits = jnp.concatenate([logits, self.other(over)], axis=1)
        # Nothing is said of which board to choose.
        logits = jnp.pad(logits, ((0, 0), (0, self.sizes)))
        hidden = jax.nn.relu(self.value_hidden(over_board(x, mask)))
        value, said = read_value(self.value(hidden))
        return Evaluation(logits, value), said | predict_targets(self, x)
