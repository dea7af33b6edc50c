"""A network whose layers are a flax nnx module, as pure functions of its weights."""

import abc
import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from mcts import Evaluation
from training.network import Network, Weights


class ModuleNetwork(Network):
    """Runs an nnx module; all that it has beside `nnx.Param` is moved by the way forward.

    Dropout is off: what is drawn anew in each step would have to be kept by checkpoints.
    """

    @abc.abstractmethod
    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """Returns the module; called with an observation it returns what `read` takes."""

    def read(self, outputs: Any, count: int) -> tuple[Evaluation, dict[str, jax.Array]]:
        """Returns the Evaluation of `count` positions, and what is said of targets."""
        del count
        read: tuple[Evaluation, dict[str, jax.Array]] = outputs
        return read

    @functools.partial(jax.jit, static_argnums=0)  # one compilation, not one a layer
    def init(self, key: jax.Array) -> Weights:
        """Returns freshly drawn weights, as nested dicts."""
        _, params, _, state = split(self.build(nnx.Rngs(key)))
        return Weights(nnx.to_pure_dict(params), nnx.to_pure_dict(state))

    def forward_all(
        self, weights: Weights, observation: jax.Array
    ) -> tuple[Evaluation, dict[str, jax.Array], Any]:
        """Scores a training batch, by its own statistics."""
        model: Any = self.merge(weights)
        model.train()
        model.set_attributes(deterministic=True, raise_if_not_found=False)
        evaluation, predicted = self.read(model(observation), len(observation))
        return evaluation, predicted, nnx.to_pure_dict(split(model)[3])

    def evaluate_all(
        self, variables: Any, observation: jax.Array
    ) -> tuple[Evaluation, dict[str, jax.Array]]:
        """Scores positions by the running statistics; changes nothing."""
        model: Any = self.merge(variables)
        model.eval()
        return self.read(model(observation), len(observation))

    def merge(self, weights: Weights) -> Any:
        """Returns the module with these weights."""
        # The structure, with shapes in place of arrays: nothing is allocated.
        abstract = nnx.eval_shape(lambda: self.build(nnx.Rngs(0)))
        graphdef, params, random, state = split(abstract)
        nnx.replace_by_pure_dict(params, weights.params)
        nnx.replace_by_pure_dict(state, weights.batch_stats)
        random = jax.tree.map(_unused, random)
        # copy=True: without it flax 0.12 raises TraceContextError under jax.grad.
        return nnx.merge(graphdef, params, random, state, copy=True)


def split(model: nnx.Module) -> tuple[Any, Any, Any, Any]:
    """Returns a module's structure, parameters, state of random numbers, and all other state."""
    graphdef, params, *others = nnx.split(model, nnx.Param, nnx.RngState, ...)
    return graphdef, params, others[0], others[1]


def _unused(leaf: Any) -> jax.Array:
    """Returns an array in place of a layer's random state, which nothing draws from."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jnp.broadcast_to(jax.random.key(0), leaf.shape)
    return jnp.zeros(leaf.shape, leaf.dtype)
