"""Batch norm folding: an nnx network plays with each norm part of the convolution before it."""

import dataclasses
import functools
from typing import Any

import jax
from flax import nnx

from mcts import Evaluation
from training.network import Weights
from training.networks.layers import ConvNorm
from training.networks.module import ModuleNetwork


class FoldedNetwork(ModuleNetwork):
    """Plays as trained, without batch norm and without heads of targets."""

    @functools.partial(jax.jit, static_argnums=0)  # compiled once for all checkpoints of a run
    def fold(self, weights: Weights) -> Any:
        """Returns the parameters, as nested dicts, of the module that `evaluate` runs."""
        own = Weights(*({k: v for k, v in tree.items() if k != "targets"} for tree in weights))
        return nnx.to_pure_dict(nnx.state(_folded(self._playing().merge(own))))

    def evaluate_all(
        self, folded: Any, observation: jax.Array
    ) -> tuple[Evaluation, dict[str, jax.Array]]:
        """Scores positions `[B, *observation_shape]`; changes nothing."""
        playing = self._playing()
        # The structure, with shapes in place of arrays: nothing is allocated.
        abstract = nnx.eval_shape(lambda: _folded(playing.build(nnx.Rngs(0))))
        graphdef, state = nnx.split(abstract)
        nnx.replace_by_pure_dict(state, folded)
        return self.read(nnx.merge(graphdef, state)(observation), len(observation))

    def _playing(self) -> "FoldedNetwork":
        """Returns the network without heads of targets: only training runs them."""
        return dataclasses.replace(self, targets=())


def _folded(model: Any) -> Any:
    for layer in [node for _, node in nnx.iter_graph(model) if isinstance(node, ConvNorm)]:
        layer.fold()
    return model
