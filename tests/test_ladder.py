"""Ladders: what counts, who plays next, and ratings of players of known strength."""

import json

import numpy as np
import pytest

from scripts import console
from scripts import ladder as command
from selfplay.arena import ladder
from selfplay.arena.result import PlayedGame, result_of
from selfplay.players import FORFEIT, Player, random_player
from selfplay.rating import bradley_terry
from tests import double_move
from tests.test_bradley_terry import outcome

PILE = double_move.Pile(stones=12)
STRENGTHS = {"random": 0, "weak": 150, "fair": 300, "good": 450, "great": 900}
PLAYERS = [Player(name, PILE, None) for name in STRENGTHS]


@pytest.fixture
def simulated(monkeypatch):
    """Matches are drawn from the strengths; notes who played."""
    played = []

    def play_match(first, second, game, games, seed, opening_plies):
        rng = np.random.default_rng(seed)
        played.append((first.name, second.name))
        results = []
        for number in range(games):
            seats = (first, second) if number % 2 == 0 else (second, first)
            chances = outcome(*(STRENGTHS[player.name] for player in seats), 40, 0.5)
            value = 1.0 - rng.choice(3, p=chances)
            moves = tuple(rng.integers(0, 1000, 5).tolist())
            results.append(PlayedGame(moves, (value, -value)))
        return result_of((first.name, second.name), results, games // 2)

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


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"game": "pile"}', b"\xff", b"[" * 50_000])
def test_a_damaged_store_is_named_with_its_line(tmp_path, line):
    (tmp_path / "games.jsonl").write_bytes(line + b"\n")
    with pytest.raises(
        ValueError, match=r"games.jsonl is damaged: .*; remove the line that begins"
    ):
        ladder.Ladder(tmp_path / "games.jsonl", "pile", PILE, PLAYERS, 0)


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
    assert f"bad lost {times} games by a fault: it hung" in capsys.readouterr().out


def test_an_odd_number_of_games_is_refused_before_anything_is_made(tmp_path):
    args = command.Args(("random", "uniform"), game="tic_tac_toe", games=61, store=str(tmp_path))
    with pytest.raises(ValueError, match=r"--games must be even, .* got 61"):
        command.run(args)
    assert not list(tmp_path.iterdir())


def test_the_command_rates_checkpoints_prints_and_plots(tiny_run, tmp_path, capsys):
    words = [str(tiny_run), "random", "--store", str(tmp_path / "store"), "--minutes", "0"]
    options = ["--simulations", "0", "1", "--games", "40", "--json"]
    args = console.parse(command.Args, words + options, "ladder")
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
    assert len(lines) == 40, "a round of 32 and one cut short"
    args = console.parse(command.Args, [*words, "--simulations", "0", "1"], "ladder")
    assert command.run(args) == 0
    assert f"{found['games']} distinct games; Elo above random" in capsys.readouterr().out
