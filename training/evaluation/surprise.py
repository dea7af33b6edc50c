"""How a network's predictions differ from a run's replay examples, read while the run trains.

A run that trains is not disturbed: files are read, none is locked, and one that retention erases
meanwhile is passed over.
"""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from games.game import Game, Symmetry
from mcts import Evaluation, Variables, mask_illegal
from selfplay import example
from selfplay.example import Kind, Sample
from selfplay.information import cross_entropy, kl_divergence
from training import replay
from training.network import Network
from training.storage.run_folder import RunFolder

BATCH = 256  # positions that the network is asked at once: one shape, one compilation


class Numbered(NamedTuple):
    """Replay examples, N of them, oldest first."""

    number: np.ndarray  # int64[N], counted from the run's first example
    examples: Sample


class Said(NamedTuple):
    """What a network says of N examples, and how far their targets are from it."""

    policy: np.ndarray  # float32[N, A], over legal actions
    value: np.ndarray  # float32[N]
    divergence: np.ndarray  # float[N], KL(policy target || policy), in nats
    value_error: np.ndarray  # float[N], the value target less the value


def newest_examples(folder: RunFolder, game: Game[Any], count: int) -> Numbered:
    """Returns a run's newest examples, without their further targets: `count` at most.

    Raises:
      ValueError: there is none, or none of this game.
    """
    parts = replay.newest_parts(folder.path / "replay", example.COLUMNS, count, folder.run_id())
    fitting = [(first, part) for first, part in parts if not _misfits(part, game)]
    if not fitting:
        raise ValueError(
            f"{folder.path} has no replay example on disk that can be read: wait for its next save"
        )
    number = [np.arange(first, first + len(part["ply"])) for first, part in fitting]
    examples = [example.nested(Sample, part) for _, part in fitting]
    return Numbered(np.concatenate(number), example.concatenate(examples))


def examples_at(
    folder: RunFolder, game: Game[Any], first: int, count: int, targets: tuple[str, ...] = ()
) -> Sample:
    """Returns examples from number `first` on, up to the end of their chunk, with their targets.

    Where the chunk lacks one of `targets`, the examples have weight 0 for it.

    Raises:
      ValueError: the example is no longer on disk, or not yet; or its chunk is damaged.
      OSError: its chunk cannot be read, or was erased this moment.
    """
    forms = example.target_forms(targets, game)
    names = [*example.COLUMNS, *forms]
    columns = replay.stretch(folder.path / "replay", names, first, count, folder.run_id())
    if not columns:
        raise ValueError(
            f"example {first:,} is not on disk: the window has moved on, or no such example"
        )
    if problem := _misfits(columns, game):
        raise ValueError(f"example {first:,} is damaged: {problem}")
    absent = {n: form.zeros(len(columns["ply"])) for n, form in forms.items() if n not in columns}
    return example.nested(Sample, {name: (columns | absent)[name] for name in names})


def value_target(examples: Sample, root_value_weight: float) -> np.ndarray:
    """Returns float[N], what the value learns from examples, as the learner mixes it."""
    share = root_value_weight
    target: np.ndarray = (1 - share) * examples.outcome + share * examples.root_value
    return target


def judge(network: Network, folded: Variables, examples: Sample, root_value_weight: float) -> Said:
    """Returns what a network with folded weights says of examples, in batches."""
    policy, value = predict(network, folded, examples)
    target = examples.policy_target.astype(float)
    return Said(
        policy,
        value,
        kl_divergence(target, policy.astype(float)),
        value_target(examples, root_value_weight) - value,
    )


def predict(network: Network, folded: Variables, examples: Sample) -> tuple[np.ndarray, np.ndarray]:
    """A network's policy float32[N, A] and value float32[N] of examples, in batches."""
    count = len(examples.ply)
    batches = []
    for first in range(0, count, BATCH):
        chosen = np.minimum(np.arange(first, first + BATCH), count - 1)
        given = examples.observation[chosen], examples.legal_action_mask[chosen]
        batches.append(jax.device_get(_evaluate(network, folded, *given)))
    policy, value = (np.concatenate(part)[:count] for part in zip(*batches, strict=True))
    return policy, value


def entropy(policy: np.ndarray) -> np.ndarray:
    """Returns float[N], the entropy of policies [N, A], in nats."""
    return cross_entropy(policy.astype(float), policy.astype(float))


def image(examples: Sample, symmetry: Symmetry) -> Sample:
    """Returns examples as a symmetry of the game shows them, as training learns from them."""
    columns = example.flat(examples)
    for name, values in columns.items():
        column = example.column(name)
        kind = column.kind if column else Kind.SCALAR
        if kind is Kind.OBSERVATION:
            columns[name] = np.asarray(symmetry.on_observation(values, values.ndim - 1))
        elif kind is Kind.PER_CELL:
            columns[name] = np.asarray(symmetry.on_cells(values, values.ndim - 1))
        elif kind is Kind.PER_ACTION:
            columns[name] = np.asarray(symmetry.on_actions(values))
        elif kind is Kind.ACTION:
            columns[name] = np.asarray(symmetry.on_action(values)).astype(values.dtype)
    return example.nested(Sample, columns)


def _misfits(columns: dict[str, np.ndarray], game: Game[Any]) -> str:
    """Returns why columns are no examples of a game; empty if they are."""
    forms = example.forms(game)
    for name in example.COLUMNS:
        if name not in columns:
            return f"it has no column {name}"
        if columns[name].shape[1:] != forms[name].shape:
            return f"{name} has the shape {columns[name].shape[1:]}, not {forms[name].shape}"
    return ""


@functools.partial(jax.jit, static_argnums=0)
def _evaluate(
    network: Network, folded: Variables, observation: jax.Array, legal: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns policy float32[N, A] over legal actions, and value float32[N], of N observations."""
    predicted: Evaluation = network.evaluate(folded, observation)
    return jax.nn.softmax(mask_illegal(predicted.prior_logits, legal)), predicted.value
