"""Examples of a run's replay beside what a network says of them, as an onlooker reads them.

A run that trains is not disturbed: files are read, none is locked, and one that retention erases
meanwhile is passed over.
"""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from games.game import Game, Symmetry
from mcts import Evaluation, mask_illegal
from selfplay import row
from selfplay.information import cross_entropy, kl_divergence
from selfplay.row import Kind, Sample
from training import replay
from training.network import Folded, Network
from training.storage.run_folder import RunFolder

BATCH = 256  # positions that the network is asked at once: one shape, one compilation


class Numbered(NamedTuple):
    """Replay examples, N of them, oldest first."""

    number: np.ndarray  # int64[N], counted from the run's first example
    rows: Sample


class Said(NamedTuple):
    """What a network says of N examples, and how far their targets are from it."""

    policy: np.ndarray  # float32[N, A], over legal actions
    value: np.ndarray  # float32[N]
    divergence: np.ndarray  # float[N], KL(policy target || policy), in nats
    value_error: np.ndarray  # float[N], the value target less the value


def newest_rows(folder: RunFolder, game: Game[Any], count: int) -> Numbered:
    """Returns a run's newest examples, without their further targets: `count` at most.

    Raises:
      ValueError: there is none, or none of this game.
    """
    parts = replay.newest_parts(folder.path / "replay", row.COLUMNS, count, folder.run_id())
    fitting = [(first, part) for first, part in parts if not _misfits(part, game)]
    if not fitting:
        raise ValueError(
            f"{folder.path} has no replay row on disk that can be read: wait for its next save"
        )
    number = [np.arange(first, first + len(part["ply"])) for first, part in fitting]
    rows = [row.nested(Sample, part) for _, part in fitting]
    return Numbered(np.concatenate(number), row.concatenate(rows))


def rows_at(
    folder: RunFolder, game: Game[Any], first: int, count: int, targets: tuple[str, ...] = ()
) -> Sample:
    """Returns examples from number `first` on, up to the end of their chunk, with their targets.

    Where the chunk lacks one of `targets`, the examples have weight 0 for it.

    Raises:
      ValueError: the example is no longer on disk, or not yet; or its chunk is damaged.
      OSError: its chunk cannot be read, or was erased this moment.
    """
    forms = row.target_forms(targets, game)
    names = [*row.COLUMNS, *forms]
    columns = replay.stretch(folder.path / "replay", names, first, count, folder.run_id())
    if not columns:
        raise ValueError(f"row {first:,} is not on disk: the window has moved on, or no such row")
    if problem := _misfits(columns, game):
        raise ValueError(f"row {first:,} is damaged: {problem}")
    absent = {n: form.zeros(len(columns["ply"])) for n, form in forms.items() if n not in columns}
    return row.nested(Sample, {name: (columns | absent)[name] for name in names})


def value_target(rows: Sample, root_value_weight: float) -> np.ndarray:
    """Returns float[N], what the value learns from examples, as the learner mixes it."""
    share = root_value_weight
    target: np.ndarray = (1 - share) * rows.outcome + share * rows.root_value
    return target


def judge(network: Network, folded: Folded, rows: Sample, root_value_weight: float) -> Said:
    """Returns what a network with folded weights says of examples, in batches."""
    policy, value = predict(network, folded, rows)
    target = rows.policy_target.astype(float)
    return Said(
        policy,
        value,
        kl_divergence(target, policy.astype(float)),
        value_target(rows, root_value_weight) - value,
    )


def predict(network: Network, folded: Folded, rows: Sample) -> tuple[np.ndarray, np.ndarray]:
    """A network's policy float32[N, A] and value float32[N] of examples, asked in batches."""
    count = len(rows.ply)
    batches = []
    for first in range(0, count, BATCH):
        chosen = np.minimum(np.arange(first, first + BATCH), count - 1)
        given = rows.observation[chosen], rows.legal_action_mask[chosen]
        batches.append(jax.device_get(_evaluate(network, folded, *given)))
    policy, value = (np.concatenate(part)[:count] for part in zip(*batches, strict=True))
    return policy, value


def entropy(policy: np.ndarray) -> np.ndarray:
    """Returns float[N], the entropy of policies [N, A], in nats."""
    return cross_entropy(policy.astype(float), policy.astype(float))


def image(rows: Sample, symmetry: Symmetry) -> Sample:
    """Returns examples as a symmetry of the game shows them, as training learns from them."""
    columns = row.flat(rows)
    for name, values in columns.items():
        column = row.column(name)
        kind = column.kind if column else Kind.SCALAR
        if kind is Kind.OBSERVATION:
            columns[name] = np.asarray(symmetry.on_observation(values))
        elif kind is Kind.PER_CELL:
            columns[name] = np.asarray(symmetry.on_cells(values))
        elif kind is Kind.PER_ACTION:
            columns[name] = np.asarray(symmetry.on_actions(values))
        elif kind is Kind.ACTION:
            columns[name] = np.asarray(symmetry.on_action(values)).astype(values.dtype)
    return row.nested(Sample, columns)


def _misfits(columns: dict[str, np.ndarray], game: Game[Any]) -> str:
    """Returns why columns are no examples of a game; empty if they are."""
    forms = row.forms(game)
    for name in row.COLUMNS:
        if name not in columns:
            return f"it has no column {name}"
        if columns[name].shape[1:] != forms[name].shape:
            return f"{name} has the shape {columns[name].shape[1:]}, not {forms[name].shape}"
    return ""


@functools.partial(jax.jit, static_argnums=0)
def _evaluate(
    network: Network, folded: Folded, observation: jax.Array, legal: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns policy float32[N, A] over legal actions, and value float32[N], of N observations."""
    predicted: Evaluation = network.evaluate(folded, observation)
    return jax.nn.softmax(mask_illegal(predicted.prior_logits, legal)), predicted.value
