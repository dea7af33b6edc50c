"""Files of records as columns: lists, filters and trees against a recount in plain Python."""

import collections
import itertools
import json
import os
import random

import pytest

from selfplay.records import opening_tree
from selfplay.records.game_index import DRAWN, Indexes
from selfplay.records.opening_tree import Wanted
from tests.support.lines import line_of, write_lines

NAMES = ("ann", "bob", "<script>")


def drawn_lines(count, seed=0):
    rng = random.Random(seed)
    return [
        line_of(
            [rng.randrange(3) for _ in range(rng.randrange(6))],
            winner=rng.choice([0, 1, None]),
            game=rng.choice(["one", "two"]),
            players=(rng.choice(NAMES), rng.choice(NAMES)),
        )
        for _ in range(count)
    ]


def winner_of(line):
    first, second = line["returns"]
    return DRAWN if first == second else int(second > first)


def fits(line, wanted):
    """The filters once more, a game at a time."""
    seats = [seat for seat in (0, 1) if line["players"][seat] == wanted.player]
    return (
        wanted.spec in (None, line["game"])
        and (wanted.least is None or len(line["moves"]) >= wanted.least)
        and (wanted.most is None or len(line["moves"]) <= wanted.most)
        and wanted.winner in (None, winner_of(line))
        and (wanted.player is None or (seats if wanted.seat is None else wanted.seat in seats))
        and tuple(line["moves"][: len(wanted.moves)]) == wanted.moves
    )


def index_of(path, indexes=None):
    with (indexes or Indexes()).open(path) as file:
        return file.index


@pytest.fixture(scope="module")
def lines():
    return drawn_lines(400)


@pytest.fixture(scope="module")
def file(lines, tmp_path_factory):
    path = tmp_path_factory.mktemp("games") / "games.jsonl"
    write_lines(path, lines)
    return path


def test_every_filter_chooses_the_games_that_a_loop_over_the_lines_chooses(file, lines):
    index = index_of(file)
    choices = itertools.product(
        (None, "one", "none such"),
        (None, 2),
        (None, 3),
        (None, 0, 1, DRAWN),
        ((None, None), ("bob", None), ("bob", 0), ("<script>", 1), ("nobody", None)),
        ((), (1,), (2, 0), (7,)),
    )
    for spec, least, most, winner, (player, seat), moves in choices:
        wanted = Wanted(spec, least, most, winner, player, seat, moves)
        expected = [number for number, line in enumerate(lines) if fits(line, wanted)]
        assert opening_tree.chosen(index, wanted).tolist() == expected, wanted


def test_the_opening_tree_counts_what_a_naive_recount_counts(file, lines):
    index = index_of(file)
    for moves in [
        (),
        *itertools.product(range(3), repeat=1),
        *itertools.product(range(3), repeat=2),
    ]:
        node = opening_tree.node(index, Wanted("one", moves=moves))
        here = [line for line in lines if fits(line, Wanted("one", moves=moves))]
        onward = collections.defaultdict(list)
        for line in here:
            if len(line["moves"]) > len(moves):
                onward[line["moves"][len(moves)]].append(winner_of(line))
        assert node.counts.games == len(here)
        assert node.ended == len(here) - sum(map(len, onward.values()))
        assert {action for action, _ in node.moves} == set(onward)
        for action, counts in node.moves:
            results = onward[action]
            assert counts.games == len(results)
            assert counts.wins == (results.count(0), results.count(1))
            assert counts.draws == results.count(DRAWN)
            assert counts.mean == pytest.approx(
                (results.count(0) - results.count(1)) / len(results)
            )
        frequencies = [counts.games for _, counts in node.moves]
        assert frequencies == sorted(frequencies, reverse=True)


def test_a_file_that_has_grown_or_changed_is_read_anew(tmp_path):
    path, indexes, lines = tmp_path / "games.jsonl", Indexes(), drawn_lines(30)
    write_lines(path, lines[:10])
    first = index_of(path, indexes)
    assert index_of(path, indexes) is first
    with open(path, "a") as more:
        more.write(json.dumps(lines[10]) + "\n" + json.dumps(lines[11])[:20])
    grown = index_of(path, indexes)
    assert len(grown.starts) == 11  # the last line is still being written
    assert (grown.starts[:10] == first.starts).all()

    write_lines(path, lines[12:24])  # the same name and, perhaps, the same inode
    fresh = index_of(path)
    again = index_of(path, indexes)
    for kept, expected in zip(again, fresh, strict=True):
        assert str(kept) == str(expected)

    stamp = os.stat(path)
    text = path.read_text()
    path.write_text(text.replace('"ann"', '"eva"'))  # of the same length, in place
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert "eva" in index_of(path, indexes).names
    assert "ann" not in index_of(path, indexes).names


def test_blank_lines_and_carriage_returns_move_no_game(tmp_path):
    path, lines = tmp_path / "games.jsonl", drawn_lines(5)
    texts = [json.dumps(line).replace(" ", " \r", 1) for line in lines]
    path.write_bytes("\n \r\n".join([*texts, ""]).encode())
    with Indexes().open(path) as file:
        assert file.index.damaged == 0
        found = [list(file.at(start).moves) for start in file.index.starts.tolist()]
    assert found == [line["moves"] for line in lines]


def test_of_a_large_file_the_end_is_read_and_games_keep_their_place(tmp_path):
    path, lines = tmp_path / "games.jsonl", drawn_lines(200)
    write_lines(path, lines)
    whole = index_of(path)
    end = index_of(path, Indexes(max_bytes=2000))
    assert 0 < len(end.starts) < 60
    assert end.begin > 0
    assert end.starts.tolist() == whole.starts[-len(end.starts) :].tolist()
    with Indexes(max_bytes=2000).open(path) as opened:
        for number, start in enumerate(end.starts.tolist()):
            line = lines[len(lines) - len(end.starts) + number]
            assert opened.at(start).moves == tuple(line["moves"])


@pytest.mark.parametrize("junk", [
    "not json", "[1]", "{}", "null", '"x"', "[" * 5000, "{\"a\":" * 3000,
    '{"game": "g", "moves": [1], "returns": [NaN, 1], "players": ["a", "b"]}',
    '{"game": "g", "moves": [1], "returns": [1, -1], "players": ["a", "b"], "x": 1e999}',
    '{"game": "g", "moves": [1], "returns": [1, -1], "players": ["a", "b"], "x": Infinity}',
    '{"game": "g", "moves": [-1], "returns": [1, -1], "players": ["a", "b"]}',
    '{"game": "g", "moves": [1' + "0" * 30 + '], "returns": [1, -1], "players": ["a", "b"]}',
    '{"game": "g", "moves": [1' + "0" * 6000 + '], "returns": [1, -1], "players": ["a", "b"]}',
    '{"game": "g", "moves": [true], "returns": [1, -1], "players": ["a", "b"]}',
    '{"game": "g", "moves": [1.0], "returns": [1, -1], "players": ["a", "b"]}',
    '{"game": 5, "moves": [1], "returns": [1, -1], "players": ["a", "b"]}',
    '{"game": "g", "moves": [1], "returns": [1], "players": ["a", "b"]}',
    '{"game": "g", "moves": [1], "returns": [1, -1], "players": "ab"}',
    "x" * (3 << 20),
], ids=range(19))  # fmt: skip
def test_a_damaged_line_is_counted_and_the_games_around_it_are_kept(tmp_path, junk):
    path = tmp_path / "games.jsonl"
    write_lines(path, [line_of([1, 2]), junk, line_of([3])])
    with Indexes().open(path) as file:
        assert file.index.damaged >= 1
        assert file.index.damage.startswith("at byte ")
        assert [file.at(start).moves for start in file.index.starts.tolist()] == [(1, 2), (3,)]


def test_a_place_where_no_game_begins_is_refused(tmp_path):
    path = tmp_path / "games.jsonl"
    write_lines(path, [line_of([1, 2]), "damaged", line_of([3])])
    with Indexes().open(path) as file:
        size = path.stat().st_size
        damaged = int(file.index.starts[1]) - len("damaged\n")
        for place in (1, 5, damaged, size, size + 7, 10**14):
            with pytest.raises(ValueError, match="byte"):
                file.at(place)
