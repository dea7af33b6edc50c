"""The targets that are shipped, each against plain Python: its values, its loss, a run with it."""

import dataclasses
import itertools
import math
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from selfplay import example
from tests.oracles import last_boards
from tests.support.checkpoints import read_chunk
from tests.support.drawn import drawn
from tests.support.mixed import mixed
from tests.support.runs import assert_same, everything, run_once
from training import decision_examples, learner, losses, replay, targets
from training.config import OverseerConfig
from training.learner import LearnerConfig
from training.losses import minibatch
from training.players import network_of
from training.preflight import estimate
from training.settings import ReplayConfig

SPEC = "dots_and_boxes:rows=2,cols=3"  # where who closes a box moves again
GAME = games.load(SPEC)
NAMES = tuple(example.TARGETS)
SETTING = ",".join(f"{name}=0.{number + 1}" for number, name in enumerate(NAMES))
SHORT = 0.8  # what a ply later counts in `short_value`


@pytest.fixture(scope="module")
def config(tiny_config):
    return dataclasses.replace(
        tiny_config,
        game=SPEC,
        targets=SETTING,
        self_play=dataclasses.replace(tiny_config.self_play, plies_per_call=9),
        evaluation=dataclasses.replace(tiny_config.evaluation, every=0),
    )


@pytest.fixture(scope="module")
def run(config, tmp_path_factory):
    """The folder of a run that was not stopped."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    assert run_once(path, config)
    return path


@pytest.fixture(scope="module")
def examples(run):
    forms = example.target_forms(NAMES, GAME)
    chunks = replay.chunks(run / "replay")
    return example.concatenate([read_chunk(path, targets=forms) for _, _, path in chunks])


def whole_games(examples):
    """Returns by game of which all plies are examples: who decided each, owners, margin."""
    played = {}
    for game_id in np.unique(examples.game_id[examples.ply == 0]).tolist():
        own = np.flatnonzero(examples.game_id == game_id)
        moves = examples.action[own[np.argsort(examples.ply[own])]].tolist()
        boxes = [len(last_boards.dots_and_boxes(2, 3, moves[:ply])[0]) for ply in range(len(moves))]
        seats = [0]
        for before, after in itertools.pairwise(boxes):
            seats.append(seats[-1] if after > before else 1 - seats[-1])
        played[game_id] = seats, *last_boards.dots_and_boxes(2, 3, moves)
    return played


def test_a_run_with_all_of_them_goes_on_bit_by_bit(config, run, tmp_path):
    assert not run_once(tmp_path / "stopped", config, stop_after=2)
    assert run_once(tmp_path / "stopped", config)
    assert_same(tmp_path / "stopped", run)
    arrays, _, lines, _ = everything(run)
    assert "pending/to_play" in arrays
    for line in [line for line in lines if "policy_loss" in line]:
        assert all(np.isfinite(line[f"loss_{name}"]) for name in NAMES)


def test_each_example_has_what_plain_python_makes_of_its_game(examples):
    moved_again, boards = 0, []
    for game_id, (seats, owner, margin) in whole_games(examples).items():
        numbers = np.flatnonzero(examples.game_id == game_id)
        numbers = numbers[np.argsort(examples.ply[numbers])].tolist()
        plies = examples.ply[numbers].tolist()
        assert plies == list(range(17))
        for place, (number, ply) in enumerate(zip(numbers, plies, strict=True)):
            seat = seats[ply]
            mine = 1 if seat == 0 else -1
            assert examples.targets["final_board"][number].tolist() == last_boards.as_plane(
                owner, (5, 7), seat
            )
            assert examples.targets["margin"][number] == pytest.approx(mine * margin / 6)
            following = numbers[place + 1 :]
            assert examples.target_weights["reply"][number] == bool(following)
            if following:
                wanted = examples.policy_target[following[0]]
                np.testing.assert_array_equal(examples.targets["reply"][number], wanted)
            # The mean over where the look ahead ends, as weights that are written out.
            expected, left = 0.0, 1.0
            for other in following:
                same = 1 if seats[examples.ply[other]] == seat else -1
                expected += left * (1 - SHORT) * same * float(examples.root_value[other])
                left *= SHORT
            won = (margin > 0) - (margin < 0)
            expected += left * mine * won
            assert examples.targets["short_value"][number] == pytest.approx(expected, abs=1e-6)
            moved_again += place > 0 and seats[ply] == seats[ply - 1]
        boards.append(examples.targets["final_board"][numbers[0]])
    assert moved_again > 5
    for flip in (np.s_[::-1], np.s_[:, ::-1]):
        assert any((board != board[flip]).any() for board in boards), "all boards are symmetrical"
    for name in {*NAMES} - {"reply"}:
        assert (examples.target_weights[name] == 1).all()
    assert {*examples.targets} == {"final_board", "margin", "reply", "short_value"}


def test_what_a_example_takes_is_what_the_estimate_says(config, run, examples):
    real = sum(column.nbytes for column in example.flat(examples).values())
    assert estimate.example_bytes(GAME, NAMES) * len(examples.ply) == real


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_replay_of_one_target_alone_draws_what_an_uninterrupted_one_does(name, tmp_path):
    rng = np.random.default_rng(3)
    columns = {
        column: rng.integers(0, 2, (60, *form.shape)).astype(form.dtype)
        for column, form in example.forms(GAME, [name]).items()
    }
    stored = example.nested(example.Sample, columns)
    settings = ReplayConfig(capacity=40, min_examples=40)  # it has wrapped round
    resumed, straight = (
        replay.ReplayBuffer(settings, example.target_forms([name], GAME)) for _ in range(2)
    )
    for first, last in ((0, 25), (25, 60)):
        part = example.take(stored, slice(first, last))
        replay.write_chunk(tmp_path, first, [part])
        straight.add(part)
    resumed.restore(tmp_path, 60)
    found, other = (
        example.flat(drawn(buffer, np.random.default_rng(5), 500)) for buffer in (resumed, straight)
    )
    assert {*found} == {*other} == {*columns}
    for column, values in found.items():
        np.testing.assert_array_equal(values, other[column], err_msg=column)
    assert len(np.unique(found[f"target_weights/{name}"])) == 2


@pytest.fixture(scope="module")
def batch(examples):
    """Sixteen examples, each through another symmetry than the next."""
    chosen = example.take(examples, np.arange(16))
    shown = minibatch(chosen, (np.arange(16) % len(GAME.symmetries())).astype(np.int32))
    return jax.device_get(learner.augment(shown, GAME.symmetries()))


def plain_loss(name, predicted, batch, m):
    """Returns the loss of example m of a batch, from Python's numbers."""
    p = np.asarray(predicted[m], float)
    legal = np.flatnonzero(batch.legal_action_mask[m]).tolist()
    if name in ("margin", "short_value"):
        target = float(batch.targets[name][m])
        return ((math.tanh(p) if name == "short_value" else float(p)) - target) ** 2
    if name == "action_values":
        errors = [(math.tanh(p[a]) - float(batch.q[m][a])) ** 2 for a in legal]
        return sum(errors) / len(errors)
    if name == "final_board":
        total = 0.0
        for guess, owner in zip(p.ravel().tolist(), batch.targets[name][m].ravel(), strict=True):
            mine = 1 / (1 + math.exp(-2 * guess))
            share = (1 + int(owner)) / 2
            for truth, said in ((share, mine), (1 - share, 1 - mine)):
                total += truth * math.log(truth / said) if truth else 0.0
        return total / p.size
    actions, target = range(len(p)), None
    if name == "reply":
        target = [float(x) for x in batch.targets[name][m]]
    else:
        actions = legal
        soft = [float(x) ** 0.25 for x in batch.policy_target[m]]
        target = [x / sum(soft) for x in soft]
    total = sum(math.exp(p[a]) for a in actions)
    return -sum(target[a] * math.log(math.exp(p[a]) / total) for a in actions)


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_is_what_plain_python_makes_of_a_turned_example(name, batch):
    kind = example.TARGETS[name].column.kind
    shape = {example.Kind.SCALAR: (16,), example.Kind.PER_CELL: (16, 5, 7)}.get(
        kind, (16, GAME.num_actions)
    )
    predicted = np.random.default_rng(5).normal(size=shape).astype(np.float32)
    given = jax.jit(lambda p, b: targets.LEARNED[name].loss(p, targets.of_batch(name, b), b))
    wanted = [plain_loss(name, predicted, batch, m) for m in range(16)]
    np.testing.assert_allclose(given(predicted, batch), wanted, rtol=2e-3, atol=1e-4)


def test_what_plays_is_the_same_structure_with_and_without_them(config):
    net = network_of(config, GAME)
    plain = network_of(dataclasses.replace(config, targets=""), GAME)
    key, seen = jax.random.key(3), jnp.zeros((4, *GAME.observation_shape), bool)
    with_heads, without = (jax.eval_shape(lambda n=n: n.fold(n.init(key))) for n in (net, plain))
    assert jax.tree.structure(with_heads) == jax.tree.structure(without)
    assert jax.tree.leaves(with_heads) == jax.tree.leaves(without)
    programs = [
        jax.jit(network.evaluate).lower(folded, seen).as_text()
        for network, folded in ((net, with_heads), (plain, without))
    ]
    assert programs[0] == programs[1]


def test_a_loss_of_the_users_own_works_beside_every_head(config, batch, monkeypatch):
    def halved(predicted, batch, value_target):
        policy, value = losses.imitation(predicted, batch, value_target)
        return policy / 2, value / 2

    monkeypatch.setitem(sys.modules, "own_losses", types.SimpleNamespace(halved=halved))
    monkeypatch.setattr(losses.plug_in, "import_function", lambda spec, what: halved)
    own = losses.load("own_losses:halved")
    losses.check_form(own, GAME, 16)
    settings, net = LearnerConfig(batch=16), network_of(config, GAME)
    step = learner.make_train_step(net, GAME, settings, own, example.parse_targets(SETTING))
    state = jax.eval_shape(lambda: learner.init(net, settings, jax.random.key(0)))
    after, metrics = jax.eval_shape(step, state, batch, jnp.float32(1e9))
    assert after == state
    assert {"policy_loss", *(f"loss_{name}" for name in NAMES)} <= {*metrics}


def test_decisions_and_examples_of_before_have_none_of_them(examples, tmp_path):
    plain = examples._replace(targets={}, target_weights={})
    replay.write_chunk(tmp_path, 0, [plain])
    [(_, _, path)] = replay.chunks(tmp_path)
    read = read_chunk(path, targets=example.target_forms(NAMES, GAME))
    decided = decision_examples.DecisionExamples(example.take(plain, slice(4)), ("a",) * 4, [])
    some = example.take(examples, np.arange(8))
    batch, _ = mixed(decided, OverseerConfig("file", 0.25), some, np.zeros(8))
    for name in NAMES:
        assert not read.target_weights[name].any()
        assert not batch.target_weights[name][[0, 4]].any()


@pytest.mark.parametrize(
    ("spec", "name", "said"),
    [
        (
            "connect_four",
            "final_board",
            r"final_planes\(state\), which the game connect_four",
        ),
        ("hex:size=3", "margin", r"margin\(state\), which the game hex:size=3"),
    ],
)
def test_a_game_that_lacks_a_method_is_refused_by_its_name(spec, name, said):
    with pytest.raises(ValueError, match=f"target '{name}' needs {said}"):
        targets.check([name], games.load(spec), spec)


def test_a_method_of_another_form_is_refused_before_a_run_begins():
    class Wrong(type(GAME)):
        def final_planes(self, state):
            return state.boxes

        def margin(self, state):
            return float(state.boxes.sum())

    for name, said in (("final_board", r"shape \(2, 5, 7\).*got \(2, 3\)"), ("margin", "'margin'")):
        with pytest.raises(ValueError, match=said):
            targets.check([name], Wrong(2, 3), "own:Wrong")
