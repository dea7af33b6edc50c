"""SGF of Hex, gomoku and Othello: beside sgfmill's reading, and coordinates by plain Python."""

import random
import warnings

import numpy as np
import pytest

import games
from selfplay import positions
from selfplay.arena.opening_file import file_openings
from selfplay.files.game_lines import GameRecord
from selfplay.records import sgf
from selfplay.records.game_record import check_path, read_records, scan_records, write_records
from selfplay.records.sgf_draft import read_drafts

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # an invalid escape in a docstring of it, if not yet compiled
    from sgfmill import sgf_grammar

FILE = "games.sgf"
# A game, the first properties that its file must have, and how its points are to be named: a
# function of row, from the top, and column.
HEX, GOMOKU, OTHELLO = "hex:size=4,swap=true", "gomoku:rows=3,cols=5,k=3", "othello:size=4"
DIALECTS = {
    HEX: ("GM[11]", "SZ[4]", "RU[swap=true]", lambda row, col: "abcd"[col] + "1234"[row]),
    GOMOKU: ("GM[4]", "SZ[5:3]", "RU[k=3]", lambda row, col: "abcde"[col] + "abc"[row]),
    OTHELLO: ("GM[2]", "SZ[4]", "", lambda row, col: "abcd"[col] + "1234"[row]),
}
BESIDE = {HEX: "swap-pieces", OTHELLO: ""}  # how the one move that is no point is written


def random_record(spec, seed):
    game, rng = games.load(spec), random.Random(seed)
    state, moves = positions.opening_position(game), []
    while not state.terminated:
        legal = np.flatnonzero(state.legal_action_mask).tolist()
        moves.append(legal[-1] if len(moves) == 1 and seed % 2 else rng.choice(legal))
        state = positions.step(game, state, np.int32(moves[-1]))
    returns = tuple(np.asarray(game.returns(state)).tolist())
    return GameRecord(spec, tuple(moves), returns, ("a ] b", "本因坊"), {"seed": seed})


RECORDS = {spec: [random_record(spec, seed) for seed in range(8)] for spec in DIALECTS}


def test_the_games_of_these_tests_swap_pass_and_are_drawn():
    assert any(16 in record.moves for record in RECORDS[HEX])
    assert any(16 in record.moves for record in RECORDS[OTHELLO])
    assert {0.0, 1.0} <= {record.returns[0] for record in RECORDS[GOMOKU] + RECORDS[OTHELLO]}


@pytest.mark.parametrize("spec", DIALECTS)
def test_games_survive_and_sgfmill_reads_the_points_that_plain_python_names(tmp_path, spec):
    path = tmp_path / FILE
    write_records(path, RECORDS[spec])
    assert read_records(path) == RECORDS[spec]
    *properties, name = DIALECTS[spec]
    rows, cols = games.load(spec).observation_shape[:2]
    names = {row * cols + col: name(row, col) for row in range(rows) for col in range(cols)}
    names[rows * cols] = BESIDE.get(spec)
    trees = sgf_grammar.parse_sgf_collection(path.read_bytes())
    for tree, record in zip(trees, RECORDS[spec], strict=True):
        root, *nodes = tree.sequence
        told = [f"{key}[{root[key][0].decode()}]" for key in ("GM", "SZ", "RU") if key in root]
        assert told == [one for one in properties if one]
        moves = [(key, value.decode()) for node in nodes for key, (value,) in node.items()]
        expected = [("BW"[ply % 2], names[action]) for ply, action in enumerate(record.moves)]
        assert moves == expected


@pytest.mark.parametrize(
    ("text", "spec", "moves"),
    [  # the top row is 1 in Hex and Othello, and the last number in gomoku
        ("GM[11]SZ[3];B[c1];W[A3];B[b2]", "hex:size=3", [2, 6, 4]),
        ("GM[11];B[k1];W[a11]", "hex", [10, 110]),
        ("GM[11]SZ[3];B[c1];W[swap-pieces];B[b2]", "hex:size=3,swap=true", [2, 9, 4]),
        ("GM[4]SZ[7:5];B[ga];W[g5];B[ae];W[a1]", "gomoku:rows=5,cols=7", [6, 6, 28, 28]),
        ("GM[4]RU[Renju];B[hh];W[oo]", "gomoku", [112, 224]),
        ("GM[4]SZ[5]RU[k=4,exact=true];B[ba]", "gomoku:rows=5,cols=5,k=4,exact=true", [1]),
        ("GM[2];B[d3];W[dc];B[tt];W[pass];B[PA];W[]", "othello", [19, 19, 64, 64, 64, 64]),
        ("GM[2];B[f5];B[f6]", "othello", [37, 64, 45]),  # white's pass is not written
    ],
)
def test_points_lie_where_the_dialect_says(text, spec, moves):
    ((_, fields),) = sgf.read_games(f"(;RE[B+R]{text})")
    assert (fields["game"], fields["moves"]) == (spec, moves)


def test_a_game_that_stops_early_is_read_as_its_players_left_it(tmp_path):
    path = tmp_path / FILE
    endings = ["RE[B+];B[a1]", "RE[W+T];B[a1]", ";B[a1];W[resign]", ";B[a1];W[b2];B[Forfeit]"]
    path.write_text("\n".join(f"(;GM[11]SZ[4]{text})" for text in endings))
    read = [(record.returns[0], record.ended_by) for record in read_records(path)]
    assert read == [(1, "agreement"), (-1, "time"), (1, "resignation"), (-1, "forfeit")]


ROOT = "RE[B+R]GM[11]SZ[4]"
BAD = {
    f"(;{ROOT};B[a5])": "move 1: [a5] is no point of a board of size 4",
    f"(;{ROOT};B[ab])": "move 1: [ab] is no point",
    f"(;{ROOT};B[])": "move 1: [] is no point",
    f"(;{ROOT};B[a1];B[b1])": "move 2: B moves out of turn",
    f"(;{ROOT};B[a1];W[a1])": "move 2, action 0, is illegal",
    f"(;{ROOT};B[a1];W[swap-sides])": "move 2: [swap-sides] is not read: of swaps, swap-pieces is",
    f"(;{ROOT};B[resign];W[a1])": "it comes after a resignation",
    f"(;{ROOT}AB[a1];B[b1])": "AB sets up stones",
    "(;RE[B+R]GM[11]SZ[4:5];B[a1])": "SZ[4:5] is no size of a square board",
    "(;RE[B+R]GM[11]SZ[26];B[a1])": "size must be a whole number from 1 to 19, got 26",
    "(;RE[B+R]GM[4]SZ[1];B[aa])": "rows must be a whole number from 3 to 19, got 1",
    "(;RE[B+R]GM[4]SZ[x];B[aa])": "SZ[x] is no size of a board",
    "(;RE[B+R]GM[4]SZ[5]RU[k=9];B[aa])": "k must be",
    "(;RE[B+R]GM[4]SZ[5];B[aa];W[])": "move 2: [] is no point of a board of size 5",
    "(;RE[B+R]GM[2]SZ[4];B[];W[b1])": "move 1, action 16, is illegal",
    "(;RE[B+R]GM[3];B[aa])": "GM[3] is another game than go (GM[1])",
    "(;GM[11]SZ[4];B[a1])": "RE[] does not say who won",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_game_is_named_with_its_place_and_the_next_is_read(tmp_path, text):
    path, good = tmp_path / FILE, f"(;{ROOT};B[a1])"
    path.write_text(f"{good}\n{text}\n{good}")
    scan = scan_records(path)
    assert len(scan.records) == 2, scan
    (problem,) = scan.problems
    assert problem.startswith(f"{path}, game 2 (line 2): ")
    assert BAD[text] in problem


def test_games_to_look_at_keep_their_variations_and_say_what_is_left_out():
    (draft,) = read_drafts("(;GM[11]SZ[4];B[a1](;W[b2];B[resign])(;W[c1];B[d4])(;W[]))")
    assert (draft.game, draft.moves, draft.problem) == ("hex:size=4", [0, 5], "")
    assert draft.variations == [(1, 2), (3, 15)]
    assert draft.notes == ["1 variation is cut short: move 2: [] is no point of a board of size 4"]
    (draft,) = read_drafts("(;GM[2]SZ[4];B[b1];B[d3])")
    assert (draft.moves, len(draft.notes)) == ([1, 16, 11], 1)
    (draft,) = read_drafts("(;GM[4]SZ[5]AB[aa];W[bb])")
    assert draft.problem == "it sets up stones, which is read of Go only"


def test_openings_of_another_board_are_refused_with_their_place(tmp_path):
    path = tmp_path / FILE
    write_records(path, RECORDS[OTHELLO])
    with pytest.raises(ValueError, match=r"game 1: a game of othello:size=4, not of othello$"):
        file_openings(path, games.load("othello"), 4, 0, plies=2)


def test_a_form_is_refused_for_games_that_it_does_not_know(tmp_path):
    for spec in DIALECTS:
        check_path(tmp_path / FILE, spec)
    with pytest.raises(ValueError, match=r"SGF is for go \(GM\[1\]\), .* not for connect_four"):
        check_path(tmp_path / FILE, "connect_four")
    with pytest.raises(ValueError, match="PGN is for pgx:chess, not for hex"):
        check_path(tmp_path / "games.pgn", "hex")


def test_random_edits_give_a_game_or_a_sentence():
    rng = random.Random(0)
    texts = [sgf.write_game(_fields(RECORDS[spec][1]), None) for spec in DIALECTS]
    for number in range(600):
        text = list(texts[number % 3])
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(text))
            text[at : at + rng.randint(0, 2)] = rng.choice(["", "(", ")", ";", "[", "]", "\\", "9"])
        edited = "".join(text)
        for place, found in sgf.read_games(edited):
            assert place.startswith("game ")
            if isinstance(found, str):
                assert found, edited
            else:
                assert max([*found["moves"], 0]) < 400, edited
        for draft in read_drafts(edited):
            assert draft.problem or draft.game, edited


def _fields(record):
    return {
        "game": record.game,
        "moves": record.moves,
        "returns": list(record.returns),
        "players": record.players,
    }
