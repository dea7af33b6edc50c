"""Runs of games whose observation is a vector or a graph: trained, resumed, augmented, shown."""

import dataclasses
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import games
import training
from games import consent
from scripts.flags import train as flags
from scripts.web.ops import permission
from selfplay import example
from selfplay.example import Kind
from tests.support.asking import ask
from tests.support.runs import assert_same, run_once
from tests.toys.graph_snort import EDGES, NODES, GraphSnort
from training import learner, network, presets
from training.doctor.evidence import gather
from training.doctor.examples import rules
from training.evaluation import surprise
from training.losses import Minibatch
from training.players import network_of
from training.settings import NETWORKS, NetworkConfig
from training.storage.run_folder import RunFolder

SPECS = ("tests.toys.heaps:Heaps", "tests.toys.graph_snort:GraphSnort")


@pytest.fixture(autouse=True)
def nothing_is_permitted_later():
    yield
    permission.PERMITTED.clear()
    consent.reset()


def config_of(tiny_config, spec, **changes):
    net = dataclasses.replace(tiny_config.network, name="mlp:width=16")
    return dataclasses.replace(
        tiny_config, game=spec, network=net, targets="final_board=0.5,reply=0.1", **changes
    )


@pytest.fixture(scope="module", params=SPECS)
def run(request, tiny_config, tmp_path_factory):
    """A finished run of a game without a board."""
    path = tmp_path_factory.mktemp("any_rank") / "run"
    assert run_once(path, config_of(tiny_config, request.param))
    return path


def test_a_run_without_a_board_is_killed_and_resumes_bit_by_bit(run, tmp_path):
    config, path = RunFolder(run).read_config(), tmp_path / "killed"
    assert not run_once(path, config, stop_after=2)
    # A kill between a save and the next leaves halves of what would come.
    with RunFolder(path).metrics_file.open("a") as file:
        file.write('{"kind": "iter')
    (path / "replay" / "000000099000-000000099999.npz").write_bytes(b"half a chunk")
    assert run_once(path, config)
    assert_same(path, run)


def examples_of(run, count):
    config = RunFolder(run).read_config()
    game = games.load(config.game)
    targets = tuple(example.parse_targets(config.targets))
    return game, surprise.examples_at(RunFolder(run), game, 0, count, targets)


def by_hand(symmetry, kind, values):
    """One example's values through a symmetry, in plain Python."""
    if kind is Kind.PER_ACTION:
        return [values[a] for a in symmetry.action]
    if kind is Kind.ACTION:
        return symmetry.action.tolist().index(int(values))
    if kind in (Kind.OBSERVATION, Kind.PER_CELL):
        return [values[cell] for cell in symmetry.observation]
    return values


def test_examples_are_augmented_as_plain_python_permutes_them(run):
    game, examples = examples_of(run, 32)
    columns = example.flat(examples)
    cells = game.observation_shape[:1]
    assert columns["observation"].shape == (32, *game.observation_shape)
    assert columns["targets/final_board"].shape == (32, *cells)
    assert columns["targets/final_board"].any()
    symmetries = game.symmetries()
    chosen = np.arange(32, dtype=np.int32) % len(symmetries)
    held = {n: jnp.asarray(np.asarray(c)) for n, c in columns.items() if "id" not in n}
    known = {n: c for n, c in held.items() if n.partition("/")[0] in Minibatch._fields}
    rest = {"symmetry": chosen, "policy_weight": np.ones(32, np.float32)}
    shown = learner.augment(example.nested(Minibatch, known | rest), symmetries)
    for name, images in example.flat(shown).items():
        column = example.column(name)
        for row in range(32 if column else 0):
            wanted = by_hand(symmetries[chosen[row]], column.kind, np.asarray(known[name][row]))
            np.testing.assert_array_equal(images[row], wanted, f"{name} {row}")
    for number in (1, len(symmetries) - 1):
        turned = example.flat(surprise.image(examples, symmetries[number]))
        for name in ("observation", "targets/final_board", "policy_target", "action"):
            kind = example.column(name).kind
            wanted = [by_hand(symmetries[number], kind, one) for one in np.asarray(columns[name])]
            np.testing.assert_array_equal(turned[name], wanted, name)


def test_whoever_looks_at_such_a_run_is_answered(run):
    config = RunFolder(run).read_config()
    game = games.load(config.game)
    permission.permit(config.game, "")
    found = ask("example", run=str(run), id=3)
    shape = (*game.observation_shape, 1)[:2]
    assert np.shape(found["planes"]) == (shape[1], shape[0], 1)
    [board] = [one for one in found["targets"] if one["name"] == "final_board"]
    assert np.shape(board["value"]) == (shape[0], 1)
    assert found["plane_names"] == [""] * shape[1]
    seen = ask("planes", game=config.game, moves=[0], symmetry=1)
    assert np.shape(seen["planes"]) == (shape[1], shape[0], 1)
    facts = {fact["name"]: fact for fact in ask("rules", game=config.game)["facts"]}
    texts = {(3,): "3 numbers of float32", (NODES, 3): f"{NODES} nodes, 3 numbers each, of bool"}
    assert facts["observation"]["text"] == texts[game.observation_shape]
    assert rules(gather(RunFolder(run))).measured["wrong_positions"] == 0
    assert training.load_player(run, simulations=2).variables is not None


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"mlp"}))
@pytest.mark.parametrize("shape", [(6,), (6, 2), (2, 3, 2, 2)])
def test_networks_of_boards_refuse_other_shapes_in_a_sentence(name, shape):
    with pytest.raises(ValueError, match=r"needs a board.*use --network mlp --learner") as told:
        network.make(NetworkConfig(name=name), shape, 6)
    assert f"network {name!r}" in str(told.value)
    assert str(shape) in str(told.value)
    net = network.make(NetworkConfig(name="mlp:width=8"), shape, 6, (("own", Kind.PER_CELL),))
    net.check()
    _, heads, _ = jax.eval_shape(
        net.forward_all, net.init(jax.random.key(0)), np.zeros((3, *shape))
    )
    assert heads["own"].shape == (3, *(shape[:-1] or shape))


def test_the_default_of_a_game_without_a_board_is_a_perceptron():
    for spec in SPECS:
        config = flags.defaults(["--game", spec]).config
        assert (config.network.name, config.game) == ("mlp", spec)
        assert config.learner.learning_rate * config.learner.dense_rate == 2e-3
    for spec in ("connect_four", "games.tic_tac_toe:TicTacToe", "no_such_module:Game"):
        assert flags.defaults(["--game", spec]).config == presets.preset("quick", spec)


class Convolution(nnx.Module):
    """Graph convolution: each node hears its neighbours."""

    def __init__(self, spec, *, rngs):
        self.edges = None if spec.adjacency is None else spec.adjacency.astype(np.float32)
        self.embed = nnx.Linear(spec.observation_shape[-1], 4, rngs=rngs)
        self.policy = nnx.Linear(4, 1, rngs=rngs)

    def __call__(self, observation):
        heard = jnp.einsum("nm,bmf->bnf", self.edges, observation.astype(jnp.float32))
        x = self.embed(heard)
        return self.policy(x)[..., 0], jnp.tanh(x.mean((1, 2)))


@pytest.fixture
def own_graph_net(monkeypatch):
    module = types.ModuleType("own_graph_net")
    module.Convolution = Convolution
    monkeypatch.setitem(sys.modules, "own_graph_net", module)
    return "own_graph_net:Convolution"


def test_a_network_of_ones_own_hears_its_neighbours(own_graph_net, tiny_config):
    config = dataclasses.replace(
        tiny_config, network=dataclasses.replace(tiny_config.network, name=own_graph_net)
    )
    net = network_of(config, GraphSnort())
    weights = net.init(jax.random.key(0))
    one = np.zeros((1, NODES, 3), bool)
    rest = np.asarray(net.evaluate(weights, one).prior_logits)[0]
    one[0, 4] = True
    moved = np.asarray(net.evaluate(weights, one).prior_logits)[0] != rest
    np.testing.assert_array_equal(moved, EDGES[4])


def test_networks_of_two_graphs_are_two(own_graph_net, tiny_config):
    class Cut(GraphSnort):
        @property
        def adjacency(self):
            return EDGES & False

    config = dataclasses.replace(
        tiny_config, network=dataclasses.replace(tiny_config.network, name=own_graph_net)
    )
    one, other = network_of(config, GraphSnort()), network_of(config, Cut())
    assert one != other
    assert one == network_of(config, GraphSnort())
