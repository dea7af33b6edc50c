"""The UCI engine, asked line by line, and by python-chess."""

import dataclasses
import itertools
import math
import re
import sys
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import games
from mcts import win_draw_loss
from selfplay import positions
from selfplay.engines import thinking
from selfplay.uci import server
from selfplay.uci.go import Limit, read_go
from selfplay.uci.moves import find_move, move_name
from selfplay.uci.position import START
from selfplay.uci.server import UciServer, centipawns, permille
from tests.support import ROOT
from tests.support.stubs import stub

GAME = games.load("breakthrough")


class Talk:
    """Asks a server; its answers must be whole lines."""

    def __init__(self, make=stub, simulations=16, variants=("breakthrough",), **options):
        self.server = UciServer(variants, make, simulations, **options)

    def __call__(self, line):
        """Returns the lines of the answer."""
        text = "".join(self.server.answer(line if isinstance(line, bytes) else line.encode()))
        assert not text or text.endswith("\n"), (line, text)
        return text.split("\n")[:-1]


@pytest.fixture(scope="module")
def talk():
    return Talk()


def best(lines):
    assert lines[-1].startswith("bestmove "), lines
    return lines[-1].split()[1]


def test_it_names_itself_and_its_options_before_anything_is_compiled():
    def never(game, simulations):
        raise AssertionError("uci must be answered at once")

    lines = Talk(never, variants=("chess", "breakthrough"))("uci")
    assert lines[0].startswith("id name ")
    assert lines[-1] == "uciok"
    variant = "option name UCI_Variant type combo default chess var chess var breakthrough"
    assert variant in lines
    assert "option name Simulations type spin default 16 min 0 max 100000" in lines


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("", []),
        ("stop", []),
        ("debug on", []),
        ("isready\r\n", ["readyok"]),
        ("fly", ["info string unknown command 'fly'"]),
        ("position", ["info string syntax: position startpos|fen FEN [moves MOVE ...]"]),
        ("position fen moves a2a3", ["info string syntax: position startpos|fen FEN [moves MOV"]),
        ("position startpos moves a2a5", ["info string illegal move 'a2a5' at ply 1"]),
        (f"position fen {START[1:]}", ["info string positions by FEN are for chess only: use "]),
        ("setoption name Simulations value -1", ["info string Simulations must be from 0 to "]),
        ("setoption name Hash value 3", ["info string no option 'Hash': there are Simulations "]),
        ("setoption name UCI_Variant value chess", ["info string UCI_Variant must be one of b"]),
        (b"x" * (server.MAX_LINE + 1), ["info string line too long"]),
    ],
)
def test_a_line_is_answered_as_uci_says(talk, line, wanted):
    lines = talk(line)
    assert len(lines) == len(wanted)
    assert all(map(str.startswith, lines, wanted)), lines


def test_it_plays_from_the_moves_that_it_is_shown_and_from_no_position_that_it_refused():
    talk, line = Talk(), []
    state = positions.opening_position(GAME)
    for _ in range(6):
        moves = f" moves {' '.join(line)}" if line else ""
        assert talk(f"position startpos{moves}") == []
        name = best(talk("go"))
        last = np.flatnonzero(state.legal_action_mask)[-1]  # what the stub plays
        assert find_move(GAME, state, name) == last
        state = positions.step(GAME, state, last)
        line.append(name)
    talk("position startpos moves a2a3 a2a4")
    assert talk("go")[-2:] == ["info string illegal move 'a2a4' at ply 2", "bestmove (none)"]
    talk("position startpos moves a2a3")
    assert best(talk("go")) != "(none)"
    talk("ucinewgame")
    assert best(talk("go")) == line[0]


def test_white_is_at_the_bottom_and_moves_up_the_ranks():
    state = positions.opening_position(GAME)
    first = {move_name(GAME, state, int(a)) for a in np.flatnonzero(state.legal_action_mask)}
    assert all(re.fullmatch("[a-h]2[a-h]3", name) for name in first)
    assert len(first) == 22


def test_a_finished_game_has_no_best_move():
    talk, state, line = Talk(), positions.opening_position(GAME), []
    while not state.terminated:
        action = int(np.flatnonzero(state.legal_action_mask)[0])
        line.append(move_name(GAME, state, action))
        state = positions.step(GAME, state, np.int32(action))
    assert talk(f"position startpos moves {' '.join(line)}") == []
    assert talk("go") == ["info string by our rules the game is over", "bestmove (none)"]
    (refused,) = talk(f"position startpos moves {' '.join(line)} a2a3")
    assert refused.endswith("by our rules the game is over")


def test_without_end_it_searches_up_its_ladder_until_it_is_told():
    script = iter([b"isready\n", b"stop\n"])
    waits = itertools.chain([False, False, True, True], itertools.repeat(True))
    talk = Talk(wait=lambda seconds: next(waits), take=lambda: next(script))
    lines = talk("go infinite")
    assert [line.split()[:5] for line in lines[:2]] == [
        ["info", "depth", "2", "nodes", "8"],
        ["info", "depth", "3", "nodes", "16"],
    ]
    assert lines[2] == "readyok"
    assert best(lines[2:]) != "(none)"
    ended = Talk(take=lambda: None)
    assert best(ended("go ponder")) != "(none)"
    assert ended.server.closed


def test_a_command_that_ends_a_search_is_obeyed():
    script = iter([b"position startpos moves a2a9"])
    lines = Talk(take=lambda: next(script))("go infinite")
    assert lines[-1] == "info string illegal move 'a2a9' at ply 1"


def test_values_become_scores_and_the_number_of_simulations_is_kept_to():
    talk = Talk(make=lambda game, n: stub(game, n, value=0.5), simulations=64)
    (info, _) = talk("go nodes 20")
    assert re.fullmatch(
        r"info depth 3 nodes 16 time \d+ nps \d+ score cp 191 pv [a-h]2[a-h]3", info
    ), info
    talk("setoption name Simulations value 8")
    assert "nodes 8 " in talk("go")[0]
    assert centipawns(1.0) == -centipawns(-1.0) > 1000
    assert centipawns(0.0) == 0


def test_thirty_moves_keep_their_time_and_use_some_of_it(monkeypatch):
    now = [100.0]  # a clock of the test's own: real seconds pass as the machine likes

    def spend(simulations):
        now[0] += 0.001 + 0.01 * simulations

    for module in (server, thinking):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    talk = Talk(make=lambda game, n: stub(game, n, spend=spend), simulations=64)
    talk("isready")
    left = 20.0
    for _ in range(30):
        began = now[0]
        talk(f"go wtime {round(1000 * left)} btime 1 winc 20 binc 0")
        left += 0.02 - (now[0] - began)
        assert left > 0
    assert left < 18.0, "it hardly thought"


@pytest.mark.parametrize(
    ("line", "seat", "wanted"),
    [
        ("", 0, Limit(math.inf, 10**9, False)),
        ("infinite", 0, Limit(math.inf, 10**9, True)),
        ("depth 5 nodes 7", 0, Limit(math.inf, 7, False)),
        ("movetime 1100", 0, Limit(1.0, 10**9, False)),
        ("wtime 40000 btime 1 movestogo 10", 0, Limit(2.9, 10**9, False)),
        ("wtime 1 btime 30000 binc 1000", 1, Limit(1.4, 10**9, False)),
        ("wtime 1 btime 200 binc 1000", 1, Limit(0.05, 10**9, False)),  # not more than is left
        ("wtime -500 btime 1", 0, Limit(0.0, 10**9, False)),
        ("wtime x nodes 99999999999999999999", 0, Limit(math.inf, 10**9, False)),
    ],
)
def test_limits_are_read_as_uci_says(line, seat, wanted):
    found = read_go(line.split(), seat, 30)
    assert found._replace(seconds=wanted.seconds) == wanted
    assert found.seconds == pytest.approx(wanted.seconds)


WORDS = """uci isready setoption name value Simulations UCI_Variant ucinewgame position startpos fen
moves a2a3 a2a4 h7h6 go nodes movetime wtime btime infinite stop debug 0 5 -3 1e9 nan é"""


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.lists(
        st.binary(max_size=30)
        | st.lists(st.sampled_from(WORDS.split()), max_size=6).map(lambda w: " ".join(w).encode()),
        max_size=12,
    )
)
def test_no_input_breaks_it(talk, lines):
    for line in lines:
        if not re.match(rb"\s*(quit|setoption name simulations)", line, re.IGNORECASE):
            talk(line)
    assert talk("isready") == ["readyok"]


@pytest.mark.slow
def test_a_position_to_which_no_move_leads_is_refused():
    talk = Talk(variants=("chess",))
    (said,) = talk("position fen 4k3/8/8/8/8/8/8/4RK2 w - - 0 1")
    assert said.endswith("who is not to move is in check")
    assert talk("position fen 4k3/8/8/8/8/8/8/4RK2 b - - 0 1") == []


@pytest.mark.slow
def test_python_chess_plays_a_game_with_it():
    chess_engine = pytest.importorskip("chess.engine")
    import chess

    command = [sys.executable, "-m", "scripts.cli", "engine", "random", "--protocol=uci"]
    command += ["--simulations", "0"]
    with chess_engine.SimpleEngine.popen_uci(command, timeout=120, cwd=ROOT) as ours:
        ours.timeout = 600
        board = chess.Board()
        while not board.is_game_over(claim_draw=True) and len(board.move_stack) < 60:
            board.push(ours.play(board, chess_engine.Limit(white_clock=60, black_clock=60)).move)
        assert len(board.move_stack) > 5
        board = chess.Board("r3k2r/P7/8/2pP4/8/8/8/4K3 w kq c6 0 9")
        for _ in range(20):
            assert ours.play(board, chess_engine.Limit(nodes=1)).move in board.legal_moves
            assert ours.play(board.mirror(), chess_engine.Limit(nodes=1)).move in (
                board.mirror().legal_moves
            )


def with_draws(draw, value=0.25):
    """Makes the stub, whose network says how likely a draw is."""

    def make(game, simulations):
        rest = (1 - draw) / 2
        said = jnp.array([[rest, draw, rest]])
        player = stub(game, simulations, value=value)
        return dataclasses.replace(player, outcomes=lambda variables, observation: said)

    return make


@settings(max_examples=50, deadline=None)
@given(st.floats(-1, 1), st.floats(0, 1))
def test_win_draw_and_loss_sum_to_1000_and_are_near_what_is_told(value, draw):
    told = np.asarray(win_draw_loss(jnp.float32(value), jnp.float32(draw)), float).tolist()
    shown = permille(told)
    assert sum(shown) == 1000
    assert min(shown) >= 0
    np.testing.assert_allclose(shown, 1000 * np.array(told), atol=1.01)


def test_win_draw_and_loss_are_shown_when_a_front_end_asks_for_them():
    talk = Talk(with_draws(0.5), tells_draws=True)
    assert "option name UCI_ShowWDL type check default false" in talk("uci")
    talk("position startpos")
    assert " wdl " not in talk("go")[0]
    assert talk("setoption name UCI_ShowWDL value true") == []
    assert " score cp 89 wdl 375 500 125 pv " in talk("go")[0]  # for white, who is to play
    assert talk("setoption name UCI_ShowWDL value 1") == [
        "info string UCI_ShowWDL must be true or false, got '1'"
    ]
    talk("setoption name UCI_ShowWDL value false")
    assert " wdl " not in talk("go")[0]


def test_a_player_that_tells_no_draws_has_no_such_option(talk):
    assert not [line for line in talk("uci") if "WDL" in line]
    assert talk("setoption name UCI_ShowWDL value true") == [
        "info string no option 'UCI_ShowWDL': there are Simulations and UCI_Variant"
    ]
