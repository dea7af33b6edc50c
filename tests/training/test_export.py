"""Exported networks: files that other programs read say what our network says."""

import dataclasses
import errno
import json
import os
import sys
import types
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.numpy

import games
from mcts import Evaluation
from scripts import cli
from selfplay.files import durable
from tests.support import ROOT
from tests.support.positions import random_positions
from training.config import RunConfig
from training.export import onnx_file, sample
from training.export.onnx_graph import COUNT
from training.network import Weights
from training.networks.resnet import Resnet
from training.players import Trained, load_trained, network_of
from training.settings import NetworkConfig

# Sizes that differ from each other wherever they can: one taken for another is seen.
SMALL = NetworkConfig(
    blocks=1, channels=6, policy_channels=3, value_channels=2, value_hidden=9, momentum=0
)


class Case(NamedTuple):
    """A network, and what it says as it is trained: its batch norm takes these positions' own."""

    trained: Trained
    seen: np.ndarray  # held-out positions of random games
    in_training: Evaluation


def case(spec, config=SMALL, targets=""):
    """A network whose running statistics are those of the positions that it is shown."""
    game, run = games.load(spec), RunConfig(game=spec, network=config, targets=targets)
    network, rng = network_of(run, game), np.random.default_rng(3)
    params, stats = network.init(jax.random.key(0))
    params = jax.tree.map(lambda p: p + 0.1 * rng.standard_normal(p.shape, np.float32), params)
    seen = np.asarray(jax.vmap(game.observe)(random_positions(game, 16, seed=7)))
    said, _, stats = jax.jit(network.forward_all)(Weights(params, stats), seen)
    folded = network.fold(Weights(params, stats))
    return Case(Trained("runs/x@3", run, game, network, folded, 3), seen, said)


def run_onnx(path, seen):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["policy_logits", "value"], {"observation": seen.astype(np.float32)})


@pytest.mark.parametrize(
    ("spec", "blocks", "targets"),
    [
        ("connect_four", 2, ""),  # higher than wide, two planes
        ("dots_and_boxes:rows=2,cols=3", 0, "final_board=1.5"),
        pytest.param("go:size=9", 1, "", marks=pytest.mark.slow),
        pytest.param("othello:size=6", 1, "", marks=pytest.mark.slow),
        pytest.param("hex:size=5,swap=true", 1, "", marks=pytest.mark.slow),
        pytest.param("pgx:chess", 1, "", marks=pytest.mark.slow),
    ],
)
def test_onnxruntime_says_of_held_out_positions_what_our_network_says(
    tmp_path, spec, blocks, targets
):
    (one, seen, said) = case(spec, dataclasses.replace(SMALL, blocks=blocks), targets)
    path = tmp_path / "a.onnx"
    onnx_file.write(path, one, {}, seen.dtype)
    assert np.ptp(said.value) > 0.01, "the positions look alike to this network"
    logits, value = run_onnx(path, seen)
    for own, margin in ((one.network.evaluate(one.folded, seen), 1e-5), (said, 1e-3)):
        np.testing.assert_allclose(logits, own.prior_logits, rtol=margin, atol=margin)
        np.testing.assert_allclose(value, own.value, rtol=margin, atol=margin)
    one_by_one = [run_onnx(path, seen[i : i + 1])[1][0] for i in range(3)]
    np.testing.assert_allclose(one_by_one, value[:3], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "spec", "value"),
    [
        ("resnet", "connect_four", "wdl"),
        ("resnet:pool=true,squeeze=true", "connect_four", "tanh"),
        ("nbt", "connect_four", "wdl"),
        ("convolutional", "hex:size=3+5", "tanh"),
        ("transformer:heads=2", "go:size=5", "tanh"),
        ("mlp:width=7", "connect_four", "tanh"),
    ],
)
def test_onnxruntime_says_what_every_network_of_the_catalogue_says(tmp_path, name, spec, value):
    one, seen, said = case(spec, dataclasses.replace(SMALL, name=name, channels=8, value=value))
    path = tmp_path / "a.onnx"
    onnx_file.write(path, one, {}, seen.dtype)
    assert np.ptp(said.value) > 0.01, "the positions look alike to this network"
    own = jax.jit(one.network.evaluate)(one.folded, seen)
    for count in (1, 7, len(seen)):
        logits, value = run_onnx(path, seen[:count])
        np.testing.assert_allclose(logits, own.prior_logits[:count], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(value, own.value[:count], rtol=1e-4, atol=1e-4)


def plain(evaluate, weights):
    """A network that computes nothing but `evaluate(weights, observation)`, of tic-tac-toe."""
    game, config = games.load("tic_tac_toe"), RunConfig(game="tic_tac_toe", network=SMALL)
    network = types.SimpleNamespace(evaluate=evaluate, config=SMALL)
    return Trained("runs/x@3", config, game, network, weights, 3)


def test_operations_of_other_networks_are_written_as_numpy_computes_them(tmp_path):
    rng = np.random.default_rng(0)
    weights = {"w": rng.standard_normal((3, 3, 9), np.float32), "b": np.float32(0.3)}

    def evaluate(weights, observation):
        x = observation.astype(jnp.float32)
        y = jnp.einsum("nhwc,hwa->nca", x, weights["w"])  # a product over two axes
        y = jax.lax.clamp(-1.0, y, 1.5) ** 3 + weights["b"]
        y = jnp.where(y > 0, jnp.minimum(y, 1), jnp.exp(y) - 1).transpose(1, 2, 0)
        y = jnp.pad(y, ((0, 1), (1, 0), (0, 0)))[:, 1:].transpose(2, 0, 1)  # [n, 3, 9]
        ends = jnp.concatenate([y, jnp.ones((len(x), 2, 9))], axis=1)
        first, second = jnp.split(ends, [2], axis=1)
        peak = jnp.max(ends, axis=1) - jax.nn.softmax(first.sum(1) + second.min(1), axis=-1)
        return Evaluation(peak, jnp.tanh(jax.lax.rsqrt(peak.var(axis=1) + 1.0) - peak[:, 0]))

    one = plain(evaluate, weights)
    seen = rng.random((6, 3, 3, 2)) < 0.5
    path = tmp_path / "a.onnx"
    onnx_file.write(path, one, {}, seen.dtype)
    # More positions than it was traced for, too.
    seen = np.tile(seen, (COUNT // 6 + 1, 1, 1, 1))
    own = evaluate(weights, seen)
    for count in (1, 6, len(seen)):
        logits, value = run_onnx(path, seen[:count])
        np.testing.assert_allclose(logits, own.prior_logits[:count], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(value, own.value[:count], rtol=1e-5, atol=1e-5)


def test_an_operation_that_onnx_lacks_here_is_named(tmp_path):
    def evaluate(weights, observation):
        x = observation.astype(jnp.float32).reshape(len(observation), -1)
        return Evaluation(jnp.sort(x)[:, :9] * weights, x[:, 0])

    with pytest.raises(ValueError, match=r"'resnet' computes sort.*--jax writes any network"):
        onnx_file.write(tmp_path / "a.onnx", plain(evaluate, 2.0), {}, np.dtype(bool))
    assert not os.listdir(tmp_path)


def test_a_bfloat16_network_is_exported_as_the_rounded_weights_that_play(tmp_path):
    narrow, seen, _ = case("connect_four", dataclasses.replace(SMALL, dtype="bfloat16"))
    path = tmp_path / "a.onnx"
    onnx_file.write(path, narrow, {}, seen.dtype)
    wide = Resnet(SMALL, narrow.game.observation_shape, narrow.game.num_actions)
    as_float32 = jax.tree.map(lambda array: array.astype(jnp.float32), narrow.folded)
    own = wide.evaluate(as_float32, seen)
    logits, value = run_onnx(path, seen)
    np.testing.assert_allclose(logits, own.prior_logits, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(value, own.value, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def exported(tiny_run, tmp_path_factory):
    """A folder with both files of a run, and what the command said of them."""
    folder = tmp_path_factory.mktemp("exported")
    files = ["--onnx", str(folder / "net.onnx"), "--safetensors", str(folder / "net.safetensors")]
    with pytest.MonkeyPatch.context() as patch:
        said = []
        patch.setattr("scripts.export.print_json", said.append)
        assert cli.run(["export", str(tiny_run), *files, "--json"]) == 0
    return folder, said[0]


def test_the_command_writes_both_files_with_what_a_reader_must_know(exported, tiny_run):
    folder, said = exported
    assert said["onnx"]["bytes"] == (folder / "net.onnx").stat().st_size
    assert said["onnx"]["differences"]["policy_logits"] < 1e-5
    model = onnx.load(folder / "net.onnx")
    # What onnxruntime 1.22 and its web build surely read: both refuse newer ones than they know.
    assert model.ir_version <= 10
    assert [entry.version for entry in model.opset_import] == [17]
    about = {entry.key: entry.value for entry in model.metadata_props}
    with safetensors.safe_open(folder / "net.safetensors", "numpy") as file:
        assert file.metadata() == about == said["metadata"]
    names = ["a3", "b3", "c3", "a2", "b2", "c2", "a1", "b1", "c1"]
    assert json.loads(about["actions"]) == names
    assert (about["game"], about["board_shape"], about["planes"]) == ("tic_tac_toe", "[3, 3]", "2")
    assert (about["run"], int(about["step"])) == (tiny_run.name, load_trained(tiny_run).step)
    assert str(tiny_run.parent) not in str(about)


def test_the_numpy_reader_of_the_docs_says_what_our_network_says(exported, tiny_run, monkeypatch):
    folder, _ = exported
    page = (ROOT / "docs" / "export.md").read_text()
    blocks = [part.partition("\n```")[0] for part in page.split("```python\n")[1:]]
    monkeypatch.chdir(folder)
    read = {}
    for block in blocks:
        exec(block.replace("c4.", "net."), read)
    one = load_trained(tiny_run)
    seen = sample.draw(one.game, seed=7).observations[:16]
    logits, value = read["evaluate"](seen.astype(np.float32))
    own = one.network.evaluate(one.folded, seen)
    np.testing.assert_allclose(logits, own.prior_logits, atol=1e-5)
    np.testing.assert_allclose(value, own.value, atol=1e-5)


def test_a_game_whose_actions_mean_other_moves_to_the_other_seat_names_none_of_them():
    # Straight on from a3 is a3a2 to seat 0 and a3a4 to seat 1; from a5 only seat 0 ever moves.
    assert sample.draw(games.load("breakthrough:rows=5,cols=2")).names is None


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([], "say what to write: --jax FILE"),
        (["--onnx", "x", "--safetensors", "./x"], "name one file: name one for each"),
        (["--onnx", "no/x"], "there is no folder"),
        (["--safetensors", "taken"], "it is there already"),
        (["--onnx", "linked"], "it is there already"),
    ],
)
def test_what_cannot_be_written_is_told_at_first_sight(
    tiny_run, tmp_path, monkeypatch, capsys, words, wanted
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("mine")
    (tmp_path / "linked").symlink_to("nowhere")
    assert cli.run(["export", str(tiny_run), *words]) == 2
    assert wanted in capsys.readouterr().err
    assert (tmp_path / "taken").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["linked", "taken"]


@pytest.mark.parametrize("form", ["onnx", "safetensors"])
def test_a_missing_package_is_named_with_its_extra(tiny_run, tmp_path, monkeypatch, capsys, form):
    for name in (form, f"{form}.numpy"):
        monkeypatch.setitem(sys.modules, name, None)
    assert cli.run(["export", str(tiny_run), f"--{form}", str(tmp_path / "x")]) == 2
    assert f"pip install 'selfplay-zero[{form}]'" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_a_full_disk_leaves_no_file_and_is_told(tiny_run, tmp_path, monkeypatch, capsys):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(durable.os, "fsync", full)
    assert cli.run(["export", str(tiny_run), "--safetensors", str(tmp_path / "x")]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_jax_reads_any_network_and_says_what_it_says(tiny_run, tmp_path, capsys):
    path = tmp_path / "a.jax"
    assert cli.run(["export", str(tiny_run), "--jax", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metadata"]["network"] == "resnet"
    trained = load_trained(tiny_run)
    seen = sample.draw(trained.game, seed=5).observations[:3]
    logits, value = jax.export.deserialize(bytearray(path.read_bytes())).call(seen)
    own = trained.network.evaluate(trained.folded, seen)
    np.testing.assert_allclose(logits, own.prior_logits, atol=1e-5)
    np.testing.assert_allclose(value, own.value, atol=1e-5)
