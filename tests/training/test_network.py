"""The network: what self-play evaluates is what was trained."""

import jax
import numpy as np
import pytest

from training.network import Weights
from training.networks.layers import EPSILON
from training.networks.resnet import Resnet
from training.settings import NetworkConfig

SHAPE, ACTIONS = (3, 4, 2), 5


def plain_convolution(x, kernel):
    """A 'same' convolution by its definition; x [B, H, W, C], kernel [k, k, C, D]."""
    batch, height, width, _ = x.shape
    size = kernel.shape[0]
    padded = np.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0)))
    out = np.zeros((batch, height, width, kernel.shape[3]))
    for i in range(height):
        for j in range(width):
            patch = padded[:, i : i + size, j : j + size, :]
            out[:, i, j] = np.einsum("bklc,klcd->bd", patch, kernel)
    return out


def plain_network(params, stats, x, blocks):
    """The unfolded network with running statistics, in NumPy float64."""
    params, stats = jax.tree.map(lambda leaf: np.asarray(leaf, float), (params, stats))

    def conv_norm(name, x, tree=params, means=stats):
        for part in name.split("/"):
            key = int(part) if part.isdigit() else part
            tree, means = tree[key], means[key]
        y = plain_convolution(x, tree["conv"]["kernel"])
        norm = (y - means["norm"]["mean"]) / np.sqrt(means["norm"]["var"] + EPSILON)
        return norm * tree["norm"]["scale"] + tree["norm"]["bias"]

    def dense(name, x):
        return x @ params[name]["kernel"] + params[name]["bias"]

    def relu(x):
        return np.maximum(x, 0)

    x = relu(conv_norm("stem", x))
    for i in range(blocks):
        inner = relu(conv_norm(f"blocks/{i}/first", x))
        x = relu(x + conv_norm(f"blocks/{i}/second", inner))
    policy = relu(conv_norm("policy_conv", x)).reshape(len(x), -1)
    value = relu(conv_norm("value_conv", x)).reshape(len(x), -1)
    hidden = relu(dense("value_hidden", value))
    return dense("policy", policy), np.tanh(dense("value", hidden))[:, 0]


def random_weights(network, seed=0):
    """Weights and statistics away from their initial zeros and ones."""
    rng = np.random.default_rng(seed)
    params, stats = network.init(jax.random.key(seed))
    params = jax.tree.map(lambda p: p + 0.3 * rng.standard_normal(p.shape, np.float32), params)
    return params, jax.tree.map(lambda s: s + rng.random(s.shape, np.float32), stats)


@pytest.mark.parametrize("heads", ["cpu", "default"])  # as on a CPU, and elsewhere
@pytest.mark.parametrize("blocks", [pytest.param(0, marks=pytest.mark.slow), 2])
def test_folded_evaluation_equals_the_unfolded_network_in_plain_numpy(monkeypatch, blocks, heads):
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *args, **ways: ways[heads](*args))
    network = Resnet(NetworkConfig(blocks=blocks, channels=6), SHAPE, ACTIONS)
    params, stats = random_weights(network)
    observation = np.random.default_rng(1).random((7, *SHAPE)) < 0.5
    found = network.evaluate(network.fold(Weights(params, stats)), observation)
    logits, value = plain_network(params, stats, observation.astype(float), blocks)
    np.testing.assert_allclose(found.prior_logits, logits, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(found.value, value, rtol=2e-3, atol=2e-3)


def test_training_moves_the_statistics_towards_those_of_the_batch():
    network = Resnet(NetworkConfig(blocks=1, channels=4, momentum=0.5), SHAPE, ACTIONS)
    weights = network.init(jax.random.key(0))
    observation = np.random.default_rng(1).random((64, *SHAPE)) < 0.5
    _, _, moved = network.forward_all(weights, observation)
    y = plain_convolution(
        observation.astype(float), np.asarray(weights.params["stem"]["conv"]["kernel"])
    )
    np.testing.assert_allclose(
        moved["stem"]["norm"]["mean"], 0.5 * y.mean((0, 1, 2)), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        moved["stem"]["norm"]["var"], 0.5 + 0.5 * y.var((0, 1, 2)), rtol=1e-4, atol=1e-5
    )


def test_bfloat16_evaluates_close_to_float32_and_answers_in_float32():
    wide = Resnet(NetworkConfig(blocks=1, channels=8), SHAPE, ACTIONS)
    narrow = Resnet(NetworkConfig(blocks=1, channels=8, dtype="bfloat16"), SHAPE, ACTIONS)
    params, stats = wide.init(jax.random.key(0))
    observation = np.random.default_rng(1).random((16, *SHAPE)) < 0.5
    exact = wide.evaluate(wide.fold(Weights(params, stats)), observation)
    rounded = narrow.evaluate(narrow.fold(Weights(params, stats)), observation)
    assert rounded.prior_logits.dtype == rounded.value.dtype == np.float32
    np.testing.assert_allclose(rounded.value, exact.value, atol=0.05)
    np.testing.assert_allclose(rounded.prior_logits, exact.prior_logits, atol=0.1)


def test_equal_networks_are_equal_and_hash_alike():
    one, two = (Resnet(NetworkConfig(), SHAPE, ACTIONS) for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)


def test_problems_names_each_bad_field_with_its_value():
    found = NetworkConfig(channels=0, dtype="float8", momentum=1.5).problems()
    assert len(found) == 3
    assert all(text in " ".join(found) for text in ("channels", "0", "float8", "1.5"))
