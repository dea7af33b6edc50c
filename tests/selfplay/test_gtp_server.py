"""The GTP engine, asked line by line: answers by the specification, GNU Go's and plain Python's."""

import math
import random
import re
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import games
from mcts import SearchConfig
from selfplay import players
from selfplay.engines import clock, thinking
from selfplay.engines.server import MAX_LINE
from selfplay.engines.thinking import ladder
from selfplay.gtp import server
from selfplay.gtp.game import handicap_points
from selfplay.gtp.server import GtpServer
from tests.oracles.go import PlainGo
from tests.support.engines import GNUGO
from tests.support.stubs import stub

GO = games.load("go:size=5,komi=0.5")
# Farnebäck's list (section 6): required ones, tournament and regression subsets, and showboard.
SPECIFIED = """protocol_version name version known_command list_commands quit boardsize clear_board
komi play genmove fixed_handicap place_free_handicap set_free_handicap undo time_settings time_left
final_score final_status_list loadsgf reg_genmove showboard"""


class Talk:
    """Asks a server; its answers must have the form that the specification wants."""

    def __init__(self, game=GO, make=stub, simulations=16, **options):
        self.server = GtpServer(game, make, simulations, **options)

    def __call__(self, line):
        """Returns whether the answer is a success, and its text."""
        text = "".join(self.server.answer(line if isinstance(line, bytes) else line.encode()))
        if not text:
            return None
        assert re.fullmatch(r"[=?]\d*( |\n| \n)([^\n]+\n)*\n", text), (line, text)
        return text[0] == "=", text.partition(" ")[2].strip()

    def ok(self, line):
        success, text = self(line)
        assert success, (line, text)
        return text

    def fails(self, line):
        success, text = self(line)
        assert not success, (line, text)
        return text


@pytest.fixture(scope="module")
def talk():
    return Talk()


def test_every_specified_command_is_there(talk):
    listed = talk.ok("list_commands").split("\n")
    assert set(SPECIFIED.split()) <= set(listed)
    assert all(talk.ok(f"known_command {name}") == "true" for name in listed)
    assert talk.ok("known_command nothing") == "false"
    assert talk.fails("nothing") == "unknown command"
    assert talk.ok("protocol_version") == "2"


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b"\n", ""),
        (b"  \t \r\n", ""),
        (b"# a comment\n", ""),
        (b"protocol_version\r\n", "= 2\n\n"),
        (b"12\tprotocol_version # why\n", "=12 2\n\n"),
        (b"\x01proto\x07col_version\n", "= 2\n\n"),
        (b"007 name\n", "=007 selfplay\n\n"),
        (b"7\n", "?7 unknown command\n\n"),
        (b"7 \xff\xfe\n", "?7 unknown command\n\n"),
        (b"play\n", "? syntax error\n\n"),
        (b"play red a1\n", "? syntax error\n\n"),
        (b"play b\n", "? syntax error\n\n"),
        (b"9 play b z9\n", "?9 illegal move\n\n"),
        (b"komi nan\n", "? syntax error\n\n"),
        (b"boardsize -5\n", "? syntax error\n\n"),
        (b"boardsize 99999999999999999999\n", "? unacceptable size\n\n"),
        (b"x" * (MAX_LINE + 1), "? line too long\n\n"),
    ],
)
def test_a_line_is_read_as_the_specification_says(talk, line, wanted):
    assert "".join(talk.server.answer(line)) == wanted


def test_games_have_the_legal_moves_and_the_score_of_plain_python(talk):
    rng = random.Random(4)
    for _ in range(2):
        plain = PlainGo(5, 0.5)
        talk.ok("clear_board")
        while not plain.ended:
            colour = "bw"[plain.to_play]
            action, legal = rng.randrange(26), plain.legal()
            success, _ = talk(f"play {colour} {GO.action_to_string(None, action)}")
            assert success == (action in legal), (plain.actions, action)
            if success:
                plain.play(action)
        black, white = plain.area()
        lead = black - white - 0.5
        assert talk.ok("final_score") == f"{'B' if lead > 0 else 'W'}+{abs(lead):g}", plain.board
        stones = " ".join(talk.ok("final_status_list alive").split("\n")).split()
        assert len(stones) == 25 - plain.board.count(".")


def test_a_colour_out_of_turn_makes_the_other_one_pass_and_undo_takes_both_back(talk):
    talk.ok("clear_board")
    talk.ok("play b a1")
    talk.ok("play b c3")
    assert talk.server.game.moves == [20, 25, 12]
    talk.ok("undo")
    assert talk.server.game.moves == [20]
    assert talk.fails("play b a1") == "illegal move"  # it is taken
    talk.ok("play white pass")
    talk.ok("play white c3")  # black's pass would end the game: white's is taken back
    assert talk.server.game.moves == [20, 12]
    talk.ok("undo")
    assert talk.server.game.moves == [20, 25]
    other = Talk(games.load("tic_tac_toe"))
    assert other.fails("play w a1") == "illegal move"
    assert "other colour's turn" in other.fails("genmove w")
    assert "komi" not in other.ok("list_commands")


def test_play_may_go_on_after_two_passes_and_a_move_can_always_be_asked_for():
    talk = Talk()
    for line in ("play b a1", "play w pass", "play b pass"):
        talk.ok(line)
    score = talk.ok("final_score")
    for line in ("genmove w", "genmove w", "reg_genmove b", "genmove b", "play w pass"):
        talk.ok(line)  # the stub always passes
    assert talk.ok("final_score") == score
    talk.ok("play b c3")
    assert talk.server.game.moves == [20, 25, 12]
    assert talk.fails("play w a1") == "illegal move"
    for _ in range(7):
        talk.ok("undo")
    assert talk.server.game.moves == [20]


def test_after_the_last_ply_a_move_asked_for_is_a_pass_and_none_can_be_played():
    talk = Talk()
    begun = talk.server.game.line
    late = begun.states[0]._replace(ply=np.int16(GO.max_plies - 2))
    talk.server.game.line = begun._replace(states=(late,))
    talk.ok("play b a1")
    talk.ok("play w b1")
    assert [talk.ok(line) for line in ("genmove w", "genmove b", "reg_genmove w")] == ["pass"] * 3
    assert talk.fails("play w d1") == talk.fails("play b d1") == "illegal move"
    assert talk.server.game.moves == [20, 21]


@pytest.mark.skipif(GNUGO is None, reason="gnugo is not installed (Debian package gnugo)")
def test_handicap_points_are_those_of_gnu_go():
    sizes = range(5, 20)
    script = [
        f"boardsize {size}\nclear_board\nfixed_handicap {n}" for size in sizes for n in range(2, 10)
    ]
    text = subprocess.run(
        [GNUGO, "--mode", "gtp"],
        input="\n".join([*script, "quit\n"]),
        capture_output=True,
        text=True,
    ).stdout
    answers = [answer.strip() for answer in text.split("\n\n")][2::3]
    for i, answer in enumerate(answers[: len(script)]):
        size, stones = sizes[i // 8], i % 8 + 2
        known = handicap_points(size)
        ours = known[stones - 2] if stones - 2 < len(known) else None
        theirs = answer[1:].split() if answer.startswith("=") else None
        assert (ours and set(ours)) == (theirs and set(theirs)), (size, stones)


def test_handicap_leaves_white_to_play():
    talk = Talk(games.load("go:size=7"))
    points = talk.ok("fixed_handicap 3").split()
    assert talk.server.game.seat == 1
    assert talk.ok("showboard").count("X") == 3
    assert talk.fails("fixed_handicap 2") == "board not empty"
    talk.ok("clear_board")
    assert talk.ok("place_free_handicap 9").split()[:3] == points
    talk.ok("clear_board")
    for points in ("a1 a1", "a1 pass", "a1 PASS", "a1 z9"):
        assert talk.fails(f"set_free_handicap {points}") == "bad vertex list"
    assert talk.server.game.moves == []
    assert talk.ok("set_free_handicap a1 b2 c3") == ""
    assert talk.server.game.seat == 1


def test_a_file_is_loaded_up_to_a_move(talk, tmp_path):
    path = tmp_path / "game.sgf"
    path.write_text("(;SZ[5]KM[3.5]AB[aa][bb];W[cc];B[dd](;W[ee])(;W[ea]))")
    talk.ok(f"loadsgf {path}")
    assert talk.ok("showboard").split("\n")[0].split() == ["5", "X", ".", ".", ".", "."]
    assert talk.server.game.moves == [0, 25, 6, 12, 18, 24]
    talk.ok(f"loadsgf {path} 2")  # set-up is no move
    assert talk.server.game.moves == [0, 25, 6, 12]
    talk.ok(f"loadsgf {path} 1")
    assert talk.server.game.moves == [0, 25, 6]
    path.write_text("(;SZ[7];B[gg])")
    talk.ok(f"loadsgf {path}")
    assert talk.server.game.moves == [48]
    path.write_text("(;SZ[4];B[aa])")
    illegal = tmp_path / "illegal.sgf"
    illegal.write_text("(;SZ[7]KM[1.5];B[aa];W[aa])")
    for name in (path, illegal, tmp_path, "/dev/zero", "nothing", ""):
        talk.fails(f"loadsgf {name}")
    assert talk.server.game.moves == [48], "what cannot be loaded changes nothing"
    assert talk.server.game.game.komi == 3.5, "as the last file that was loaded said"
    talk.ok("boardsize 5")


def test_a_file_of_its_own_game_is_loaded_and_one_of_another_is_not(tmp_path):
    talk, path = Talk(games.load("hex:size=3,swap=true")), tmp_path / "game.sgf"
    path.write_text("(;GM[11]SZ[3];B[b1];W[swap-pieces];B[c3])")
    talk.ok(f"loadsgf {path}")
    assert talk.server.game.moves == [1, 9, 8]
    for text in (
        "(;GM[11]SZ[4];B[b1])",
        "(;GM[4]SZ[3];B[ba])",
        "(;SZ[5];B[aa])",
        "(;GM[11]SZ[3];W[b1])",
    ):
        path.write_text(text)
        talk.fails(f"loadsgf {path}")
    plain = Talk(games.load("hex:size=3"))
    path.write_text("(;GM[11]SZ[3];B[b1];W[swap-pieces])")
    plain.fails(f"loadsgf {path}")
    assert talk.server.game.moves == [1, 9, 8]


def test_it_resigns_below_the_threshold_only():
    for value, wanted in ((-0.95, "resign"), (-0.85, "pass")):
        losing = Talk(make=lambda game, n, v=value: stub(game, n, v), resign_below=0.05)
        assert losing.ok("genmove b") == wanted
        assert len(losing.server.game.moves) == (wanted == "pass")


INFO = re.compile(
    r"move (\S+) visits (\d+) winrate (\S+) prior (\S+) lcb (\S+) order (\d+) pv (\S+(?: \S+)*?)"
)


def test_analysis_streams_until_the_next_line_and_its_numbers_add_up():
    game = games.load("tic_tac_toe")
    waits = iter([False, False, True])

    def make(game, simulations):
        if simulations == 0:
            raise ValueError("it has no raw policy")
        return players.uniform_player(game, SearchConfig(simulations=simulations))

    talk = Talk(game, make, 8, wait=lambda seconds: next(waits))
    for move in ("b a3", "w a2", "b b3", "w b2"):
        talk.ok(f"play {move}")  # black wins at c3
    text = "".join(talk.server.answer(b"4 kata-analyze b interval 50 maxmoves 3"))
    assert next(waits, "all asked") == "all asked"
    assert text.startswith("=4\ninfo ")
    assert text.endswith("\n\n")
    infos = [INFO.fullmatch(part.strip()).groups() for part in text[3:].split("info ")[1:]]
    assert 1 <= len(infos) <= 3
    move, _, winrate, prior, _, order, line = infos[0]
    assert (move, line, order) == ("c3", "c3", "0")  # the game is over then
    assert float(winrate) > 0.9
    assert float(prior) == pytest.approx(1 / 5, abs=1e-3)
    assert sum(int(info[1]) for info in infos) <= 8
    assert len(talk.server.game.moves) == 4
    answer = "".join(talk.server.answer(b"lz-genmove_analyze b 50"))
    assert answer.endswith("\nplay c3\n\n")
    assert 9000 < int(INFO.search(answer)[3]) <= 10_000


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.floats(0, 3600),
    st.sampled_from([(0.0, 1), (5.0, 1), (30.0, 5), (300.0, 25)]),
    st.sampled_from([0.0, 0.9, 1.0]).flatmap(
        lambda least: st.lists(st.floats(least, 1), min_size=40, max_size=80)
    ),
)
def test_who_keeps_to_the_budget_never_oversteps(main, overtime, shares):
    period, stones = overtime
    ours = clock.start(main, period, stones)
    left, in_overtime, due = main, False, 0  # the referee's clock, in plain words
    for ply, share in enumerate(shares):
        spent = share * clock.budget(ours, 40 - ply)
        ours = clock.after_move(ours, spent)
        left -= spent
        if not in_overtime and left <= 0 and period:
            in_overtime, left, due = True, left + period, stones
        assert left >= 0, (ply, spent)
        if in_overtime:
            due -= 1
            if due == 0:
                left, due = period, stones


def test_thirty_moves_keep_their_time_and_use_some_of_it(monkeypatch):
    now = [100.0]  # a clock of the test's own: real seconds pass as the machine likes

    def spend(simulations):
        now[0] += 0.001 + 0.01 * simulations

    for module in (server, thinking):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    slow = Talk(make=lambda game, n: stub(game, n, spend=spend), simulations=64)
    slow.ok("time_settings 4 0 0")
    began = now[0]
    for _ in range(30):
        slow.ok("genmove b")
        slow.ok("undo")
    assert 0.3 < now[0] - began < 4  # all at 64 simulations would be 19 seconds


def test_settings_of_all_kinds_set_the_clocks(talk):
    limits = {
        "time_settings 60 0 0": clock.start(60),
        "time_settings 0 10 1": clock.start(0, 10, 1),
        "time_settings 60 300 25": clock.start(60, 300, 25),
        "time_settings 0 1 0": clock.start(math.inf),
        "kgs-time_settings absolute 90": clock.start(90),
        "kgs-time_settings byoyomi 60 10 5": clock.start(60, 10, 1),
        "kgs-time_settings canadian 60 100 20": clock.start(60, 100, 20),
        "kgs-time_settings none": clock.start(math.inf),
    }
    for line, wanted in limits.items():
        talk.ok(line)
        assert talk.server.clocks == [wanted] * 2, line
    talk.ok("time_settings 60 300 25")
    talk.ok("time_left w 100 20")
    assert (
        clock.budget(talk.server.clocks[1], 40)
        < 100 / 20
        < clock.budget(clock.start(60, 300, 25), 40)
    )
    talk.ok("kgs-time_settings none")
    for line in ("time_settings 1", "time_settings a b c", "kgs-time_settings", "time_left b"):
        assert talk.fails(line) == "syntax error"


def test_ladders_are_short_and_end_where_they_should():
    assert ladder(0) == (0,)
    assert ladder(8) == (0, 8)
    assert ladder(200) == (0, 8, 16, 32, 64, 128, 200)


WORDS = [
    *SPECIFIED.split(),
    "kata-analyze",
    "lz-genmove_analyze",
    "kgs-time_settings",
    "stop",
    "b",
    "w",
]
MORE = ["a1", "c3", "E5", "pass", "Z9", "-1", "0", "3", "5", "1e9", "nan", "interval", "#", "é"]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.lists(
        st.binary(max_size=30)
        | st.lists(st.sampled_from(WORDS + MORE), max_size=5).map(lambda w: " ".join(w).encode()),
        max_size=12,
    )
)
def test_no_input_breaks_it(talk, lines):
    for line in lines:
        if b"boardsize" not in line:  # another size is compiled anew, see below
            talk(line)
    assert talk.ok("protocol_version") == "2"


def test_another_board_size_is_another_game():
    talk = Talk()
    talk.ok("boardsize 7")
    assert talk.ok("showboard").split("\n")[0].split()[0] == "7"
    assert talk.fails("boardsize 4") == talk.fails("boardsize 25") == "unacceptable size"
    fixed = Talk(make=lambda game, n: stub(GO, n))  # a network knows one size
    assert fixed.fails("boardsize 7") == "unacceptable size"
    assert fixed.ok("boardsize 5") == ""
