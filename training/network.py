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
import jax.numpy as jnp
import numpy as np

from games import registry
from mcts import Evaluation
from selfplay.example import Kind
from training.settings import NETWORKS, NetworkConfig

OWN = "training.networks.own"  # finds those of a user's own
ANY_SHAPE = ("mlp",)  # of the catalogue: the others need a board
CHECKED = 11  # positions that a network is tried with; no other of its sizes is likely to be 11
VALUE_LOGITS = "value_logits"  # what a network says by this name beside its targets, if wdl


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
    # Of a game on boards of several sizes (`games/sizes.py`), how many there are: the last plane of
    # an observation tells the cells of the board, and as many last actions choose it.
    sizes: int = 0
    edges: bytes = b""  # of a `Graph`, its `adjacency`, bool[N, N]; bytes can be compared

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
          Its Evaluation; of each target float32[M], [M, A] or [M, *cells], by name, and with
            `network.value` wdl float32[M, 3], logits of win, draw and loss, as `VALUE_LOGITS`; and
            the moved `batch_stats`.
        """

    def fold(self, weights: Weights) -> Any:
        """Returns the variables that `evaluate` runs on, such as weights with batch norm folded."""
        return weights

    @abc.abstractmethod
    def evaluate_all(
        self, variables: Any, observation: jax.Array
    ) -> tuple[Evaluation, dict[str, jax.Array]]:
        """Scores positions `[B, *observation_shape]` for play; changes nothing.

        Returns:
          Their Evaluation; and by name what `forward_all` says beside, perhaps without targets.
        """

    def evaluate(self, variables: Any, observation: jax.Array) -> Evaluation:
        """Scores positions `[B, *observation_shape]`; changes nothing."""
        evaluation, _ = self.evaluate_all(variables, observation)
        return evaluation

    def outcome_probabilities(self, variables: Any, observation: jax.Array) -> jax.Array | None:
        """Returns float32[B, 3] of win, draw and loss for the seat to play; None without wdl."""
        _, said = self.evaluate_all(variables, observation)
        return jax.nn.softmax(said[VALUE_LOGITS]) if VALUE_LOGITS in said else None

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


def read_value(outputs: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns float32[B], the values that a value head's last layer says, and what else it says.

    Args:
      outputs: [B, 1], which tanh makes a value; or [B, 3], the logits of win, draw and loss, which
        are also returned by their name.
    """
    if outputs.shape[1] == 1:
        return jnp.tanh(outputs)[:, 0], {}
    win, _, loss = jax.nn.softmax(outputs).T
    return win - loss, {VALUE_LOGITS: outputs}


def make(
    config: NetworkConfig,
    observation_shape: tuple[int, ...],
    num_actions: int,
    targets: tuple[tuple[str, Kind], ...] = (),
    sizes: int = 0,
    edges: bytes = b"",
) -> Network:
    """Returns the network that `config.name` names, for a game's shapes.

    Args:
      sizes: of a game on boards of several, how many there are; as in `Network`.
      edges: of a `Graph`, its `adjacency`; as in `Network`.

    Raises:
      ValueError: there is none, or it does not fit these shapes.
    """
    given = config, observation_shape, num_actions, targets, sizes, edges
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
        network = importlib.import_module(OWN).load(*given, name, texts)
    return network
