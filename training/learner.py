"""One training step: augmentation by symmetries, loss, optimizer, learning-rate schedule, averages.

Distil: it moves the network towards what the search made of it. The only file that knows optax.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from games.game import Game, Symmetry
from mcts import Evaluation, mask_illegal
from selfplay import devices, example
from selfplay.example import Kind, Layout
from training.devices import learner_mesh, sum_shares
from training.losses import Batches, ExampleLosses, Loss, Minibatch, imitation, wdl_cross_entropy
from training.network import VALUE_LOGITS, Network, Weights
from training.settings import LearnerConfig
from training.targets import LEARNED, of_batch

NO_TARGETS: Mapping[str, float] = {}
# How a symmetry acts on a column, [M, ...].
ACTS: dict[Kind, Callable[[Symmetry, Any], Any] | None] = {
    Kind.SCALAR: None,
    Kind.ACTION: Symmetry.on_action,
    Kind.PER_ACTION: Symmetry.on_actions,
    Kind.PER_CELL: lambda symmetry, values: symmetry.on_cells(values, values.ndim - 1),
    Kind.OBSERVATION: lambda symmetry, values: symmetry.on_observation(values, values.ndim - 1),
}


class TrainState(NamedTuple):
    """All that a training step changes."""

    step: jax.Array  # int32[]
    params: Any
    batch_stats: Any
    average_params: Any  # moving averages: what plays
    average_batch_stats: Any
    opt_state: Any

    @property
    def weights(self) -> Weights:
        """The weights that are trained."""
        return Weights(self.params, self.batch_stats)

    @property
    def averages(self) -> Weights:
        """The averaged weights: what plays."""
        return Weights(self.average_params, self.average_batch_stats)


TrainStep = Callable[[TrainState, Minibatch, Any], tuple[TrainState, dict[str, jax.Array]]]
TrainSteps = Callable[..., tuple[TrainState, dict[str, jax.Array]]]


def init(network: Network, config: LearnerConfig, key: jax.Array) -> TrainState:
    """Returns a fresh network and optimizer; the averages start as copies of the weights."""
    # Random weights; batch statistics start at mean 0 and variance 1.
    return _begin(config, network.init(key))


@functools.partial(jax.jit, static_argnums=0)  # one compilation, not one a leaf
def _begin(config: LearnerConfig, weights: Weights) -> TrainState:
    params, batch_stats = weights
    copy_params, copy_stats = jax.tree.map(jnp.copy, (params, batch_stats))
    return TrainState(
        step=jnp.int32(0),
        params=params,
        batch_stats=batch_stats,
        average_params=copy_params,  # copies: a train step donates its state, no buffer twice
        average_batch_stats=copy_stats,
        opt_state=_optimizer(config).init(params),
    )


def with_weights(state: TrainState, weights: Weights) -> TrainState:
    """Returns the state with these weights in NumPy, from which the averages start anew.

    Heads of targets that they lack stay as they are.
    """
    weights = Weights(
        _with_heads_of(state.params, weights.params),
        _with_heads_of(state.batch_stats, weights.batch_stats),
    )
    copies = jax.tree.map(np.copy, weights)
    return state._replace(
        params=weights.params,
        batch_stats=weights.batch_stats,
        average_params=copies.params,
        average_batch_stats=copies.batch_stats,
    )


def _with_heads_of(fresh: Any, weights: Any) -> Any:
    if not isinstance(fresh, dict) or "targets" not in fresh:
        return weights
    return weights | {"targets": fresh["targets"] | weights.get("targets", {})}


def make_train_step(
    network: Network,
    game: Game[Any],
    config: LearnerConfig,
    example_losses: Loss = imitation,
    targets: Mapping[str, float] = NO_TARGETS,
) -> TrainStep:
    """Returns `train_step(state, batch, horizon) -> (state, metrics)`, jitted; it donates `state`.

    Minimises the weighted mean of `example_losses` (`training.losses`) over the batch; weight decay
    is the optimizer's. `horizon` is float32[], the step at which the learning rate has fallen.
    Metrics are float32[]; of the default loss in nats (policy) and squared return (value), which
    `network.value` wdl has in nats too.

    Args:
      targets: what the network also learns, and the weight of its loss. An example's loss counts as
        much as `Minibatch.target_weights` says; the metric `loss_NAME` is the mean over these
        examples.
    """
    optimizer = _optimizer(config)
    # Data augmentation by the game's symmetries, as in AlphaGo Zero.
    symmetries = game.symmetries()

    def loss(
        params: Any, batch_stats: Any, batch: Minibatch
    ) -> tuple[jax.Array, tuple[Any, dict[str, jax.Array]]]:
        """Sums over the examples, not means: they may be one device's share of a batch."""
        # Predict, with illegal actions masked out.
        predicted, of_targets, batch_stats = network.forward_all(
            Weights(params, batch_stats), batch.observation
        )
        logits = mask_illegal(predicted.prior_logits, batch.legal_action_mask)
        # The losses of policy and value, equation 1 of AlphaGo Zero less its weight penalty.
        predicted = predicted._replace(prior_logits=logits)
        policy, value = _policy_and_value(
            example_losses, predicted, of_targets, batch, config.root_value_weight
        )
        policy = (policy * batch.weight * batch.policy_weight).sum()
        value = (value * batch.weight).sum()
        sums = {"policy_loss": policy, "value_loss": value}
        total = policy + config.value_weight * value
        # Auxiliary targets, each with its own weight.
        for name, target_weight in targets.items():
            losses = LEARNED[name].loss(of_targets[name], of_batch(name, batch), batch)
            sums[f"loss_{name}"] = (losses * batch.weight * batch.target_weights[name]).sum()
            total += target_weight * sums[f"loss_{name}"]
        return total, (batch_stats, sums)

    def gradients_of_share(
        params: Any, batch_stats: Any, batch: Minibatch
    ) -> tuple[Any, Any, dict[str, jax.Array]]:
        # Show each example through the symmetry that was drawn for it.
        batch = augment(batch, symmetries)
        # The gradient of this device's share.
        gradients, (batch_stats, sums) = jax.grad(loss, has_aux=True)(params, batch_stats, batch)
        own = {f"loss_{n}": (batch.weight * batch.target_weights[n]).sum() for n in targets}
        # All-reduce over the devices, of all hosts, in one exchange.
        totals = sum_shares((gradients, sums, batch_stats, batch.weight.sum(), 1.0, own))
        gradients, sums, batch_stats, weight, shares, own = totals
        # Each device norms by the statistics of its own share; the running ones are averaged.
        batch_stats = jax.tree.map(lambda leaf: (leaf / shares).astype(leaf.dtype), batch_stats)
        # From sums to means over the whole batch.
        weight = jnp.maximum(weight, 1e-6)
        gradients = jax.tree.map(lambda leaf: leaf / weight, gradients)
        counted = dict.fromkeys(sums, weight) | {n: jnp.maximum(w, 1e-6) for n, w in own.items()}
        means = {name: total / counted[name] for name, total in sums.items()}
        return gradients, batch_stats, means

    share_out = devices.shard(
        gradients_of_share,
        learner_mesh(config.batch),
        in_specs=(devices.WHOLE, devices.WHOLE, devices.BY_ENV),
        out_specs=devices.WHOLE,
    )

    def train_step(
        state: TrainState, batch: Minibatch, horizon: jax.Array
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        # Gradients of the whole batch, the same on every device.
        gradients, batch_stats, metrics = share_out(state.params, state.batch_stats, batch)
        rate = learning_rate(config, state.step, horizon)
        # The optimizer's direction, scaled by the schedule's rate.
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        # Step against the gradient; dense layers may have a rate of their own.
        params = jax.tree.map(
            lambda p, u, share: p - rate * share * u,
            state.params,
            updates,
            _rates(state.params, config.dense_rate),
        )
        # The moving average of the weights: it is what plays and is evaluated.
        decay = _average_decay(config, state.step)

        def average(old: Any, new: Any) -> Any:
            def of_leaf(a: jax.Array, b: jax.Array) -> jax.Array:
                # A network's state may count its steps.
                return decay * a + (1 - decay) * b if jnp.issubdtype(b.dtype, jnp.inexact) else b

            return jax.tree.map(of_leaf, old, new)

        after = TrainState(
            step=state.step + 1,
            params=params,
            batch_stats=batch_stats,
            average_params=average(state.average_params, params),
            average_batch_stats=average(state.average_batch_stats, batch_stats),
            opt_state=opt_state,
        )
        # Before clipping, which the optimiser does.
        metrics["gradient_norm"] = optax.tree.norm(gradients)
        metrics["learning_rate"] = rate
        return after, metrics

    return jax.jit(train_step, donate_argnums=0)


def _policy_and_value(
    example_losses: Loss,
    predicted: Evaluation,
    said: Mapping[str, jax.Array],
    batch: Minibatch,
    share: float,
) -> ExampleLosses:
    """Returns each example's losses; those of the value in nats if the network says win and draw.

    Args:
      share: of the search's root value in the value's target; the rest is the game's outcome.
    """
    value_target = (1 - share) * batch.outcome + share * batch.root_value
    policy, value = example_losses(predicted, batch, value_target)
    if VALUE_LOGITS in said:
        value = wdl_cross_entropy(said[VALUE_LOGITS], batch, share)
    return policy, value


def make_train_steps(train_step: TrainStep) -> TrainSteps:
    """Returns `train_steps(state, batches, horizon, count, layout) -> (state, metrics)`, jitted.

    It takes `count` training steps in one dispatch, so that the host is free meanwhile, and donates
    `state`. `batches` are of K >= `count` steps, in rows of `layout`. Metrics are float32[K]: the
    first `count` are of steps taken.
    """

    def train_steps(
        state: TrainState,
        batches: Batches,
        horizon: jax.Array,
        count: jax.Array,
        layout: Layout,
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        def batch_of(step: Any) -> Minibatch:
            own = Batches(*(part[step] for part in batches))
            columns = unpack_rows(own.rows, layout)
            learned = {n: c for n, c in columns.items() if n.partition("/")[0] in Minibatch._fields}
            return example.nested(
                Minibatch,
                learned | {"symmetry": own.symmetry, "policy_weight": own.policy_weight},
            )

        if len(batches.rows) == 1:
            state, alone = train_step(state, batch_of(0), horizon)
            return state, jax.tree.map(lambda value: value[None], alone)

        def step(number: jax.Array, carried: Any) -> Any:
            state, metrics = carried
            state, measured = train_step(state, batch_of(number), horizon)
            return state, {name: metrics[name].at[number].set(measured[name]) for name in metrics}

        # As many as are due: to pad the last dispatch would train more.
        names = jax.eval_shape(train_step, state, batch_of(0), horizon)[1]
        nothing = dict.fromkeys(names, jnp.zeros(len(batches.rows)))
        done: tuple[TrainState, dict[str, jax.Array]]
        done = jax.lax.fori_loop(0, count, step, (state, nothing))
        return done

    return jax.jit(train_steps, donate_argnums=0, static_argnames="layout")


def unpack_rows(rows: jax.Array, layout: Layout) -> dict[str, jax.Array]:
    """Returns the columns of rows, uint8[M, bytes of a row], on the device; no int64 there."""
    columns, fields = {}, layout.dtype.fields
    assert fields is not None
    for name, form in layout.columns:
        held, first = example.held(form), fields[name][1]
        if held.dtype.itemsize == 8:
            continue  # numbers of games and steps, which training does not look at
        count, size = math.prod(held.shape), held.dtype.itemsize
        values = rows[:, first : first + count * size]
        if held != form:
            values = jnp.unpackbits(values, axis=1, count=math.prod(form.shape)).astype(bool)
        elif size > 1:
            values = jax.lax.bitcast_convert_type(
                values.reshape(len(rows), count, size), held.dtype
            )
        else:
            values = jax.lax.bitcast_convert_type(values, held.dtype)
        columns[name] = values.reshape(len(rows), *form.shape)
    return columns


def learning_rate(config: LearnerConfig, step: jax.Array, horizon: jax.Array) -> jax.Array:
    """Returns float32[]: a rise, a plateau, a line down to `final_rate_fraction` at the horizon."""
    # Linear warm-up, a plateau, linear decay to the horizon.
    warm = (step + 1) / max(config.warmup_steps, 1)
    start = config.decay_start_fraction * horizon
    fallen = jnp.clip((step - start) / jnp.maximum(horizon - start, 1.0), 0.0, 1.0)
    return config.learning_rate * jnp.minimum(warm, 1 - (1 - config.final_rate_fraction) * fallen)


def augment(batch: Minibatch, symmetries: Sequence[Symmetry]) -> Minibatch:
    """Returns each example as its image under the symmetry that the example names."""
    if len(symmetries) == 1:
        return batch
    # Gather each example's own permutation of cells and actions.
    each = (jnp.asarray(part)[batch.symmetry] for part in zip(*symmetries, strict=True))
    symmetry = Symmetry(*each)  # type: ignore[arg-type]  # one for each example

    def image(name: str, values: jax.Array) -> jax.Array:
        column = example.column(name)
        act = None if column is None else ACTS[column.kind]
        return values if act is None else act(symmetry, values)

    columns = example.flat(batch)
    return example.nested(Minibatch, {name: image(name, columns[name]) for name in columns})


def _rates(params: Any, dense: float) -> Any:
    """Returns each parameter's learning rate, as a share: `dense` in dense layers, elsewhere 1.

    A dense layer is a node of the tree that has a matrix and none of more axes.
    """
    axes: dict[Any, int] = {}  # the most that a leaf of a layer has
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        axes[path[:-1]] = max(axes.get(path[:-1], 0), leaf.ndim)
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: dense if axes[path[:-1]] == 2 else 1.0, params
    )


def _optimizer(config: LearnerConfig) -> optax.GradientTransformation:
    """The optimiser without its learning rate, which the train step applies."""
    if config.optimizer == "adamw":
        direction = optax.scale_by_adam()
    else:
        direction = optax.trace(decay=config.momentum, nesterov=True)
    # Clip, then momentum or Adam, then decoupled weight decay of matrices alone.
    return optax.chain(
        optax.clip_by_global_norm(config.max_gradient_norm),
        direction,
        optax.add_decayed_weights(
            config.weight_decay, mask=lambda tree: jax.tree.map(lambda leaf: leaf.ndim > 1, tree)
        ),
    )


def _average_decay(config: LearnerConfig, step: jax.Array) -> jax.Array:
    """Returns float32[]: a shorter memory at first, or the average keeps its random start."""
    return jnp.minimum(config.ema_decay, (1.0 + step) / (10.0 + step))
