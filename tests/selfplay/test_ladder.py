"""Ladders: what counts, who plays next, and ratings of players of known strength."""

import csv
import dataclasses
import json
import os
import shutil

import numpy as np
import pytest

import games
import training
from scripts import arena_ladder as command
from scripts.flags import arena
from scripts.terminal import console
from selfplay.arena import ladder
from selfplay.arena.folder import weights_sha256
from selfplay.players import FORFEIT, Player, random_player
from selfplay.rating import bradley_terry
from tests.support.pile_players import PILE
from tests.support.ratings import PLAYERS, STRENGTHS, drawn_match
from training.evaluation import ladder as training_ladder
from training.players import load_weights, network_of
from training.progress import Progress
from training.storage.run_folder import RunFolder


@pytest.fixture
def simulated(monkeypatch):
    """Matches are drawn from the strengths; notes who played."""
    played = []

    def play_match(first, second, game, games, seed, opening_plies):
        played.append((first.name, second.name))
        return drawn_match(first, second, games, seed)

    monkeypatch.setattr(ladder, "play_match", play_match)
    return played


def climb(path, rounds, seed=0, players=PLAYERS):
    found = ladder.Ladder(path / "games.jsonl", "pile", PILE, players, seed)
    for _ in range(rounds):
        assert found.play(*found.next_pairing()) == ladder.ROUND
    return found


def test_ratings_of_known_strengths_are_recovered_within_the_budget(tmp_path, simulated):
    found = climb(tmp_path, 60)
    ratings = found.ratings()
    intervals = bradley_terry.intervals(ratings, found.tally())
    assert found.names[found.anchor] == "random"
    assert list(np.argsort(ratings.elo)) == [0, 1, 2, 3, 4]
    for i, strength in enumerate(STRENGTHS.values()):
        # A little wider than 95%: four intervals are to hold at once.
        wide = intervals[i] + (intervals[i] - ratings.elo[i]) * 0.3
        assert wide[0] <= strength <= wide[1], (i, strength, intervals[i])
    assert ratings.advantage == pytest.approx(40, abs=3 * ratings.advantage_error)
    assert found.games == 60 * ladder.ROUND
    assert found.games_of(0) == sum("random" in pair for pair in simulated) * ladder.ROUND


def test_the_chosen_pairings_leave_less_uncertainty_than_playing_all_alike(tmp_path, simulated):
    chosen = climb(tmp_path, 40)
    alike = ladder.Ladder(tmp_path / "alike.jsonl", "pile", PILE, PLAYERS)
    pairings = [(i, j) for j in range(5) for i in range(j)]
    for number in range(40):
        alike.play(*pairings[number % len(pairings)])
    errors = [(found.ratings().error ** 2).sum() for found in (chosen, alike)]
    assert errors[0] < 0.9 * errors[1], errors


def test_a_store_goes_on_and_takes_games_from_others(tmp_path, simulated):
    first = climb(tmp_path, 3)
    second = climb(tmp_path, 2, seed=1)
    assert second.games == 5 * ladder.ROUND
    first.refresh()
    assert first.games == second.games
    np.testing.assert_allclose(first.ratings().elo, second.ratings().elo)
    with open(tmp_path / "games.jsonl", "a") as file:
        file.write('{"game": "pile", "mo')  # another process, killed while it wrote
    assert climb(tmp_path, 1, seed=2).games == 6 * ladder.ROUND


GAME = {"game": "pile", "players": ["random", "weak"], "moves": [1], "returns": [1, -1]}
GAME |= {"weights": {}}


@pytest.mark.parametrize(
    "line",
    [b"{", b"[]", b'{"game": "pile"}', b"\xff", b"[" * 50_000]
    + [
        json.dumps(GAME | change).encode()
        for change in (
            {"players": ["random"]},
            {"weights": []},
        )
    ],
)
def test_a_damaged_line_of_a_store_is_named_or_left_out_alone(tmp_path, line, simulated):
    whole = climb(tmp_path, 2)
    store = tmp_path / "games.jsonl"
    good = store.read_bytes()
    store.write_bytes(good[: good.index(b"\n") + 1] + line + b"\n" + good)
    with pytest.raises(ValueError, match=r"games.jsonl, line 2 is damaged: .*; remove that line"):
        ladder.Ladder(store, "pile", PILE, PLAYERS, 0)
    told = []
    without = ladder.Ladder(store, "pile", PILE, PLAYERS, 0, damaged=told.append)
    assert without.games == whole.games
    assert len(told) == 1
    assert "games.jsonl, line 2 is damaged" in told[0]


@pytest.mark.parametrize("line", ["", " ", json.dumps(GAME), json.dumps(GAME | {"more": [1]})])
def test_a_line_that_a_store_may_hold_is_not_refused(tmp_path, line, simulated):
    whole = climb(tmp_path, 2)
    with open(tmp_path / "games.jsonl", "a") as file:
        file.write(f"{line}\r\n")
    assert climb(tmp_path, 0).games == whole.games


def test_only_games_of_the_present_players_and_weights_count_and_each_once(tmp_path, simulated):
    whole = climb(tmp_path, 20)
    store = tmp_path / "games.jsonl"
    store.write_text(store.read_text() * 2)
    twice = climb(tmp_path, 0)
    assert twice.tally().counts.sum() == twice.games == whole.games
    two = climb(tmp_path, 0, players=PLAYERS[:2])
    assert 0 < two.games == sum(set(pair) == {"random", "weak"} for pair in simulated) * 32
    changed = [Player("weak", PILE, None, {"w": np.ones(3)}), *PLAYERS[2:], PLAYERS[0]]
    fewer = climb(tmp_path, 0, players=changed)
    assert fewer.games == sum("weak" not in pair for pair in simulated) * 32
    assert fewer.anchor == 4
    with pytest.raises(ValueError, match="all different"):
        climb(tmp_path, 0, players=[PLAYERS[0], PLAYERS[0]])


def test_players_that_repeat_their_games_are_not_asked_again(tmp_path):
    def act(variables, states, key):
        return random_player(PILE).act(variables, states, key)._replace(action=0 * states.to_play)

    same = [Player(name, PILE, act) for name in ("a", "b")]
    found = ladder.Ladder(tmp_path / "games.jsonl", "pile", PILE, same, opening_plies=0)
    assert found.play(0, 1) == 2
    assert found.next_pairing() == (0, 1)
    assert found.play(0, 1) == 0
    assert found.next_pairing() is None


def test_lost_games_that_a_fault_decided_are_told_with_the_rating(tmp_path, capsys):
    def act(variables, states, key, history):
        faults.extend(["it hung"] * len(history))
        found = random_player(PILE)(states, key)
        return found._replace(action=np.full(len(history), FORFEIT, np.int32))

    faults = []
    bad = Player("bad", PILE, act, on_device=False, faults=faults)
    found = ladder.Ladder(tmp_path / "games.jsonl", "pile", PILE, [random_player(PILE), bad])
    found.play(0, 1, 8)
    records = map(json.loads, (tmp_path / "games.jsonl").read_text().splitlines())
    times = len({(*r["players"], *r["moves"]) for r in records if r.get("fault")})
    assert found.faults == [{}, {"it hung": times}]
    assert times > 0
    command._report(command.Args(("random", "bad")), found, [], tmp_path)
    said = capsys.readouterr().out
    assert f"bad lost {times} games by a fault: it hung" in said
    assert "bad is not rated: its games are decided by faults alone" in said
    assert found.rated == [False, False]
    assert found.next_pairing() is None, "more such games would tell nothing"


def test_faults_of_one_pairing_leave_the_ratings_of_others_alone(tmp_path, simulated):
    store = tmp_path / "games.jsonl"
    without = climb(tmp_path, 10).ratings()
    line = {"game": "pile", "players": ["great", "bad"], "returns": [1, -1], "fault": "it hung"}
    with open(store, "a") as file:
        weights = dict.fromkeys(("great", "bad"), weights_sha256(PLAYERS[0])[:16])
        for moves in range(50):
            file.write(json.dumps({**line, "moves": [moves], "weights": weights}) + "\n")
    found = climb(tmp_path, 0, players=[*PLAYERS, Player("bad", PILE, None)])
    assert found.games_of(5) == 50
    assert found.rated == [True] * 5 + [False]
    assert found.ratings().elo[:5] == pytest.approx(without.elo, abs=0.5)


def test_an_odd_number_of_games_is_refused_before_anything_is_made(tmp_path):
    args = command.Args(
        ("random", "uniform"),
        game="tic_tac_toe",
        games=61,
        minutes=5.0,
        ladder=True,
        out=str(tmp_path),
    )
    with pytest.raises(ValueError, match=r"--games must be even, .* got 61"):
        command.run(args)
    assert not list(tmp_path.iterdir())


def test_the_command_rates_checkpoints_prints_and_plots(tiny_run, tmp_path, capsys):
    words = [
        str(tiny_run),
        "random",
        "--ladder",
        "--out",
        str(tmp_path / "store"),
        "--minutes",
        "0",
    ]
    options = ["--simulations", "0", "1", "--games", "168", "--json"]
    args = console.parse(command.Args, words + options, "arena", arena.defaults(words))
    assert command.run(args) == 0
    found = json.loads(capsys.readouterr().out)
    rated = {row["player"]: row for row in found["ratings"]}
    steps = sorted(int(path.name) for path in (tiny_run / "checkpoints").iterdir())
    assert set(rated) == {"random"} | {
        f"{tiny_run}@{step}:simulations={count}" for step in steps for count in (0, 1)
    }
    assert rated["random"]["elo"] == 0
    assert all(row["interval"][0] <= row["elo"] <= row["interval"][1] for row in rated.values())
    for axis in ("minutes", "positions", "simulations"):
        assert (tmp_path / "store" / f"elo-{axis}.png").stat().st_size > 5000
    lines = (tmp_path / "store" / "games.jsonl").read_text().splitlines()
    assert len(lines) == 168, "rounds of 32 and one cut short"
    file = tmp_path / "ladder.csv"
    assert (
        command.run(
            console.parse(
                command.Args, [*words, "--csv", str(file)], "arena", arena.defaults(words)
            )
        )
        == 0
    )
    for row in csv.DictReader(file.read_text().splitlines()):
        of_run = f"{row['run']}@{row['step']}:simulations={row['simulations']}"
        assert row["player"] == (of_run if row["run"] else "random")
    said = capsys.readouterr().out
    assert f"{found['games']} distinct games; Elo above random" in said
    assert all(name in said for name in rated), "without --simulations, all that the store holds"
    for plot in (tmp_path / "store").glob("*.png"):
        plot.write_bytes(b"a good plot")
    args = console.parse(
        command.Args, [*words, "--simulations", "7"], "arena", arena.defaults(words)
    )
    with pytest.raises(ValueError, match=r"holds no games between .*@0:simulations=0"):
        command.run(args)
    assert {plot.read_bytes() for plot in (tmp_path / "store").glob("*.png")} == {b"a good plot"}


RUN = "runs/c4"


@pytest.fixture
def run_folders(tmp_path, monkeypatch):
    """The current folder holds two runs, c4 and old/c4, and a link to the first."""
    for path in (RUN, "old/c4", "elsewhere"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / RUN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checkpoints(run, weight=1.0):
    """Players as `parse_player` names them when this path is typed."""
    weights = {"w": np.full(3, weight)}
    name = f"{os.path.normpath(run)}@8:simulations=4"
    return [random_player(PILE), Player(name, PILE, random_player(PILE).act, weights)]


def games_of_run(store, run, home=None, games=0, weight=1.0):
    found = ladder.Ladder(store, "pile", PILE, checkpoints(run, weight), home=home)
    if games:
        found.play(0, 1, games)
    return found.games


@pytest.mark.parametrize("home", [None, RUN])
@pytest.mark.parametrize("first", [RUN, "link"])
def test_a_run_keeps_its_games_however_its_path_is_typed(run_folders, first, home, monkeypatch):
    store = run_folders / "games.jsonl"
    played = games_of_run(store, first, home, 8)
    assert played > 0
    home = home and run_folders / home
    spellings = [f"{RUN}/", f"./{RUN}", str(run_folders / RUN), "link", "elsewhere/../runs/c4"]
    for typed in spellings:
        assert games_of_run(store, typed, home) == played, typed
    monkeypatch.chdir(RUN)
    assert games_of_run(store, ".", home) == played
    assert games_of_run(store, "../../old/c4", home) == 0, "another run of that last name"
    assert games_of_run(store, ".", home, weight=2.0) == 0, "other weights"


def test_a_runs_own_games_are_kept_when_it_is_moved_and_renamed(run_folders):
    store = run_folders / RUN / "ladder" / "games.jsonl"
    store.parent.mkdir()
    played = games_of_run(store, RUN, RUN, 8)
    (run_folders / RUN).rename(run_folders / "best")
    moved = run_folders / "best" / "ladder" / "games.jsonl"
    assert games_of_run(moved, "best", "best") == played > 0
    assert games_of_run(moved, str(run_folders / "best"), "best") == played


def test_two_spellings_of_one_run_are_not_two_players(run_folders):
    both = [checkpoints(RUN)[1], checkpoints("link")[1]]
    with pytest.raises(ValueError, match="all different"):
        ladder.Ladder(run_folders / "games.jsonl", "pile", PILE, both)


def test_the_games_that_are_drawn_do_not_depend_on_where_a_run_lies(run_folders, monkeypatch):
    seeds = []
    for typed, home in [(RUN, None), ("link", None), ("old/c4", None), (RUN, RUN)]:
        found = ladder.Ladder("new.jsonl", "pile", PILE, checkpoints(typed), home=home)
        seeds.append(found.begin(0, 1).seed)
    assert len(set(seeds[:3])) == 1
    own = ladder.Ladder("new.jsonl", "pile", PILE, checkpoints("old/c4"), home="old/c4")
    assert own.begin(0, 1).seed == seeds[3]
    own = ladder.Ladder("new.jsonl", "pile", PILE, checkpoints("old/c4"), home="old/c4")
    assert own.begin(1, 0).seed != seeds[3]


def test_players_that_play_no_more_still_tie_the_others_together(tmp_path, simulated):
    """Great is rated through good, who is gone; without good nothing ties it to the rest."""
    first = ladder.Ladder(tmp_path / "games.jsonl", "pile", PILE, PLAYERS)
    for pair in [(0, 1), (1, 2), (2, 3), (3, 4)] * 6:
        first.play(*pair)
    left = [PLAYERS[i] for i in (0, 1, 2, 4)]
    tied = ladder.Ladder(tmp_path / "games.jsonl", "pile", PILE, left, absent=["good"])
    assert tied.games == first.games
    ratings = tied.ratings()
    assert ratings.elo[3] == pytest.approx(STRENGTHS["great"], abs=250)
    assert ratings.elo[3] == pytest.approx(first.ratings().elo[4], abs=1)
    error = bradley_terry.difference_error(ratings, 3, 0)
    assert error == pytest.approx(ratings.error[3], rel=1e-6)
    alone = bradley_terry.intervals(ratings, tied.tally(), [3])
    assert alone[3] == pytest.approx(bradley_terry.intervals(ratings, tied.tally())[3])
    assert 4 not in tied.next_pairing(), "one that is gone was asked to play"
    for player in range(4):
        assert player in tied.next_pairing(player)


def test_the_command_counts_the_games_that_a_run_rated_itself_by(tiny_run, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    folder = RunFolder(run)
    config = folder.read_config()
    evaluation = dataclasses.replace(config.evaluation, ladder_games=8, simulations=0)
    config = dataclasses.replace(config, evaluation=evaluation)
    game = games.load(config.game)
    network = network_of(config, game)
    step = training.checkpoint_steps(run)[-1]
    averages = network.fold(load_weights(folder, step, network))
    told = []

    def rate():
        known = folder, config, game, network, averages, Progress(step=step)
        return training_ladder.rate(*known, games=8, tell=told.append).entry

    played = rate()["games"]
    assert played > 0
    shutil.move(run, tmp_path / "moved")
    words = [
        str(tmp_path / "moved"),
        "random",
        "--ladder",
        "--out",
        str(tmp_path / "moved" / "ladder"),
    ]
    options = ["--simulations", "0", "--minutes", "0", "--json"]
    assert (
        command.run(console.parse(command.Args, words + options, "arena", arena.defaults(words)))
        == 0
    )
    assert json.loads(capsys.readouterr().out)["games"] == played
    folder = RunFolder(tmp_path / "moved")
    store = tmp_path / "moved" / "ladder" / "games.jsonl"
    store.write_text("{damaged\n" + store.read_text())
    assert not told
    assert rate()["games"] >= played
    assert len(told) == 1
    assert "1 games of the ladder do not count" in told[0]
    assert f"{store}, line 1 is damaged" in told[0]
