"""Several hosts: what they tell each other, and their shares of a run."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from scripts.hosts.place import free_port
from selfplay import row
from tests.support.hosts import Memory, together
from tests.support.one_step import one_step
from training import shares
from training.hosts import peers as peers_module
from training.hosts.exchange import seconds_over
from training.hosts.peers import BEGIN, AbsentError, AnewError, any_of, told
from training.replay import ReplayBuffer
from training.settings import ReplayConfig
from training.storage.checkpoint import CheckpointStore
from training.storage.run_folder import RunFolder

# ---- words and bytes ----------------------------------------------------------------------------


def test_every_rank_gets_the_words_of_all_in_their_order_and_old_words_are_erased():
    store = Memory()

    def do(hosts):
        return [hosts.share("here", {"rank": hosts.rank, "i": i}) for i in range(20)]

    for heard in together(4, do, store):
        for i, entries in enumerate(heard):
            assert [(e["rank"], e["i"]) for e in entries] == [(rank, i) for rank in range(4)]
    assert len(store.content) <= 2 * (4 + 1)


def test_rank_0_decides_and_any_rank_can_ask_for_an_end():
    def do(hosts):
        decided = told(hosts, "decision", lambda: {"is": hosts.rank})
        return decided["is"], any_of(hosts, "stop", hosts.rank == 2), any_of(hosts, "no", False)

    assert together(3, do) == [(0, True, False)] * 3


def test_who_is_absent_is_named_on_every_rank_that_came():
    def do(hosts):
        if hosts.rank not in (1, 3):
            hosts.meet("the first exchange", 0.3)

    results = together(5, do)
    for rank in (0, 2, 4):
        assert isinstance(results[rank], AbsentError)
        assert "rank 1 and rank 3 of 5 did not come to the first exchange" in str(results[rank])


def test_a_rank_that_rank_0_has_left_behind_is_told_to_begin_anew():
    def do(hosts):
        if hosts.rank == 0:
            return hosts.share(BEGIN, {"rollbacks": 1})
        try:
            hosts.share("stop", {"is": False})
        except AnewError as error:
            return error.start["rollbacks"]

    assert together(2, do)[1] == 1


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 1000])
def test_bytes_of_any_size_arrive_whole_and_leave_nothing(monkeypatch, size):
    monkeypatch.setattr(peers_module, "MAX_PART", 100)
    store, content = Memory(), bytes(i % 251 for i in range(size))

    def do(hosts):
        if hosts.rank == 1:
            hosts.send(0, "rows", lambda: content)
            hosts.settle()
            return content
        return hosts.receive(1, "rows")

    assert together(2, do, store) == [content, content]
    assert not store.content


def test_what_fails_while_bytes_are_made_is_raised_where_they_were_sent():
    def do(hosts):
        def make():
            raise OSError("no memory")

        if hosts.rank == 1:
            hosts.send(0, "rows", make)
            hosts.settle()

    assert isinstance(together(2, do)[1], OSError)


# ---- shares of a run ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tiny_run):
    """The newest checkpoint of a run that one process has saved."""
    store = CheckpointStore(tiny_run)
    return store.load(store.steps()[-1])


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_the_shares_of_a_checkpoint_are_joined_to_the_same_one(saved, tiny_config, count):
    lanes = tiny_config.self_play.batch
    parts = []
    for rank in range(count):
        share = shares.share_of(saved, rank, count, lanes)
        own = share.games["pending/game_id"] % lanes  # plies of games in the lanes of its share
        assert set(own.tolist()) <= set(range(rank * lanes // count, (rank + 1) * lanes // count))
        rows = {"numbers": np.zeros(0, np.int64), "oldest": np.array([7 + rank])}
        parts.append({**share.games, **rows})
    joined, first, rows = shares.joined(saved, parts)
    assert rows is None
    assert first == saved.counters["rows"]
    assert joined.counters == saved.counters | {"replay_oldest_kept": 7}
    assert joined.games.keys() == saved.games.keys()
    for name, leaf in saved.games.items():
        if name.startswith("pending/"):  # in another order, that of ranks
            order = np.lexsort((saved.games["pending/ply"], saved.games["pending/game_id"]))
            other = np.lexsort((joined.games["pending/ply"], joined.games["pending/game_id"]))
            np.testing.assert_array_equal(joined.games[name][other], leaf[order])
        else:
            np.testing.assert_array_equal(joined.games[name], leaf)


def test_a_share_goes_to_another_host_as_it_is(saved, tiny_config):
    def do(hosts):
        if hosts.rank == 0:
            return shares.hand_out(hosts, saved, tiny_config.self_play.batch)
        return shares.take(hosts)

    for rank, share in enumerate(together(2, do)):
        wanted = shares.share_of(saved, rank, 2, tiny_config.self_play.batch)
        assert (share.step, share.counters["rows"]) == (saved.step, saved.counters["rows"])
        for given, ours in ((share.games, wanted.games), (share.train_state, wanted.train_state)):
            assert given.keys() == ours.keys()
            for name, leaf in ours.items():
                np.testing.assert_array_equal(given[name], leaf)


def numbered(numbers):
    """Rows that are told apart by `game_id`."""
    count = len(numbers)
    return row.make(
        np.zeros((count, 1, 1, 1), bool),
        legal_action_mask=np.ones((count, 2), bool),
        policy_target=np.zeros((count, 2), np.float16),
        q=np.zeros((count, 2), np.float16),
        game_id=np.asarray(numbers, np.int64),
    )


def test_windows_of_hosts_hold_the_newest_rows_of_each_and_saves_hold_every_row_once():
    config = ReplayConfig(capacity=60, min_rows=8, window_growth=1.0)
    buffers = [ReplayBuffer(config, share=(rank, 3)) for rank in range(3)]
    rng = np.random.default_rng(0)
    own = [[] for _ in buffers]
    total, saved_rows = 0, []
    for call in range(40):
        counts = rng.integers(0, 5, 3).tolist()
        for rank, buffer in enumerate(buffers):
            first = total + sum(counts[:rank])
            numbers = list(range(first, first + counts[rank]))
            own[rank] += numbers
            buffer.add(numbered(numbers), counts=counts)
        total += sum(counts)
        assert [buffer.total for buffer in buffers] == [total] * 3
        if call < 12:
            assert all(
                (buffer.steps_allowed(4) > 0) == (total >= 8 and all(own)) for buffer in buffers
            )
            continue
        for rank, buffer in enumerate(buffers):
            drawn = set(buffer.sample(rng, 400).game_id.tolist())
            assert drawn == set(own[rank][-min(20, buffer.window() // 3) :])
            assert buffer.oldest_kept() <= min(own[rank][-20:])
        if call % 7 == 0:
            parts = [buffer.take_unsaved_numbered() for buffer in buffers]
            for numbers, rows in parts:
                assert numbers.tolist() == rows.game_id.tolist()
            saved_rows += sorted(number for numbers, _ in parts for number in numbers.tolist())
    assert saved_rows == list(range(len(saved_rows)))


@pytest.mark.parametrize("count", [2, 4])
def test_rows_that_one_process_saved_are_the_windows_of_many(tiny_run, tiny_config, saved, count):
    class Context:
        def __init__(self, peers):
            self.peers, self.config = peers, tiny_config
            self.folder, self.store = RunFolder(tiny_run), CheckpointStore(tiny_run)

    def do(hosts):
        buffer = ReplayBuffer(tiny_config.replay, share=(hosts.rank, count))
        shares.restore(Context(hosts), buffer, saved.counters)
        assert buffer.total == saved.counters["rows"]
        return set(buffer.sample(np.random.default_rng(0), 5000).game_id.tolist())

    lanes = tiny_config.self_play.batch
    for rank, games in enumerate(together(count, do)):
        owner = shares.owners(np.array(sorted(games)), lanes, count)
        assert set(owner.tolist()) == {rank}


# ---- the training step --------------------------------------------------------------------------


def of_processes(out, count, devices):
    """Returns what so many processes have after the steps, each with so many devices."""
    port, words = free_port("127.0.0.1"), [sys.executable, "-m", "tests.support.one_step"]
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    started = [
        subprocess.Popen(
            [*words, str(rank), str(count), str(port), str(out)],
            env={**os.environ, **flags},
            stderr=subprocess.PIPE,
        )
        for rank in range(count)
    ]
    try:
        for process in started:
            _, said = process.communicate(timeout=240)
            assert process.returncode == 0, said.decode()[-2000:]
    finally:
        for process in started:
            process.kill()
    with np.load(out) as arrays:
        return [arrays[str(number)] for number in range(len(arrays.files))]


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_a_step_of_many_hosts_is_that_of_one_process_with_as_many_devices(tmp_path, count):
    if count == jax.device_count():
        wanted = list(map(np.asarray, jax.tree.leaves(one_step())))
    else:
        wanted = of_processes(tmp_path / "wanted.npz", 1, count)
    given = of_processes(tmp_path / "given.npz", count, 1)
    for ours, theirs in zip(wanted, given, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


def test_the_time_of_an_exchange_is_that_of_a_ring():
    assert seconds_over(10**9 // 8, hosts=2, gigabits=1.0) == 1.0
    assert seconds_over(10**9 // 8, hosts=4, gigabits=10.0) == pytest.approx(0.15)
