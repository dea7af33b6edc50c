"""Auxiliary targets: how each of `selfplay/example.py` is computed, and its loss.

docs/targets.md says what they are and how to add one. The head follows from what the target holds
of an example (`training/network.py`).
"""

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game, largest_margin
from games.plug_in import described
from mcts import mask_illegal
from selfplay import example
from selfplay.example import Form, Kind, Sample
from selfplay.recorder import FinishedGames
from training.losses import Minibatch, cross_entropy

if TYPE_CHECKING:
    from selfplay.self_play import Compute  # who learns from examples needs no self-play

# `(predicted, target, batch) -> float32[M]`, an example's own loss. `predicted` is float32[M], [M,
# A] or [M, *cells]; `target` has its shape and the column's dtype. Both are of `batch`, whose
# examples are already shown through their symmetries.
TargetLoss = Callable[[jax.Array, jax.Array, Minibatch], jax.Array]


# `(game, examples, to_play) -> (values, weights)`, in NumPy: of one finished game, T examples in
# their order, int[T] the seats that decided; the values [T, ...] for those seats, and float32[T], 0
# where an example has none.
GameCompute = Callable[[Game[Any], Sample, np.ndarray], tuple[np.ndarray, np.ndarray]]


class Learned(NamedTuple):
    """How a target is computed, and learned."""

    # A `Compute` of self-play; a `GameCompute`; or, of what is known from the example, `(batch)`,
    # which gives the target of a `Minibatch` on the device.
    compute: Callable[..., Any]
    loss: TargetLoss
    needs: tuple[str, ...] = ()  # methods that not every game has


# ---- what is computed ---------------------------------------------------------------------------

HORIZON = 5  # plies that `short_value` looks ahead on average
SOFTNESS = 4  # the temperature of `soft_policy`, KataGo's


def final_board(game: Any, final: Any) -> jax.Array:
    """Returns int8[2, *cells], the last position as each seat sees it."""
    planes: jax.Array = game.final_planes(final)
    return planes


def margin(game: Any, final: Any) -> jax.Array:
    """Returns float32[2], each seat's margin as a share of the largest."""
    share = game.margin(final) / largest_margin(game)
    return jnp.stack([share, -share])


def reply(game: Any, examples: Sample, to_play: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns float16[T, A], the policy target of the next ply, whoever decides it.

    The last ply has none.

    KataGo's opponent's reply (Wu 2019, https://arxiv.org/abs/1902.10565, section 3.4), which is of
    the other side where turns alternate.
    """
    del game, to_play
    weights = np.ones(len(examples.ply), np.float32)
    weights[-1] = 0
    # Shift by one ply.
    following: np.ndarray = np.roll(examples.policy_target, -1, axis=0)
    following[-1] = 0
    return following, weights


def short_value(game: Any, examples: Sample, to_play: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns float32[T], what the next plies make of the position: the lambda-return.

    (1 - l) (v[1] + l v[2] + l^2 v[3] + ...) + l^n z, with v[k] the root value k plies later, of
    which there are n until the outcome z, and 1 / (1 - l) plies the `HORIZON` (Sutton and Barto
    2018, section 12.1; KataGo's short-term values).
    """
    del game
    sign = np.where(to_play == 0, 1.0, -1.0)  # all in the view of seat 0, whoever moves twice
    values, kept = examples.root_value * sign, 1 - 1 / HORIZON
    returned = np.empty(len(sign))
    ahead = examples.outcome[-1] * sign[-1]
    # Backwards from the outcome, as a lambda-return is computed.
    for ply in reversed(range(len(sign))):
        returned[ply] = ahead
        ahead = (1 - kept) * values[ply] + kept * ahead
    return (returned * sign).astype(np.float32), np.ones(len(sign), np.float32)


def action_values(batch: Minibatch) -> jax.Array:
    """Returns float32[M, A], the search's value of each action.

    Where there was no visit, what the search took for it: an example does not say where.
    """
    return batch.q.astype(jnp.float32)


def soft_policy(batch: Minibatch) -> jax.Array:
    """Returns float32[M, A], the policy target to the power 1 / `SOFTNESS`, normalised.

    It tells good moves from bad ones that are both hardly ever played (KataGo's soft policy,
    https://github.com/lightvector/KataGo/blob/master/docs/KataGoMethods.md).
    """
    # Flatten the distribution, then normalise.
    softened = jnp.power(batch.policy_target.astype(jnp.float32), 1 / SOFTNESS)
    return softened / jnp.maximum(softened.sum(axis=-1, keepdims=True), 1e-6)


# ---- how it is learned --------------------------------------------------------------------------


def owner_loss(predicted: jax.Array, target: jax.Array, batch: Minibatch) -> jax.Array:
    """Returns float32[M], the divergence of who owns a cell from the prediction, a cell.

    tanh(predicted) is the expected owner, so that one's own has the odds exp(2 predicted). What
    nobody owns counts as half of each; its own entropy is left out, so that 0 is the best loss.
    """
    del batch
    owner = target.astype(jnp.float32)
    surprise = jax.nn.softplus(2 * predicted) - (1 + owner) * predicted
    return (surprise - jnp.log(2.0) * (1 - jnp.abs(owner))).mean(tuple(range(1, owner.ndim)))


def squared(predicted: jax.Array, target: jax.Array, batch: Minibatch) -> jax.Array:
    """Returns float32[M], (predicted - target)^2."""
    del batch
    return jnp.square(predicted - target)


def bounded_squared(predicted: jax.Array, target: jax.Array, batch: Minibatch) -> jax.Array:
    """Returns float32[M], (tanh(predicted) - target)^2, as of the value."""
    return squared(jnp.tanh(predicted), target, batch)


def of_legal_actions(predicted: jax.Array, target: jax.Array, batch: Minibatch) -> jax.Array:
    """Returns float32[M], the mean over legal actions of (tanh(predicted) - target)^2."""
    legal = batch.legal_action_mask
    error = jnp.where(legal, bounded_squared(predicted, target, batch), 0.0)
    return error.sum(axis=-1) / jnp.maximum(legal.sum(axis=-1), 1)


def policy_loss(predicted: jax.Array, target: jax.Array, batch: Minibatch) -> jax.Array:
    """Returns float32[M], -target . log softmax(predicted) over legal actions."""
    return cross_entropy(mask_illegal(predicted, batch.legal_action_mask), target)


def reply_loss(predicted: jax.Array, target: jax.Array, batch: Minibatch) -> jax.Array:
    """float32[M], the same over all actions: an example does not know the next one's mask."""
    del batch
    return cross_entropy(predicted, target.astype(jnp.float32))


LEARNED: dict[str, Learned] = {
    "final_board": Learned(final_board, owner_loss, ("final_planes",)),
    "margin": Learned(margin, squared, ("margin",)),
    "reply": Learned(reply, reply_loss),
    "short_value": Learned(short_value, bounded_squared),
    "action_values": Learned(action_values, of_legal_actions),
    "soft_policy": Learned(soft_policy, policy_loss),
}


# ---- what a run does with them ------------------------------------------------------------------


def check(names: Iterable[str], game: Game[Any], spec: str) -> None:
    """Raises ValueError where a game cannot give a target: it lacks a method, or has another form.

    Args:
      spec: of the game, for the message.
    """
    for name in names:
        lacking = [f"{need}(state)" for need in LEARNED[name].needs if not _has(game, need)]
        if lacking:
            raise ValueError(
                f"target {name!r} needs {' and '.join(lacking)}, which the game {spec} does not "
                "have: leave it out, or add it to the game (docs/targets.md)"
            )
        if example.TARGETS[name].at == "end":
            _check_end(name, game, spec)


def forms(game: Game[Any], targets: Collection[str] = ()) -> dict[str, Form]:
    """Returns the forms of a run's columns by flat name, observations in the game's own dtype."""
    seen = jax.eval_shape(lambda key: game.observe(game.init(key)), jax.random.key(0))
    return example.forms(game, targets) | {"observation": Form(seen.shape, seen.dtype)}


def _check_end(name: str, game: Game[Any], spec: str) -> None:
    wanted = (2, *example.form(example.TARGETS[name].column, game).shape)
    try:
        state = jax.eval_shape(game.init, jax.random.key(0))
        given = jax.eval_shape(lambda final: LEARNED[name].compute(game, final), state)
    except Exception as error:  # whatever a game of a user's own raises
        raise ValueError(f"target {name!r} of {spec}: {described(error)}") from error
    if given.shape != wanted:
        raise ValueError(
            f"target {name!r} of {spec} must be computed with the shape {wanted}, a value for each "
            f"seat, got {given.shape}"
        )


def _has(game: Game[Any], name: str) -> bool:
    """Returns whether a game has a method; an option may have its name."""
    return callable(getattr(game, name, None))


def computes(names: Iterable[str]) -> dict[str, "Compute"]:
    """Returns how self-play computes those of these targets that it knows, on the device."""
    known = [name for name in names if example.TARGETS[name].at in ("ply", "end")]
    return {name: LEARNED[name].compute for name in known}


def of_batch(name: str, batch: Minibatch) -> jax.Array:
    """Returns a target of M examples, [M, ...]: as they hold it, or as it is known from them."""
    if example.TARGETS[name].at != "example":
        return batch.targets[name]
    target: jax.Array = LEARNED[name].compute(batch)
    return target


def of_games(
    samples: Sample, finished: FinishedGames, names: Iterable[str], game: Game[Any]
) -> Sample:
    """Returns the samples of finished games with those targets that self-play does not know.

    Args:
      samples: game after game and ply after ply, as the recorder gives them.
      finished: these games, in the same order.

    Raises:
      ValueError: a target has another shape than its form says, or holds NaN or infinity.
    """
    values, weights = dict(samples.targets), dict(samples.target_weights)
    for name in names:
        target = example.TARGETS[name]
        if target.at == "example":
            weights[name] = np.ones(len(samples.ply), np.float32)
        if target.at != "game":
            continue
        form = example.form(target.column, game)
        parts = [
            _of_game(name, form, game, example.take(samples, rows), finished.to_play[rows])
            for rows in finished.rows
        ]
        values[name] = np.concatenate([form.zeros(0), *(value for value, _ in parts)])
        weights[name] = np.concatenate([np.zeros(0, np.float32), *(weight for _, weight in parts)])
    return samples._replace(targets=values, target_weights=weights)


def _of_game(
    name: str, form: Form, game: Game[Any], examples: Sample, to_play: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    result = LEARNED[name].compute(game, examples, to_play)
    values, weights = np.asarray(result[0]), np.asarray(result[1], np.float32)
    shapes = values.shape, weights.shape
    if shapes != ((len(examples.ply), *form.shape), (len(examples.ply),)):
        raise ValueError(
            f"target {name!r}: values of shape {(len(examples.ply), *form.shape)} and weights of "
            f"{(len(examples.ply),)} are wanted of a game, got {shapes[0]} and {shapes[1]}"
        )
    if not (np.isfinite(values).all() and np.isfinite(weights).all()):
        raise ValueError(f"target {name!r} holds NaN or infinity")
    return values.astype(form.dtype), weights


def heads(names: Iterable[str]) -> tuple[tuple[str, Kind], ...]:
    """The heads that a network needs for these targets."""
    return tuple((name, example.TARGETS[name].column.kind) for name in names)
