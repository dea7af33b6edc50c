"""SGF of other programs: what can be shown is shown, and what cannot is said."""

import pytest

from selfplay.records import sgf
from selfplay.records.sgf_draft import read_drafts

# As Sabaki 0.52 writes: no result, comments, variations, properties in any order.
SABAKI = r"""(;GM[1]FF[4]CA[UTF-8]AP[Sabaki:0.52.2]KM[6.5]SZ[9]DT[2024-11-02]PB[Anna]GN[a (;B) game]
;B[ee]C[good \] move (;W[aa\])];W[gc]CR[ee]LB[gc:1]
(;B[cc];W[tt](;B[];W[dd])(;B[bb]))
(;B[gg]))"""
HANDICAP = "(;AB[gc][cg][gg]HA[3]SZ[9]KM[0.5]GM[1]PL[W];W[ee];B[ec])"
RECTANGLE = "(;SZ[5]AB[aa:ba]AW[ee];B[cc])"


def one(text):
    (draft,) = read_drafts(text)
    return draft


def point(name, size=9):
    return (ord(name[1]) - 97) * size + ord(name[0]) - 97


def test_sabakis_file_is_read_along_its_main_line():
    draft = one(SABAKI)
    expected = [point("ee"), point("gc"), point("cc"), 81, 81, point("dd")]
    assert (draft.game, draft.moves) == ("go:size=9,komi=6.5", expected)
    assert (draft.players, draft.returns, draft.problem) == (["Anna", ""], None, "")
    assert draft.notes == [
        "left out of the file: CR, GN, LB, comments, dates",
    ]
    assert draft.variations == [(4, point("bb")), (2, point("gg"))]


def test_handicap_stones_become_moves_of_black_with_passes_of_white_between_them():
    draft = one(HANDICAP)
    stones = [point("gc"), 81, point("cg"), 81, point("gg")]
    assert draft.moves == [*stones, point("ee"), point("ec")]
    assert draft.setup == 5
    (note,) = draft.notes
    assert "handicap 3" in note
    assert "moves 1 to 5, with passes" in note
    assert draft.game == "go:size=9,komi=0.5"


def test_passes_that_the_file_does_not_have_are_said():
    draft = one("(;SZ[5]HA[2];B[aa];B[bb];B[cc])")
    assert draft.moves == [0, 25, 6, 25, 12]
    assert any("handicap of 2 is not set up" in note for note in draft.notes)
    assert any(note.startswith("2 passes were put in") for note in draft.notes)


def test_a_rectangle_stands_for_its_points_and_a_side_that_is_not_to_play_passes():
    draft = one(RECTANGLE)
    assert draft.moves == [0, 24, 1, 25, 12]  # black, white, black; white passes; black


@pytest.mark.parametrize(
    ("text", "kept", "why"),
    [
        ("(;SZ[5];B[aa];W[bb];AB[cc];B[dd])", [0, 6], "AB sets up"),
        ("(;SZ[5];B[aa];W[zz];B[dd])", [0], "zz"),
        ("(;SZ[5];B[aa];B[bb]W[cc])", [0], "2 moves"),
        ("(;SZ[5]AE[aa];B[aa])", [], "off the empty board"),
        ("(;SZ[5];B[aa];W[bb]", [0, 6], "ends within"),
        ("(;SZ[5:6];B[aa])", [], "square"),
        ("(;GM[6];B[aa])", [], "another game"),
        ("(;SZ[9999];B[aa])", [], "size"),
        ("(;SZ[5]KM[x];B[aa])", [], "KM"),
        ("(;SZ[5]KM[nan];B[aa])", [], ""),
    ],
)
def test_what_cannot_be_used_is_said_and_the_moves_before_it_are_kept(text, kept, why):
    draft = one(text)
    assert draft.moves == kept
    assert draft.problem
    assert why in draft.problem


@pytest.mark.parametrize(
    ("text", "returns", "ended_by"),
    [("B+R", [1.0, -1.0], "resignation"), ("W+3.5", [-1.0, 1.0], ""), ("0", [0.0, 0.0], ""),
     ("Void", None, ""), ("?", None, ""), ("", None, ""), ("nonsense", None, "")],
)  # fmt: skip
def test_a_result_is_taken_where_there_is_one(text, returns, ended_by):
    draft = one(f"(;SZ[5]RE[{text}];B[aa])")
    assert (draft.returns, draft.ended_by, draft.moves) == (returns, ended_by, [0])
    assert draft.result == text


def test_what_this_program_wrote_leaves_nothing_out():
    fields = {"game": "go:size=5,komi=0.5", "moves": [0, 1], "returns": [1.0, -1.0],
              "players": ["a", "b"], "ended_by": "resignation"}  # fmt: skip
    assert one(sgf.write_game(fields, None)).notes == []
