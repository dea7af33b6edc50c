"""A transformer network: the board's cells as tokens, with a learned relative-position bias.

The trunk of lc0 since BT1 (https://lczero.org/blog/2024/02/transformer-progress/) and of KataGo
since v1.17 (https://github.com/lightvector/KataGo, `python/katago/train/model_pytorch.py`), in its
plain form: pre-norm blocks of multi-head attention (Vaswani et al. 2017) and a feed-forward layer.
How much a cell attends to another also depends on where that lies, by a number for each head and
offset (Shaw et al. 2018, as a bias: Liu et al. 2021, "Swin Transformer", section 3.2). Theirs are
richer: lc0 makes the bias of the position (smolgen), KataGo turns queries and keys (RoPE).
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from mcts import Evaluation
from training.network import Network, read_value
from training.networks.folding import FoldedNetwork
from training.networks.layers import add_targets, flat, predict_targets

FEED_FORWARD = 2  # units of the feed-forward layer, by the channels; lc0's BT4: 1.5


@dataclasses.dataclass(frozen=True)
class Transformer(FoldedNetwork):
    """Embedded cells, transformer blocks, and the residual network's heads without batch norm."""

    heads: int = 4  # of the attention

    def build(self, rngs: nnx.Rngs) -> "Layers":
        """Returns the layers as they are trained."""
        if self.heads < 1 or self.config.channels % self.heads:
            raise ValueError(
                "network transformer: its heads share network.channels equally, "
                f"got {self.heads} heads of {self.config.channels} channels"
            )
        return Layers(self, self.heads, rngs)


class Layers(nnx.Module):
    """The network as it is trained."""

    def __init__(self, network: Network, heads: int, rngs: nnx.Rngs) -> None:
        config, num_actions = network.config, network.num_actions
        height, width, planes = network.observation_shape
        cells, wide = height * width, config.channels
        dtype = self.dtype = jnp.dtype(config.dtype)
        self.embed = nnx.Linear(planes, wide, dtype=dtype, rngs=rngs)
        # Of cells that look alike, only this tells which is at the edge.
        small = nnx.initializers.normal(0.02)
        self.place = nnx.Param(small(rngs.params(), (height, width, wide)))
        self.blocks = nnx.List([Block(network, heads, rngs) for _ in range(config.blocks)])
        self.norm = nnx.RMSNorm(wide, dtype=dtype, rngs=rngs)
        # Two heads: logits of all actions, and the value.
        self.policy_conv = nnx.Linear(wide, config.policy_channels, dtype=dtype, rngs=rngs)
        self.policy = nnx.Linear(cells * config.policy_channels, num_actions, rngs=rngs)
        self.value_conv = nnx.Linear(wide, config.value_channels, dtype=dtype, rngs=rngs)
        self.value_hidden = nnx.Linear(
            cells * config.value_channels, config.value_hidden, rngs=rngs
        )
        self.value = nnx.Linear(config.value_hidden, config.value_outputs, rngs=rngs)
        add_targets(self, network, rngs)

    def __call__(self, observation: jax.Array) -> tuple[Evaluation, dict[str, jax.Array]]:
        x = self.embed(observation.astype(self.dtype)) + self.place[...].astype(self.dtype)[None]
        board, x = x.shape, x.reshape(len(x), -1, x.shape[-1])  # cells in row-major order
        for block in self.blocks:
            x = block(x)
        x = self.norm(x).reshape(board)
        policy = flat(jax.nn.relu(self.policy_conv(x)))
        hidden = jax.nn.relu(self.value_hidden(flat(jax.nn.relu(self.value_conv(x)))))
        logits = self.policy(policy)
        value, said = read_value(self.value(hidden))
        return Evaluation(logits, value), said | predict_targets(self, x)


class Block(nnx.Module):
    """Attention between all cells, then a feed-forward layer at each; both add to the tokens."""

    def __init__(self, network: Network, heads: int, rngs: nnx.Rngs) -> None:
        wide, dtype = network.config.channels, jnp.dtype(network.config.dtype)
        height, width, _ = network.observation_shape
        self.attend = Attention(wide, heads, height, width, dtype, rngs)
        self.attend_norm = nnx.RMSNorm(wide, dtype=dtype, rngs=rngs)
        self.first_norm = nnx.RMSNorm(wide, dtype=dtype, rngs=rngs)
        self.first = nnx.Linear(wide, FEED_FORWARD * wide, dtype=dtype, rngs=rngs)
        self.second = nnx.Linear(FEED_FORWARD * wide, wide, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.attend(self.attend_norm(x))
        return x + self.second(jax.nn.gelu(self.first(self.first_norm(x))))


class Attention(nnx.Module):
    """Multi-head self-attention, biased by the offset from cell to cell."""

    def __init__(
        self, wide: int, heads: int, height: int, width: int, dtype: Any, rngs: nnx.Rngs
    ) -> None:
        self.heads, self.height, self.width = heads, height, width
        self.query_key_value = nnx.Linear(wide, 3 * wide, use_bias=False, dtype=dtype, rngs=rngs)
        self.out = nnx.Linear(wide, wide, dtype=dtype, rngs=rngs)
        offsets = (2 * height - 1) * (2 * width - 1)
        self.bias = nnx.Param(jnp.zeros((offsets, heads)))  # by (dy, dx)

    def __call__(self, x: jax.Array) -> jax.Array:
        count, cells, wide = x.shape
        split = self.query_key_value(x).reshape(count, cells, 3, self.heads, -1)
        query, key, value = (split[:, :, part] for part in range(3))
        scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / (wide // self.heads) ** 0.5
        bias = self.bias[...][_offsets(self.height, self.width)].transpose(2, 0, 1)
        # In float32, as sums over all cells are.
        weights = jax.nn.softmax(scores.astype(jnp.float32) + bias[None], axis=-1)
        seen = jnp.einsum("bhqk,bkhd->bqhd", weights.astype(x.dtype), value)
        return self.out(seen.reshape(count, cells, wide))


def _offsets(height: int, width: int) -> np.ndarray:
    """Returns int[cells, cells]: the number of the offset from a cell to another."""
    y, x = (axis.reshape(-1) for axis in np.mgrid[:height, :width])
    dy, dx = (axis[None, :] - axis[:, None] for axis in (y, x))
    return (dy + height - 1) * (2 * width - 1) + dx + width - 1
