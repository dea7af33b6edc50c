"""Examples of the replay as the browser asks for them, beside the chunks and plain Python."""

import dataclasses
import math
import shutil

import jax
import numpy as np
import pytest

import games
import training
from selfplay import example, positions
from tests.support.asking import ask
from tests.support.checkpoints import read_chunk
from tests.support.runs import run_once
from training import replay
from training.evaluation import example_positions
from training.evaluation.example_positions import Seen
from training.storage.run_folder import RunFolder

GAME = games.load("tic_tac_toe")
TARGETS = ("reply", "short_value", "soft_policy")


@pytest.fixture(scope="module")
def run(tiny_config, tmp_path_factory):
    """A run of tic-tac-toe that also learns targets, and its stored examples by number."""
    path = tmp_path_factory.mktemp("replay") / "run"
    targets = ",".join(f"{name}=0.1" for name in TARGETS)
    run_once(path, dataclasses.replace(tiny_config, targets=targets))
    examples = {}
    for first, last, file in replay.chunks(path / "replay"):
        forms = example.target_forms(TARGETS, GAME)
        columns = example.flat(read_chunk(file, targets=forms))
        for number in range(first, last + 1):
            examples[number] = {name: column[number - first] for name, column in columns.items()}
    return path, examples


def kl(target, policy):
    """KL(target || policy), in plain Python."""
    return sum(t * math.log(t / p) for t, p in zip(target, policy, strict=True) if t > 0)


def said_of(path, one):
    """The newest network's policy and value of an example, by the player that `arena` plays."""
    player = training.load_player(path, simulations=0)
    network = training.players.network_of(
        training.storage.run_folder.RunFolder(path).read_config(), GAME
    )
    answer = jax.device_get(network.evaluate(player.variables, one["observation"][None]))
    logits = np.where(one["legal_action_mask"], answer.prior_logits[0], -np.inf)
    policy = np.exp(logits - logits.max())
    return policy / policy.sum(), float(answer.value[0])


def test_examples_come_by_surprise_which_is_that_of_plain_python(run):
    path, examples = run
    for order, key in (("policy", "divergence"), ("value", "value_error")):
        found = ask("examples", run=str(path), order=order, count=200)
        assert found["sampled"] == len(examples)
        assert (found["first"], found["last"]) == (min(examples), max(examples))
        sizes = [abs(one[key]) for one in found["examples"]]
        assert sizes == sorted(sizes, reverse=True)
        for one in found["examples"][:8]:
            stored = examples[one["id"]]
            policy, value = said_of(path, stored)
            divergence = kl(stored["policy_target"].tolist(), policy.tolist())
            assert one["divergence"] == pytest.approx(divergence, abs=1e-4)
            share = RunFolder(path).read_config().learner.root_value_weight
            target = (1 - share) * stored["outcome"] + share * stored["root_value"]
            assert one["value_error"] == pytest.approx(target - value, abs=1e-4)
            assert one["ply"] == stored["ply"]
    newest = ask("examples", run=str(path), order="newest", count=5)["examples"]
    assert [one["id"] for one in newest] == sorted(examples, reverse=True)[:5]
    few = ask("examples", run=str(path), order="policy", sample=5)  # the end of a chunk
    assert sorted(one["id"] for one in few["examples"]) == sorted(examples)[-5:]
    assert all(one["ply"] == examples[one["id"]]["ply"] for one in few["examples"])
    some = {
        one["id"] for one in ask("examples", run=str(path), order="random", count=9)["examples"]
    }
    assert len(some) == 9
    assert some <= examples.keys()


def test_a_example_holds_what_lies_in_its_chunk(run):
    path, examples = run
    for number in (min(examples), max(examples)):
        found, stored = ask("example", run=str(path), id=number), examples[number]
        planes = np.array(found["planes"])
        np.testing.assert_array_equal(np.moveaxis(planes, 0, -1), stored["observation"])
        for name, value in found["columns"].items():
            assert value == pytest.approx(stored[name].item()), name
        shown = {one["action"]: one for one in found["actions"]}
        assert sorted(shown) == np.flatnonzero(stored["legal_action_mask"]).tolist()
        for action, one in shown.items():
            assert one["target"] == stored["policy_target"][action]
            assert one["q"] == stored["q"][action]
            assert one["played"] == (action == stored["action"])
        assert [one["name"] for one in found["targets"]] == list(TARGETS)
        for one in found["targets"]:
            assert one["weight"] == stored[f"target_weights/{one['name']}"]
            if example.TARGETS[one["name"]].at == "example":
                assert one["value"] is None
            else:
                np.testing.assert_allclose(one["value"], stored[f"targets/{one['name']}"])


def turned(board):
    """A board [3, 3] and its 7 other images, by hand: turns, and turns of the mirror image."""
    images = [board]
    for _ in range(3):
        images.append([[images[-1][2 - x][y] for x in range(3)] for y in range(3)])
    return images + [[line[::-1] for line in image] for image in images]


def test_images_are_the_example_turned_by_hand_with_all_that_it_holds(run):
    path, examples = run
    number = max(examples)
    stored = examples[number]
    plain = ask("example", run=str(path), id=number)
    assert len(plain["images"]) == 8

    def cells(found):
        """All that an example says of each cell: planes, target, q, and whether it was played."""
        by_action = {one["action"]: one for one in found["actions"]}
        return [
            [
                (
                    *(plane[y][x] for plane in found["planes"]),
                    *(by_action.get(3 * y + x, {}).get(name) for name in ("target", "q", "played")),
                )
                for x in range(3)
            ]
            for y in range(3)
        ]

    expected = turned(cells(plain))
    seen = []
    for symmetry in range(8):
        found = ask("example", run=str(path), id=number, symmetry=symmetry)
        image = cells(found)
        assert image in expected
        seen.append(str(image))
        assert found["columns"] | {"action": 0} == plain["columns"] | {"action": 0}
        assert found["value_target"] == plain["value_target"]
        # what the network says of the image, and the board on which it is drawn
        symmetric = GAME.symmetries()[symmetry]
        shown = {
            "observation": np.asarray(symmetric.on_observation(stored["observation"])),
            "legal_action_mask": np.asarray(symmetric.on_actions(stored["legal_action_mask"])),
        }
        policy, value = said_of(path, shown)
        assert found["now"]["value"] == pytest.approx(value, abs=1e-4)
        assert found["images"][symmetry]["same"] == (found["planes"] == plain["planes"])
        for one in found["actions"]:
            assert one["policy"] == pytest.approx(float(policy[one["action"]]), abs=1e-4)
        if found["moves"] is not None:
            state = positions.replay(GAME, [found["moves"]]).states
            np.testing.assert_array_equal(
                np.asarray(jax.vmap(GAME.observe)(state))[0], shown["observation"]
            )
    assert len(set(seen)) == len({str(image) for image in expected})


def test_every_example_of_a_run_with_random_openings_gets_a_position_that_looks_like_it(run):
    path, examples = run
    how = set()
    for number in sorted(examples)[-40:]:
        found = ask("example", run=str(path), id=number)
        how.add(found["position"])
        assert len(found["moves"]) == examples[number]["ply"]
        board = [0] * 9
        for ply, action in enumerate(found["moves"]):
            assert board[action] == 0
            board[action] = 1 + ply % 2
        mover = 1 + len(found["moves"]) % 2
        own = np.array(board).reshape(3, 3) == mover
        np.testing.assert_array_equal(own, examples[number]["observation"][..., 0])
    assert "search" in how  # openings of two random plies, and most games are not recorded


@pytest.mark.parametrize("spec", ["connect_four", "hex:size=4", "gomoku:rows=5,cols=5,k=4"])
def test_positions_are_found_from_what_they_look_like(spec):
    game = games.load(spec)
    rng = np.random.default_rng(0)
    for plies in (0, 1, 5, 9):
        state, moves = positions.opening_position(game), []
        while len(moves) < plies:
            action = int(rng.choice(np.flatnonzero(np.asarray(state.legal_action_mask))))
            after = positions.step(game, state, np.int32(action))
            if not after.terminated:
                state, moves = after, [*moves, action]
        legal = np.asarray(state.legal_action_mask)
        wanted = Seen(np.asarray(game.observe(state)), legal, plies)
        found = example_positions.look_for(game, wanted)
        assert found is not None, moves
        assert example_positions.shows(game, found, wanted)
        assert not example_positions.shows(game, found, wanted._replace(observation=1 - legal))


def test_a_example_whose_position_cannot_be_is_shown_by_its_planes_alone(run, tmp_path):
    path, _ = run
    copy = tmp_path / "run"
    shutil.copytree(path, copy)
    (first, last, file) = replay.chunks(copy / "replay")[-1]
    held = read_chunk(file)
    full = held._replace(observation=np.ones_like(held.observation))  # both have all cells
    file.unlink()
    replay.write_chunk(copy / "replay", first, [full], RunFolder(copy).run_id())
    found = ask("example", run=str(copy), id=last)
    assert found["position"] is None
    assert found["moves"] is None
    assert np.array(found["planes"]).all()


def test_chunks_that_are_erased_or_damaged_are_passed_over_and_examples_that_are_gone_named(
    run, tmp_path, monkeypatch
):
    path, examples = run
    copy = tmp_path / "run"
    shutil.copytree(path, copy)
    listed = replay.chunks(copy / "replay")
    assert len(listed) > 1
    (_, _, gone), *left = reversed(listed)
    gone.unlink()
    monkeypatch.setattr(replay, "chunks", lambda folder: listed)  # as listed a moment before
    found = ask("examples", run=str(copy), order="newest", count=3)
    assert found["last"] == max(last for _, last, _ in left)
    with pytest.raises(OSError, match=r"npz"):
        ask("example", run=str(copy), id=max(examples))
    monkeypatch.undo()
    with pytest.raises(ValueError, match="is not on disk"):
        ask("example", run=str(copy), id=max(examples))
    for _, _, file in left:
        file.write_bytes(b"PK damaged")
    with pytest.raises(ValueError, match="no replay example on disk"):
        ask("examples", run=str(copy))


def test_nothing_in_a_run_that_is_looked_at_changes(run):
    path, examples = run

    def everything():
        return {
            str(file): (file.stat().st_mtime_ns, file.read_bytes())
            for file in path.rglob("*")
            if file.is_file()
        }

    before = everything()
    ask("examples", run=str(path))
    ask("example", run=str(path), id=max(examples), symmetry=3)
    assert everything() == before


@pytest.mark.parametrize(
    ("op", "args"),
    [
        ("examples", {"order": "best"}),
        ("examples", {"count": 0}),
        ("examples", {"sample": 10**9}),
        ("example", {"id": -1}),
        ("example", {"id": "7"}),
        ("example", {"id": 0, "symmetry": 8}),
    ],
)
def test_what_cannot_be_asked_is_named(run, op, args):
    path, _ = run
    with pytest.raises(ValueError, match=f"'{[*args][-1]}' must be"):
        ask(op, run=str(path), **args)
