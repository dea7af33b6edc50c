"""Targets beside policy and value: an entry in two tables, and all else follows."""

import dataclasses
import functools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from selfplay import example, self_play
from selfplay.amplify.slot import Amplifier
from selfplay.players import policy_player
from selfplay.recorder import Recorder
from selfplay.self_play import SelfPlayConfig
from tests.support import ROOT
from tests.support.checkpoints import read_chunk
from tests.support.drawn import drawn
from tests.support.mixed import mixed
from tests.support.runs import assert_same, everything, run_once
from tests.toys import targets as toys
from training import decision_examples, learner, replay, targets
from training.config import OverseerConfig
from training.learner import LearnerConfig
from training.losses import minibatch
from training.networks.resnet import Resnet
from training.non_finite import check_plies
from training.players import load_weights, network_of
from training.preflight import estimate, trial
from training.preflight.machine import Machine
from training.replay import ReplayBuffer, ReplayConfig
from training.settings import NetworkConfig
from training.storage.checkpoint import CheckpointStore
from training.storage.run_folder import RunFolder

GAME = games.load("tic_tac_toe")
SMALL = NetworkConfig(blocks=0, channels=4, value_hidden=4)
CONFIG = SelfPlayConfig(batch=8, plies_per_call=12, random_opening_plies=2)
CARD = Machine(1, 1, False, 10**15, 10**15, 10**15)


@pytest.fixture(autouse=True, scope="module")
def registered():
    with pytest.MonkeyPatch.context() as monkeypatch:
        toys.register(monkeypatch)
        yield


def network():
    shape = GAME.observation_shape
    return Resnet(SMALL, shape, GAME.num_actions, targets.heads(toys.TOYS))


@functools.cache
def with_targets(on_device=True):
    return played(targets.computes(toys.TOYS), on_device)


@functools.cache
def plain_play():
    """A call of self-play without targets, its weights, and the games before it."""
    net = network()
    raw = policy_player("policy", GAME, net.evaluate, (), temperature=1.0).act
    play = self_play.make_amplified_play(GAME, Amplifier("policy", raw), CONFIG, {})
    state = self_play.start(GAME, CONFIG, jax.random.key(1))
    return lambda state: jax.device_get(
        play(net.fold(net.init(jax.random.key(0))), state, jax.random.key(2))[1]
    ), state


def test_a_seat_that_there_is_not_is_told_by_the_games_name():
    play, state = plain_play()
    wrong = state.game._replace(to_play=state.game.to_play + 6)
    with pytest.raises(
        ValueError, match=r"'tic_tac_toe': seat -?[67] is to play, and there are 0 and"
    ):
        check_plies("tic_tac_toe", "policy", play(state._replace(game=wrong)))


def test_plies_of_another_form_in_a_checkpoint_are_refused():
    play, state = plain_play()
    recorder = Recorder({"ply": np.zeros(3, np.int32), "game_id": np.zeros(3, np.int64)})
    with pytest.raises(ValueError, match=r"another form \(.*observation"):
        recorder.add(play(state), 0)


@functools.cache
def without_targets():
    return played({})


def played(computes, on_device=True):
    """Returns the samples and games of a few calls, by the policy of a fresh network."""
    net = network()
    raw = policy_player("policy", GAME, net.evaluate, (), temperature=1.0).act

    def on_host(variables, states, key, history):
        del history
        return jax.device_get(raw(variables, states, key))

    amplifier = Amplifier("policy", raw if on_device else on_host, on_device)
    play = self_play.make_amplified_play(GAME, amplifier, CONFIG, computes)
    variables = net.fold(net.init(jax.random.key(0)))
    state = self_play.start(GAME, CONFIG, jax.random.key(1), history=not on_device)
    recorder, parts, finished = Recorder(), [], []
    for call in range(3):
        state, trajectory = play(variables, state, jax.random.key(call))
        trajectory = jax.device_get(trajectory)
        check_plies("tic_tac_toe", "policy", trajectory)
        sample, ended = recorder.add(trajectory, call)
        parts.append(sample)
        finished += ended
        # As a checkpoint does: the examples of unfinished games and nothing else go on.
        assert not [name for name in recorder.pending if name.startswith("end_targets/")]
        recorder = Recorder({name: column.copy() for name, column in recorder.pending.items()})
    return example.concatenate(parts), {game.game_id: game.moves for game in finished}


def in_plain_python(moves, ply):
    """Returns what each toy is of a ply of a game, for its mover."""
    seat = ply % 2

    def board(plies):
        cells = [0] * 9
        for number, cell in enumerate(moves[:plies]):
            cells[cell] = 1 if number % 2 == seat else -1
        return cells

    before, final = board(ply), board(len(moves))
    is_last = ply == len(moves) - 1
    free = [cell == 0 and not is_last for cell in board(ply + 1)]
    return {
        "advance": sum(before) + 0.25 * moves[ply],
        "margin": sum(final) + 0.5,
        "answers": free,
        "taken": [cell == 1 for cell in final],
        "board": [before[i : i + 3] for i in (0, 3, 6)],
        "ownership": [final[i : i + 3] for i in (0, 3, 6)],
    }


@pytest.mark.parametrize("on_device", [True, False])
def test_each_example_has_what_plain_python_computes_for_its_mover(on_device):
    sample, moves = with_targets(on_device)
    assert len(sample.ply) > 40
    assert {ply % 2 for ply in sample.ply.tolist()} == {0, 1}
    for i, (game_id, ply) in enumerate(zip(sample.game_id, sample.ply, strict=True)):
        for name, wanted in in_plain_python(moves[int(game_id)], int(ply)).items():
            np.testing.assert_array_equal(sample.targets[name][i], wanted, err_msg=name)
    for name, (target, _) in toys.TOYS.items():
        assert sample.targets[name].dtype == target.column.dtype
        assert sample.target_weights[name].tolist() == [1.0] * len(sample.ply)


def test_a_run_without_targets_notes_none():
    sample, _ = without_targets()
    assert example.flat(sample).keys() == example.COLUMNS.keys()


@pytest.mark.parametrize("number", range(8))
def test_an_augmented_example_has_the_targets_of_the_image(number):
    sample, moves = with_targets()
    sample = example.take(sample, slice(0, 32))
    batch = minibatch(sample, np.full(32, number, np.int32))
    image = jax.device_get(learner.augment(batch, GAME.symmetries()))
    # Where each cell goes; tic-tac-toe's actions are its cells.
    goes_to = np.argsort(GAME.symmetries()[number].observation).tolist()
    for i, (game_id, ply) in enumerate(zip(sample.game_id, sample.ply, strict=True)):
        turned = [goes_to[move] for move in moves[int(game_id)]]
        wanted = in_plain_python(turned, int(ply))
        # A number stays as it is, this one even though it is of an action.
        wanted["advance"] += 0.25 * (moves[int(game_id)][ply] - turned[ply])
        for name in toys.TOYS:
            np.testing.assert_array_equal(image.targets[name][i], wanted[name], err_msg=name)
    assert image.action.tolist() == [goes_to[a] for a in sample.action.tolist()]


def random_batch(seed=0):
    """Returns examples whose second half has no target."""
    sample, _ = with_targets()
    chosen = np.random.default_rng(seed).integers(0, len(sample.ply), 16)
    sample = example.take(sample, chosen)._replace(weight=np.linspace(0.5, 1, 16, dtype=np.float32))
    known = (np.arange(16) < 8).astype(np.float32)
    return minibatch(
        sample._replace(target_weights=dict.fromkeys(toys.TOYS, known)), np.zeros(16, np.int32)
    )


@functools.cache
def train_step(weight):
    weights = dict.fromkeys(toys.TOYS, weight)
    return learner.make_train_step(network(), GAME, LearnerConfig(batch=16), targets=weights)


def step(batch, weight=0.5):
    state = learner.init(network(), LearnerConfig(batch=16), jax.random.key(0))
    return jax.device_get(train_step(weight)(state, batch, jnp.float32(1e9)))


def test_a_targets_loss_is_the_mean_over_the_examples_that_have_it():
    batch, net = random_batch(), network()
    weights = net.init(jax.random.key(0))
    _, predicted, _ = net.forward_all(weights, batch.observation)
    _, metrics = step(batch)
    for name in toys.TOYS:
        error = np.square(np.asarray(predicted[name], float) - np.asarray(batch.targets[name]))
        mean = np.average(error[:8].reshape(8, -1).mean(1), weights=np.asarray(batch.weight)[:8])
        np.testing.assert_allclose(metrics[f"loss_{name}"], mean, 1e-4, err_msg=name)


@pytest.mark.slow
def test_a_example_of_weight_0_teaches_nothing_of_its_target_and_a_weight_counts():
    batch = random_batch()
    known = np.arange(16) < 8

    def changed(where):
        noise = {
            name: jnp.where(where.reshape(-1, *[1] * (value.ndim - 1)), 1 - value, value)
            for name, value in {k: v.astype(jnp.float32) for k, v in batch.targets.items()}.items()
        }
        return batch._replace(targets=noise)

    one, two = step(changed(known & ~known)), step(changed(~known))
    jax.tree.map(np.testing.assert_array_equal, one, two)
    other, _ = step(changed(known))
    heavier, _ = step(batch, weight=5.0)
    for state in (other, heavier):
        assert (
            state.params["stem"]["conv"]["kernel"] != one[0].params["stem"]["conv"]["kernel"]
        ).any()


def test_heads_leave_the_other_weights_and_what_plays_as_they_were():
    key, plain = jax.random.key(3), Resnet(SMALL, GAME.observation_shape, GAME.num_actions)
    without, with_heads = plain.init(key), network().init(key)
    for a, b in zip(without, with_heads, strict=True):
        assert "targets" not in a
        jax.tree.map(np.testing.assert_array_equal, a, {n: b[n] for n in a})
    jax.tree.map(np.testing.assert_array_equal, plain.fold(without), network().fold(with_heads))


def asking(config, **changes):
    evaluation = dataclasses.replace(config.evaluation, every=0)
    return dataclasses.replace(config, targets=toys.SETTING, evaluation=evaluation, **changes)


@pytest.mark.slow
def test_a_run_learns_its_targets_and_goes_on_bit_by_bit(tiny_config, tmp_path):
    config = asking(tiny_config)
    assert not run_once(tmp_path / "stopped", config, stop_after=2)
    assert run_once(tmp_path / "stopped", config)
    assert run_once(tmp_path / "whole", config)
    assert_same(tmp_path / "stopped", tmp_path / "whole")
    arrays, _, lines, _ = everything(tmp_path / "whole")
    assert "pending/targets/board" in arrays
    losses = [line for line in lines if "policy_loss" in line]
    assert losses
    assert all(np.isfinite(line[f"loss_{name}"]) for line in losses for name in toys.TOYS)

    names = tuple(toys.TOYS)
    examples = read_chunk(
        replay.chunks(tmp_path / "whole" / "replay")[0][2],
        targets=example.target_forms(names, GAME),
    )
    real = sum(column.nbytes for column in example.flat(examples).values())
    assert estimate.example_bytes(GAME, names) * len(examples.ply) == real
    saved = CheckpointStore(tmp_path / "whole").load(0)
    need, plain = (
        estimate.needs(c, GAME, CARD) for c in (config, dataclasses.replace(config, targets=""))
    )
    assert need.checkpoint == sum(leaf.nbytes for leaf in saved.train_state.values())
    assert need.play > plain.play
    assert need.replay - plain.replay == config.replay.capacity * (
        estimate.held_bytes(GAME, names) - estimate.held_bytes(GAME)
    )


@pytest.mark.slow
def test_a_run_begins_from_one_with_other_targets_with_the_heads_that_both_have(
    tiny_config, tmp_path
):
    begun = {}
    source = None
    for name, setting in (
        ("a", ""),
        ("b", "board=1,margin=1"),
        ("c", "taken=1,board=1"),
        ("d", ""),
    ):
        config = asking(tiny_config, amplify="policy", seed=ord(name))
        config = dataclasses.replace(config, targets=setting)
        run_once(tmp_path / name, config, stop_after=0, source=source)
        folder, net = RunFolder(tmp_path / name), network_of(config, GAME)
        [step] = CheckpointStore(tmp_path / name).steps()
        begun[name] = load_weights(folder, step, net)
        source = (folder, step)
    a, b, c, d = begun.values()
    for part in range(2):  # params, batch_stats
        assert b[part]["targets"].keys() == {"board", "margin"}
        assert c[part]["targets"].keys() == {"board", "taken"}
        jax.tree.map(np.testing.assert_array_equal, a[part], d[part])
        jax.tree.map(
            np.testing.assert_array_equal, b[part]["targets"]["board"], c[part]["targets"]["board"]
        )
        for other in (b, c):
            tower = {name: other[part][name] for name in a[part]}
            jax.tree.map(np.testing.assert_array_equal, a[part], tower)


def test_the_blank_examples_of_a_trial_have_the_targets(tiny_config, tmp_path):
    run, key = trial._prepared(RunFolder(tmp_path / "run"), asking(tiny_config)), jax.random.key(0)
    state = learner.init(run.network, run.config.learner, key)
    variables = run.network.fold(state.averages)
    _, trajectory = jax.eval_shape(run.play, variables, run.open_games(), key)
    blank = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), trajectory)
    rows = trial._blank_examples(run, blank, 32)
    assert rows.targets.keys() == rows.target_weights.keys() == {*toys.TOYS}
    _, measured = jax.eval_shape(run.train_step, state, rows, jnp.float32(0))
    assert {f"loss_{name}" for name in toys.TOYS} <= measured.keys()


def test_examples_of_a_chunk_without_the_column_have_weight_0(tmp_path):
    plain, _ = without_targets()
    sample, _ = with_targets()
    replay.write_chunk(tmp_path, 0, [plain])
    replay.write_chunk(tmp_path, len(plain.ply), [sample])
    total = len(plain.ply) + len(sample.ply)
    config = ReplayConfig(capacity=2 * total, min_examples=2 * total)  # all is drawn
    buffer = ReplayBuffer(config, example.target_forms(toys.TOYS, GAME))
    buffer.restore(tmp_path, total)
    buffer.add(sample)
    found = drawn(buffer, np.random.default_rng(0), 3000)
    old = found.target_weights["board"] == 0
    share = len(plain.ply) / (total + len(sample.ply))
    assert abs(old.mean() - share) < 0.05
    for name in toys.TOYS:
        assert (found.target_weights[name] == ~old).all()
        assert not found.targets[name][old].any()
        assert found.targets[name].dtype == sample.targets[name].dtype
    # A run that does not ask for them reads such a chunk too.
    assert read_chunk(replay.chunks(tmp_path)[1][2]).targets == {}


def test_an_overseers_decisions_have_weight_0():
    sample, _ = with_targets()
    sample = example.take(sample, np.arange(32))
    plain, _ = without_targets()
    decided = decision_examples.DecisionExamples(example.take(plain, slice(4)), ("a",) * 4, [])
    batch, _ = mixed(decided, OverseerConfig("file", 0.25), sample, np.zeros(32))
    for name in toys.TOYS:
        assert batch.target_weights[name].sum() == 24
    assert batch.target_weights["board"].tolist() == [0, 1, 1, 1] * 8


def test_a_wrong_setting_is_told_with_the_names_that_there_are(tiny_config):
    for text, sentence in (
        ("ownershp=1", "no target 'ownershp'; there are final_board, margin, reply"),
        ("board", "a weight above 0, got 'board'"),
        ("board=0", "a weight above 0, got 'board=0'"),
        ("board=nan", "a weight above 0, got 'board=nan'"),
        ("board=1,board=2", "'board' is named twice"),
    ):
        problems = dataclasses.replace(tiny_config, targets=text).problems()
        assert len(problems) == 1
        assert sentence in problems[0]
    assert not dataclasses.replace(tiny_config, targets="board=1,margin=0.5").problems()


def test_a_target_of_the_wrong_shape_or_of_no_number_is_an_error_that_names_it():
    with pytest.raises(ValueError, match=r"'board' must be computed with the shape \(3, 3\)"):
        played({"board": lambda game, before, *_: jnp.zeros(9)})
    with pytest.raises(ValueError, match="target 'margin' is computed as NaN"):
        played({"margin": lambda game, final: jnp.full(2, jnp.nan)})


def test_a_network_is_one_object_for_equal_settings(tiny_config):
    config = asking(tiny_config)
    assert network_of(config, GAME) is network_of(config, GAME)
    assert network_of(config, GAME) is not network_of(tiny_config, GAME)


def test_the_form_of_a_example_is_known_without_jax():
    code = "import sys, selfplay.example; print('jax' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
