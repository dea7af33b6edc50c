"""Examples on their way from self-play to the loss, each step beside plain Python.

A short run of a game in which who moves may move again: what the search said of a ply becomes one
example, the example follows from the rules, the replay gives it back as it was, and the loss sees
it through one of the game's symmetries.
"""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from selfplay import example, recorder
from selfplay.example import Kind
from tests.support.checkpoints import read_chunk
from tests.support.runs import run_once
from training import decision_examples, learner, replay, stages
from training.losses import Batches
from training.players import network_of
from training.settings import CheckpointConfig, ReplayConfig
from training.storage.checkpoint import CheckpointStore
from training.storage.leaves import under
from training.storage.manifest import ACTOR, ACTOR_STEP

SPEC = "dots_and_boxes:rows=2,cols=2"  # eight symmetries; who closes a box moves again
GAME = games.load(SPEC)
TARGETS = ("final_board",)  # a column of cells
BATCH = 32
OF_THE_SEARCH = ("observation", "legal_action_mask", "action", "q", "root_value", "raw_value")


@pytest.fixture(scope="module")
def config(tiny_config):
    return dataclasses.replace(
        tiny_config,
        game=SPEC,
        targets="final_board=1",
        self_play=dataclasses.replace(
            tiny_config.self_play, plies_per_call=9, random_opening_plies=0
        ),
        learner=dataclasses.replace(tiny_config.learner, root_value_weight=0.25),
        evaluation=dataclasses.replace(tiny_config.evaluation, every=0),
        checkpoint=CheckpointConfig(every_seconds=1e-6, keep_newest=9),
    )


@pytest.fixture(scope="module")
def made(config, tmp_path_factory):
    """A run's trajectories, its examples on disk, and its folder."""
    trajectories = []
    with pytest.MonkeyPatch.context() as patch:
        original = recorder.Recorder.add

        def noted(self, trajectory, weights_step):
            trajectories.append(trajectory)
            return original(self, trajectory, weights_step)

        patch.setattr(recorder.Recorder, "add", noted)
        path = tmp_path_factory.mktemp("examples") / "run"
        assert run_once(path, config)
    forms = example.target_forms(TARGETS, GAME)
    chunks = replay.chunks(path / "replay")
    parts = [read_chunk(file, targets=forms) for _, _, file in chunks]
    return trajectories, example.concatenate(parts), path


def by_ply(examples):
    """The examples' numbers by game and ply."""
    keys = zip(examples.game_id.tolist(), examples.ply.tolist(), strict=True)
    return {key: number for number, key in enumerate(keys)}


def test_each_ply_of_each_finished_game_is_one_example_with_what_the_search_said(made):
    trajectories, examples, _ = made
    place, finished = by_ply(examples), set(examples.game_id.tolist())
    assert len(place) == len(examples.ply) > 100
    seen = set()
    for played in trajectories:
        plies, envs = played.action.shape
        for ply, env in np.ndindex(plies, envs):
            game_id = int(played.game_number[ply, env]) * envs + env
            key = game_id, int(played.ply[ply, env])
            if game_id not in finished:
                continue
            seen.add(key)
            number = place[key]
            for name in OF_THE_SEARCH:
                given = getattr(played, name)[ply, env]
                np.testing.assert_array_equal(getattr(examples, name)[number], given, name)
            given = played.action_weights[ply, env]
            np.testing.assert_array_equal(examples.policy_target[number], given)
    assert seen == set(place)


def test_examples_are_what_the_rules_make_of_their_games_moves(made):
    examples = made[1]
    place = by_ply(examples)
    step, observe = jax.jit(GAME.step), jax.jit(GAME.observe)
    for game_id in sorted(set(examples.game_id.tolist()))[:40]:
        state, seats, ply = GAME.init(jax.random.key(0)), [], 0
        while not state.terminated:
            number = place[game_id, ply]
            np.testing.assert_array_equal(examples.observation[number], observe(state))
            np.testing.assert_array_equal(
                examples.legal_action_mask[number], state.legal_action_mask
            )
            seats.append(int(state.to_play))
            state, ply = step(state, jnp.int32(examples.action[number])), ply + 1
        outcomes = [float(GAME.returns(state)[seat]) for seat in seats]
        assert [float(examples.outcome[place[game_id, i]]) for i in range(ply)] == outcomes
        assert (game_id, ply) not in place


def test_the_replay_gives_back_every_example_of_its_window_as_it_was(made, config):
    examples = made[1]
    held = example.take(examples, slice(-200, None))
    buffer = replay.ReplayBuffer(
        ReplayConfig(capacity=200, min_examples=1, window_growth=1.0),
        example.target_forms(TARGETS, GAME),
    )
    for first, last in ((0, 90), (0, 200)):  # wraps round
        buffer.add(example.take(held, slice(first, last)))
    context = types.SimpleNamespace(
        config=config, symmetries=8, decision_examples=decision_examples.NOTHING
    )
    state = types.SimpleNamespace(replay=buffer)
    place, stored, reached, shown = by_ply(held), example.flat(held), set(), set()
    for number in range(80):
        rows, symmetry = stages.draw(context, state, number)
        drawn = example.nested(example.Sample, example.columns_of(rows, buffer.layout))
        keys = list(zip(drawn.game_id.tolist(), drawn.ply.tolist(), strict=True))
        for name, column in example.flat(drawn).items():
            np.testing.assert_array_equal(column, stored[name][[place[key] for key in keys]], name)
        reached |= set(keys)
        shown |= set(symmetry.tolist())
    assert reached == set(place)
    assert shown == set(range(8))


def image(examples, symmetry):
    """Examples through a symmetry, by its arrays alone; flat."""
    columns, back = example.flat(examples), np.argsort(symmetry.action)
    for name, values in columns.items():
        kind = example.column(name).kind if example.column(name) else Kind.SCALAR
        if kind is Kind.OBSERVATION:
            cells = values.reshape(len(values), -1, values.shape[-1])
            columns[name] = cells[:, symmetry.observation].reshape(values.shape)
        elif kind is Kind.PER_CELL:
            cells = values.reshape(len(values), -1)
            columns[name] = cells[:, symmetry.observation].reshape(values.shape)
        elif kind is Kind.PER_ACTION:
            columns[name] = values[:, symmetry.action]
        elif kind is Kind.ACTION:
            columns[name] = back[values].astype(values.dtype)
    return columns


def test_the_loss_sees_every_example_through_its_symmetry_and_the_value_target_of_the_formula(
    made, config
):
    known = example.take(made[1], slice(BATCH))
    symmetries = GAME.symmetries()
    images = [image(known, symmetry) for symmetry in symmetries]
    chosen = np.arange(BATCH, dtype=np.int32) % len(symmetries)
    # By example: what must be seen. The loss may see a share of the examples, so their order is not
    # fixed.
    wanted = {
        name: np.stack([images[s][name][i] for i, s in enumerate(chosen)]) for name in images[0]
    }

    def spy(predicted, batch, value_target):
        del predicted
        shown = example.flat(batch)
        same = jnp.ones((len(batch.outcome), BATCH), bool)
        for name in shown.keys() & wanted.keys():
            seen = shown[name].reshape(len(batch.outcome), 1, -1)
            same &= (seen == wanted[name].reshape(1, BATCH, -1)).all(axis=2)
        target = 0.75 * batch.outcome + 0.25 * batch.root_value
        return 1.0 - same.any(axis=1), jnp.abs(value_target - target)

    settings = dataclasses.replace(config.learner, batch=BATCH)
    network = network_of(config, GAME)
    step = learner.make_train_step(network, GAME, settings, spy)
    state = learner.init(network, settings, jax.random.key(3))
    # As a run sends them: rows of a replay, the minibatches of two steps in one dispatch.
    columns = example.flat(known)
    layout = example.layout_of(columns)
    rows = np.zeros(BATCH, layout.dtype)
    example.fill_rows(rows, columns)
    one = rows.view(np.uint8).reshape(BATCH, -1), chosen, np.ones(BATCH, np.float32)
    batches = Batches(*(np.stack([part, part]) for part in one))
    steps = learner.make_train_steps(step)
    _, seen = steps(state, batches, jnp.float32(stages.NO_HORIZON), 2, layout=layout)
    assert seen["policy_loss"].tolist() == [0.0, 0.0], "some example is no image of what was stored"
    assert max(seen["value_loss"].tolist()) < 1e-6


def test_the_newest_averages_play(made):
    store = CheckpointStore(made[2])
    saved = {step: store.load(step, with_replay=False) for step in store.steps()}
    compared = 0
    for one in saved.values():
        named = saved.get(one.counters[ACTOR_STEP])
        if named is None or one.counters[ACTOR_STEP] == 0:
            continue
        played = under(ACTOR, one.train_state)
        state = named.train_state
        averages = under("state/average_params", state), under("state/average_batch_stats", state)
        compared += 1
        for a, b in zip(sorted_leaves(played), sorted_leaves(*averages), strict=True):
            np.testing.assert_array_equal(a, b)
    assert compared > 1


def sorted_leaves(*trees):
    return [tree[name] for tree in trees for name in sorted(tree)]
