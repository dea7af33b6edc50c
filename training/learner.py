"""Distil: updates the network towards what the search found. The only file that knows optax."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from games.game import Game, Symmetry
from mcts import mask_illegal
from selfplay import devices, row
from selfplay.row import Kind
from training.devices import learner_mesh, sum_shares
from training.losses import Loss, Minibatch, imitation
from training.network import Network
from training.targets import LEARNED


@dataclasses.dataclass(frozen=True)
class LearnerConfig:
    """How the network is trained. AlphaGo Zero: Silver et al. 2017, Methods, "Optimization"."""

    batch: int = 512
    """M, rows a training step. AlphaGo Zero: 2,048."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """AlphaGo Zero: sgd with momentum."""
    learning_rate: float = 2e-3
    """Peak rate. AlphaGo Zero, sgd: 0.01, 0.001, 0.0001 in turn."""
    final_rate: float = 0.05
    """Share of the peak rate that is left at the schedule's horizon."""
    decay_from: float = 0.4
    """Share of the horizon after which the rate falls, along a line."""
    warmup_steps: int = 100
    """Steps in which the rate rises from 0, along a line. AlphaGo Zero: 0."""
    horizon_steps: int = 0
    """Steps until the rate has fallen; 0: fixed once by the run's limits, and stored."""
    momentum: float = 0.9
    """Of sgd. AlphaGo Zero: 0.9."""
    weight_decay: float = 1e-4
    """AlphaGo Zero: 1e-4, as L2 loss; here it is decoupled, times the rate."""
    max_gradient_norm: float = 5.0
    """Gradients are clipped to this global norm. AlphaGo Zero: no clipping."""
    value_weight: float = 1.0
    """Of the value loss against the policy loss. AlphaGo Zero: 1."""
    root_value_weight: float = 0.0
    """Share of the search's root value in the value target; the rest is the game's outcome.
    AlphaGo Zero: 0."""
    average_decay: float = 0.99
    """Of the moving average of the weights, which plays and is evaluated. AlphaGo Zero: 0."""
    symmetries: bool = True
    """Show each row through a random symmetry of the game (AlphaGo Zero: as here). Off for an
    amplifier that does not decide alike in positions that are alike, which would be averaged."""
    on_nan: Literal["stop", "rollback"] = "stop"
    """When a loss or weight is NaN or infinite: stop, or go back to the last save at a lower rate,
    three times at most."""
    rollback_rate: float = 0.5
    """Factor on the learning rate at each such rollback."""

    def problems(self) -> list[str]:
        """Returns what is wrong with these settings, a sentence each."""
        rules = [
            (self.batch >= 1, "batch", "at least 1"),
            (self.optimizer in ("adamw", "sgd"), "optimizer", "adamw or sgd"),
            (self.learning_rate > 0, "learning_rate", "above 0"),
            (0 <= self.final_rate <= 1, "final_rate", "between 0 and 1"),
            (0 <= self.decay_from < 1, "decay_from", "at least 0 and below 1"),
            (self.warmup_steps >= 0, "warmup_steps", "at least 0"),
            (self.horizon_steps >= 0, "horizon_steps", "at least 0 (0: automatic)"),
            (0 <= self.momentum < 1, "momentum", "at least 0 and below 1"),
            (self.weight_decay >= 0, "weight_decay", "at least 0"),
            (self.max_gradient_norm > 0, "max_gradient_norm", "above 0"),
            (self.value_weight >= 0, "value_weight", "at least 0"),
            (0 <= self.root_value_weight <= 1, "root_value_weight", "between 0 and 1"),
            (0 <= self.average_decay < 1, "average_decay", "at least 0 and below 1"),
            (self.on_nan in ("stop", "rollback"), "on_nan", "stop or rollback"),
            (0 < self.rollback_rate < 1, "rollback_rate", "above 0 and below 1"),
        ]
        return [
            f"learner.{name} must be {wanted}, got {getattr(self, name)!r}"
            for holds, name, wanted in rules
            if not holds
        ]


NO_TARGETS: Mapping[str, float] = {}
# How a symmetry acts on a column.
ACTS: dict[Kind, Callable[[Symmetry, Any], Any] | None] = {
    Kind.SCALAR: None,
    Kind.ACTION: Symmetry.on_action,
    Kind.PER_ACTION: Symmetry.on_actions,
    Kind.PER_CELL: Symmetry.on_cells,
    Kind.OBSERVATION: Symmetry.on_observation,
}


class TrainState(NamedTuple):
    """All that a training step changes."""

    step: jax.Array  # int32[]
    params: Any
    batch_stats: Any
    average_params: Any  # moving averages: what plays
    average_batch_stats: Any
    opt_state: Any


TrainStep = Callable[[TrainState, Minibatch, jax.Array], tuple[TrainState, dict[str, jax.Array]]]


def init(network: Network, config: LearnerConfig, key: jax.Array) -> TrainState:
    """Returns a fresh network and optimizer; the averages start as copies of the weights."""
    params, batch_stats = network.init(key)
    copy_params, copy_stats = jax.tree.map(jnp.copy, (params, batch_stats))
    return TrainState(
        step=jnp.int32(0),
        params=params,
        batch_stats=batch_stats,
        average_params=copy_params,  # copies: a train step donates its state, no buffer twice
        average_batch_stats=copy_stats,
        opt_state=_optimizer(config).init(params),
    )


def with_weights(state: TrainState, params: Any, batch_stats: Any) -> TrainState:
    """Returns the state with these weights in NumPy, from which the averages start anew.

    Heads of targets that they lack stay as they are.
    """
    params = _with_heads_of(state.params, params)
    batch_stats = _with_heads_of(state.batch_stats, batch_stats)
    copy_params, copy_stats = jax.tree.map(np.copy, (params, batch_stats))
    return state._replace(
        params=params,
        batch_stats=batch_stats,
        average_params=copy_params,
        average_batch_stats=copy_stats,
    )


def _with_heads_of(fresh: dict[str, Any], weights: dict[str, Any]) -> dict[str, Any]:
    if "targets" not in fresh:
        return weights
    return weights | {"targets": fresh["targets"] | weights.get("targets", {})}


def make_train_step(
    network: Network,
    game: Game[Any],
    config: LearnerConfig,
    row_losses: Loss = imitation,
    targets: Mapping[str, float] = NO_TARGETS,
) -> TrainStep:
    """Returns `train_step(state, batch, horizon) -> (state, metrics)`, jitted; it donates `state`.

    Minimises the weighted mean of `row_losses` (`training.losses`) over the batch; weight decay is
    the optimizer's. `horizon` is float32[], the step at which the learning rate has fallen. Metrics
    are float32[]; of the default loss in nats (policy) and squared return (value).

    Args:
      targets: what the network also learns, and the weight of its loss. A row's loss counts as
        much as `Minibatch.target_weights` says; the metric `loss_NAME` is the mean over these rows.
    """
    optimizer = _optimizer(config)
    symmetries = game.symmetries()

    def loss(
        params: Any, batch_stats: Any, batch: Minibatch
    ) -> tuple[jax.Array, tuple[Any, dict[str, jax.Array]]]:
        """Returns sums over the rows, not means: the rows may be one device's share of a batch."""
        predicted, of_targets, batch_stats = network.forward_all(
            params, batch_stats, batch.observation
        )
        logits = mask_illegal(predicted.prior_logits, batch.legal_action_mask)
        share = config.root_value_weight
        value_target = (1 - share) * batch.outcome + share * batch.root_value
        policy, value = row_losses(predicted._replace(prior_logits=logits), batch, value_target)
        policy = (policy * batch.weight * batch.policy_weight).sum()
        value = (value * batch.weight).sum()
        sums = {"policy_loss": policy, "value_loss": value}
        total = policy + config.value_weight * value
        for name, target_weight in targets.items():
            losses = LEARNED[name].loss(of_targets[name], batch.targets[name], batch)
            sums[f"loss_{name}"] = (losses * batch.weight * batch.target_weights[name]).sum()
            total += target_weight * sums[f"loss_{name}"]
        return total, (batch_stats, sums)

    def gradients_of_share(
        params: Any, batch_stats: Any, batch: Minibatch
    ) -> tuple[Any, Any, dict[str, jax.Array]]:
        batch = augment(batch, symmetries)
        gradients, (batch_stats, sums) = jax.grad(loss, has_aux=True)(params, batch_stats, batch)
        own = {f"loss_{n}": (batch.weight * batch.target_weights[n]).sum() for n in targets}
        totals = sum_shares((gradients, sums, batch_stats, batch.weight.sum(), 1.0, own))
        gradients, sums, batch_stats, weight, shares, own = totals
        # Each device norms by the statistics of its own share; the running ones are averaged.
        batch_stats = jax.tree.map(lambda leaf: leaf / shares, batch_stats)
        weight = jnp.maximum(weight, 1e-6)
        gradients = jax.tree.map(lambda leaf: leaf / weight, gradients)
        counted = dict.fromkeys(sums, weight) | {n: jnp.maximum(w, 1e-6) for n, w in own.items()}
        means = {name: total / counted[name] for name, total in sums.items()}
        return gradients, batch_stats, means

    share_out = devices.shard(
        gradients_of_share,
        learner_mesh(),
        in_specs=(devices.WHOLE, devices.WHOLE, devices.BY_LANE),
        out_specs=devices.WHOLE,
    )

    def train_step(
        state: TrainState, batch: Minibatch, horizon: jax.Array
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        gradients, batch_stats, metrics = share_out(state.params, state.batch_stats, batch)
        rate = learning_rate(config, state.step, horizon)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = jax.tree.map(lambda p, u: p - rate * u, state.params, updates)
        decay = _average_decay(config, state.step)

        def average(old: Any, new: Any) -> Any:
            return jax.tree.map(lambda a, b: decay * a + (1 - decay) * b, old, new)

        after = TrainState(
            step=state.step + 1,
            params=params,
            batch_stats=batch_stats,
            average_params=average(state.average_params, params),
            average_batch_stats=average(state.average_batch_stats, batch_stats),
            opt_state=opt_state,
        )
        metrics["gradient_norm"] = optax.tree.norm(gradients)
        metrics["learning_rate"] = rate
        return after, metrics

    return jax.jit(train_step, donate_argnums=0)


def learning_rate(config: LearnerConfig, step: jax.Array, horizon: jax.Array) -> jax.Array:
    """Returns float32[]: a rise, a plateau, a line down to `final_rate` at the horizon."""
    warm = (step + 1) / max(config.warmup_steps, 1)
    start = config.decay_from * horizon
    fallen = jnp.clip((step - start) / jnp.maximum(horizon - start, 1.0), 0.0, 1.0)
    return config.learning_rate * jnp.minimum(warm, 1 - (1 - config.final_rate) * fallen)


def augment(batch: Minibatch, symmetries: Sequence[Symmetry]) -> Minibatch:
    """Returns each row as its image under the symmetry that the row names."""
    if len(symmetries) == 1:
        return batch
    each = (jnp.asarray(part)[batch.symmetry] for part in zip(*symmetries, strict=True))
    symmetry = Symmetry(*each)  # type: ignore[arg-type]  # one for each row

    def image(name: str, values: jax.Array) -> jax.Array:
        column = row.column(name)
        act = None if column is None else ACTS[column.kind]
        return values if act is None else act(symmetry, values)

    columns = row.flat(batch)
    return row.nested(Minibatch, {name: image(name, columns[name]) for name in columns})


def _optimizer(config: LearnerConfig) -> optax.GradientTransformation:
    """Returns what turns gradients into a direction; the rate is applied by the train step."""
    if config.optimizer == "adamw":
        direction = optax.scale_by_adam()
    else:
        direction = optax.trace(decay=config.momentum, nesterov=True)
    return optax.chain(
        optax.clip_by_global_norm(config.max_gradient_norm),
        direction,
        optax.add_decayed_weights(
            config.weight_decay, mask=lambda tree: jax.tree.map(lambda leaf: leaf.ndim > 1, tree)
        ),
    )


def _average_decay(config: LearnerConfig, step: jax.Array) -> jax.Array:
    """Returns float32[]: a shorter memory at first, or the average keeps its random start."""
    return jnp.minimum(config.average_decay, (1.0 + step) / (10.0 + step))
