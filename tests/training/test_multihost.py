"""Multi-host training: each process's part of a run, and saves that several processes write."""

import concurrent.futures
import os
import socket
import subprocess
import sys
import types

import jax
import numpy as np
import pytest

from selfplay import example
from selfplay.files.durable import WriteError
from tests.support.checkpoints import examples, made
from tests.support.one_step import one_step
from training import calls, multihost, replay, stages
from training.calls import PlayedCall
from training.progress import Progress
from training.replay import ReplayBuffer
from training.settings import CheckpointConfig, ReplayConfig
from training.storage import checkpoint
from training.storage.checkpoint import CheckpointStore, NonFiniteError, Part
from training.storage.leftovers import recover


def be(monkeypatch, process, count):
    """Has this process think that it is one of several."""
    monkeypatch.setattr(jax, "process_index", lambda: process)
    monkeypatch.setattr(jax, "process_count", lambda: count)


# ---- parts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_every_game_is_owned_by_the_process_in_whose_environments_it_began(monkeypatch, count):
    environments, games = 16, np.arange(16 * 5)
    owners = np.full(len(games), -1)
    for process in range(count):
        be(monkeypatch, process, count)
        owners[multihost.owned(games, environments)] = process
    np.testing.assert_array_equal(owners, games % environments // (environments // count))


def test_one_process_is_the_case_of_one():
    np.testing.assert_array_equal(multihost.all_gather([1.5, 2.0**52 + 1]), [[1.5, 2.0**52 + 1]])
    assert multihost.seed() == ()
    assert multihost.first_device() == multihost.part() == 0
    assert multihost.is_first()
    assert not multihost.is_loss(jax.errors.JaxRuntimeError("Gloo: connection closed"))


def test_windows_of_processes_hold_the_newest_examples_of_each():
    config = ReplayConfig(capacity=60, min_examples=8, window_growth=1.0)
    buffers = [ReplayBuffer(config, parts=3) for _ in range(3)]
    rng, total = np.random.default_rng(0), 0
    own = [[] for _ in buffers]
    saved, block_of = 0, {}  # examples at the last save; and at the one before each example
    for call in range(40):
        counts = rng.integers(0, 5, 3).tolist()
        for mine, buffer, count in zip(own, buffers, counts, strict=True):
            numbers = list(range(total, total + count))
            mine += numbers
            block_of |= dict.fromkeys(numbers, saved)
            buffer.add(examples(total, count), everywhere=sum(counts))
        total += sum(counts)
        assert [buffer.total for buffer in buffers] == [total] * 3
        if call < 12:
            continue
        for mine, buffer in zip(own, buffers, strict=True):
            drawn = set(buffer.sample(rng, 400)["game_id"].tolist())
            assert drawn == set(mine[-min(20, buffer.window() // 3) :])
            # The chunk with the oldest of these examples has none before the save that came before
            # it.
            assert buffer.oldest_kept() <= min(block_of[number] for number in mine[-20:])
        if call % 7 == 0:
            assert {buffer.take_unsaved()[0] for buffer in buffers} == {saved}
            saved = total


def test_no_step_is_allowed_until_every_process_has_examples():
    buffer = ReplayBuffer(ReplayConfig(capacity=60, min_examples=8), parts=2)
    buffer.add(examples(0, 20), everywhere=20)
    assert buffer.steps_allowed(4) > 0
    buffer.is_ready = False
    assert buffer.steps_allowed(4) == 0


def test_examples_that_one_process_saved_are_the_windows_of_many(tmp_path, monkeypatch):
    config = ReplayConfig(capacity=400, min_examples=5, window_growth=1.0)
    one = ReplayBuffer(config)
    one.add(examples(0, 300))
    replay.write_chunk(tmp_path, *one.take_unsaved())
    for process in range(4):
        be(monkeypatch, process, 4)
        buffer = ReplayBuffer(config, parts=4)
        buffer.restore(tmp_path, 300, owned=lambda game_id: multihost.owned(game_id, 8))
        drawn = buffer.sample(np.random.default_rng(0), 5000)["game_id"]
        mine = [i for i in range(300) if i % 8 // 2 == process]
        assert set(drawn.tolist()) == set(mine[-(buffer.window() // 4) :])


def of_call(games, plies, error, rng):
    """A rollout whose monitors have these values."""
    count = games * plies
    examples = example.make(
        np.zeros((count, 1, 1, 1), bool),
        legal_action_mask=np.ones((count, 2), bool),
        policy_target=np.zeros((count, 2), np.float16),
        q=np.zeros((count, 2), np.float16),
        raw_value=np.full(count, error, np.float32),
    )
    monitors = {"kl": rng.random(), "entropy": rng.random()}
    monitors |= calls.of_games(examples, [plies] * games)
    return PlayedCall(examples, 48, games, [], monitors)


def test_the_monitors_of_several_rollouts_are_means_over_what_they_are_of():
    rng = np.random.default_rng(0)
    played = [of_call(3, 5, 0.5, rng), of_call(0, 9, 0.1, rng), of_call(1, 9, 1.0, rng)]
    _, _, games, _, *sums = np.sum([calls.counted(call, 0) for call in played], axis=0).tolist()
    joined = calls.joined(sums, int(games))
    assert (joined["new_games"], joined["new_examples"]) == (4, 24)
    assert joined["game_plies"] == pytest.approx(24 / 4)
    assert joined["value_error"] == pytest.approx((15 * 0.25 + 9 * 1.0) / 24)
    assert joined["kl"] == pytest.approx(np.mean([call.monitors["kl"] for call in played]))
    alone = calls.joined(calls.counted(played[0], 7)[4:], games=3)
    assert alone == pytest.approx(played[0].monitors)
    assert len(calls.counted(None, 7)) == len(calls.counted(played[0], 7))


def beside(other):
    """An exchange with a process whose numbers these are."""
    return lambda numbers: np.array([list(numbers), other], float)


def test_examples_of_all_processes_are_counted_and_one_s_nan_is_everybody_s(monkeypatch):
    rng = np.random.default_rng(0)
    mine, theirs = of_call(3, 5, 0.5, rng), of_call(2, 5, 0.5, rng)
    state = types.SimpleNamespace(
        replay=ReplayBuffer(ReplayConfig(min_examples=8), parts=2), progress=Progress(), line=None
    )
    context = types.SimpleNamespace()
    monkeypatch.setattr(multihost, "all_gather", beside(calls.counted(theirs, held=0)))
    told = stages.take(context, state, mine)
    assert (told["new_examples"], told["new_games"]) == (25, 5)
    assert (state.replay.total, len(state.replay)) == (25, 15)
    assert (state.progress.games, state.progress.positions) == (5, 96)
    assert state.replay.is_ready
    none = of_call(0, 5, 0.5, rng)
    monkeypatch.setattr(multihost, "all_gather", beside(calls.counted(none, held=10)))
    stages.take(context, state, none)
    assert state.replay.is_ready  # both have examples of before
    monkeypatch.setattr(multihost, "all_gather", beside(calls.counted(None, held=10)))
    with pytest.raises(NonFiniteError, match="another host"):
        stages.take(context, state, mine)
    assert state.replay.total == 25


# ---- saves --------------------------------------------------------------------------------------


def stores(folder, count, start="a" * 12):
    config = CheckpointConfig(keep_newest=1)
    return [CheckpointStore(folder, config, Part(number, count, start)) for number in range(count)]


def save(all_stores, step, first, counts, oldest):
    """Saves, each process its part: so many examples, and two environments."""
    for number, store in enumerate(all_stores):
        mine = first + sum(counts[:number])
        counters = {"step": step, "examples": first + sum(counts), "actor_step": 0}
        part = made(step)._replace(counters=counters | {"replay_oldest_kept": oldest[number]})
        part.games["games/board"] += number
        taken = [examples(mine, counts[number])] if counts[number] else []
        store.save(part, mine, taken)
    for store in all_stores:
        store.wait()


def test_a_save_of_several_processes_is_that_of_one_with_all_their_environments(tmp_path):
    three = stores(tmp_path, 3)
    save(three, 5, 0, [4, 0, 6], oldest=[0, 0, 0])
    loaded = CheckpointStore(tmp_path).load(5)
    board = made(5).games["games/board"]
    np.testing.assert_array_equal(
        loaded.games["games/board"], np.concatenate([board, board + 1, board + 2])
    )
    assert loaded.chunks == {"000000000000-000000000003.npz", "000000000004-000000000009.npz"}
    assert not list((tmp_path / "checkpoints").glob("share-*"))


def test_examples_that_any_process_needs_are_kept_and_no_others(tmp_path):
    three = stores(tmp_path, 3)
    save(three, 1, 0, [5, 5, 5], oldest=[0, 0, 0])
    save(three, 2, 15, [5, 5, 5], oldest=[15, 5, 15])
    names = sorted(path.name[:12] for path in (tmp_path / "replay").iterdir())
    assert [int(name) for name in names] == [5, 10, 15, 20, 25]
    assert CheckpointStore(tmp_path).load(2).counters["replay_oldest_kept"] == 5


def test_a_save_counts_only_with_the_shares_of_all_and_says_which_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SHARE_SECONDS", 0.3)
    earlier = stores(tmp_path, 2, start="b" * 12)
    earlier[1].save(made(5)._replace(counters={"replay_oldest_kept": 0}), 0, [])
    earlier[1].wait()  # a share of a start that was killed then
    first, _ = stores(tmp_path, 2)
    first.save(made(5, total=3), 0, [examples(0, 3)])
    with pytest.raises(WriteError, match=r"share-a+-1-1\.npz did not come"):
        first.wait()
    assert CheckpointStore(tmp_path).steps() == []
    recover(tmp_path)
    assert not list((tmp_path / "checkpoints").iterdir())


# ---- the training step, for real ----------------------------------------------------------------


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def of_processes(out, count, devices):
    """What so many processes have after the steps, each with so many devices."""
    port, words = free_port(), [sys.executable, "-m", "tests.support.one_step"]
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}

    def run(rank):
        return subprocess.run(
            [*words, str(rank), str(count), str(port), str(out)],
            env={**os.environ, **flags},
            capture_output=True,
            timeout=240,
        )

    with concurrent.futures.ThreadPoolExecutor(count) as threads:
        for done in threads.map(run, range(count)):
            assert done.returncode == 0, done.stderr.decode()[-2000:]
    with np.load(out) as arrays:
        return [arrays[str(number)] for number in range(len(arrays.files))]


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_a_step_of_many_processes_is_that_of_one_with_as_many_devices(tmp_path, count):
    if count == jax.device_count():
        wanted = list(map(np.asarray, jax.tree.leaves(one_step())))
    else:
        wanted = of_processes(tmp_path / "wanted.npz", 1, count)
    given = of_processes(tmp_path / "given.npz", count, 1)
    for ours, theirs in zip(wanted, given, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)
