"""A worker's batches: they hold its calls, and what cannot be right in one is refused by name."""

import dataclasses
import io
import json
import pickle
import re
import zipfile

import jax
import numpy as np
import pytest

import games
from selfplay import row
from tests.support.fleet import columns_of, parcel_of
from training import replay
from training.workers import batch, identity
from training.workers.batch import BatchError, Expected, Key
from training.workers.worker import Parcel, Version, Worker

NUMBER = 1 << 20  # of the version that plays
CALLS = 3


class Made:
    """What a worker made of three calls, and what was learned of them on the way."""

    def __init__(self, config):
        self.config, self.game = config, games.load(config.game)
        self.worker = Worker(config, "this run", 0, 0)
        self.version = Version(NUMBER, 0, self.worker.network.init(jax.random.key(1)))
        self.parcels, self.calls = [], []
        pack = batch.pack

        def watched_pack(call, header, lanes):
            self.calls.append((call, header))
            return pack(call, header, lanes)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(batch, "pack", watched_pack)
            for _ in range(CALLS):
                self.lanes = self.worker.lanes()  # before the last call, at the end
                self.parcels.append(self.worker.play(self.version))

    def expected(self, seq):
        config = self.config
        return Expected(
            run_id="this run",
            digest=identity.of_settings(config),
            code=identity.of_code(self.game),
            game=config.game,
            forms=batch.forms(self.game, ()),
            plies=config.self_play.batch * 6,
            max_rows=config.self_play.batch * (self.game.max_plies + 6),
            max_plies=self.game.max_plies,
            key=Key(0, 0, seq),
            versions={NUMBER: 0},
            oldest=NUMBER,
            first=NUMBER,
        )

    def read(self, parcel):
        return batch.read(parcel.content, parcel.sha256, self.expected(parcel.seq))

    def changed(self, header=None, columns=None, rows=None):
        """The last batch with entries of its header replaced, columns, or rows chosen."""
        was, held = columns_of(self.parcels[-1])
        held |= columns or {}
        if rows is not None:
            held = {name: column[rows] for name, column in held.items()}
            was = dataclasses.replace(was, rows=len(held["ply"]))
        text = json.dumps(dataclasses.asdict(was) | (header or {}))
        return parcel_of(was.seq, text.encode(), held)


@pytest.fixture(scope="module")
def made(tiny_config):
    return Made(tiny_config)


@pytest.fixture(scope="module")
def rows(made):
    """The columns of the last batch; each use changes a copy."""
    return columns_of(made.parcels[-1])[1]


def refuse(made, parcel, text):
    with pytest.raises(BatchError, match=text):
        made.read(parcel)


def with_first(column, value):
    changed = column.copy()
    changed[0] = value
    return changed


# ---- what is right ------------------------------------------------------------------------------


def test_a_batch_that_is_read_equals_the_call_that_was_packed(made):
    for parcel, (call, header) in zip(made.parcels, made.calls, strict=True):
        read_header, read, lanes = made.read(parcel)
        assert not lanes
        assert read_header == header
        columns, others = row.flat(read.rows), row.flat(call.rows)
        assert columns.keys() == others.keys()
        for name, column in others.items():
            assert columns[name].dtype == column.dtype, name
            np.testing.assert_array_equal(columns[name], column, err_msg=name)
        assert (read.plies, read.games) == (call.plies, call.games)
        assert read.monitors == call.monitors
        for one, other in zip(read.watched, call.watched, strict=True):
            assert one[:3] == other[:3]
    assert made.calls[-1][0].games > 5, "too few games ended to be worth poisoning"
    assert any(call.watched for call, _ in made.calls)


def test_no_two_games_of_a_worker_have_one_number_over_all_its_calls(made):
    numbers = [np.unique(call.rows.game_id) for call, _ in made.calls]
    joined = np.concatenate(numbers)
    assert len(np.unique(joined)) == len(joined) == sum(call.games for call, _ in made.calls)


def test_a_batch_under_the_name_of_a_chunk_is_a_chunk_of_its_rows(made, tmp_path):
    parcel, (call, _) = made.parcels[-1], made.calls[-1]
    path = tmp_path / f"{700:012d}-{699 + len(call.rows.ply):012d}.npz"
    path.write_bytes(parcel.content)
    read = row.flat(replay.read_chunk(path, "this run"))
    for name, column in row.flat(call.rows).items():
        np.testing.assert_array_equal(read[name], column, err_msg=name)
    with pytest.raises(ValueError, match="is another run's"):
        replay.read_chunk(path, "other run")


def test_workers_with_the_same_numbers_play_the_same_games_and_another_incarnation_others(
    made, tiny_config
):
    twin, other = (Worker(tiny_config, "this run", 0, number) for number in (0, 1))
    for parcel in made.parcels[:2]:
        header, columns = columns_of(parcel)
        again, same = columns_of(twin.play(made.version))
        assert dataclasses.replace(again, seconds=header.seconds) == header
        assert same.keys() == columns.keys()
        for name, column in columns.items():
            assert same[name].tobytes() == column.tobytes(), name
        others = columns_of(other.play(made.version))[1]
    assert not set(others["game_id"].tolist()) & set(columns["game_id"].tolist())
    assert others["action"].tolist() != columns["action"].tolist()


def test_a_worker_that_goes_on_from_lanes_repeats_its_next_call(made):
    seq = CALLS - 1
    worker = made.worker
    after = worker.lanes()
    worker.become(0, 0, seq, made.lanes)
    header, columns = columns_of(worker.play(made.version))
    was, held = columns_of(made.parcels[seq])
    assert dataclasses.replace(header, seconds=was.seconds) == was
    for name, column in held.items():
        np.testing.assert_array_equal(columns[name], column, err_msg=name)
    for one, two in zip(jax.tree.leaves(after), jax.tree.leaves(worker.lanes()), strict=True):
        np.testing.assert_array_equal(one, two)


# ---- what is damaged ----------------------------------------------------------------------------


def test_a_batch_cut_short_or_changed_on_its_way_is_refused(made):
    parcel = made.parcels[-1]
    flipped = bytearray(parcel.content)
    flipped[len(flipped) // 2] ^= 1
    for content in (parcel.content[:-100], b"", bytes(flipped)):
        refuse(made, parcel._replace(content=content), "damaged: its SHA-256 is not the one")
    refuse(made, parcel._replace(sha256="0" * 64), "damaged: its SHA-256 is not the one")


def test_bytes_that_are_no_whole_archive_are_refused_though_their_sum_is_right(made):
    content = made.parcels[-1].content
    flipped = bytearray(content)
    flipped[200] ^= 0xFF
    cases = {
        "not a zip": content[: len(content) // 2],
        "": b"",
        "(?i:crc|invalid|error)": bytes(flipped),
    }
    for text, bad in cases.items():
        refuse(made, Parcel(CALLS - 1, batch.digest(bad), bad), f"it is damaged: .*{text}")


def test_a_pickle_is_refused_and_never_loaded(made):
    class Loaded:
        def __reduce__(self):
            return pytest.fail, ("the pickle was loaded",)

    bare = pickle.dumps(Loaded())
    inside = io.BytesIO()
    np.savez(inside, ply=np.array([Loaded()], object))
    for content, text in ((bare, "not a zip"), (inside.getvalue(), "holds Python objects")):
        refuse(made, Parcel(CALLS - 1, batch.digest(content), content), text)


def test_a_small_archive_that_unpacks_to_much_is_refused_before_it_is_unpacked(made):
    file, array = io.BytesIO(), io.BytesIO()
    np.save(array, np.zeros(20_000_000, np.uint8))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("ply.npy", array.getvalue())
    content = file.getvalue()
    assert len(content) < 1024
    refuse(
        made, Parcel(CALLS - 1, batch.digest(content), content), "would unpack to 20,000,128 bytes"
    )


# ---- what another worker would have sent --------------------------------------------------------

OTHERS = {
    "format": ({"format_version": 99}, "it has format 99, we read 1"),
    "run": ({"run_id": "other run"}, "another run: 'other run', we have 'this run'"),
    "settings": ({"digest": "00"}, "of another settings: '00'"),
    "code": ({"code": "00"}, "of another code: '00'"),
    "game": ({"game": "connect_four"}, "of another game: 'connect_four', we have 'tic_tac_toe'"),
    "slot": ({"slot": 1}, "it is slot 1, .*; expected slot 0, incarnation 0, batch 2"),
    "incarnation": ({"incarnation": 1}, "incarnation 1, batch 2; expected slot 0, incarnation 0"),
    "early": ({"seq": 3}, "batch 3; expected slot 0, incarnation 0, batch 2"),
    "late": ({"seq": 1}, "batch 1; expected slot 0, incarnation 0, batch 2"),
    "version": ({"version": NUMBER + 1}, f"version {NUMBER + 1} of step 0, which were not"),
    "step": ({"weights_step": 7}, f"version {NUMBER} of step 7, which were not published"),
    "no text": ({"game": 3}, "its header is none: 'game' must be text"),
    "no number": ({"kl": "1"}, "its header is none: 'kl' must be a number"),
    "not finite": ({"kl": float("nan")}, "its header is none: 'kl' must be a number"),
    "fraction": ({"rows": 1.5}, "its header is none: 'rows' must be a whole number"),
    "more rows": ({"rows": 10**9}, "it has 1000000000 rows; a call gives at most 240"),
    "fewer than none": ({"rows": -1}, "it has -1 rows"),
    "games": ({"games": 99}, "the rows of .* games, and says 99"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_batch_whose_header_says_something_else_is_refused(made, kind):
    entries, text = OTHERS[kind]
    refuse(made, made.changed(header=entries), text)


def test_a_batch_that_lies_about_its_number_of_rows_is_refused(made, rows):
    count = len(rows["ply"])
    for said in (count - 1, count + 1, 0):
        text = rf"observation is bool\[{count}, 3, 3, 2\], expected bool\[{said}, 3, 3, 2\]"
        refuse(made, made.changed(header={"rows": said}), text)


HEADERS = {
    "absent": (None, "it has no header"),
    "not JSON": (b"{", "its header is none: .*not JSON"),
    "not text": (b"\xff\xfe", "its header is none"),
    "no object": (b"[1, 2]", "its header is none: .*must be an object"),
    "empty": (b"{}", "its header is none: 'format_version' must be a number"),
    "nested": (b"[" * 100_000, "its header is none: .*nested too deeply"),
    "too long": (b" " * ((1 << 20) + 1), "it has no header"),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_batch_without_a_header_that_can_be_read_is_refused(made, rows, kind):
    content, text = HEADERS[kind]
    refuse(made, parcel_of(CALLS - 1, content, rows), text)


def test_a_header_of_another_dtype_is_none(made, rows):
    columns = rows | {"header": np.zeros(4, np.float32)}
    refuse(made, parcel_of(CALLS - 1, None, columns), "it has no header")


# ---- rows that no game gives --------------------------------------------------------------------


def illegal_action(rows):
    chosen = rows["action"].copy()
    chosen[-1] = np.argmin(rows["legal_action_mask"][-1])
    return {"action": chosen}


def weight_on_illegal_action(rows):
    target, legal = rows["policy_target"].copy(), rows["legal_action_mask"][-1]
    target[-1] = 0
    target[-1, np.argmin(legal)] = 1
    return {"policy_target": target}


def negative_weight(rows):
    target, legal = rows["policy_target"].copy(), np.flatnonzero(rows["legal_action_mask"][0])
    target[0, legal] = 0
    target[0, legal[:2]] = -1, 2
    return {"policy_target": target}


def other_number(rows):
    return {"game_id": rows["game_id"] + (1 << batch.GAME_BITS)}


def disagreeing(rows):
    outcome = rows["outcome"].copy()
    outcome[0] = 1 - abs(outcome[0])
    return {"outcome": outcome}


def first_is(name, value):
    return lambda rows: {name: with_first(rows[name], value)}


ROWS = {
    "NaN of the search": (first_is("root_value", np.nan), "root_value holds NaN or infinity"),
    "NaN of the network": (first_is("raw_value", np.nan), "raw_value holds NaN or infinity"),
    "NaN in the policy": (first_is("policy_target", np.nan), "policy_target holds NaN"),
    "NaN in q": (first_is("q", np.nan), "q holds NaN or infinity"),
    "infinity": (first_is("outcome", -np.inf), "outcome holds NaN or infinity"),
    "too large": (first_is("outcome", 1.5), "outcome is beyond -1 and 1"),
    "too small": (first_is("root_value", -2), "root_value is beyond -1 and 1"),
    "far": (first_is("raw_value", 1e30), "raw_value is beyond -1 and 1"),
    "illegal action": (illegal_action, "an action is illegal"),
    "no action": (first_is("action", -1), "an action is illegal"),
    "unknown action": (first_is("action", 9), "an action is illegal"),
    "half a policy": (
        lambda rows: {"policy_target": rows["policy_target"] / np.float16(2)},
        "a policy target does not sum to 1",
    ),
    "no policy": (first_is("policy_target", 0), "a policy target does not sum to 1"),
    "policy on an illegal action": (weight_on_illegal_action, "sum to 1 over legal actions"),
    "negative policy": (negative_weight, "a policy target does not sum to 1"),
    "heavy row": (first_is("weight", 2), "a row has another weight than 1"),
    "weightless row": (first_is("weight", 0), "a row has another weight than 1"),
    "later weights": (first_is("weights_step", 5), "rows are of step 5, the weights of 0"),
    "negative step": (first_is("weights_step", -1), "rows are of step"),
    "negative plies": (lambda rows: {"ply": rows["ply"] - 20}, "a game is cut"),
    "a ply out of order": (first_is("ply", 8), "a game is cut"),
    "another's games": (other_number, "a game has the number of another worker's"),
    "two outcomes": (disagreeing, "the rows of a game disagree about its outcome"),
    "wrong dtype": (
        lambda rows: {"action": rows["action"].astype(np.int64)},
        r"action is int64\[\d+\], expected int16",
    ),
    "wrong shape": (
        lambda rows: {"q": rows["q"][:, :-1]},
        r"q is float16\[\d+, 8\], expected float16\[\d+, 9\]",
    ),
    "a column more": (lambda rows: {"more": rows["ply"]}, "it has other columns: more"),
}


@pytest.mark.parametrize("kind", ROWS)
def test_rows_that_no_game_and_no_search_gives_are_refused(made, rows, kind):
    poison, text = ROWS[kind]
    refuse(made, made.changed(columns=poison(rows)), text)


def test_a_batch_without_one_of_its_columns_is_refused_by_its_name(made, rows):
    header = columns_of(made.parcels[-1])[0]
    for name in rows:
        left = {other: column for other, column in rows.items() if other != name}
        text = json.dumps(dataclasses.asdict(header)).encode()
        refuse(made, parcel_of(header.seq, text, left), re.escape(f"other columns: {name}"))


def test_a_game_that_lacks_a_ply_in_its_middle_is_refused(made, rows):
    inside = np.flatnonzero(np.diff(rows["game_id"]) == 0)[1:]
    middle = next(i for i in inside if rows["game_id"][i - 1] == rows["game_id"][i + 1])
    without = np.delete(np.arange(len(rows["ply"])), middle)
    refuse(made, made.changed(rows=without), "a game is cut: its plies do not follow")


def test_a_game_whose_rows_lie_apart_is_refused(made, rows):
    ends = np.flatnonzero(np.diff(rows["game_id"]))
    order = np.arange(len(rows["ply"]))
    order = np.concatenate([order[1 : ends[0] + 2], order[:1], order[ends[0] + 2 :]])
    refuse(made, made.changed(rows=order), "the rows of a game do not lie together")


def test_a_batch_in_which_no_game_ended_is_taken(made):
    held = made.changed(header={"games": 0, "watched": ()}, rows=slice(0))
    header, call, _ = made.read(held)
    assert (header.rows, call.games, len(call.rows.ply)) == (0, 0, 0)


# What the learner adds up, and writes among its games, from what a header says.
LIES = {
    "fewer plies than none": {"plies": -96},
    "more plies than a call has": {"plies": 10**15},
    "a time before it began": {"seconds": -1.0},
    "a watched game that is none of its own": {
        "watched": [{"game_id": 5, "moves": [0, 1, 2, 3, 4, 5, 6], "returns": [1, -1]}]
    },
    "a watched game of moves that there are not": {
        "watched": [{"game_id": (1 << 40) + 1, "moves": [99, -1], "returns": [7, 7]}]
    },
}


@pytest.mark.parametrize("kind", LIES)
def test_a_header_that_no_call_gives_is_refused(made, kind):
    with pytest.raises(BatchError):
        made.read(made.changed(header=LIES[kind]))


def test_games_that_ended_without_a_row_are_refused(made):
    with pytest.raises(BatchError):
        made.read(made.changed(header={"games": 10**9, "watched": ()}, rows=slice(0)))
