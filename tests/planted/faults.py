"""Faults to plant in a real run: each changes the code that trains, or a setting, and nothing else.

The doctor must name them. `plant` gives back the sound code when its block ends, so the doctor has
only what the run left on disk.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import mcts.gumbel
import mcts.simulation
from selfplay import recorder, row, self_play
from selfplay.amplify import slot
from training import learner, replay, stages
from training import run as run_module
from training.network import Network


class Fault(NamedTuple):
    """One way to break training."""

    named: str  # what the doctor must call it
    patch: Callable[[pytest.MonkeyPatch], None] = lambda patch: None
    config: Callable[[Any], Any] = lambda config: config

    @contextlib.contextmanager
    def plant(self) -> Iterator[None]:
        """Breaks the code inside the block."""
        with pytest.MonkeyPatch.context() as patch:
            self.patch(patch)
            yield


def part(name: str, **changes: Any) -> Callable[[Any], Any]:
    """Returns a change of one part of a RunConfig."""

    def change(config: Any) -> Any:
        return dataclasses.replace(
            config, **{name: dataclasses.replace(getattr(config, name), **changes)}
        )

    return change


def wrap(owner: Any, name: str, around: Callable[..., Any]) -> Callable[[pytest.MonkeyPatch], None]:
    """Returns a patch by which `owner.name(...)` becomes `around(original, ...)`."""
    original = getattr(owner, name)

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(owner, name, lambda *args, **kw: around(original, *args, **kw))

    return patch


def on_minibatch(change: Callable[[dict[str, Any], Any], dict[str, Any]]) -> Any:
    """Returns a patch that changes the minibatches on their way to the training step."""

    def around(original: Any, rows: Any, *others: Any) -> Any:
        return original(rows._replace(**change(rows._asdict(), np.random.default_rng(0))), *others)

    return wrap(stages, "minibatch", around)


def shuffled(*names: str) -> Any:
    """Returns a patch by which columns of a minibatch lose their rows."""
    return on_minibatch(
        lambda rows, rng: {n: rows[n][rng.permutation(len(rows[n]))] for n in names}
    )


def rolled_augment(original: Any, batch: Any, symmetries: Any) -> Any:
    image = original(batch, symmetries)
    wrong = original(batch._replace(symmetry=(batch.symmetry + 1) % len(symmetries)), symmetries)
    return image._replace(
        policy_target=wrong.policy_target, legal_action_mask=wrong.legal_action_mask
    )


def first_weights(by_name: bool) -> Callable[[pytest.MonkeyPatch], None]:
    """Returns a patch by which the weights of step 0 go on playing, under that name or not."""
    kept: dict[int, Any] = {}

    def around(original: Any, *given: Any) -> Any:
        candidate = original(*given)
        if candidate.step == 0:
            kept[0] = candidate
        return kept[0] if by_name else kept[0]._replace(step=candidate.step)

    return wrap(run_module, "_choose_actor", around)


def one_row(original: Any, buffer: Any, rng: Any, count: int, total: int | None = None) -> Any:
    rows = original(buffer, np.random.default_rng(0), 1, total)
    return row.take(rows, np.zeros(count, int))


def first_rows(original: Any, buffer: Any, rng: Any, count: int, total: int | None = None) -> Any:
    return original(buffer, rng, count, min(total or buffer.total, 600))


def of_seat_0(rows: dict[str, Any], rng: Any) -> dict[str, Any]:
    sign = np.where(rows["ply"] % 2 == 0, 1, -1).astype(np.float32)
    return {name: rows[name] * sign for name in ("outcome", "root_value")}


def kept_statistics(original: Any, network: Any, weights: Any, observation: Any) -> Any:
    return *original(network, weights, observation)[:2], weights.batch_stats


def without_policy_gradient(original: Any, *args: Any) -> Any:
    evaluation, *others = original(*args)
    logits = jax.lax.stop_gradient(evaluation.prior_logits)
    return evaluation._replace(prior_logits=logits), *others


def one_late(original: Any, rows: Any, outcome: Any) -> Any:
    return original(rows, np.roll(outcome, 1))


def by_the_other_seat(original: Any, rows: Any, outcome: Any) -> Any:
    return original(rows, -outcome)


def at_the_last_ply(original: Any, rows: Any, outcome: Any) -> Any:
    return original(rows, np.where(rows["terminated"], outcome, 0).astype(np.float32))


def root_value_of_the_other_seat(original: Any, rows: Any, outcome: Any) -> Any:
    return original({**rows, "root_value": -rows["root_value"]}, outcome)


def of_winners(original: Any, *args: Any) -> Any:
    rows, games = original(*args)
    return row.take(rows, rows.outcome > 0), games


def taken_until_600(original: Any, buffer: Any, rows: Any) -> None:
    if buffer.total < 600:
        original(buffer, rows)


def of_the_network(original: Any, *args: Any) -> Any:
    after, played = original(*args)
    return after, played._replace(action_weights=args[4].prior.astype(jnp.float16))


def uphill(original: Any, config: Any) -> Any:
    return optax.chain(original(config), optax.scale(-1.0))


def unturned_targets(original: Any, batch: Any, symmetries: Any) -> Any:
    return original(batch, symmetries)._replace(policy_target=batch.policy_target)


def board_unturned(original: Any, batch: Any, symmetries: Any) -> Any:
    return original(batch, symmetries)._replace(observation=batch.observation)


def of_the_visits(original: Any, *args: Any) -> Any:
    """As if the search's value were the mean of its visits, which a schedule hands out."""
    after, played = original(*args)
    visits = args[4].visit_counts
    mean = (visits * args[4].q).sum(axis=1) / jnp.maximum(visits.sum(axis=1), 1)
    return after, played._replace(root_value=mean)


def negated_leaves(original: Any, game: Any, evaluate: Any, *others: Any) -> Any:
    def negated(variables: Any, observation: Any) -> Any:
        evaluation = evaluate(variables, observation)
        return evaluation._replace(value=-evaluation.value)

    return original(game, negated, *others)


def one_policy_late(original: Any, rows: Any, outcome: Any) -> Any:
    return original({**rows, "action_weights": np.roll(rows["action_weights"], 1, 0)}, outcome)


def alike_policies(rows: dict[str, Any], rng: Any) -> dict[str, Any]:
    legal = rows["legal_action_mask"]
    return {"policy_target": (legal / legal.sum(axis=1, keepdims=True)).astype(np.float16)}


def from_the_other_seat(rows: dict[str, Any], rng: Any) -> dict[str, Any]:
    return {"observation": rows["observation"][..., [1, 0]]}


def swapped_planes(original: Any, rows: Any, outcome: Any) -> Any:
    seen = rows["observation"].copy()
    seen[..., [0, 1]] = seen[..., [1, 0]]
    return original({**rows, "observation": seen}, outcome)


def of_the_other_seat_at_times(original: Any, rows: Any, outcome: Any) -> Any:
    chosen = np.random.default_rng(len(outcome)).random(len(outcome)) < 0.2
    return original(rows, np.where(chosen, -outcome, outcome))


def negated_at_odd_depths(original: Any, *args: Any) -> Any:
    tree, new = original(*args)
    return tree, new._replace(bounds=new.bounds * jnp.where(new.length % 2, -1, 1)[:, None])


def twice(original: Any, *args: Any) -> Any:
    rows, games = original(*args)
    return row.take(rows, np.repeat(np.arange(len(rows.ply)), 2)), games


FAULTS = {
    "sign": Fault(
        "value-sign",
        on_minibatch(
            lambda rows, rng: {"outcome": -rows["outcome"], "root_value": -rows["root_value"]}
        ),
    ),
    "sign_in_record": Fault("value-sign", wrap(recorder, "_sample", by_the_other_seat)),
    "no_outcomes": Fault(
        "lost-outcomes",
        wrap(recorder, "_sample", lambda original, rows, outcome: original(rows, 0 * outcome)),
    ),
    "no_noise_config": Fault("no-exploration", config=part("search", gumbel_scale=0.0)),
    "no_noise": Fault(
        "no-exploration", wrap(mcts.gumbel, "_noise", lambda original, *args: 0 * original(*args))
    ),
    "same_games": Fault(
        "no-exploration",
        config=lambda config: part("search", gumbel_scale=0.0)(
            part("self_play", temperature_plies=0, random_opening_plies=0)(config)
        ),
    ),
    "rate_x1000": Fault(
        "learning-rate-too-high",
        config=lambda config: part("learner", learning_rate=1000 * config.learner.learning_rate)(
            config
        ),
    ),
    "rate_x1000_in_code": Fault(
        "learning-rate-too-high",
        wrap(learner, "learning_rate", lambda original, *args: 1000 * original(*args)),
    ),
    "rate_0": Fault(
        "frozen-weights",
        wrap(learner, "learning_rate", lambda original, *args: 0 * original(*args)),
    ),
    "stale": Fault("stale-weights", first_weights(by_name=False)),
    "stale_by_name": Fault("stale-weights", first_weights(by_name=True)),
    "frozen_average": Fault(
        "stale-weights",
        wrap(learner, "_average_decay", lambda original, *args: 0 * original(*args) + 1.0),
    ),
    "shuffled": Fault("shuffled-targets", shuffled("policy_target", "outcome", "root_value")),
    "shuffled_values": Fault("shuffled-targets", shuffled("outcome", "root_value")),
    "shuffled_policies": Fault("shuffled-targets", shuffled("policy_target")),
    "one_row": Fault("tiny-replay", wrap(replay.ReplayBuffer, "sample", one_row)),
    "replay_1": Fault("tiny-replay", config=part("replay", capacity=1, min_rows=1)),
    "value_weight_0": Fault("value-untrained", config=part("learner", value_weight=0.0)),
    "seat_0": Fault("value-sign", on_minibatch(of_seat_0)),
    "values_0": Fault(
        "value-untrained",
        on_minibatch(lambda rows, rng: {n: 0 * rows[n] for n in ("outcome", "root_value")}),
    ),
    "shifted_policies": Fault(
        "shuffled-targets",
        on_minibatch(lambda rows, rng: {"policy_target": np.roll(rows["policy_target"], 1, 1)}),
    ),
    "one_late": Fault("shuffled-targets", wrap(recorder, "_sample", one_late)),
    "first_rows": Fault("stale-replay", wrap(replay.ReplayBuffer, "sample", first_rows)),
    "statistics": Fault("stale-statistics", wrap(Network, "forward_all", kept_statistics)),
    "no_policy_gradient": Fault(
        "policy-untrained", wrap(Network, "forward_all", without_policy_gradient)
    ),
    "decay": Fault("weight-decay-too-high", config=part("learner", weight_decay=10.0)),
    "wrong_symmetry": Fault("shuffled-targets", wrap(learner, "augment", rolled_augment)),
    "planes": Fault("wrong-observations", wrap(recorder, "_sample", swapped_planes)),
    "last_outcomes": Fault("lost-outcomes", wrap(recorder, "_sample", at_the_last_ply)),
    "sign_of_root_values": Fault(
        "value-sign", wrap(recorder, "_sample", root_value_of_the_other_seat)
    ),
    "only_winners": Fault("lost-rows", wrap(recorder.Recorder, "add", of_winners)),
    "full_replay": Fault("stale-replay", wrap(replay.ReplayBuffer, "add", taken_until_600)),
    "own_policies": Fault("policy-untrained", wrap(self_play, "_finish_ply", of_the_network)),
    "uphill": Fault("learning-rate-too-high", wrap(learner, "_optimizer", uphill)),
    "targets_unturned": Fault("shuffled-targets", wrap(learner, "augment", unturned_targets)),
    "board_unturned": Fault("shuffled-targets", wrap(learner, "augment", board_unturned)),
    "of_the_visits": Fault("value-biased", wrap(self_play, "_finish_ply", of_the_visits)),
    "outcomes_shifted": Fault(
        "value-biased",
        on_minibatch(lambda rows, rng: {n: rows[n] - 0.4 for n in ("outcome", "root_value")}),
    ),
    "negated_in_search": Fault("value-sign", wrap(slot, "search_amplifier", negated_leaves)),
    "one_policy_late": Fault("shuffled-targets", wrap(recorder, "_sample", one_policy_late)),
    "alike_policies": Fault("policy-untrained", on_minibatch(alike_policies)),
    "values_1": Fault(
        "value-untrained",
        on_minibatch(lambda rows, rng: {n: 0 * rows[n] + 1 for n in ("outcome", "root_value")}),
    ),
    "other_seat": Fault("wrong-observations", on_minibatch(from_the_other_seat)),
    "other_seat_at_times": Fault(
        "value-sign", wrap(recorder, "_sample", of_the_other_seat_at_times)
    ),
    "negated_at_odd_depths": Fault(
        "value-sign", wrap(mcts.simulation, "_expand", negated_at_odd_depths)
    ),
    "rows_twice": Fault("repeated-rows", wrap(recorder.Recorder, "add", twice)),
    "rate_300th": Fault(
        "learning-rate-too-low",
        wrap(learner, "learning_rate", lambda original, *args: original(*args) / 300),
    ),
    "one_simulation": Fault("search-too-small", config=part("search", simulations=1)),
}
