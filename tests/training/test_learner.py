"""One training step: its loss, its augmentation, its averages, its schedule."""

import dataclasses
import faulthandler
import operator
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from selfplay import example as example_rows
from training import learner
from training.devices import learner_mesh, split_examples, to_learner, wait_for_all_but_last
from training.losses import Batches, Minibatch
from training.networks.resnet import Resnet
from training.settings import LearnerConfig, NetworkConfig

GAME = games.load("connect_four")
NETWORK = Resnet(NetworkConfig(blocks=1, channels=4), GAME.observation_shape, GAME.num_actions)
EXAMPLES = 16
DEFAULTS = LearnerConfig(batch=EXAMPLES)
HALVES = slice(64), slice(64, None)


def random_batch(seed=0, symmetry=0):
    rng = np.random.default_rng(seed)
    mask = rng.random((EXAMPLES, 7)) < 0.7
    mask[:, 3] = True
    target = rng.random((EXAMPLES, 7)) * mask
    return Minibatch(
        observation=jnp.asarray(rng.random((EXAMPLES, *GAME.observation_shape)) < 0.4),
        legal_action_mask=jnp.asarray(mask),
        policy_target=jnp.asarray(target / target.sum(1, keepdims=True), jnp.float16),
        action=jnp.asarray(target.argmax(1), jnp.int16),
        q=jnp.asarray(target - 0.5, jnp.float16),
        outcome=jnp.asarray(rng.integers(-1, 2, EXAMPLES), jnp.float32),
        root_value=jnp.asarray(rng.uniform(-1, 1, EXAMPLES), jnp.float32),
        weight=jnp.asarray(rng.random(EXAMPLES), jnp.float32),
        symmetry=jnp.full(EXAMPLES, symmetry, jnp.int32),
        policy_weight=jnp.ones(EXAMPLES),
    )


@pytest.fixture(scope="module")
def train_step():
    return learner.make_train_step(
        NETWORK, GAME, LearnerConfig(batch=EXAMPLES, root_value_weight=0.25)
    )


def start(config=DEFAULTS):
    return learner.init(NETWORK, config, jax.random.key(0))


def test_losses_equal_their_formula_in_plain_numpy(train_step):
    batch, state = random_batch(), start()
    predicted, _, _ = NETWORK.forward_all(state.weights, batch.observation)
    logits = np.asarray(predicted.prior_logits, float)
    policy = []
    for example in range(EXAMPLES):
        legal = np.flatnonzero(batch.legal_action_mask[example])
        log_total = np.log(np.exp(logits[example][legal]).sum())
        target = np.asarray(batch.policy_target[example], float)
        policy.append(-sum(target[a] * (logits[example][a] - log_total) for a in legal))
    wanted = 0.75 * np.asarray(batch.outcome) + 0.25 * np.asarray(batch.root_value)
    value = (np.asarray(predicted.value) - wanted) ** 2
    weight = np.asarray(batch.weight)
    _, metrics = train_step(state, batch, jnp.float32(100))
    np.testing.assert_allclose(metrics["policy_loss"], np.average(policy, weights=weight), 2e-3)
    np.testing.assert_allclose(metrics["value_loss"], np.average(value, weights=weight), 2e-3)


def test_examples_without_policy_weight_teach_the_value_alone(train_step):
    batch = random_batch()
    decided = np.arange(EXAMPLES) < 4
    halved = batch._replace(policy_weight=jnp.asarray(decided, jnp.float32))
    spread = jnp.asarray(batch.legal_action_mask / batch.legal_action_mask.sum(1, keepdims=True))
    for examples, same in ((~decided, True), (decided, False)):
        target = jnp.where(examples[:, None], spread, batch.policy_target).astype(jnp.float16)
        told = halved._replace(policy_target=target)
        one, _ = train_step(start(), halved, jnp.float32(100))
        other, _ = train_step(start(), told, jnp.float32(100))
        kernels = [np.asarray(state.params["policy"]["kernel"]) for state in (one, other)]
        assert np.array_equal(*kernels) == same
    value = [
        float(train_step(start(), b, jnp.float32(100))[1]["value_loss"]) for b in (batch, halved)
    ]
    assert value[0] == value[1]


def test_steps_in_one_dispatch_give_bit_for_bit_what_single_ones_give(train_step):
    """And no more of them are taken than are due."""
    drawn = [random_batch(seed) for seed in range(4)]
    made = [b._asdict() for b in drawn]
    of_rows = [{n: np.asarray(c) for n, c in b.items() if n in example_rows.COLUMNS} for b in made]
    layout = example_rows.layout_of(of_rows[0])
    rows = np.zeros((4, EXAMPLES), layout.dtype)
    for own, columns in zip(rows, of_rows, strict=True):
        example_rows.fill_rows(own, columns)
    given = [rows.view(np.uint8).reshape(4, EXAMPLES, -1)]
    given += [np.stack([b[name] for b in made]) for name in ("symmetry", "policy_weight")]
    steps, horizon = learner.make_train_steps(train_step), jnp.float32(100)

    def after(first, count):
        batches = Batches(*(np.roll(part, -first, axis=0) for part in given))
        return lambda state: steps(state, batches, horizon, count, layout=layout)

    together, measured = after(0, 3)(start())
    state, alone = start(), []
    for number in range(3):
        state, metrics = after(number, 1)(state)
        alone.append(metrics["policy_loss"][0])
    for one, other in zip(jax.tree.leaves(together), jax.tree.leaves(state), strict=True):
        np.testing.assert_array_equal(one, other)
    assert measured["policy_loss"].tolist() == [*map(float, alone), 0.0]
    # The program without a loop, as on a CPU.
    plain, told = start(), []
    for number in range(3):
        batches = Batches(*(part[number : number + 1] for part in given))
        plain, metrics = steps(plain, batches, horizon, 1, layout=layout)
        told.append(float(metrics["policy_loss"][0]))
    np.testing.assert_allclose(told, [*map(float, alone)], rtol=1e-4)


def test_steps_on_one_batch_lower_its_loss_and_the_average_follows(train_step):
    state, batch = start(), random_batch()
    losses = []
    for _ in range(120):
        state, metrics = train_step(state, batch, jnp.float32(1e9))
        losses.append(float(metrics["policy_loss"] + metrics["value_loss"]))
    assert losses[-1] < 0.8 * losses[0], (losses[0], losses[-1])
    assert int(state.step) == 120
    near = jax.tree.map(
        lambda a, b: float(jnp.abs(a - b).max()), state.average_params, state.params
    )
    assert 0 < max(jax.tree.leaves(near)) < 0.5, near


def test_the_average_is_the_recurrence_of_its_definition(train_step):
    state, batch = start(), random_batch()
    average = np.asarray(state.average_params["policy"]["kernel"], float)
    for step in range(5):
        state, _ = train_step(state, batch, jnp.float32(100))
        decay = min(LearnerConfig().ema_decay, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * np.asarray(state.params["policy"]["kernel"])
    np.testing.assert_allclose(state.average_params["policy"]["kernel"], average, 1e-4, 1e-6)


def test_a_mirrored_example_is_the_example_of_the_mirrored_game():
    rng = np.random.default_rng(3)
    plain, mirrored = (GAME.init(jax.random.key(0)) for _ in range(2))
    step = jax.jit(GAME.step)
    for _ in range(7):
        action = int(rng.choice(np.flatnonzero(plain.legal_action_mask)))
        plain, mirrored = step(plain, action), step(mirrored, 6 - action)
    target = np.arange(7, dtype=np.float16)
    batch = random_batch(symmetry=1)._replace(
        observation=jnp.broadcast_to(GAME.observe(plain), (EXAMPLES, 6, 7, 2)),
        legal_action_mask=jnp.broadcast_to(plain.legal_action_mask, (EXAMPLES, 7)),
        policy_target=jnp.broadcast_to(target, (EXAMPLES, 7)),
        action=jnp.full(EXAMPLES, 2, jnp.int16),
        q=jnp.broadcast_to(-target, (EXAMPLES, 7)),
    )
    image = learner.augment(batch, GAME.symmetries())
    np.testing.assert_array_equal(image.observation[0], GAME.observe(mirrored))
    np.testing.assert_array_equal(image.legal_action_mask[0], mirrored.legal_action_mask)
    np.testing.assert_array_equal(image.policy_target[0], target[::-1])
    np.testing.assert_array_equal(image.q[0], -target[::-1])
    assert image.action.tolist() == [4] * EXAMPLES


def test_running_statistics_follow_those_of_the_batches(train_step):
    before, state, batch = start().batch_stats, start(), random_batch()
    for _ in range(3):
        state, _ = train_step(state, batch, jnp.float32(100))
    apart = [
        float(jnp.abs(a - b).max())
        for a, b in zip(*map(jax.tree.leaves, (before, state.batch_stats)), strict=True)
    ]
    assert min(apart) > 0, apart


@pytest.mark.parametrize(
    ("step", "share"), [(0, 0.1), (9, 1.0), (40, 1.0), (70, 0.6), (100, 0.2), (500, 0.2)]
)
def test_the_rate_rises_stays_and_falls_to_its_last_share(step, share):
    config = LearnerConfig(
        learning_rate=1.0, warmup_steps=10, decay_start_fraction=0.4, final_rate_fraction=0.2
    )
    rate = learner.learning_rate(config, jnp.int32(step), jnp.float32(100))
    assert float(rate) == pytest.approx(share, rel=1e-5)


@pytest.mark.parametrize("optimizer", ["adamw", pytest.param("sgd", marks=pytest.mark.slow)])
def test_weights_decay_but_biases_and_norms_do_not(optimizer):
    config = LearnerConfig(
        batch=EXAMPLES, optimizer=optimizer, weight_decay=0.5, learning_rate=0.1, warmup_steps=0
    )
    silent = random_batch()._replace(weight=jnp.zeros(EXAMPLES))  # no gradient: decay alone acts
    state = start(config)
    before = jax.tree.map(np.copy, state.params)
    after, _ = learner.make_train_step(NETWORK, GAME, config)(state, silent, jnp.float32(1e9))
    np.testing.assert_allclose(
        after.params["policy"]["kernel"], 0.95 * before["policy"]["kernel"], rtol=1e-5
    )
    np.testing.assert_array_equal(
        after.params["stem"]["norm"]["scale"], before["stem"]["norm"]["scale"]
    )


def test_dense_layers_step_by_their_share_of_the_rate_and_the_rest_by_all_of_it(train_step):
    slow = LearnerConfig(batch=EXAMPLES, root_value_weight=0.25, dense_rate=0.25)
    moved = []
    for step in (train_step, learner.make_train_step(NETWORK, GAME, slow)):
        state = start()
        before = jax.tree.map(np.copy, state.params)
        after, _ = step(state, random_batch(), jnp.float32(1e9))
        moved.append(jax.tree.map(lambda new, old: np.asarray(new) - old, after.params, before))
    for name, layer in moved[0].items():
        share = 0.25 if name in ("policy", "value_hidden", "value") else 1.0
        for one, other in zip(jax.tree.leaves(layer), jax.tree.leaves(moved[1][name]), strict=True):
            np.testing.assert_allclose(other, share * one, rtol=1e-3, atol=1e-7, err_msg=name)


def test_the_step_compiles_once_and_takes_its_state_with_it(train_step):
    state = start()
    used = state.params["policy"]["kernel"]
    for seed in range(3):
        state, _ = train_step(state, random_batch(seed), jnp.float32(100 + seed))
    assert used.is_deleted()
    # one entry for fresh arrays, one for those that the step itself placed on the devices
    assert train_step._cache_size() <= 2


@pytest.mark.parametrize(
    ("examples", "count"),
    [(128, 2), (127, 1), (126, 1), (64, 1), (1, 1)],
    ids=lambda number: number,
)
def test_shares_of_the_devices_that_train_are_equal_and_not_small(examples, count):
    assert learner_mesh(examples).size == count  # of the two devices of these tests


def test_a_step_on_two_devices_is_the_mean_of_two_on_its_halves():
    config = LearnerConfig(batch=128, optimizer="sgd", momentum=0.0, weight_decay=0.0)
    parts = [random_batch(seed) for seed in range(128 // EXAMPLES)]
    batch = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
    batch = batch._replace(weight=jnp.ones(128))
    step = learner.make_train_step(NETWORK, GAME, config)
    whole, _ = step(to_learner(start(config), 128), batch, jnp.float32(1e9))
    half = dataclasses.replace(config, batch=64)
    step = learner.make_train_step(NETWORK, GAME, half)
    halves = [
        step(start(half), examples, jnp.float32(1e9))[0]
        for examples in (jax.tree.map(operator.itemgetter(part), batch) for part in HALVES)
    ]
    mean = jax.tree.map(lambda a, b: (a + b) / 2, halves[0].params, halves[1].params)
    for ours, theirs in zip(jax.tree.leaves(whole.params), jax.tree.leaves(mean), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-6)


def test_a_hundred_dispatched_steps_on_two_devices_end():
    config = LearnerConfig(batch=128)
    step = learner.make_train_step(NETWORK, GAME, config)
    parts = [random_batch(seed) for seed in range(128 // EXAMPLES)]
    batch = split_examples(jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts))
    state, measured = to_learner(start(config), 128), []
    faulthandler.dump_traceback_later(240, exit=True)  # a hang would last for ever
    for _ in range(100):
        state, losses = step(state, batch, jnp.float32(1e9))
        measured.append(losses)
        wait_for_all_but_last(measured)
    assert int(state.step) == 100
    faulthandler.cancel_dump_traceback_later()


def test_no_more_than_sixteen_steps_are_in_flight(monkeypatch):
    waited_for: list[int] = []
    monkeypatch.setattr(jax, "block_until_ready", waited_for.append)
    dispatched: list[int] = []
    for number in range(40):
        dispatched.append(number)
        wait_for_all_but_last(dispatched)
        done = max(waited_for, default=-1)
        assert number - done <= 15


def test_an_accelerator_is_never_waited_for(monkeypatch):
    monkeypatch.setattr(jax, "local_devices", lambda: [SimpleNamespace(platform="gpu")] * 2)
    monkeypatch.setattr(jax, "block_until_ready", lambda result: pytest.fail("the host waits"))
    for count in range(40):
        wait_for_all_but_last(range(count))
