"""GTP engines as players: what they play counts, and whatever they do wrong is only a lost game."""

import os
import shlex
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import games
from selfplay import player_spec, players, positions
from selfplay.arena import play_match
from selfplay.arena.result import match_records
from selfplay.engines.process import EngineFault
from selfplay.gtp import engine
from selfplay.records.game_record import read_records, write_records
from tests.support import ROOT
from tests.support.engines import GNUGO, GNUGO_OPTIONS, ask, is_running

GAME = games.load("go:size=5,komi=0.5")
PASS = 25
BAD = f"{shlex.quote(sys.executable)} {ROOT / 'tests' / 'planted' / 'bad_engine.py'}"


def make(command, game=GAME, options=""):
    return player_spec.parse_player(f"gtp:{options}{command}", game, 1, None)


@pytest.mark.parametrize("fault", ["", "slow-start", "errors", "no-undo"])
def test_an_engine_answers_for_many_games(fault):
    player = make(f"{BAD} {fault}", options="processes=2:")
    lines = [(), (3,), (3, 4), (0, PASS, 7)]
    assert ask(player, *lines) == ([PASS] * 4, [])
    assert ask(player, *lines[1:], (3, 4, 5)) == ([PASS] * 4, [])


@pytest.mark.parametrize(
    ("fault", "wanted"),
    [
        ("hang", "did not answer 'genmove black' in time"),
        ("crash", "ended at 'genmove black' (exit status 3: segmentation fault)"),
        ("nonsense", "answered nonsense"),
        ("no-answer-to-this", "answered nonsense"),
        ("flood", "wrote more than"),
        ("illegal", "played 'A1' at ply 2, which is illegal"),
        ("off", "played 'Z99' at ply 2, which is illegal"),
    ],
)
def test_a_fault_loses_that_game_alone_and_a_fresh_process_plays_on(fault, wanted):
    seconds = 1.5 if fault == "hang" else 60  # a slow machine, too, answers within these
    player = make(f"{BAD} {fault} 2", options=f"timeout={seconds},processes=1:")
    line = (20, 4)  # black on A1
    actions, faults = ask(player, line, line, line)
    assert actions[0] == PASS
    assert actions[1] == players.FORFEIT
    assert actions[2] in (PASS, players.FORFEIT)  # nonsense may spoil the next answer, too
    assert len(faults) == actions.count(players.FORFEIT)
    assert wanted in faults[0], faults
    assert ask(player, line)[0] in ([PASS], [players.FORFEIT])


def test_a_resignation_is_no_fault():
    player = make(f"{BAD} resign 2", options="processes=1:")
    assert ask(player, (), (3, 4)) == ([PASS, players.RESIGN], [])


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("/no/such/program", "the engine does not start"),
        ("", "names no command"),
        ("'unclosed", "the engine does not start: No closing quotation"),
        (f"{BAD} dead", "exit status 1: cannot open the weights"),
        (f"{BAD} no-board", "refused 'boardsize 5': unacceptable size"),
        (f"timeout=0:{BAD}", "timeout must be above 0"),
    ],
)
def test_an_engine_that_cannot_play_is_refused_at_once(command, wanted):
    with pytest.raises(ValueError, match=wanted.replace("(", "[(]")):
        make(command)


def test_no_process_is_left_not_even_an_engines_own(tmp_path):
    file = tmp_path / "pids"
    one = engine.Engine(f"{BAD} child 1 {file}", [], 60.0)
    one.kill()
    player = make(f"{BAD} child 1 {file}")
    pids = [int(text) for text in file.read_text().split()]
    assert len(pids) == 2
    assert is_running(pids[1])
    del player
    deadline = time.monotonic() + 60
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_running, pids))


def test_an_engine_that_ends_by_itself_leaves_none_of_its_own_when_the_next_one_starts(tmp_path):
    file = tmp_path / "pids"
    player = make(f"{BAD} child 1 {file}", options="processes=1:")
    first = player.act._engines[0].popen
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    (child,) = map(int, file.read_text().split())
    assert is_running(child)
    assert ask(player, ()) == ([PASS], [])
    deadline = time.monotonic() + 60
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(child)
    assert len(file.read_text().split()) == 2


def test_an_interrupt_ends_the_engines_and_does_not_wait_for_them(monkeypatch):
    player = make(f"{BAD} hang", options="timeout=500,processes=2:")
    answer = player.act._answer

    def answer_and_interrupt(*args):  # not before: until then nobody waits for an engine
        signal.setitimer(signal.ITIMER_REAL, 1.0)
        return answer(*args)

    monkeypatch.setattr(player.act, "_answer", answer_and_interrupt)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        ask(player, (), (3, 4))
    assert time.monotonic() - began < 60
    # One that was starting just then is ended a moment later, by its own thread.
    while any(process.alive for process in player.act._engines if process):
        assert time.monotonic() - began < 60
        time.sleep(0.01)


def test_an_engine_that_starts_during_an_interrupt_is_ended_too(monkeypatch):
    player = make(f"{BAD} hang", options="timeout=90,processes=2:")
    pool, start, started = player.act, player.act._start, []

    def start_late():
        os.kill(os.getpid(), signal.SIGALRM)
        while not pool._closed:
            time.sleep(0.01)
        time.sleep(0.3)  # by now the others are ended
        started.append(start())
        return started[0]

    monkeypatch.setattr(pool, "_start", start_late)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        ask(player, (), (3, 4))
    deadline = time.monotonic() + 60
    while not (started and not started[0].alive) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not started[0].alive


def test_a_thread_that_waits_for_an_engine_sees_that_another_has_closed_it():
    one = engine.Engine(f"{BAD} hang", [], 90.0)
    with ThreadPoolExecutor(1) as workers:
        asked = workers.submit(one.ask, "genmove black")
        while one._number < 2:
            time.sleep(0.01)
        time.sleep(0.3)  # it waits in the selector by now, or will soon
        one.popen.stdout.close()  # its process lives: nothing else would wake the thread
        with pytest.raises(EngineFault, match="closed its output"):
            asked.result(timeout=60)


def test_an_engine_is_led_from_game_to_game_by_the_shortest_way(monkeypatch):
    asked = []
    real = engine.Engine.ask

    def ask_and_note(self, command, seconds=0.0):
        asked.append(command)
        return real(self, command, seconds)

    monkeypatch.setattr(engine.Engine, "ask", ask_and_note)
    one = engine.Engine(BAD, [], 60.0)
    ways = {
        ("a", "b", "c"): ["a", "b", "c"],
        ("a", "b", "d"): ["undo", "d"],
        ("x",): ["clear_board", "x"],
        (): ["clear_board"],
    }
    for line, wanted in ways.items():
        asked.clear()
        one.go_to(line)
        assert asked == wanted
    one.kill()


def test_a_match_counts_an_engines_failure_as_a_lost_game(tmp_path):
    player = make(f"{BAD} crash 3", options="processes=1:")
    result = play_match(player, players.random_player(GAME), GAME, 4, seed=1, opening_plies=2)
    faults = [played.fault for played in result.played]
    assert any("segmentation fault" in fault for fault in faults), faults
    for played, seat in zip(result.played, result.first_seat, strict=True):
        assert not played.ended_by or played.returns[seat] == -1
    path = tmp_path / "games.sgf"
    records = match_records(result, "go:size=5,komi=0.5")
    write_records(path, records)
    assert read_records(path) == records
    assert "+F]" in path.read_text()


def test_an_engine_that_skips_a_side_by_itself_plays_whole_games_with_silent_passes():
    game = games.load("othello:size=4")
    command = f"{shlex.quote(sys.executable)} {ROOT / 'tests' / 'toys' / 'silent_othello.py'}"
    opponent = players.random_player(game)
    results = []
    for options in ("passes=silent,processes=2:", "passes=spoken,processes=2:"):
        player = make(command, game, options)
        results.append(play_match(player, opponent, game, 24, seed=2, opening_plies=2))
    silent, spoken = results
    assert sum(16 in moves for moves in silent.moves) > 5, "games with passes, or nothing is shown"
    assert [played.ended_by for played in silent.played] == [""] * 24
    assert "forfeit" in {played.ended_by for played in spoken.played}
    for moves in silent.moves:  # an engine's answer never stands for a pass, nor a pass for one
        line = positions.opening_position(game)
        for action in moves:
            assert line.legal_action_mask[action]
            line = positions.step(game, line, action)
        assert bool(line.terminated)


def test_passes_of_an_engine_are_spoken_or_silent():
    with pytest.raises(ValueError, match="passes must be spoken or silent, got 'quiet'"):
        make(BAD, options="passes=quiet:")


@pytest.mark.skipif(GNUGO is None, reason="gnugo is not installed (Debian package gnugo)")
@pytest.mark.parametrize("size", [5, pytest.param(7, marks=pytest.mark.slow)])
def test_whole_games_against_gnu_go_end_by_the_rules(size):
    game = games.load(f"go:size={size},komi=0.5")
    player = make(f"{GNUGO} {GNUGO_OPTIONS} --never-resign --seed 1", game)
    result = play_match(player, players.random_player(game), game, 8, seed=3, opening_plies=0)
    assert [played.ended_by for played in result.played] == [""] * 8
    assert player.faults == []
    assert result.wins >= 7  # the opponent plays at random


@pytest.mark.slow
def test_our_server_plays_our_client_in_another_game():
    game = games.load("tic_tac_toe")
    start = "import sys; sys.path.insert(0, sys.argv.pop(1)); from scripts.cli import main; main()"
    words = [sys.executable, "-c", start, str(ROOT), "engine", "uniform", "--game", "tic_tac_toe"]
    player = make(shlex.join([*words, "--simulations", "64"]), game, "processes=1:")
    result = play_match(player, players.random_player(game), game, 8, seed=0, opening_plies=1)
    assert player.faults == []
    assert [played.ended_by for played in result.played] == [""] * 8
    assert result.wins > result.losses, "against random moves"
