"""SGF: written and read against sgfmill; broken files reported game by game, whatever they hold."""

import json
import random
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.files.game_lines import GameRecord
from selfplay.records import game_record, sgf
from selfplay.records.game_record import (
    append_records,
    read_records,
    scan_records,
    write_records,
)
from tests.oracles.go import PlainGo

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # an invalid escape in a docstring of it, if not yet compiled
    from sgfmill import sgf as sgfmill
    from sgfmill import sgf_grammar

PASS = 25
FILE = "games.sgf"


def finished_game(seed, size=5, komi=0.5):
    """Returns a random game, by plain Python, and by how much black leads in it."""
    rng, plain = random.Random(seed), PlainGo(size, komi)
    while not plain.ended:
        plain.play(plain.choose_to_finish(rng))
    black, white = plain.area()
    return plain, black - white - komi


def record_of(plain, players=("a", "b"), **extra):
    spec = f"go:size={plain.size},komi={plain.komi:g}"
    return GameRecord(spec, tuple(plain.actions), tuple(plain.returns()), players, extra)


GAMES = [finished_game(seed) for seed in range(6)]
NASTY = ("a ] b \\ [x](;", "name\\")


def peers_moves(game, size=5):
    """Returns sgfmill's reading of a game as our action numbers; its row 0 is the bottom line."""
    moves = [node.get_move() for node in game.get_main_sequence()]
    return [
        (colour, size**2 if point is None else (size - 1 - point[0]) * size + point[1])
        for colour, point in moves
        if colour
    ]


def test_sgfmill_reads_what_we_write(tmp_path):
    path = tmp_path / FILE
    write_records(path, [record_of(plain, NASTY, seed=7) for plain, _ in GAMES[:3]])
    append_records(path, [record_of(plain, NASTY, seed=7) for plain, _ in GAMES[3:]])
    trees = sgf_grammar.parse_sgf_collection(path.read_bytes())
    assert len(trees) == len(GAMES)
    for tree, (plain, lead) in zip(trees, GAMES, strict=True):
        game = sgfmill.Sgf_game.from_coarse_game_tree(tree)
        assert (game.get_size(), game.get_komi()) == (5, 0.5)
        assert (game.get_player_name("b"), game.get_player_name("w")) == NASTY
        assert game.get_winner() == ("b" if lead > 0 else "w")
        root = game.get_root()
        assert root.get("RE") == f"{'B' if lead > 0 else 'W'}+{abs(lead):g}"
        assert json.loads(root.get("C")) == {"seed": 7}
        expected = [("bw"[ply % 2], action) for ply, action in enumerate(plain.actions)]
        assert peers_moves(game) == expected


def written_by_sgfmill(plain, lead, **properties):
    game = sgfmill.Sgf_game(size=plain.size)
    root = game.get_root()
    for key, value in properties.items():
        root.set(key, value)
    root.set("KM", plain.komi)
    root.set("RE", f"{'B' if lead > 0 else 'W'}+{abs(lead)}")
    for ply, action in enumerate(plain.actions):
        row, col = divmod(action, plain.size)
        point = None if action == plain.size**2 else (plain.size - 1 - row, col)
        game.extend_main_sequence().set_move("bw"[ply % 2], point)
    # A variation beside the last move, which is not part of the game.
    game.get_main_sequence()[-2].new_child().set_move("b", (0, 0))
    return game.serialise().decode()


def test_we_read_what_sgfmill_writes(tmp_path):
    path = tmp_path / FILE
    options = {"RU": "Tromp-Taylor", "PB": NASTY[0], "PW": NASTY[1], "C": "a comment"}
    path.write_text("\n".join(written_by_sgfmill(*game, **options) for game in GAMES))
    assert read_records(path) == [record_of(plain, NASTY) for plain, _ in GAMES]


def test_records_survive_sgf_whole(tmp_path):
    path = tmp_path / FILE
    (plain, _), (drawn, lead) = GAMES[0], finished_game(3, komi=0)
    drawn.komi = lead
    stopped = GameRecord(
        "go:size=5,komi=0.5",
        (12, 6),
        (-1.0, 1.0),
        ("x", "y"),
        {"ended_by": "forfeit", "fault": "crashed"},
    )
    whole = [
        record_of(plain, ("Großmeister", "本因坊"), seed=1, note="a]b"),
        record_of(drawn),
        stopped,
    ]
    write_records(path, whole)
    assert whole[1].returns == (0.0, 0.0)
    assert read_records(path) == whole
    assert "RE[W+F]" in path.read_text()


ROOT = "GM[1]FF[4]SZ[5]KM[0.5]RU[Tromp-Taylor]RE[W+0.5]"
GOOD = f"(;{ROOT};B[];W[])"
BAD = {
    f"(;{ROOT}AB[aa][bb];W[])": "game 2 (line 2): move 1: AB sets up stones",
    f"(;{ROOT};B[aa];AW[bb];W[])": "move 2: AW sets up stones",
    f"(;{ROOT};W[aa];B[])": "move 1: W moves out of turn",
    f"(;{ROOT};B[aa];B[ab])": "move 2: B moves out of turn",
    f"(;{ROOT};B[aa]W[ab])": "move 1: one node holds 2 moves",
    f"(;{ROOT};B[aa];W[aa])": "move 2, action 0, is illegal",
    f"(;{ROOT};B[ba];W[];B[ab];W[aa])": "move 4, action 0, is illegal",  # suicide
    f"(;{ROOT};B[];W[];B[aa])": "move 3, action 0, is illegal",
    f"(;{ROOT};B[fa])": "move 1: [fa] is no point of a board of size 5",
    f"(;{ROOT};B[a])": "move 1: [a] is no point",
    f"(;{ROOT};B[A1])": "move 1: [A1] is no point",
    "(;GM[3]SZ[5]RE[0];B[])": "GM[3] is another game",
    "(;GM[2]SZ[5]RE[0];B[])": "size must be even",
    "(;SZ[5:7]RE[0];B[])": "SZ[5:7] is no size of a square board",
    "(;SZ[4]RE[0];B[])": "size must be a whole number from 5 to 19, got 4",
    "(;SZ[5]KM[0.25]RE[0];B[])": "komi must be a multiple of 0.5",
    "(;SZ[5]KM[nan]RE[0];B[])": "komi must be a multiple of 0.5",
    "(;SZ[5]KM[x]RE[0];B[])": "KM[x] is not a number",
    "(;SZ[5];B[];W[])": "RE[] does not say who won",
    f"(;{ROOT.replace('W+', 'B+')};B[];W[])": "the result is [1.0, -1.0], by the rules [-1.0, 1.0]",
    f"(;{ROOT};B[]": "the file ends within it",
    f"(;{ROOT};B[\\])": "a value is not closed by ]",
    f"(;{ROOT};B]])": "']' is not SGF",
    f"(;{ROOT};[aa])": "the value [aa] belongs to no property",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_game_is_reported_with_its_place_and_hides_no_good_one(tmp_path, text):
    path = tmp_path / FILE
    ends_file = "ends within" in BAD[text] or "not closed" in BAD[text]
    path.write_text(f"{GOOD}\n{text}\n{'' if ends_file else GOOD}")
    scan = scan_records(path)
    assert len(scan.records) == 1 + (not ends_file), scan
    (problem,) = scan.problems
    assert BAD[text] in problem
    assert problem.startswith(f"{path}, game 2 (line 2): ")
    with pytest.raises(ValueError, match="line 2"):
        read_records(path)


@pytest.mark.parametrize(
    ("text", "returns", "moves", "ended_by"),
    [
        ("(;SZ[9]RE[B+R];B[aa];W[ia])", (1, -1), (0, 8), "resignation"),
        ("(;SZ[9]RE[W+Resign];B[tt];W[ai])", (-1, 1), (81, 72), "resignation"),
        ("(;SZ[9]RE[W+Time];B[ii])", (-1, 1), (80,), "time"),
        # By our rules black would win this: the players agreed on what was dead.
        ("(;SZ[5]KM[0]RU[Japanese]RE[W+2];B[aa];W[];B[])", (-1, 1), (0, 25, 25), "agreement"),
        ("(;SZ[5:5]KM[]RE[Jigo];B[aa];W[bb])", (0, 0), (0, 6), "agreement"),
        (
            "junk (\n;SiZe[5]REsult[B+1.5] ;Black[ab](;W[])(;W[ba];B[]))",
            (1, -1),
            (5, 25),
            "agreement",
        ),
    ],
)
def test_the_dialects_of_other_programs_are_read(tmp_path, text, returns, moves, ended_by):
    path = tmp_path / FILE
    path.write_text(text)
    (record,) = read_records(path)
    assert (record.returns, record.moves, record.ended_by) == (returns, moves, ended_by)


def test_sgf_is_refused_for_other_games_before_a_move_is_played(tmp_path):
    with pytest.raises(ValueError, match=r"SGF is for go .*, not for tic_tac_toe"):
        game_record.check_path(tmp_path / FILE, "tic_tac_toe")
    game_record.check_path(tmp_path / FILE, "go:size=5")
    with pytest.raises(ValueError, match="no such folder"):
        game_record.check_path(tmp_path / "nowhere" / FILE, "go:size=5")


MARKS = ["(", ")", ";", "(;", "[", "]", "\\", "\0", "é", "aa", "tt", "B[", "W[", "C[{]"]
PROPERTIES = ["SZ[5]", "RE[B+R]", "AB[cc]", "KM[0.5]", "B[aa]", "W[bb]", "B[]", "C[[[[]"]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(st.sampled_from(MARKS + PROPERTIES), max_size=30).map("".join) | st.text(max_size=60)
)
def test_any_text_is_read_or_reported_and_never_raises(text):
    for place, found in sgf.read_games(text):
        assert place.startswith("game ")
        if isinstance(found, str):
            assert found
        else:
            assert all(0 <= action <= 361 for action in found["moves"]), text
            assert found["returns"] in ([1.0, -1.0], [-1.0, 1.0], [0.0, 0.0])


def test_a_large_damaged_file_takes_linear_time_and_gives_up_in_the_end(tmp_path, monkeypatch):
    # Quadratic, or with a stack of ways back, each would take hours, or all memory.
    path = tmp_path / FILE
    for text in ("(;B[", "(;B[\\", "(;", "(", "(;B[\\\\", "B[]", "(;)"):
        path.write_text(text * 100_000)
        scan = scan_records(path)
        assert not scan.records
        assert len(scan.problems) <= game_record.MAX_PROBLEMS + 1, text
    assert "reading stopped here" in scan.problems[-1]
    monkeypatch.setattr(game_record, "MAX_BYTES", 1 << 16)
    with pytest.raises(ValueError, match="is larger than 0 MiB"):
        scan_records(path)
