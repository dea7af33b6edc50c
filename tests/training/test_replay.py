"""The replay window, its budget, and its files."""

import numpy as np
import pytest

from selfplay import example
from tests.support.checkpoints import examples, read_chunk
from tests.support.drawn import drawn
from training import replay
from training.replay import ReplayBuffer
from training.settings import ReplayConfig


def test_samples_come_from_the_newest_examples_of_the_window_and_from_all_of_them():
    buffer = ReplayBuffer(
        ReplayConfig(capacity=50, min_examples=10, window_growth=1.0, window_scale=1)
    )
    added = 0
    for count in (7, 30, 1, 45, 20):
        buffer.add(examples(added, count))
        added += count
        numbers = set(buffer.sample(np.random.default_rng(0), 5000)["game_id"].tolist())
        assert numbers == set(range(added - buffer.window(), added)), added
    assert buffer.window() == 50


def test_more_examples_than_fit_at_once_leave_the_newest():
    buffer = ReplayBuffer(ReplayConfig(capacity=20, min_examples=5, window_growth=1.0))
    buffer.add(examples(0, 64))
    numbers = set(buffer.sample(np.random.default_rng(0), 2000)["game_id"].tolist())
    assert numbers == set(range(44, 64))


def test_the_window_grows_slower_than_the_examples():
    buffer = ReplayBuffer(ReplayConfig(capacity=10**6, min_examples=100))
    sizes = []
    for total in (50, 100, 1_000, 10_000, 100_000):
        buffer.total = total
        sizes.append(buffer.window() / total)
    assert sizes[:2] == [1.0, 1.0]
    assert sizes[2] > sizes[3] > sizes[4] > 0.01, sizes


def test_steps_allowed_keeps_the_mean_use_of_a_example_below_the_cap():
    buffer = ReplayBuffer(ReplayConfig(capacity=10**6, min_examples=100, samples_per_example=3.0))
    for total in (0, 99, 100, 12_345):
        buffer.total = total
        steps = buffer.steps_allowed(minibatch=32)
        assert steps * 32 <= 3.0 * total
        assert (steps > 0) == (total >= 100)


def test_chunks_hold_every_example_once_and_restore_the_same_window(tmp_path):
    config = ReplayConfig(capacity=50, min_examples=5)
    buffer, added = ReplayBuffer(config), 0
    for count in (13, 0, 22, 41):
        buffer.add(examples(added, count))
        added += count
        if count != 13:  # a save need not follow every addition
            first, taken = buffer.take_unsaved()
            replay.write_chunk(tmp_path, first, taken)
    read = [read_chunk(path) for _, _, path in replay.chunks(tmp_path)]
    np.testing.assert_array_equal(np.concatenate([c.game_id for c in read]), np.arange(added))
    again = ReplayBuffer(config)
    again.restore(tmp_path, added)
    for seed in range(3):
        one, two = (drawn(b, np.random.default_rng(seed), 64) for b in (buffer, again))
        one, two = example.flat(one), example.flat(two)
        for name in example.COLUMNS:
            np.testing.assert_array_equal(one[name], two[name], err_msg=name)
    assert again.take_unsaved()[1] == []


def test_a_missing_or_damaged_chunk_is_an_error_that_names_it(tmp_path):
    for first in (0, 10, 20):
        replay.write_chunk(tmp_path, first, [examples(first, 10)])
    middle = replay.chunks(tmp_path)[1][2]
    content = middle.read_bytes()
    middle.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=middle.name):
        ReplayBuffer(ReplayConfig(capacity=50, min_examples=5)).restore(tmp_path, 30)
    middle.unlink()
    with pytest.raises(ValueError, match="examples 10 to 29 are missing"):
        ReplayBuffer(ReplayConfig(capacity=50, min_examples=5)).restore(tmp_path, 30)


def test_rows_that_are_not_the_games_are_refused_before_a_ring_of_them_is_made(tmp_path):
    replay.write_chunk(tmp_path, 0, [examples(0, 4)])
    form = example.Form((3, 3, 2), np.dtype(bool))
    buffer = ReplayBuffer(ReplayConfig(capacity=10**12, min_examples=5), {"observation": form})
    with pytest.raises(ValueError, match=r"observation of .* do not go with"):
        buffer.restore(tmp_path, 4)
    parts = replay.newest_parts(tmp_path, ["ply"], 9)
    assert [part["ply"].shape for _, part in parts] == [(4,)]


def test_an_empty_buffer_says_so():
    with pytest.raises(ValueError, match="empty"):
        ReplayBuffer(ReplayConfig()).sample(np.random.default_rng(0), 4)


def test_truth_values_are_held_as_bits_and_come_out_as_they_went_in():
    rng = np.random.default_rng(0)
    given = example.make(
        rng.random((40, 3, 3, 3)) < 0.5,  # 27 bits: not a whole number of bytes
        legal_action_mask=rng.random((40, 9)) < 0.5,
        policy_target=rng.random((40, 9), np.float32),
        game_id=np.arange(40),
    )
    buffer = ReplayBuffer(ReplayConfig(capacity=16, min_examples=1))
    buffer.add(example.take(given, slice(0, 30)))
    buffer.add(example.take(given, slice(30, None)))
    found = drawn(buffer, rng, 200)
    assert set(found.game_id.tolist()) == set(range(24, 40))
    expected = example.flat(example.take(given, found.game_id))
    for name, column in example.flat(found).items():
        assert column.dtype == expected[name].dtype, name
        np.testing.assert_array_equal(column, expected[name], err_msg=name)
    held = buffer._ring.nbytes
    whole = sum(column[:16].nbytes for column in example.flat(given).values())
    assert held == whole - 16 * (27 - 4) - 16 * (9 - 2)
