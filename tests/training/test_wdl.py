"""A value of win, draw and loss: what it says, how it is learned, and who shows the draws."""

import dataclasses
import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
import training
from scripts import cli
from scripts.play import analysis_json
from selfplay.analysis import analyse, analysis_text, outcomes
from selfplay.example import Kind
from tests.support.asking import ask
from tests.support.positions import random_positions
from tests.support.runs import assert_same, run_once
from training import learner, network
from training.doctor import lessons
from training.doctor.evidence import gather
from training.losses import LOSSES, Minibatch, wdl_cross_entropy
from training.network import VALUE_LOGITS, Weights
from training.settings import LearnerConfig, NetworkConfig
from training.storage.run_folder import RunFolder

GAME = games.load("tic_tac_toe")
NAMES = (
    "resnet",
    "resnet:pool=true",
    "nbt",
    "convolutional",
    "transformer:heads=2",
    "mlp:width=16",
)
EXAMPLES = 24


def make(name="resnet", targets=(), value="wdl"):
    sizes = {"blocks": 1, "channels": 8, "value_hidden": 8, "momentum": 0.0}
    config = NetworkConfig(name=name, value=value, **sizes)
    return network.make(config, GAME.observation_shape, GAME.num_actions, targets)


def random_weights(net):
    """Weights away from the zeros and ones that they begin with."""
    params, stats = net.init(jax.random.key(0))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda p: p + 0.3 * rng.standard_normal(p.shape, np.float32), params)
    return Weights(params, stats)


def softmax(logits):
    shares = np.exp(np.asarray(logits, float))
    return shares / shares.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("heads", ["cpu", "default"])
@pytest.mark.parametrize("name", NAMES)
def test_a_value_is_the_probability_of_a_win_less_that_of_a_loss(monkeypatch, name, heads):
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *args, **ways: ways[heads](*args))
    net = make(name, targets=(("margin", Kind.SCALAR),))
    weights = random_weights(net)
    seen = jax.vmap(GAME.observe)(random_positions(GAME, EXAMPLES, seed=1))
    trained, said, stats = net.forward_all(weights, seen)
    shares = softmax(said[VALUE_LOGITS])
    assert shares.shape == (EXAMPLES, 3)
    assert np.ptp(shares, axis=0).min() > 0.01, "the positions look alike to this network"
    np.testing.assert_allclose(trained.value, shares[:, 0] - shares[:, 2], atol=1e-5)
    # What plays says the same: with momentum 0, by the statistics of these positions.
    folded = net.fold(Weights(weights.params, stats))
    played = net.evaluate(folded, seen)
    np.testing.assert_allclose(played.value, trained.value, atol=2e-3)
    np.testing.assert_allclose(played.prior_logits, trained.prior_logits, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(net.outcome_probabilities(folded, seen), shares, atol=2e-3)
    assert said["margin"].shape == (EXAMPLES,)


def test_a_network_with_tanh_says_nothing_of_draws():
    net, seen = make(value="tanh"), np.zeros((2, *GAME.observation_shape), bool)
    weights = net.init(jax.random.key(0))
    assert net.outcome_probabilities(net.fold(weights), seen) is None
    assert VALUE_LOGITS not in net.forward_all(weights, seen)[1]


def random_batch():
    rng = np.random.default_rng(1)
    ones = np.ones(EXAMPLES, np.float32)
    return Minibatch(
        observation=np.asarray(jax.vmap(GAME.observe)(random_positions(GAME, EXAMPLES, seed=2))),
        legal_action_mask=np.ones((EXAMPLES, 9), bool),
        policy_target=np.full((EXAMPLES, 9), 1 / 9, np.float16),
        action=rng.integers(0, 9, EXAMPLES).astype(np.int16),
        q=np.zeros((EXAMPLES, 9), np.float16),
        # Results of most games, and of those that have more than three.
        outcome=np.resize([-1, 0, 1, 0.5, -0.25], EXAMPLES).astype(np.float32),
        root_value=rng.uniform(-1, 1, EXAMPLES).astype(np.float32),
        weight=rng.random(EXAMPLES).astype(np.float32),
        symmetry=np.zeros(EXAMPLES, np.int32),
        policy_weight=ones,
    )


def plain_targets(outcome, root_value, draw, share):
    """Win, draw and loss of each example, one by one."""
    targets = []
    for z, v, d in zip(outcome, root_value, draw, strict=True):
        played = [z, 1 - z, 0] if z > 0 else [0, 1 + z, -z]
        d = min(d, 1 - abs(v))
        searched = [(1 - d + v) / 2, d, (1 - d - v) / 2]
        targets.append([(1 - share) * p + share * s for p, s in zip(played, searched, strict=True)])
    return np.array(targets)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_the_loss_and_its_gradient_equal_their_formula_in_plain_numpy(share):
    batch = random_batch()
    logits = np.random.default_rng(3).normal(0, 1.5, (EXAMPLES, 3)).astype(np.float32)
    shares = softmax(logits)
    target = plain_targets(batch.outcome, batch.root_value, shares[:, 1], share)
    found, back = jax.vjp(lambda x: wdl_cross_entropy(x, batch, share), jnp.asarray(logits))
    np.testing.assert_allclose(found, -(target * np.log(shares)).sum(axis=1), rtol=1e-4)
    # The targets are constants: of the network's own draw too.
    np.testing.assert_allclose(back(jnp.ones(EXAMPLES))[0], shares - target, atol=1e-5)
    # Whatever is drawn, the target's value is that of the plain mixture, and no share is negative.
    value = (1 - share) * batch.outcome + share * batch.root_value
    np.testing.assert_allclose(target[:, 0] - target[:, 2], value, atol=1e-5)
    assert target.min() >= -1e-6


@pytest.mark.parametrize("distil", LOSSES)
def test_every_loss_has_the_value_learned_by_cross_entropy(distil):
    net, batch = make(), random_batch()
    config = LearnerConfig(batch=EXAMPLES, root_value_weight=0.25)
    step = learner.make_train_step(net, GAME, config, LOSSES[distil])
    state = learner.init(net, config, jax.random.key(0))
    _, said, _ = net.forward_all(state.weights, batch.observation)
    shares = softmax(said[VALUE_LOGITS])
    target = plain_targets(batch.outcome, batch.root_value, shares[:, 1], 0.25)
    wanted = np.average(-(target * np.log(shares)).sum(axis=1), weights=batch.weight)
    _, metrics = step(state, batch, jnp.float32(100))
    np.testing.assert_allclose(metrics["value_loss"], wanted, rtol=1e-3)


@pytest.fixture(scope="module")
def wdl_config(tiny_config):
    return dataclasses.replace(
        tiny_config,
        network=dataclasses.replace(tiny_config.network, value="wdl"),
        learner=dataclasses.replace(tiny_config.learner, root_value_weight=0.5),
    )


@pytest.fixture(scope="module")
def wdl_run(wdl_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wdl") / "whole"
    assert run_once(folder, wdl_config)
    return folder


def test_a_run_resumes_bit_by_bit(wdl_run, wdl_config, tmp_path):
    assert not run_once(tmp_path / "halved", wdl_config, stop_after=2)
    assert run_once(tmp_path / "halved", wdl_config)
    assert_same(wdl_run, tmp_path / "halved")


@pytest.mark.parametrize("value", ["tanh", "wdl"])
def test_a_run_keeps_its_value_head(value, tiny_run, wdl_run, capsys):
    run, others = (wdl_run, "wdl") if value == "tanh" else (tiny_run, "tanh")
    flags = ["train", "--run-dir", str(run), "--network.value", value]
    assert cli.run(flags) == 2
    assert f"network.value: '{others}' in the run, '{value}' asked for" in capsys.readouterr().err


@pytest.mark.parametrize("simulations", [0, 4])
def test_a_player_tells_draws_that_fit_its_value(wdl_run, simulations):
    player = training.load_player(wdl_run, simulations)
    net = training.players.load_trained(wdl_run)
    state = player.game.init(jax.random.key(0))
    seen = player.game.observe(state)[None]
    analysis = analyse(player, state, jax.random.key(1))
    win, draw, loss = analysis.outcomes
    assert win + draw + loss == pytest.approx(1, abs=1e-5)
    assert win - loss == pytest.approx(float(analysis.result.value), abs=1e-5)
    own = net.network.outcome_probabilities(net.folded, seen)[0, 1]
    assert draw == pytest.approx(min(float(own), 1 - abs(win - loss)), abs=1e-5)
    shown = f"win {win:.0%} draw {draw:.0%} loss {loss:.0%}"
    assert shown in analysis_text(player.game, state, analysis).split("\n")
    session = SimpleNamespace(
        **{"game": player.game, "state": state, "states": [state], "moves": [], "over": False},
        analyse=lambda variation_plies: analysis,
    )
    assert analysis_json(session)["wdl"] == analysis.outcomes


def test_the_browser_is_told_win_draw_and_loss_of_a_network_that_has_them(wdl_run, tiny_run):
    asked = functools.partial(ask, "analyse", game="tic_tac_toe", moves=[4], simulations=4)
    answer = asked(player=str(wdl_run))
    win, _, loss = answer["wdl"]
    assert win - loss == pytest.approx(answer["value"], abs=1e-4)
    assert "wdl" not in asked(player=str(tiny_run))


def test_a_player_with_tanh_shows_nothing_new(tiny_run):
    player = training.load_player(tiny_run, 4)
    state = player.game.init(jax.random.key(0))
    analysis = analyse(player, state, jax.random.key(1), variation_plies=1)
    assert analysis.outcomes is None
    assert "draw" not in analysis_text(player.game, state, analysis)


@pytest.mark.parametrize(
    ("value", "wanted"), [(0.2, [0.4, 0.4, 0.2]), (-0.9, [0, 0.1, 0.9]), (1.0, [1, 0, 0])]
)
def test_a_sure_value_leaves_no_room_for_draws(wdl_run, value, wanted):
    player = training.load_player(wdl_run, 0)
    always = jnp.array([[0.3, 0.4, 0.3]])
    player = dataclasses.replace(player, outcomes=lambda variables, observation: always)
    state = player.game.init(jax.random.key(0))
    np.testing.assert_allclose(outcomes(player, state, value), wanted, atol=1e-6)


def test_export_refuses_weights_by_layer(wdl_run, tmp_path, capsys):
    assert cli.run(["export", str(wdl_run), "--safetensors", str(tmp_path / "a")]) == 2
    assert "network.value wdl" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", ["tanh", "wdl"])
def test_a_value_loss_in_nats_is_not_taken_for_a_squared_error(value, tiny_run, wdl_run):
    """The doctor asks whether losses in training are far below those on the run's examples."""
    found = gather(RunFolder(wdl_run if value == "wdl" else tiny_run))
    lines = [dataclasses.replace(one, policy_loss=1e-3, value_loss=3.0) for one in found.iterations]
    told = lessons._learned_by_heart(dataclasses.replace(found, iterations=lines))
    assert bool(told) == (value == "wdl")
