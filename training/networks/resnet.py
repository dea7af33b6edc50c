"""The residual network of AlphaGo Zero.

Its tower (Silver et al. 2017, Methods, "Neural network architecture"): a convolution,
residual blocks with batch norm after each convolution, a policy and a value head. Training runs
the flax module; self-play and evaluation run `evaluate` on *folded* weights, in which each batch
norm is part of the convolution before it: the same function in fewer kernels.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from mcts import Evaluation
from training.network import Network, Weights, read_value
from training.networks.folding import FoldedNetwork
from training.networks.layers import (
    Affine,
    Block,
    ConvNorm,
    add_targets,
    convolve,
    flat,
    fold_norm,
    predict_targets,
)
from training.networks.pooling import GlobalBlock
from training.settings import NetworkConfig

# XLA's compiler for GPUs cuts long sums of a product into up to 16 parts, each of whole 16 bytes,
# so of 8 bfloat16 numbers. Where they do not divide so, it pads the weights in every evaluation.
SUMMED = 128


class Folded(NamedTuple):
    """The weights that `Network.evaluate` runs on, batch norm folded in."""

    stem: Affine
    blocks: tuple[tuple[Affine, Affine], ...]
    heads_conv: Affine  # of the policy's head and then of the value's: the tower is read once
    policy: Affine
    value_hidden: Affine
    value: Affine
    both_heads: Affine  # `policy` and `value_hidden` as one layer on all of `heads_conv`


@dataclasses.dataclass(frozen=True)
class Resnet(FoldedNetwork):
    """A stem, residual blocks, a policy and a value head.

    With an option it runs, folded, as any network of the catalogue does.
    """

    pool: bool = False  # global pooling, in the last block and every second before it
    squeeze: bool = False  # squeeze-and-excitation, in each block

    @property
    def _is_plain(self) -> bool:
        return not (self.pool or self.squeeze)

    def build(self, rngs: nnx.Rngs) -> "Tower":
        """Returns the layers as they are trained."""
        return Tower(self, rngs, functools.partial(self._block, rngs))

    def _block(self, rngs: nnx.Rngs, number: int) -> nnx.Module:
        pool = self.pool and (self.config.blocks - number) % 2 == 1
        if pool or self.squeeze:
            return GlobalBlock(self.config, pool, self.squeeze, rngs)
        return Block(self.config, rngs)

    @functools.partial(jax.jit, static_argnums=0)  # compiled once for all checkpoints of a run
    def fold(self, weights: Weights) -> Any:
        """Returns weights for `evaluate`: batch norm, with its running statistics, folded in."""
        if not self._is_plain:
            return super().fold(weights)
        model = self.merge(weights)
        dtype = jnp.dtype(self.config.dtype)
        convolution = functools.partial(fold_norm, dtype=dtype)
        policy, value_hidden = _dense(model.policy), _dense(model.value_hidden)
        return Folded(
            stem=convolution(model.stem),
            blocks=tuple((convolution(b.first), convolution(b.second)) for b in model.blocks),
            heads_conv=_side_by_side(convolution(model.policy_conv), convolution(model.value_conv)),
            policy=policy,
            value_hidden=value_hidden,
            value=_dense(model.value),
            both_heads=_as_one(policy, value_hidden, self.config),
        )

    def evaluate_all(
        self, folded: Any, observation: jax.Array
    ) -> tuple[Evaluation, dict[str, jax.Array]]:
        """Scores positions `[B, *observation_shape]`; changes nothing."""
        if not self._is_plain:
            return super().evaluate_all(folded, observation)
        return self._run(folded, observation)

    def _run(
        self, folded: Folded, observation: jax.Array
    ) -> tuple[Evaluation, dict[str, jax.Array]]:
        # Layers are named for whoever asks which units are dead.
        with jax.named_scope("stem"):
            x = jax.nn.relu(convolve(observation.astype(folded.stem.kernel.dtype), folded.stem))
        for number, (first, second) in enumerate(folded.blocks):
            with jax.named_scope(f"block {number}, inside"):
                inner = jax.nn.relu(convolve(x, first))
            with jax.named_scope(f"block {number}"):
                x = jax.nn.relu(x + convolve(inner, second))
        with jax.named_scope("heads_conv"):
            heads = jax.nn.relu(convolve(x, folded.heads_conv))
        # To an accelerator a launch costs more than products with zeros, to a CPU less.
        logits, hidden = jax.lax.platform_dependent(
            folded, heads, cpu=self._heads_apart, default=self._heads_as_one
        )
        # The value head: one hidden layer, then tanh, or win, draw and loss.
        with jax.named_scope("value_hidden"):
            hidden = jax.nn.relu(hidden)
        value, said = read_value(_apply_dense(hidden, folded.value))
        return Evaluation(logits, value), said

    def _of_each_head(self, heads: jax.Array) -> tuple[jax.Array, jax.Array]:
        own = self.config.policy_channels
        return heads[..., :own], heads[..., own:]

    def _heads_apart(self, folded: Folded, heads: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns float32[B, A], the logits, and [B, value_hidden], what the value is made of."""
        policy, value = self._of_each_head(heads)
        return (
            _apply_dense(flat(policy), folded.policy),
            _apply_dense(flat(value), folded.value_hidden),
        )

    def _heads_as_one(self, folded: Folded, heads: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns the same by one product in place of two, rounded otherwise."""
        x, (kernel, _) = flat(heads), folded.both_heads
        x = jnp.pad(x, ((0, 0), (0, len(kernel) - x.shape[1])))
        both = _apply_dense(x, folded.both_heads)
        return both[:, : self.num_actions], both[:, self.num_actions :]


class Tower(nnx.Module):
    """The network as it is trained; `block(number)` makes each residual block of its trunk."""

    def __init__(
        self, network: Network, rngs: nnx.Rngs, block: Callable[[int], nnx.Module]
    ) -> None:
        config, num_actions = network.config, network.num_actions
        height, width, planes = network.observation_shape
        cells, wide = height * width, config.channels
        # The trunk: a stem, then residual blocks (He et al. 2016).
        self.stem = ConvNorm(planes, wide, 3, config, rngs)
        self.blocks = nnx.List([block(number) for number in range(config.blocks)])
        # Two heads: logits of all actions, and the value.
        self.policy_conv = ConvNorm(wide, config.policy_channels, 1, config, rngs)
        self.policy = nnx.Linear(cells * config.policy_channels, num_actions, rngs=rngs)
        self.value_conv = ConvNorm(wide, config.value_channels, 1, config, rngs)
        self.value_hidden = nnx.Linear(
            cells * config.value_channels, config.value_hidden, rngs=rngs
        )
        self.value = nnx.Linear(config.value_hidden, config.value_outputs, rngs=rngs)
        add_targets(self, network, rngs)

    def __call__(self, observation: jax.Array) -> tuple[Evaluation, dict[str, jax.Array]]:
        x = jax.nn.relu(self.stem(observation.astype(self.stem.conv.dtype)))
        for block in self.blocks:
            x = block(x)
        policy = flat(jax.nn.relu(self.policy_conv(x)))
        value = flat(jax.nn.relu(self.value_conv(x)))
        hidden = jax.nn.relu(self.value_hidden(value))
        logits = self.policy(policy)
        score, said = read_value(self.value(hidden))
        return Evaluation(logits, score), said | predict_targets(self, x)


def _side_by_side(one: Affine, other: Affine) -> Affine:
    return Affine(*(jnp.concatenate(pair, axis=-1) for pair in zip(one, other, strict=True)))


def _as_one(policy: Affine, value_hidden: Affine, config: NetworkConfig) -> Affine:
    """Returns the heads' dense layers as one: of each cell all channels, 0 for the other head's."""

    def by_cell(layer: Affine, channels: int, before: int, after: int) -> jax.Array:
        kernel = layer.kernel.reshape(-1, channels, layer.kernel.shape[1])
        return jnp.pad(kernel, ((0, 0), (before, after), (0, 0)))

    own, others = config.policy_channels, config.value_channels
    # Zero blocks keep each head's inputs apart.
    kernels = [by_cell(policy, own, 0, others), by_cell(value_hidden, others, own, 0)]
    kernel = jnp.concatenate(kernels, axis=-1)
    kernel = kernel.reshape(-1, kernel.shape[-1])
    return Affine(
        jnp.pad(kernel, ((0, -len(kernel) % SUMMED), (0, 0))),
        jnp.concatenate([policy.bias, value_hidden.bias]),
    )


def _dense(layer: Any) -> Affine:
    return Affine(layer.kernel[...], layer.bias[...])


def _apply_dense(x: jax.Array, layer: Affine) -> jax.Array:
    return x @ layer.kernel + layer.bias[None, :]
