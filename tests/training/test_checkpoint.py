"""Checkpoints: what comes back is what went in, or an error."""

import pathlib
import random

import numpy as np
import pytest

from tests.support.checkpoints import examples, made
from training.replay import ReplayBuffer
from training.settings import CheckpointConfig, ReplayConfig
from training.storage.checkpoint import CheckpointStore
from training.storage.leaves import flatten, unflatten
from training.storage.leftovers import recover
from training.storage.manifest import CheckpointError


def save(store, checkpoint, first=0, chunk=None):
    store.save(checkpoint, first, [] if chunk is None else [chunk])
    store.wait()


def test_every_array_and_counter_comes_back_with_its_dtype(tmp_path):
    store, saved = CheckpointStore(tmp_path), made(7)
    save(store, saved)
    loaded = CheckpointStore(tmp_path).load(7)
    for group in ("train_state", "games"):
        one, two = getattr(saved, group), getattr(loaded, group)
        assert one.keys() == two.keys()
        for name in one:
            assert one[name].dtype == two[name].dtype, name
            np.testing.assert_array_equal(one[name], two[name], err_msg=name)
    assert loaded.counters == saved.counters


def test_a_relative_folder_works_from_where_it_was_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = CheckpointStore(pathlib.Path("run"))
    monkeypatch.chdir("/")
    save(store, made(0))
    assert CheckpointStore(tmp_path / "run").load(0).step == 0


def test_a_flipped_bit_in_any_file_is_found(tmp_path):
    store = CheckpointStore(tmp_path)
    save(store, made(3, total=5), 0, examples(0, 5))
    files = [p for p in (tmp_path / "checkpoints" / "3").rglob("*") if p.is_file()]
    files += list((tmp_path / "replay").iterdir())
    assert len(files) > 5
    for path in files:
        content = path.read_bytes()
        if not content:
            continue
        broken = bytearray(content)
        broken[random.Random(path.name).randrange(len(broken))] ^= 1 << 3
        path.write_bytes(broken)
        try:
            with pytest.raises(CheckpointError):
                CheckpointStore(tmp_path).load(3)
        finally:
            path.write_bytes(content)
    CheckpointStore(tmp_path).load(3)


def test_a_missing_file_is_named(tmp_path):
    store = CheckpointStore(tmp_path)
    save(store, made(3, total=5), 0, examples(0, 5))
    (tmp_path / "replay" / "000000000000-000000000004.npz").unlink()
    with pytest.raises(CheckpointError, match=r"000000000000-000000000004\.npz is missing"):
        store.load(3)


def test_retention_keeps_the_first_the_best_and_the_newest_two(tmp_path):
    store = CheckpointStore(tmp_path)
    for step in (0, 10, 20, 30, 40, 50):
        if step == 20:
            store.wanted = {20}
        save(store, made(step))
    assert store.steps() == [0, 20, 40, 50]


def test_retention_can_keep_milestones(tmp_path):
    store = CheckpointStore(tmp_path, CheckpointConfig(keep_every=100))
    for step in (0, 60, 110, 150, 210, 260, 290):
        save(store, made(step))
    assert store.steps() == [0, 110, 210, 260, 290]


def test_the_newest_two_can_be_resumed_while_old_replay_examples_go(tmp_path):
    store, capacity = CheckpointStore(tmp_path), 25
    for number in range(1, 8):
        counters = {"examples": 10 * number, "replay_oldest_kept": max(0, 10 * number - capacity)}
        counters |= {"actor_step": 0}
        checkpoint = made(number)._replace(counters=counters)
        save(store, checkpoint, 10 * (number - 1), examples(10 * (number - 1), 10))
        for step in store.steps()[-2:]:
            loaded = CheckpointStore(tmp_path).load(step)
            buffer = ReplayBuffer(ReplayConfig(capacity=capacity, min_examples=5))
            buffer.restore(tmp_path / "replay", loaded.counters["examples"])
            drawn = buffer.sample(np.random.default_rng(0), 500)["game_id"]
            assert drawn.max() == loaded.counters["examples"] - 1
    assert len(list((tmp_path / "replay").iterdir())) == 4  # examples 35 to 69


@pytest.mark.parametrize("content", [None, b"{", b'{"replay_oldest_kepT": 0}'])
def test_a_damaged_older_checkpoint_stops_no_save_and_loses_no_chunk(tmp_path, content):
    store = CheckpointStore(tmp_path)
    for number in (1, 2):
        save(store, made(number, 10 * number), 10 * (number - 1), examples(10 * (number - 1), 10))
    file = tmp_path / "checkpoints" / "1" / "counters.json"
    file.unlink() if content is None else file.write_bytes(content)
    counters = {"examples": 20, "replay_oldest_kept": 20, "actor_step": 0}
    save(store, made(2)._replace(counters=counters))  # again, as after an early interruption
    assert len(list((tmp_path / "replay").iterdir())) == 2
    save(store, made(3)._replace(counters=counters))
    assert not list((tmp_path / "replay").iterdir())


def test_saving_a_step_again_replaces_it(tmp_path):
    store = CheckpointStore(tmp_path)
    save(store, made(0))
    later = made(0)._replace(
        counters={"step": 0, "examples": 9, "replay_oldest_kept": 0, "actor_step": 0}
    )
    save(store, later)
    assert store.load(0).counters["examples"] == 9


def test_what_a_kill_in_the_middle_of_a_save_leaves_is_mended(tmp_path):
    store = CheckpointStore(tmp_path)
    save(store, made(0))
    save(store, made(5))
    folder = tmp_path / "checkpoints"
    (folder / "9.partial" / "train_state").mkdir(parents=True)  # killed while writing
    (folder / "5").rename(folder / "5.old")  # killed between the two renames
    assert store.steps() == [0]
    recover(tmp_path)
    assert store.steps() == [0, 5]
    store.load(5)
    assert not list(folder.glob("*.*"))


def test_an_error_while_saving_is_raised_by_the_next_wait(tmp_path):
    store = CheckpointStore(tmp_path)
    (tmp_path / "checkpoints").write_text("in the way")
    store.save(made(0), 0, None)
    with pytest.raises(OSError, match="checkpoints"):
        store.wait()


def test_a_tree_survives_flattening_and_misfits_are_named():
    tree = {"a": (np.zeros(2), {"b": np.ones((1, 3))}), "c": np.asarray(4)}
    leaves = flatten(tree)
    assert sorted(leaves) == ["a/0", "a/1/b", "c"]
    again = unflatten(tree, leaves)
    np.testing.assert_array_equal(again["a"][1]["b"], tree["a"][1]["b"])
    with pytest.raises(CheckpointError, match="a/1/b"):
        unflatten(tree, leaves | {"a/1/b": np.ones((2, 3))})
    with pytest.raises(CheckpointError, match="c"):
        unflatten(tree, {name: leaf for name, leaf in leaves.items() if name != "c"})
