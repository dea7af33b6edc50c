"""The policy-value network as all else knows it: pure functions of its weights.

`--network` names one of the catalogue, whose files are in `training/networks/`, or a class or
function of the user's own. Search, self-play and players know `evaluate(variables, observation)`
alone.
"""

import abc
import dataclasses
import importlib
from typing import Any, NamedTuple

import jax
import numpy as np

from games import registry
from mcts import Evaluation
from selfplay.example import Kind
from training.settings import NETWORKS, NetworkConfig

OWN = "training.networks.own"  # finds those of a user's own
ANY_SHAPE = ("mlp",)  # of the catalogue: the others need a board
CHECKED = 3  # positions that a network is tried with; no other of its sizes is likely to be 3


class Weights(NamedTuple):
    """The trained arrays of a network."""

    params: Any  # moved by gradients
    batch_stats: Any  # moved by the way forward, as the running mean of a batch norm is


@dataclasses.dataclass(frozen=True)
class Network(abc.ABC):
    """A network for one game's shapes, as pure functions of its weights.

    Equal networks have weights of equal shapes. Those of the catalogue inherit from it.
    """

    config: NetworkConfig
    observation_shape: tuple[int, ...]
    num_actions: int
    targets: tuple[tuple[str, Kind], ...] = ()  # what it also predicts in training, by name

    @abc.abstractmethod
    def init(self, key: jax.Array) -> Weights:
        """Returns freshly drawn weights."""

    @abc.abstractmethod
    def forward_all(
        self, weights: Weights, observation: jax.Array
    ) -> tuple[Evaluation, dict[str, jax.Array], Any]:
        """Scores a training batch.

        Args:
          observation: `[M, *observation_shape]`.

        Returns:
          Its Evaluation; of each target float32[M], [M, A] or [M, *cells], by name; and the moved
            `batch_stats`.
        """

    def fold(self, weights: Weights) -> Any:
        """Returns the variables that `evaluate` runs on, such as weights with batch norm folded."""
        return weights

    @abc.abstractmethod
    def evaluate(self, variables: Any, observation: jax.Array) -> Evaluation:
        """Scores positions `[B, *observation_shape]`; changes nothing."""

    def check(self) -> None:
        """Raises ValueError where fresh weights score positions by what is no number."""
        what = f"network {self.config.name!r}"
        weights = self.init(jax.random.key(0))
        drawn = np.random.default_rng(0).random((CHECKED, *self.observation_shape))
        scores = (
            jax.jit(self.evaluate)(self.fold(weights), drawn < 0.5),
            jax.jit(lambda w, x: self.forward_all(w, x)[0])(weights, drawn < 0.5),
        )
        for way, (logits, value) in zip(("playing", "training"), scores, strict=True):
            if not (np.isfinite(logits).all() and np.isfinite(value).all()):
                raise ValueError(f"{what}: with fresh weights, {way}, it returns NaN or infinity")
            largest = np.abs(value).max()
            if largest > 1 + 1e-3:
                raise ValueError(
                    f"{what}: a value must lie in [-1, 1], as by tanh, got {largest:.3g}"
                )

    def fires(self, variables: Any, observation: jax.Array) -> dict[str, jax.Array]:
        """Returns bool[units] by layer: whether a unit is above 0 in any of the positions.

        Of a network that does not say, nothing.
        """
        del variables, observation
        return {}


def make(
    config: NetworkConfig,
    observation_shape: tuple[int, ...],
    num_actions: int,
    targets: tuple[tuple[str, Kind], ...] = (),
    edges: bytes = b"",
) -> Network:
    """Returns the network that `config.name` names, for a game's shapes.

    Args:
      edges: of a `Graph`, its `adjacency`, bool[N, N] as bytes: a network is made once for equal
        arguments.

    Raises:
      ValueError: there is none, or it does not fit these shapes.
    """
    given = config, observation_shape, num_actions, targets
    what = f"network {config.name!r}"
    name, texts = registry.split_options(config.name, what)
    network: Network
    # The room is imported when one of its networks is named.
    if name in NETWORKS:
        if len(observation_shape) != 3 and name not in ANY_SHAPE:
            raise ValueError(
                f"{what} needs a board, (H, W, C), and this game's observation is "
                f"{observation_shape}: use --network mlp --learner.learning-rate 2e-3 "
                "--learner.dense-rate 1, or a network of your own (docs/networks.md)"
            )
        module, _, class_name = NETWORKS[name].partition(":")
        cls = getattr(importlib.import_module(module), class_name)
        known = {field.name for field in dataclasses.fields(Network)}
        usual: dict[str, Any] = {
            f.name: f.default for f in dataclasses.fields(cls) if f.name not in known
        }
        network = cls(*given, **registry.read_options(usual, texts, what))
    else:
        network = importlib.import_module(OWN).load(*given, name, texts, edges)
    return network
