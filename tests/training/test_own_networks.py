"""Networks of a user's own: nnx modules and pure functions, by `--network module:factory`."""

import dataclasses
import re
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import training
from selfplay.example import Kind
from tests.support import ROOT
from tests.support.runs import assert_same, run_once
from training import network
from training.doctor.evidence import gather
from training.doctor.weights import weights
from training.network import Weights
from training.settings import NetworkConfig
from training.storage.leaves import flatten
from training.storage.run_folder import RunFolder

SHAPE, ACTIONS = (3, 3, 2), 9  # of tic_tac_toe


class Attention(nnx.Module):
    """Cells as tokens; its dropout is off, as that of all networks here."""

    def __init__(self, spec, width=8, *, rngs):
        planes = spec.observation_shape[2]
        self.embed = nnx.Linear(planes, width, rngs=rngs)
        self.norm = nnx.BatchNorm(width, momentum=0.9, rngs=rngs)
        self.attend = nnx.MultiHeadAttention(2, width, decode=False, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.policy = nnx.Linear(width, 1, rngs=rngs)
        self.value = nnx.Linear(width, 1, rngs=rngs)

    def __call__(self, observation):
        tokens = observation.reshape(len(observation), -1, observation.shape[-1])
        x = self.norm(self.embed(tokens.astype(jnp.float32)))
        x = self.drop(x + self.attend(x))
        return self.policy(x)[..., 0], jnp.tanh(self.value(x.mean(axis=1))[:, 0])


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Layer:
    """Weights that are no dict, as equinox has them."""

    weight: jax.Array
    bias: jax.Array


def perceptron(spec, width=6, value="tanh"):
    """Two pure functions; their state is a running mean of observations, and a count of steps."""
    inputs = int(np.prod(spec.observation_shape))

    def init(key):
        one, two = jax.random.split(key)
        hidden = Layer(0.1 * jax.random.normal(one, (inputs, width)), jnp.zeros(width))
        heads = Layer(0.1 * jax.random.normal(two, (width, spec.num_actions + 1)), jnp.zeros(10))
        return [hidden, heads], {"mean": jnp.zeros((1, inputs)), "steps": jnp.int32(0)}

    def apply(params, state, observation, train):
        x = observation.reshape(len(observation), inputs).astype(jnp.float32)
        mean = x.mean(axis=0, keepdims=True) if train else state["mean"]
        if train:
            running = 0.9 * state["mean"] + 0.1 * mean
            state = {"mean": running, "steps": state["steps"] + 1}
        hidden, heads = params
        x = jnp.tanh((x - mean) @ hidden.weight + hidden.bias[None])
        y = x @ heads.weight + heads.bias[None]
        said = {"policy": y[:, :-1], "value": WAYS[value](y[:, -1])}
        return {k: v for k, v in said.items() if v is not None}, state

    return types.SimpleNamespace(init=init, apply=apply)


WAYS = {
    "tanh": jnp.tanh,
    "column": lambda x: jnp.tanh(x)[:, None],
    "missing": lambda x: None,
    "nan": lambda x: x / 0 * 0,
    "large": lambda x: 100 + x,
}


def with_targets(spec):
    functions = perceptron(spec)

    def apply(params, state, observation, train):
        said, state = functions.apply(params, state, observation, train)
        shapes = spec.targets.items()
        return said | {n: jnp.zeros((len(observation), *shape)) for n, shape in shapes}, state

    return types.SimpleNamespace(init=functions.init, apply=apply)


def of_three(spec):
    assert spec.value == "wdl"
    functions = perceptron(spec)

    def apply(params, state, observation, train):
        said, state = functions.apply(params, state, observation, train)
        return (said["policy"], said["policy"][:, :3]), state

    return types.SimpleNamespace(init=functions.init, apply=apply)


def counting(spec):
    functions = perceptron(spec)

    def init(key):
        params, state = functions.init(key)
        return [*params, jnp.int32(0)], state

    return types.SimpleNamespace(init=init, apply=functions.apply)


@pytest.fixture(autouse=True)
def own_nets():
    """These networks in a module that a name finds."""
    module = types.ModuleType("own_nets")
    module.Attention, module.perceptron, module.counting = Attention, perceptron, counting
    module.with_targets, module.nothing = with_targets, lambda spec: 3
    module.of_three = of_three
    sys.modules["own_nets"] = module
    yield
    del sys.modules["own_nets"]


def make(name):
    return network.make(NetworkConfig(name=name), SHAPE, ACTIONS)


@pytest.mark.parametrize("name", ["own_nets:Attention", "own_nets:perceptron:width=5"])
def test_an_own_network_is_trained_resumed_and_played_bit_by_bit(name, tiny_config, tmp_path):
    config = dataclasses.replace(tiny_config, network=NetworkConfig(name=name))
    assert run_once(tmp_path / "whole", config)
    assert not run_once(tmp_path / "halved", config, stop_after=2)
    assert run_once(tmp_path / "halved", config)
    assert_same(tmp_path / "whole", tmp_path / "halved")
    judged = weights(gather(RunFolder(tmp_path / "whole")))
    assert "dead" not in judged.summary, "it does not say which units fire"
    player = training.load_player(tmp_path / "whole", simulations=4)
    states = jax.vmap(player.game.init)(jax.random.split(jax.random.key(0), 2))
    assert np.isfinite(player(states, jax.random.key(1)).value).all()


@pytest.mark.parametrize("name", ["own_nets:Attention", "own_nets:perceptron"])
def test_evaluation_runs_on_the_state_that_training_has_moved(name):
    net, observation = make(name), np.random.default_rng(0).random((5, *SHAPE)) < 0.5
    weights = net.init(jax.random.key(0))
    moved = weights
    for _ in range(200):
        trained, _, state = net.forward_all(moved, observation)
        moved = Weights(moved.params, state)
    played = net.evaluate(net.fold(moved), observation)
    np.testing.assert_allclose(played.prior_logits, trained.prior_logits, atol=1e-3)
    assert any(
        (np.asarray(a) != np.asarray(b)).any()
        for a, b in zip(*map(jax.tree.leaves, (weights.batch_stats, state)), strict=True)
    )


@pytest.mark.parametrize("file", ["attention", "perceptron"])
def test_the_networks_of_the_docs_score_positions(file, monkeypatch):
    page = (ROOT / "docs" / "networks.md").read_text()
    [code] = re.findall(rf"^```python\n# {file}\.py\n(.*?)^```$", page, re.M | re.S)
    [name] = re.findall(rf"--network ({file}:\S+)", page)
    module = types.ModuleType(file)
    exec(code, module.__dict__)
    monkeypatch.setitem(sys.modules, file, module)
    make(name).check()


def test_a_target_has_a_head_of_its_shape():
    config, targets = NetworkConfig(name="own_nets:perceptron"), (("margin", Kind.SCALAR),)
    with pytest.raises(ValueError, match="lacks the head 'margin'; it has policy, value"):
        network.make(config, SHAPE, ACTIONS, targets)
    net = network.make(
        dataclasses.replace(config, name="own_nets:with_targets"), SHAPE, ACTIONS, targets
    )
    _, said, _ = net.forward_all(net.init(jax.random.key(0)), np.zeros((2, *SHAPE), bool))
    assert said["margin"].shape == (2,)


def test_options_reach_a_factory():
    leaves = flatten(make("own_nets:perceptron:width=5").init(jax.random.key(0)).params)
    assert {leaf.shape for leaf in leaves.values()} == {(18, 5), (5,), (5, 10), (10,)}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("own_nets:perceptron:value=column", "head 'value' must be float.*take .:, 0. of it"),
        ("own_nets:perceptron:value=missing", "lacks the head 'value'; it has policy"),
        ("own_nets:perceptron:value=nan", "playing, it returns NaN or infinity"),
        ("own_nets:perceptron:value=large", "a value must lie in .-1, 1., as by tanh, got 100"),
        ("own_nets:perceptron:depth=2", "unknown option 'depth'.*known: width, value"),
        ("own_nets:counting", "params.2. is int32: parameters must be floats"),
        ("own_nets:nothing", "must return an object with functions init and apply.*got int"),
        ("own_nets:absent", "has no function 'absent'"),
    ],
)
def test_what_is_wrong_with_an_own_network_is_named_before_training(name, wanted):
    with pytest.raises(ValueError, match=wanted):
        make(name).check()


def test_an_unknown_name_is_told_with_those_that_there_are():
    assert "did you mean resnet" in NetworkConfig(name="res-net").problems()[0]


def test_an_own_network_says_win_draw_and_loss_if_asked_to():
    """Its spec tells it so; a single value then has the wrong shape."""
    config = NetworkConfig(name="own_nets:of_three", value="wdl")
    net = network.make(config, SHAPE, ACTIONS)
    net.check()
    observation = np.random.default_rng(0).random((5, *SHAPE)) < 0.5
    weights = net.init(jax.random.key(0))
    win, _, loss = net.outcome_probabilities(weights, observation).T
    np.testing.assert_allclose(net.evaluate(weights, observation).value, win - loss, atol=1e-6)
    config = NetworkConfig(name="own_nets:perceptron", value="wdl")
    wanted = r"head 'value' must be float\[11, 3\].*got shape \[11\]; network.value is wdl: logits"
    with pytest.raises(ValueError, match=wanted):
        network.make(config, SHAPE, ACTIONS)
