"""The targets that a run may also learn: how each of `selfplay/row.py` is computed, its loss.

docs/targets.md says how to add one. The head follows from what the target holds of a row
(`training/network.py`).
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import numpy as np

from games.game import Game
from selfplay import row
from selfplay.row import Form, Kind, Sample
from selfplay.self_play import Compute
from training.losses import Minibatch

# `(predicted, target, batch) -> float32[M]`, a row's own loss. `predicted` is float32[M], [M, A] or
# [M, H, W]; `target` has its shape and the column's dtype. Both are of `batch`, whose rows are
# already shown through their symmetries.
TargetLoss = Callable[[jax.Array, jax.Array, Minibatch], jax.Array]


# `(game, rows) -> (values, weights)`, in NumPy: of one finished game, T rows in their order, the
# values [T, ...] for the seats that decided, and float32[T], 0 where a row has none.
GameCompute = Callable[[Game[Any], Sample], tuple[np.ndarray, np.ndarray]]


class Learned(NamedTuple):
    """How a target is computed, and learned."""

    compute: Callable[..., Any]  # a `Compute` of self-play, or a `GameCompute`
    loss: TargetLoss


LEARNED: dict[str, Learned] = {}


def computes(names: Iterable[str]) -> dict[str, Compute]:
    """Returns how self-play computes those of these targets that it knows, on the device."""
    return {name: LEARNED[name].compute for name in names if row.TARGETS[name].at != "game"}


def with_targets_of_games(samples: Sample, names: Iterable[str], game: Game[Any]) -> Sample:
    """Returns the samples of finished games with those targets that only whole games tell.

    Args:
      samples: game after game and ply after ply, as the recorder gives them.

    Raises:
      ValueError: a target has another shape than its form says, or holds NaN or infinity.
    """
    wanted = [name for name in names if row.TARGETS[name].at == "game"]
    if not wanted:
        return samples  # unsliced: a run without such targets pays nothing
    starts = np.flatnonzero(np.diff(samples.game_id, prepend=-2))
    games = [row.take(samples, part) for part in np.split(np.arange(len(samples.ply)), starts[1:])]
    values, weights = dict(samples.targets), dict(samples.target_weights)
    for name in wanted:
        form = row.form(row.TARGETS[name].column, game)
        parts = [_of_game(name, form, game, rows) for rows in games if len(rows.ply)]
        values[name] = np.concatenate([form.zeros(0), *(value for value, _ in parts)])
        weights[name] = np.concatenate([np.zeros(0, np.float32), *(weight for _, weight in parts)])
    return samples._replace(targets=values, target_weights=weights)


def _of_game(name: str, form: Form, game: Game[Any], rows: Sample) -> tuple[np.ndarray, np.ndarray]:
    result = LEARNED[name].compute(game, rows)
    values, weights = np.asarray(result[0]), np.asarray(result[1], np.float32)
    shapes = values.shape, weights.shape
    if shapes != ((len(rows.ply), *form.shape), (len(rows.ply),)):
        raise ValueError(
            f"target {name!r}: values of shape {(len(rows.ply), *form.shape)} and weights of "
            f"{(len(rows.ply),)} are wanted of a game, got {shapes[0]} and {shapes[1]}"
        )
    if not (np.isfinite(values).all() and np.isfinite(weights).all()):
        raise ValueError(f"target {name!r} holds NaN or infinity")
    return values.astype(form.dtype), weights


def heads(names: Iterable[str]) -> tuple[tuple[str, Kind], ...]:
    """Returns what a network must predict for these targets."""
    return tuple((name, row.TARGETS[name].column.kind) for name in names)
