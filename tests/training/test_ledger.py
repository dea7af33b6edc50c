"""The ledger of a fleet: read as it was written, whatever a kill left at its end."""

import pytest

from training.workers import ledger
from training.workers.ledger import Join, Known, Start, Taken


def join(incarnation, slot=0):
    return Join(incarnation=incarnation, slot=slot, name=f"worker-{incarnation}", host="a host")


def taken(incarnation, seq, first, rows=10):
    return Taken(
        slot=incarnation % 2,
        incarnation=incarnation,
        seq=seq,
        version=1 << 20,
        first=first,
        rows=rows,
        plies=96,
        games=2,
        sha256="ab" * 32,
        step=3,
        horizon=12.5,
    )


LINES = [
    Start(number=1),
    join(0),
    taken(0, 0, 0),
    join(1, 1),
    taken(1, 0, 10, rows=0),
    taken(0, 1, 10, rows=7),
    Start(number=2),
    taken(1, 1, 17),
]
JOINS = [LINES[1], LINES[3]]
TAKEN = [LINES[2], LINES[4], LINES[5], LINES[7]]


@pytest.fixture
def folder(tmp_path):
    for line in LINES:
        ledger.append(tmp_path, line)
    return tmp_path


def test_a_ledger_is_read_as_it_was_written(folder):
    assert ledger.read(folder) == Known(2, JOINS, [], TAKEN)
    for count in range(len(TAKEN) + 1):
        assert ledger.taken_since(folder, count) == TAKEN[count:]


def test_a_folder_without_a_ledger_knows_nothing(tmp_path):
    assert ledger.read(tmp_path) == Known(0, [], [], [])
    assert ledger.read(tmp_path / "nowhere") == Known(0, [], [], [])


def test_a_last_line_that_a_kill_cut_off_is_left_out_and_then_written_over(folder):
    file = folder / ledger.NAME
    whole = file.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for end in range(last, len(whole)):
        file.write_bytes(whole[:end])
        assert ledger.read(folder) == Known(2, JOINS, [], TAKEN[:-1]), end
    ledger.append(folder, LINES[-1])
    assert file.read_bytes() == whole


DAMAGE = {
    b"\x00\x00": "not JSON",
    b"[1]": "no line of a ledger",
    b'{"kind": "leave"}': "no line of a ledger",
    b'{"kind": "join", "slot": 0}': "'incarnation' must be a number",
    b'{"kind": "start", "number": "1"}': "'number' must be a number",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_line_in_the_middle_is_named(folder, damage):
    file = folder / ledger.NAME
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:4], damage + b"\n", *lines[5:]]))
    with pytest.raises(ValueError, match=f"order.jsonl, line 5: .*{DAMAGE[damage]}"):
        ledger.read(folder)


def test_the_next_batch_of_each_worker_follows_its_last_and_is_the_first_of_a_new_one(folder):
    ledger.append(folder, join(2))
    assert ledger.next_seqs(ledger.read(folder)) == {0: 2, 1: 2, 2: 0}


def test_a_chunk_is_named_by_its_rows(folder):
    assert taken(0, 0, 10, rows=7).chunk == "000000000010-000000000016.npz"
    assert str(taken(1, 4, 0).key) == "slot 1, incarnation 1, batch 4"


def test_an_order_in_which_all_follow_each_other_is_right_from_any_batch_on():
    for begin in range(len(TAKEN) + 1):
        ledger.check_order(TAKEN[begin:])


def test_rows_and_batches_that_are_missing_from_an_order_are_noticed():
    with pytest.raises(ValueError, match="rows from 10 on are missing"):
        ledger.check_order([TAKEN[0], TAKEN[3]])
    with pytest.raises(ValueError, match="a batch is missing before"):
        ledger.check_order([taken(0, 0, 0), taken(0, 2, 10)])
    for repeated in (taken(0, 0, 10), taken(0, 1, 10)):
        with pytest.raises(ValueError, match="a batch is missing before"):
            ledger.check_order([taken(0, 0, 0), taken(0, 1, 10, rows=0), repeated])
    with pytest.raises(ValueError, match="rows from 20 on are missing"):
        ledger.check_order([taken(0, 0, 0), taken(1, 0, 10), taken(0, 1, 15)])
