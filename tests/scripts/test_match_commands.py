"""The commands arena, evaluate and play: what they print, keep and refuse."""

import dataclasses
import json
import os

import jax
import numpy as np
import pytest

import games
import training
from mcts import SearchConfig
from scripts import arena, evaluate, play
from scripts.flags import play as play_flags
from scripts.terminal import console
from selfplay import players
from selfplay.perfect import mistakes
from selfplay.records.game_record import read_records, write_records
from tests.toys.lowest_player import lowest
from training.config import RunConfig
from training.storage.run_folder import RunFolder

GAME = games.load("tic_tac_toe")
ARENA_KEYS = {
    "games",
    "wins",
    "draws",
    "losses",
    "score",
    "interval",
    "distinct_games",
    "elo",
    "elo_interval",
    "los",
    "resigned",
    "faults",
    "decided_by_faults",
    "openings",
    "opening_plies",
    "simulations",
}

LOWEST = "tests.toys.lowest_player:lowest"


def command(script, *argv):
    """Runs a command line as `selfplay` does, devices apart."""
    name = script.__name__.rpartition(".")[2]
    return script.run(console.parse(script.Args, [str(word) for word in argv], name))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run folder of tic_tac_toe, whose players stand in for trained ones."""
    folder = RunFolder(tmp_path / "run")
    folder.create(dataclasses.replace(RunConfig(), game="tic_tac_toe"))
    steps = [0, 10, 20]

    def load_player(path, simulations=32, checkpoint=None, temperature=0.0, search=None, game=GAME):
        assert (path, game) == (str(folder.path), GAME)
        name = f"run@{steps[-1] if checkpoint is None else checkpoint}"
        if simulations == 0:
            return dataclasses.replace(players.random_player(GAME), name=name)
        return players.Player(name, GAME, _lowest_act, on_device=False)

    monkeypatch.setattr(training, "load_player", load_player)
    monkeypatch.setattr(training, "checkpoint_steps", lambda path: steps)
    return folder.path


def test_arena_prints_the_contracts_keys_and_writes_records(tmp_path, capsys):
    file = tmp_path / "games.jsonl"
    words = ("random", LOWEST, "--game", "tic_tac_toe", "--games", 20, "--seed", 4)
    assert command(arena, *words, "--json", "--records", file) == 0
    out = capsys.readouterr()
    result = json.loads(out.out)
    assert set(result) == ARENA_KEYS
    assert out.err.startswith("devices: ")
    assert result["games"] == result["wins"] + result["draws"] + result["losses"] == 20
    assert (result["openings"], result["opening_plies"], result["simulations"]) == ("random", 1, 32)
    assert result["interval"][0] < result["score"] < result["interval"][1]
    records = read_records(file)
    assert {record.players for record in records} == {
        ("random", LOWEST),
        (LOWEST, "random"),
    }
    own = [record.returns[record.players.index("random")] for record in records]
    assert own.count(1.0) == result["wins"]
    assert len({record.moves for record in records}) == result["distinct_games"]


def test_arena_prints_both_seats_and_notes_repeated_openings(capsys):
    words = ("random", LOWEST, "--game", "tic_tac_toe", "--games", 20)
    assert command(arena, *words, "--opening-plies", 0) == 0
    out = capsys.readouterr()
    assert "openings: 0 random plies, 32 simulations\n" in out.out
    assert "in seat 0: " in out.out
    assert "95% interval" in out.out
    assert "only 1 such openings" in out.err


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("random", "random"), "--game"),
        (("random", "nowhere", "--game", "tic_tac_toe"), "no such run folder"),
        (("random", "random", "--game", "tictactoe"), "unknown game"),
        (("random", "random", "--game", "tic_tac_toe", "--games", 3), "even number"),
        (("random", "random", "--game", "tic_tac_toe", "--records", "no/folder"), "no such folder"),
    ],
)
def test_arena_refuses_with_one_sentence(words, wanted):
    with pytest.raises(ValueError, match=wanted) as caught:
        command(arena, *words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "against", "opponent"),
    [
        ("run", "random", "random"),
        ("run", "previous", "run@10"),
        ("run", "initial", "run@0"),
        ("run@10", "previous", "run@0"),
    ],
)
def test_evaluate_plays_the_right_opponent_and_keeps_the_games(
    run, capsys, name, against, opponent
):
    spec = str(run.parent / name)
    assert command(evaluate, spec, "--against", against, "--games", 4, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result) == ARENA_KEYS
    records = read_records(run / "games" / "evaluation.jsonl")
    own = "run@10" if name.endswith("@10") else "run@20"
    assert records[0].players == (own, opponent)
    assert records[1].players == (opponent, own)
    assert records[0].extra == {"against": against, "seed": 0, "simulations": 32}


def test_evaluate_against_perfect_reports_each_set_of_raw_policy_and_search(run, capsys):
    assert command(evaluate, run, "--against", "perfect", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result) == ["all"]
    assert set(result["all"]) == {*("positions", "possible", "raw", "search", "budgets", "by_ply")}
    assert result["all"]["positions"] == 4520
    stand_in = players.Player("low", GAME, _lowest_act, on_device=False)
    solved = mistakes.load_positions("tic_tac_toe")["all"]
    expected = mistakes.mistakes(stand_in, solved.states, solved.outcomes, jax.random.key(0)).mean()
    assert result["all"]["search"] == pytest.approx(expected)
    assert 0.35 < result["all"]["raw"] < 0.47  # random moves; the mean share of mistakes is 0.41


def test_evaluate_measures_every_budget_and_prints_the_rates_by_ply(run, capsys):
    words = (evaluate, run, "--against", "perfect", "--simulations", 8, 16)
    assert command(*words, "--json") == 0
    rate = json.loads(capsys.readouterr().out)["all"]
    assert set(rate["budgets"]) == {"8", "16"}
    assert [row["ply"] for row in rate["by_ply"]] == list(range(9))
    assert command(*words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["ply", "positions", "raw", "8", "16"]
    last = rate["by_ply"][-1]
    shown = [f"{share:.1%}" for share in (last["raw"], *last["budgets"].values())]
    assert lines[-1].split() == ["8", str(last["positions"]), *shown]


def test_evaluate_takes_positions_from_a_file(run, tmp_path, capsys):
    file = tmp_path / "mine.jsonl"
    line = {
        "set": "mine",
        "moves": [3, 0, 4, 1],
        "outcomes": [None, None, -1, None, None, 1, -1, -1, -1],
    }
    file.write_text(json.dumps(line) + "\n")
    assert command(evaluate, run, "--against", "perfect", "--positions", file, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["mine"]["positions"] == 1
    assert result["mine"]["search"] == 1.0  # the lowest action leaves the win at once


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("run", "--positions", "x"), "--positions is for --against perfect"),
        (("run@0", "--against", "previous"), "first checkpoint"),
        (("elsewhere",), "no such run folder"),
        (("run", "--against", "perfect", "--simulations", 0), "at least 1 simulation"),
        (("run", "--against", "random", "--simulations", 8, 16), "takes one number, got 2"),
    ],
)
def test_evaluate_refuses_with_one_sentence(run, words, wanted):
    with pytest.raises(ValueError, match=wanted):
        command(evaluate, run.parent / words[0], *words[1:])


def test_evaluate_goes_on_where_it_cannot_keep_the_games(run, capsys):
    (run / "games" / "evaluation.jsonl").mkdir()  # cannot be opened
    assert command(evaluate, run, "--games", 4) == 0
    assert "not kept" in capsys.readouterr().err


def converse(lines, seat=0, player=None):
    """Plays in the terminal with the given input; returns the session and what was shown."""
    session = play.Session(player or players.Player("low", GAME, _lowest_act, (), False), seed=0)
    shown, replies = [], iter(lines)
    play.converse(session, seat, lambda prompt: next(replies, None), shown.append)
    return session, "\n".join(shown)


def _lowest_act(variables, states, key, history):
    return lowest(states, key)


def test_a_person_plays_a_game_to_its_end():
    # The opponent takes a3 (0), then b3 (1); the middle row wins for seat 0.
    session, shown = converse(["b2", "a2", "C2", "quit"])
    assert session.moves == [4, 0, 3, 1, 5]
    assert "You win." in shown
    assert "You are X (seat 0), first to move" in shown
    assert "3 O O .\n2 X X(X)\n1 . . .\n  a b c" in shown
    assert "low, O (seat 1), plays b3" in shown
    assert "prior  visits  value" not in shown


def test_undo_takes_back_the_persons_last_move_and_the_answer():
    session, _ = converse(["b2", "a2", "undo", "c1"])
    assert session.moves == [4, 0, 8, 1]
    session, shown = converse(["undo", "b2"], seat=1)
    assert session.moves == [0, 4, 1]
    assert "no move of yours" in shown
    session, shown = converse(["b2", "a2", "c2", "hint", "undo", "c1", "quit"])
    assert session.moves == [4, 0, 3, 1, 8, 2]  # taken back after the end; a3 b3 c3 wins
    assert "the game is over" in shown
    assert "You lose." in shown


def test_nonsense_is_answered_and_words_that_are_no_move_change_nothing():
    session, shown = converse(["zz", "hint", "", "  ", "?", "help"])
    assert session.moves == []
    assert "no legal move 'zz'" in shown
    assert "no legal move ''" not in shown
    assert shown.count("give up the game") == 2
    assert "low does not say what it thinks" in shown, "it searches nothing and values nothing"


def test_analysis_is_shown_while_it_is_on():
    uniform = players.uniform_player(GAME, SearchConfig(simulations=8))
    _, shown = converse(["hint", "b2", "analysis on", "undo", "b2", "analysis off"], 0, uniform)
    assert shown.count("prior  visits  value") == 2, shown
    assert "expects " in shown
    assert shown.count("\n>") == 2, "the move that it plays is marked"


def test_a_resigned_game_is_lost_kept_and_can_be_taken_back(tmp_path):
    session, shown = converse(["b2", "resign", "c1", "quit"])
    assert "You lose: you resigned." in shown
    assert "the game is over" in shown
    record = session.record("tic_tac_toe", 0)
    write_records(tmp_path / "game.jsonl", [record])
    assert read_records(tmp_path / "game.jsonl") == [record]
    assert (record.players, record.returns) == (("person", "low"), (-1.0, 1.0))
    assert record.ended_by == "resignation"
    session, _ = converse(["b2", "resign", "undo", "a2"])
    assert session.moves == [4, 0, 3, 1]


def giving_up(action, when):
    """The lowest player, which answers `action` after so many moves, as an engine may."""
    failing = players.Player("low", GAME, None, on_device=False)

    def act(variables, states, key, history):
        result = lowest(states, key)
        if np.count_nonzero(history[0] >= 0) != when:
            return result
        failing.faults.extend(["it hung"] * (action == players.FORFEIT))
        return result._replace(action=np.full(1, action, np.int32))

    return dataclasses.replace(failing, act=act)


def test_a_fault_that_was_taken_back_is_not_in_the_record_of_the_game():
    failing = giving_up(players.FORFEIT, when=3)
    session, shown = converse(["b2", "a2"], 0, failing)
    assert "You win: it gave up." in shown
    assert session.record("tic_tac_toe", 0).extra == {"ended_by": "forfeit", "fault": "it hung"}
    session, shown = converse(["b2", "a2", "undo", "undo", "resign"], 0, failing)
    assert session.record("tic_tac_toe", 0).extra == {"ended_by": "resignation"}


def test_an_opponent_that_would_give_up_expects_no_more_moves():
    session = play.Session(giving_up(players.RESIGN, when=2), seed=0)
    assert session.analyse(8).principal_variation == (0, 1)
    told = play.analysis_json(session)
    assert (told["move"], told["principal_variation"]) == ("a3", ["a3", "b3"])
    session.play(4)
    session.play(0)
    told = play.analysis_json(session)
    assert (told["move"], told["principal_variation"]) == (None, [])


def test_the_opponent_varies_among_nearly_equal_moves_only():
    uniform = players.uniform_player(GAME, SearchConfig(simulations=64))
    first = [play.Session(uniform, seed, temperature=1.0) for seed in range(12)]
    result = first[0].analyse(1).result
    assert len({session.choose(result) for session in first}) > 1
    chosen = {session.choose(result._replace(q=result.q - 0.2)) for session in first}
    assert len(chosen) > 1, "values count relative to the best move's"
    best = int(result.action)
    worse = np.where(np.arange(9) == best, result.q, result.q[best] - 0.2)
    assert {session.choose(result._replace(q=worse)) for session in first} == {best}
    assert {play.Session(uniform, seed).choose(result) for seed in range(12)} == {best}


def test_play_without_an_opponent_takes_the_newest_run_or_says_how_to_get_one(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"no run in runs/ .*`selfplay train --game tic_tac_toe"):
        command(play)
    for number, name in enumerate(("old", "new")):
        RunFolder(f"runs/{name}").create(dataclasses.replace(RunConfig(), game="tic_tac_toe"))
        (tmp_path / "runs" / name / "checkpoints").mkdir(exist_ok=True)
        os.utime(tmp_path / "runs" / name / "checkpoints", (number, number))
    monkeypatch.setattr(training, "checkpoint_steps", lambda path: [0])
    assert play._newest_run("") == "runs/new"
    assert "others: runs/old" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no run of connect_four"):
        play._newest_run("connect_four")


def test_play_analyses_a_position_as_json(capsys):
    words = ("uniform", "--game", "tic_tac_toe", "--moves", "a3 a2 b3, b2", "--simulations", 32)
    assert command(play, *words, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["moves"] == ["a3", "a2", "b3", "b2"]
    assert found["principal_variation"] == ["c3"]
    assert found["move"] == "c3"
    assert found["policy"]["c3"] > 0.9
    assert sum(found["policy"].values()) == pytest.approx(1, abs=1e-4)
    assert found["value"] > 0.3
    assert found["to_play"] == 0
    assert set(found["visits"]) == {"c3", "c2", "a1", "b1", "c1"}
    assert sum(found["visits"].values()) == 32


def test_play_reports_a_finished_position_and_refuses_illegal_moves(capsys):
    words = ("random", "--game", "tic_tac_toe", "--json", "--moves")
    assert command(play, *words, "a3 a2 b3 b2 c3") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["terminated"], found["returns"], found["value"]) == (True, [1.0, -1.0], -1.0)
    with pytest.raises(ValueError, match="move 2: no legal move 'a3'"):
        command(play, *words, "a3 a3")
    with pytest.raises(ValueError, match="--seat"):
        play_flags.check(play.Args("random", "tic_tac_toe", seat=2))


def test_the_principal_variation_alternates_best_moves():
    line = play.Session(players.uniform_player(GAME, SearchConfig(simulations=32)), 0)
    analysis = line.analyse(variation_plies=3)
    assert len(analysis.principal_variation) == len(set(analysis.principal_variation)) == 3
    assert analysis.principal_variation[0] == int(analysis.result.action)
    assert jax.tree.map(np.shape, analysis.result).action_weights == (9,)
