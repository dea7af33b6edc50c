"""UCI engines as players: what they are told, and that a fault of theirs is only a lost game."""

import random
import re
import shlex
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from selfplay import player_spec, players, positions
from selfplay.arena import play_match
from selfplay.engines.spec import read_spec
from selfplay.uci.moves import VARIANTS, find_move, move_name
from tests.support import ROOT
from tests.support.engines import FAIRY, GNUGO, RHINO, STOCKFISH, ask

GAME = games.load("breakthrough")
BAD = f"{shlex.quote(sys.executable)} {ROOT / 'tests' / 'planted' / 'bad_uci_engine.py'}"
A2A3 = 25  # of the second row from above, the first column, straight ahead
needs_fairy = pytest.mark.skipif(FAIRY is None, reason="needs Debian's fairy-stockfish")


def make(command, game=GAME, options=""):
    return player_spec.parse_player(f"uci:{options}{command}", game, 1, None)


def test_each_question_is_a_new_game_from_the_opening_with_the_options_set_before(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    options = "nodes=50,depth=3,processes=1,skill level=-3,UCI_Elo=1500,Style=very risky:"
    player = make(f"{BAD} a7a6", options=options)
    assert ask(player, (A2A3,)) == ([find_move(GAME, _after(A2A3), "a7a6")], [])
    told = (tmp_path / "log").read_text().split("\n")
    assert sorted(told[1:7]) == [
        "setoption name Skill Level value -3",
        "setoption name Style value Very Risky",
        "setoption name Threads value 1",
        "setoption name UCI_Elo value 1500",
        "setoption name UCI_LimitStrength value true",
        "setoption name UCI_Variant value breakthrough",
    ]
    assert [told[0], *told[7:]] == [
        *("uci", "isready", "ucinewgame", "isready", "position startpos moves a2a3"),
        *("go nodes 50 depth 3", ""),
    ]


def _after(*actions):
    return jax.tree.map(lambda leaf: leaf[0], positions.replay(GAME, [actions]).states)


@pytest.mark.parametrize(
    ("fault", "wanted"),
    [
        ("hang", "did not answer 'go nodes 10000' in time"),
        ("child", "did not answer 'go nodes 10000' in time"),
        ("crash", "ended at 'go nodes 10000' (exit status 3: segmentation fault)"),
        ("orphan", "ended at 'go nodes 10000' (exit status 4)"),
        ("flood", "wrote more than"),
        ("illegal", "played 'a1a8' at ply 0, which is illegal"),
        ("none", "played '(none)' at ply 0, which is illegal"),
        ("null", "played '0000' at ply 0, which is illegal"),
        ("number", "played '21' at ply 0, which is illegal"),
        ("nonsense", "answered nonsense to 'go nodes 10000': no move after bestmove"),
    ],
)
def test_a_fault_loses_that_game_alone_and_a_fresh_process_plays_on(fault, wanted):
    seconds = 1.5 if fault in ("hang", "child") else 60
    player = make(f"{BAD} a2a3 {fault} 2", options=f"timeout={seconds},processes=1:")
    actions, faults = ask(player, (), (), ())
    assert actions == [A2A3, players.FORFEIT, A2A3]
    assert len(faults) == 1
    assert wanted in faults[0]


def test_what_it_writes_to_stderr_and_beside_its_moves_is_no_fault():
    assert ask(make(f"{BAD} a2a3 errors", options="processes=1:"), ()) == ([A2A3], [])


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("/no/such/program", "the engine does not start"),
        ("", "names no command"),
        (f"{BAD} a2a3 dead", "exit status 1: cannot open the weights"),
        (f"nodes=0:{BAD}", "nodes must be a whole number above 0, got '0'"),
        (f"movetime=3000,timeout=3:{BAD}", "movetime is in milliseconds and must be below timeout"),
        (f"nodes=5,nodes=6:{BAD}", "an option is set twice"),
        (f"Skil Level=3:{BAD} a", "has no option 'Skil Level' (did you mean Skill Level?)"),
        (f"node=3:{BAD} a", "(did you mean nodes?)"),
        (f"Skill Level=21:{BAD} a", "a whole number from -20 to 20 as Skill Level, got '21'"),
        (f"Contempt=-1:{BAD} a", "a whole number from 0 to 0 as Contempt, got '-1'"),
        (f"Contempt=1:{BAD} a", "a whole number from 0 to 0 as Contempt, got '1'"),
        (f"UCI_Elo=1e3:{BAD} a", "a whole number from 1350 to 2850 as UCI_Elo, got '1e3'"),
        (f"UCI_LimitStrength=yes:{BAD} a", "true or false as UCI_LimitStrength, got 'yes'"),
        (f"Style=Odd:{BAD} a", "Risky or Very Risky or Normal as Style, got 'Odd'"),
        (f"Clear Hash=1:{BAD} a", "has a button Clear Hash, which takes no value"),
        (f"UCI_Variant=chess:{BAD} a", "leave that out, and name the game"),
    ],
)
def test_what_cannot_play_or_cannot_be_set_is_refused_at_once(spec, wanted):
    with pytest.raises(ValueError, match=re.escape(wanted)):
        make(spec)


def test_games_that_it_does_not_play_are_named():
    with pytest.raises(ValueError, match="does not play gardner, only chess, breakthrough"):
        make(f"{BAD} a2a3", games.load("pgx:gardner_chess"))
    with pytest.raises(ValueError, match=r"breakthrough:rows=6 is not played by UCI, only pgx:c"):
        make(f"{BAD} a2a3", games.load("breakthrough:rows=6"))


def test_a_command_may_hold_what_looks_like_options():
    for text in ("x --hash=3:4", "./x", "env A=b x", "/opt/x y=z"):
        assert read_spec(f"uci:{text}").command == text
        assert read_spec(f"uci::{text}").command == text
        assert read_spec(f"gtp:depth=2:{text}")[0::3] == (text, {"depth": "2"})
    assert read_spec("uci::env A=b:c").command == "env A=b:c"
    assert read_spec("uci:A B=/x/y,C=:z").options == {"A B": "/x/y", "C": ""}


def legal_moves(variant, lines):
    """Returns what Fairy-Stockfish finds legal after each of some lists of moves."""
    asked = [f"position startpos moves {' '.join(line)}\ngo perft 1" for line in lines]
    script = "\n".join(["uci", f"setoption name UCI_Variant value {variant}", *asked, "quit\n"])
    text = subprocess.run([FAIRY], input=script, capture_output=True, text=True).stdout
    found = re.split(r"^Nodes searched: \d+$", text.partition("uciok")[2], flags=re.MULTILINE)
    return [set(re.findall(r"^(\S+): 1$", part, re.MULTILINE)) for part in found[:-1]]


@needs_fairy
@pytest.mark.parametrize(
    "variant",
    ["breakthrough"] + [pytest.param(v, marks=pytest.mark.slow) for v in VARIANTS if v[0] != "b"],
)
def test_legal_moves_of_random_games_are_those_of_fairy_stockfish(variant):
    pytest.importorskip("pgx")
    game, rng = games.load(VARIANTS[variant]), random.Random(5)
    step = jax.jit(game.step)
    state, line, ours = positions.opening_position(game), [], []
    while not state.terminated and len(line) < 200:
        legal = np.flatnonzero(state.legal_action_mask).tolist()
        names = {move_name(game, state, action): action for action in legal}
        assert [find_move(game, state, name) for name in names] == legal
        if variant == "dobutsu":  # Fairy-Stockfish lets a chick be one on the far rank
            assert [find_move(game, state, name.rstrip("+")) for name in names] == legal
        ours.append(set(names))
        rare = [name for name in names if len(name) == 5 or "@" in name]
        line.append(rng.choice(rare if rare and rng.random() < 0.5 else list(names)))
        state = jax.tree.map(np.asarray, step(state, jnp.int32(names[line[-1]])))
    theirs = legal_moves(variant, [line[:ply] for ply in range(len(ours))])
    for ply, (names, found) in enumerate(zip(ours, theirs, strict=True)):
        if variant == "dobutsu":
            found -= {name[:-1] for name in names if name.endswith("+")}
        assert names == found, line[:ply]
    assert len(line) > 20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "spec"),
    [(FAIRY, spec) for spec in VARIANTS.values()] + [(STOCKFISH, "pgx:chess")],
)
def test_whole_games_against_debian_s_engines_end_by_the_rules(command, spec):
    if command is None:
        pytest.skip("Debian's engine is not installed")
    game = games.load(spec)
    player = make(command, game, "nodes=300:")
    result = play_match(player, players.random_player(game), game, 4, seed=3, opening_plies=2)
    assert player.faults == []
    assert [played.ended_by for played in result.played] == [""] * 4
    assert result.losses == 0  # the opponent plays at random


@pytest.mark.slow
@pytest.mark.skipif(RHINO is None or GNUGO is None, reason="needs Debian's grhino and gnugo")
def test_a_whole_game_against_gtp_rhino_ends_by_the_rules():
    game = games.load("othello")
    player = player_spec.parse_player(f"gtp:passes=silent:{RHINO} -l 1", game, 1, None)
    result = play_match(player, players.random_player(game), game, 4, seed=3, opening_plies=2)
    assert player.faults == []
    assert [played.ended_by for played in result.played] == [""] * 4


@needs_fairy
def test_an_answer_rests_on_the_position_alone():
    lines = [(), (A2A3,), (A2A3, find_move(GAME, _after(A2A3), "h7h6"))]
    player = make(FAIRY, options="nodes=400,processes=1:")
    answers, faults = ask(player, *lines)
    assert faults == []
    assert ask(player, *reversed(lines))[0] == answers[::-1]
