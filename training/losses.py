"""Loss functions: what the network learns from a batch (Distil), one small loss each, in one slot.

`loss(predicted, batch, value_target) -> (policy_loss, value_loss)`, float32[M] each, an example's
own loss in it; the learner takes the weighted means and adds them. `predicted.prior_logits` is
float32[M, A] with illegal actions masked out, `predicted.value` float32[M]; `value_target` is
float32[M], the game's outcome mixed with the root value as `learner.root_value_weight` says. Of a
network with `network.value` wdl the learner takes `wdl_cross_entropy` for the value's loss instead.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from games import plug_in
from games.game import Game
from mcts import Evaluation, win_draw_loss
from selfplay import example
from selfplay.example import Sample
from training.devices import split_examples
from training.settings import DISTIL, distil_problems

NO_GAME = -1  # the game_id of a decision's example
# The least logarithm of a probability that a loss counts. It bounds what a target on an illegal
# action costs, whose logarithm is -3e38: the loss is seen to be absurd and the doctor can say why,
# where infinity would stop the run at its first step and blame the learning rate.
LEAST_LOG = -1e4
# Of `action_values`, in units of value: a smaller one trusts small differences of q more.
ACTION_VALUES_TEMPERATURE = 0.1


class Minibatch(NamedTuple):
    """The fields of M replay examples that training needs."""

    observation: jax.Array  # bool[M, *observation_shape]
    legal_action_mask: jax.Array  # bool[M, A]
    policy_target: jax.Array  # float16[M, A]
    action: jax.Array  # int16[M], the action played
    q: jax.Array  # float16[M, A], the overseer's value of each action
    outcome: jax.Array  # float32[M]
    root_value: jax.Array  # float32[M]
    weight: jax.Array  # float32[M]
    symmetry: jax.Array  # int32[M], index into `game.symmetries()`
    policy_weight: jax.Array  # float32[M], of the policy's loss, beside `weight`
    # What the run also learns, by name: as `selfplay/example.py` has it, and float32[M], 0 where an
    # example has no such target.
    targets: Mapping[str, jax.Array] = {}
    target_weights: Mapping[str, jax.Array] = {}


class Batches(NamedTuple):
    """The minibatches of K training steps, as they travel to the devices."""

    rows: Any  # uint8[K, M, bytes], rows of the replay
    symmetry: Any  # int32[K, M]
    policy_weight: Any  # float32[K, M]


def minibatch(
    examples: Sample, symmetry: np.ndarray, games_policy: float = 1.0, wins_policy: float = 0.0
) -> Minibatch:
    """The columns that a training step needs, on its devices.

    Args:
      games_policy: weight of the policy's loss on examples of games; an overseer's decisions have
        1.
      wins_policy: the same where an action wins at once, if that is more.
    """
    weight = policy_weight(examples, games_policy, wins_policy)
    made = {"symmetry": symmetry, "policy_weight": weight}
    fields = {name: getattr(examples, name) for name in Minibatch._fields if name not in made}
    whole = jax.tree.map(np.asarray, fields, is_leaf=lambda c: isinstance(c, example.Bits))
    return Minibatch(**split_examples(whole | made))


def policy_weight(examples: Sample, games_policy: float, wins_policy: float) -> np.ndarray:
    """Returns float32[M], the weights of the policy's loss; its arguments are `minibatch`'s."""
    weight: np.ndarray | float = games_policy
    if wins_policy > games_policy:  # else the values of all actions are looked at for nothing
        weight = np.where(_wins_at_once(examples), wins_policy, games_policy)
    # Decisions of an overseer always teach the policy.
    return np.where(examples.game_id == NO_GAME, 1.0, weight).astype(np.float32)


def _wins_at_once(examples: Sample) -> np.ndarray:
    """Returns bool[M]: the value of an action is that of a game won, as hardly any guess is."""
    best: np.ndarray = np.where(examples.legal_action_mask, examples.q, -1.0).max(axis=1)
    return best >= 1.0


ExampleLosses: TypeAlias = tuple[jax.Array, jax.Array]
Loss: TypeAlias = Callable[[Evaluation, Minibatch, jax.Array], ExampleLosses]


def imitation(predicted: Evaluation, batch: Minibatch, value_target: jax.Array) -> ExampleLosses:
    """Narrow imitation of the amplified distribution and of the outcome.

    (z - v)^2 - pi . log p, equation 1 of Silver et al. 2017 (AlphaGo Zero) less its weight penalty,
    which the optimizer adds as weight decay.
    """
    target = batch.policy_target.astype(jnp.float32)
    return cross_entropy(predicted.prior_logits, target), jnp.square(predicted.value - value_target)


def cloning(predicted: Evaluation, batch: Minibatch, value_target: jax.Array) -> ExampleLosses:
    """Imitation of the moves played alone: behavioural cloning (Pomerleau 1991).

    (z - v)^2 - log p[action]: what else the overseer considered is not looked at.
    """
    return -log_probability(predicted, batch.action), jnp.square(predicted.value - value_target)


def action_values(
    predicted: Evaluation, batch: Minibatch, value_target: jax.Array
) -> ExampleLosses:
    """Narrow reinforcement by the overseer's judgement of every action, not of the action alone.

    sum over a of p[a] (t log p[a] - q[a]), which is t KL(p || softmax(q / t)) and a constant: the
    overseer's values are the reward, at once and for each action, as a person's are in TAMER (Knox
    and Stone 2009), and an entropy bonus t keeps p off the corners. Regularised policy optimisation
    (Grill et al. 2020, https://arxiv.org/abs/2007.12509) stays near the search's prior instead.
    """
    legal = batch.legal_action_mask
    # Over legal actions only.
    log_p = jnp.where(legal, jax.nn.log_softmax(predicted.prior_logits), 0.0)
    p = jnp.where(legal, jnp.exp(log_p), 0.0)
    q = batch.q.astype(jnp.float32)
    policy_loss = (p * (ACTION_VALUES_TEMPERATURE * log_p - q)).sum(axis=-1)
    return policy_loss, jnp.square(predicted.value - value_target)


def reinforce(predicted: Evaluation, batch: Minibatch, value_target: jax.Array) -> ExampleLosses:
    """Broad reinforcement by the game's result alone: policy gradient with the value as baseline.

    REINFORCE (Williams 1992): -r (z - v) log p[action], nothing flowing through r and v. r is
    min(1, p / m), with m the probability that the action was played with: importance weights cut at
    1, as in V-trace (Espeholt et al. 2018), for examples are older than the network. m is taken to
    be the example's `policy_target`: exact for `--amplify policy`, near for a Gumbel search.
    """
    log_p = log_probability(predicted, batch.action)
    played = jnp.take_along_axis(batch.policy_target, batch.action[:, None].astype(int), axis=1)
    # The probability with which the action was played.
    played_with = jnp.maximum(played[:, 0].astype(jnp.float32), 1e-6)
    ratio = jnp.minimum(1.0, jnp.exp(log_p) / played_with)
    return _policy_gradient(predicted, batch, log_p, ratio, value_target)


def reinforce_records(
    predicted: Evaluation, batch: Minibatch, value_target: jax.Array
) -> ExampleLosses:
    """`reinforce` on an expert's recorded games: what it won with is learned at the full rate.

    The games are of the behaviour policy, which is not known but by its moves: r is 1 where the
    advantage z - v is positive, so that the gradient does not vanish where the network does not
    play so yet. Where it is negative r is p, or what was lost with would be pushed down without
    end: tapered off-policy REINFORCE (Le Roux et al. 2025, https://arxiv.org/abs/2503.14286).
    """
    log_p = log_probability(predicted, batch.action)
    ratio = jnp.where(batch.outcome > predicted.value, 1.0, jnp.exp(log_p))
    return _policy_gradient(predicted, batch, log_p, ratio, value_target)


def _policy_gradient(
    predicted: Evaluation,
    batch: Minibatch,
    log_p: jax.Array,
    ratio: jax.Array,
    value_target: jax.Array,
) -> ExampleLosses:
    """Returns -ratio (z - v) log p, whose gradient flows through log p alone, and the value's."""
    # The value head is the baseline.
    advantage = batch.outcome - predicted.value
    policy_loss = -jax.lax.stop_gradient(ratio * advantage) * log_p
    return policy_loss, jnp.square(predicted.value - value_target)


def cross_entropy(logits: jax.Array, target: jax.Array) -> jax.Array:
    """Returns float32[M], -target . log softmax(logits); masked actions have weight 0 in both."""
    log_p = jnp.maximum(jax.nn.log_softmax(logits), LEAST_LOG)
    return -jnp.where(target > 0, target * log_p, 0.0).sum(axis=-1)


def wdl_cross_entropy(logits: jax.Array, batch: Minibatch, share: float) -> jax.Array:
    """Returns float32[M], in nats: the cross-entropy of logits [M, 3] of win, draw and loss.

    The target is the outcome's, mixed by `share` with the root value's. The search says nothing of
    draws: there the network's own probability of them stands, and has no gradient.
    """
    won, lost = jnp.maximum(batch.outcome, 0), jnp.maximum(-batch.outcome, 0)
    of_outcome = jnp.stack([won, 1 - won - lost, lost], axis=-1)
    draw = jax.lax.stop_gradient(jax.nn.softmax(logits)[:, 1])
    of_root = win_draw_loss(batch.root_value, draw)
    return cross_entropy(logits, (1 - share) * of_outcome + share * of_root)


def log_probability(predicted: Evaluation, action: jax.Array) -> jax.Array:
    """Returns float32[M], the log of the network's probability of each example's action."""
    log_p = jnp.maximum(jax.nn.log_softmax(predicted.prior_logits), LEAST_LOG)
    return jnp.take_along_axis(log_p, action[:, None].astype(int), axis=1)[:, 0]


LOSSES: dict[str, Loss] = dict(
    zip(DISTIL, (imitation, cloning, action_values, reinforce), strict=True)
)


def check_form(loss: Loss, game: Game[Any], examples: int) -> None:
    """Asks a loss about `examples` examples without computing anything.

    Raises:
      Whatever the loss raises, as ValueError does where it returns something else than it should.
    """

    def of_examples(form: example.Form) -> Any:
        return jax.ShapeDtypeStruct((examples, *form.shape), form.dtype)

    number = of_examples(example.Form((), np.dtype(np.float32)))
    columns = {name: of_examples(form) for name, form in example.forms(game).items()}
    symmetry = of_examples(example.Form((), np.dtype(np.int32)))
    given = columns | {"symmetry": symmetry, "policy_weight": number}
    batch = Minibatch(**{name: given[name] for name in Minibatch._fields if name in given})
    logits = jax.ShapeDtypeStruct((examples, game.num_actions), jnp.float32)
    predicted = Evaluation(logits, number)  # type: ignore[arg-type]
    jax.eval_shape(loss, predicted, batch, number)


def load(spec: str) -> Loss:
    """Returns the loss that `spec` names: one of `LOSSES`, or the function `module:function`.

    Raises:
      ValueError: there is none, or it does not take (predicted, batch, value_target).

    Example:
      >>> from training import losses
      >>> predicted = Evaluation(jnp.log(jnp.array([[0.25, 0.75]])), jnp.array([0.5]))
      >>> batch = losses.Minibatch(**dict.fromkeys(losses.Minibatch._fields))
      >>> batch = batch._replace(action=jnp.array([1]))  # all that cloning looks at
      >>> policy_loss, value_loss = losses.load("cloning")(predicted, batch, jnp.array([1.0]))
      >>> f"{policy_loss[0]:.3f} {value_loss[0]:.3f}"
      '0.288 0.250'
    """
    for problem in distil_problems(spec):
        raise ValueError(problem)
    if spec in LOSSES:
        return LOSSES[spec]
    what = f"distil {spec!r}"
    function = plug_in.import_function(spec, what)
    plug_in.check_call(function, ("predicted", "batch", "value_target"), what)

    # A user's loss is asked for shapes each time it is traced.
    def checked(predicted: Evaluation, batch: Minibatch, value_target: jax.Array) -> ExampleLosses:
        result = function(predicted, batch, value_target)
        shapes = [np.shape(part) for part in result] if isinstance(result, tuple) else type(result)
        if shapes != [value_target.shape] * 2:
            raise ValueError(
                f"{what} must return two arrays of shape {value_target.shape}, each example's "
                f"policy and value losses, got {shapes}"
            )
        policy, value = result
        return policy, value

    return checked
