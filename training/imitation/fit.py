"""A[0] by imitation of an expert: fits a network to recorded games before any self-play."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game
from mcts import Evaluation
from selfplay import devices, row
from selfplay.files import durable
from selfplay.randomness import RunPurpose
from selfplay.row import Sample
from training import learner, losses
from training.config import RunConfig
from training.context import make_context, open_store
from training.devices import wait_for_all_but_last
from training.imitation.config import ImitationConfig
from training.learner import TrainState
from training.losses import Loss, minibatch
from training.metrics_log import MetricsLog, OnMetrics
from training.network import Network, Weights
from training.stages import NO_HORIZON, save
from training.start import begin
from training.storage.run_folder import RunFolder

CHUNK = 256  # held-out examples measured at once
AT_FULL_RATE = 2 / 3  # of the passes, at most; the rate falls in half as many as led to the best


class Imitation(NamedTuple):
    """A network that imitates, and how well it does on games that it has not seen."""

    weights: Weights  # averaged
    held_out: dict[str, float]  # epoch, top1, top5, policy_loss (nats), value_error


class _Pass(NamedTuple):
    """A pass over the games: what it left, and what it measured."""

    state: TrainState
    held_out: dict[str, float]


def fit(
    config: RunConfig,
    settings: ImitationConfig,
    game: Game[Any],
    network: Network,
    learnt: Sample,
    tested: Sample,
    on_metrics: OnMetrics,
    stop: Callable[[], bool],
) -> Imitation:
    """Trains a fresh network on examples of an expert; returns the best epoch's.

    The learning rate stays at its peak until patience runs out, or two thirds of the passes are
    over; from the best pass so far it then falls, over half as many passes as had led there.

    Args:
      learnt: examples, as `rows.rows_of` makes them, perhaps with the values that
        `inverse_rl.infer_values` gives them.
      tested: examples that are measured with, as `rows.rows_of` makes them; the best epoch is
        chosen by them too.
      on_metrics: called after each epoch with its measurements, and `best`, whether they are the
      best. stop: asked between training steps; what is there by then is measured and returned.
    """
    train_step = learner.make_train_step(network, game, config.learner, _loss(settings.loss))
    key = jax.random.fold_in(jax.random.key(config.seed), RunPurpose.FIT_INIT)
    batch, rows = config.learner.batch, len(learnt.ply)
    steps = steps_of_pass(config, rows)
    symmetries = len(game.symmetries()) if settings.augment else 1  # the first is the identity
    observations = _in_chunks(tested.observation)

    @jax.jit
    def predict(weights: Weights, observations: jax.Array) -> Evaluation:
        folded = network.fold(weights)
        return jax.lax.map(lambda chunk: network.evaluate(folded, chunk), observations)

    def once(state: TrainState, epoch: int, horizon: float) -> _Pass:
        rng = np.random.default_rng([config.seed, RunPurpose.FIT_SHUFFLE, epoch])
        order = np.resize(rng.permutation(rows), steps * batch)  # the first examples fill it up
        dispatched: list[dict[str, jax.Array]] = []
        for chosen in order.reshape(steps, batch):
            if stop():
                break
            symmetry = rng.integers(0, symmetries, batch, np.int32)
            part = minibatch(row.take(learnt, chosen), symmetry)
            state, measured = train_step(state, part, jnp.float32(horizon))
            dispatched.append(measured)
            wait_for_all_but_last(dispatched)
        now = _measure(predict(_averages(state), observations), tested)
        return _Pass(state, now | {"epoch": epoch})

    def passes(
        state: TrainState, epochs: range, horizon: float, patience: int, best: _Pass | None
    ) -> tuple[_Pass, int]:
        """Returns the best pass, and the number of the last one."""
        for epoch in epochs:
            state, measured = now = once(state, epoch, horizon)
            is_best = best is None or _badness(measured) < _badness(best.held_out)
            on_metrics(measured | {"best": is_best})
            if best is None or is_best:
                best = now._replace(state=devices.copy(state))  # a training step donates its own
            if stop() or epoch - best.held_out["epoch"] >= patience:
                break
        assert best is not None  # there is a pass
        return best, epoch

    most = max(1, int(settings.epochs * AT_FULL_RATE))
    state = learner.init(network, config.learner, key)
    best, last = passes(state, range(1, most + 1), NO_HORIZON, settings.patience, None)
    led = int(best.held_out["epoch"])
    falling = min(-(-led // 2), settings.epochs - last)
    if falling and not stop():
        horizon, after = (led + falling) * steps, range(last + 1, last + falling + 1)
        best, _ = passes(devices.copy(best.state), after, horizon, settings.epochs, best)
    return Imitation(_averages(best.state), best.held_out)


def steps_of_pass(config: RunConfig, rows: int) -> int:
    """Returns the training steps that go over so many examples once."""
    return -(-rows // config.learner.batch)


def by_chance(rows: Sample) -> dict[str, float]:
    """The `top1` and `policy_loss` on these examples of moves drawn among the legal ones."""
    legal = rows.legal_action_mask.sum(axis=1)
    return {"top1": float((1 / legal).mean()), "policy_loss": float(np.log(legal).mean())}


def _loss(spec: str) -> Loss:
    if spec == "inferred":  # inferred rewards are values of actions: they come with the examples
        return losses.action_values
    return losses.reinforce_records if spec == "reinforce" else losses.load(spec)


def make_run(folder: RunFolder, config: RunConfig, weights: Weights, line: dict[str, Any]) -> None:
    """Makes a new run whose step 0 has these weights; `train` goes on from there.

    Args:
      line: the first one of its metrics.jsonl.

    Raises:
      OSError: the folder holds other things, or cannot be written to.
    """
    partial = RunFolder(durable.partial_of(folder.path))
    partial.create(config)
    with partial.lock():
        partial.append_metrics(line)
        store, metrics = open_store(partial, config), MetricsLog(partial, lambda line: None)
        try:
            context = make_context(partial, config, metrics, store)
            save(context, begin(context, weights=weights))
        finally:
            store.close()
    # A run is there with its weights or not at all: `train` would begin without them.
    try:
        partial.path.rename(folder.path)
    except OSError as error:
        raise OSError(
            f"{folder.path} was taken meanwhile: the run with these weights is {partial.path}"
        ) from error
    durable.sync(folder.path.parent)


def _badness(measured: dict[str, float]) -> float:
    return measured["policy_loss"] + measured["value_error"]


def _averages(state: TrainState) -> Weights:
    held: Weights = jax.device_get(state.averages)
    return held


def _in_chunks(observation: np.ndarray) -> np.ndarray:
    """Returns `[chunks, CHUNK, ...]`, filled up with the first examples."""
    shape = observation.shape[1:]
    return np.resize(observation, (-(-len(observation) // CHUNK), CHUNK, *shape))


def _measure(evaluation: Evaluation, rows: Sample) -> dict[str, float]:
    """Returns means over examples that the network does not learn from."""
    count, actions = rows.legal_action_mask.shape
    logits = np.asarray(evaluation.prior_logits).reshape(-1, actions)[:count]
    value = np.asarray(evaluation.value).reshape(-1)[:count]
    masked = np.where(rows.legal_action_mask, logits, -np.inf)
    played = np.take_along_axis(masked, rows.action[:, None].astype(np.intp), 1)
    rank = (masked > played).sum(axis=1)
    peak = masked.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(masked - peak).sum(axis=1)) + peak[:, 0]
    return {
        "top1": float((rank < 1).mean()),
        "top5": float((rank < 5).mean()),
        "policy_loss": float((log_total - played[:, 0]).mean()),
        "value_error": float(np.square(value - rows.outcome).mean()),
    }
