"""Rounds of a ladder that others play: late, lost, twice, and the ratings are as good as ours."""

import json

import numpy as np
import pytest

from scripts import arena_ladder as command
from scripts.flags import arena
from scripts.terminal import console
from selfplay.arena import ladder
from selfplay.arena.rounds import play_rounds
from selfplay.players import random_player
from selfplay.rating import bradley_terry
from selfplay.tasks import AHEAD, TaskError
from tests.support.crews import Scripted
from tests.support.pile_players import FIRST, PILE, SECOND
from tests.support.ratings import PLAYERS, STRENGTHS, drawn_match, outcome


@pytest.fixture(autouse=True)
def simulated(monkeypatch):
    """Matches of players of known strength are drawn; the others' are played."""
    play_match = ladder.play_match

    def drawn(first, second, game, games, seed, opening_plies):
        if first.name not in STRENGTHS or first.act:
            return play_match(first, second, game, games, seed, opening_plies)
        return drawn_match(first, second, games, seed)

    monkeypatch.setattr(ladder, "play_match", drawn)


def make(folder, players=PLAYERS, seed=0):
    folder.mkdir(exist_ok=True)
    return ladder.Ladder(folder / "games.jsonl", "pile", PILE, players, seed)


def elsewhere(found, crews, **options):
    """Returns what finds a scripted crew that plays the rounds of a ladder."""

    def find(round_of):
        crews.append(Scripted(lambda task: found.result_of(round_of(task)), **options))
        return crews[-1]

    return find


def climb(found, rounds, crews=None, **options):
    """Plays so many rounds, here or, with a list that takes the crew, elsewhere."""
    begun = []

    def begin():
        pairing = found.next_pairing() if len(begun) < rounds else None
        if pairing:
            begun.append(found.begin(*pairing))
        return begun[-1] if pairing else None

    find = None if crews is None else elsewhere(found, crews, **options)
    assert list(play_rounds(found, begin, elsewhere=find)) == begun
    assert found.under_way == []
    return begun


def test_one_worker_that_has_one_round_plays_the_ladder_of_no_worker(tmp_path, monkeypatch):
    monkeypatch.setattr("selfplay.arena.rounds.AHEAD", 1)
    here, there = make(tmp_path / "here"), make(tmp_path / "there")
    assert climb(here, 12) == climb(there, 12, [], size=1)
    assert here.store.read_bytes() == there.store.read_bytes()


@pytest.mark.parametrize("seed", range(3))
def test_the_store_does_not_depend_on_who_is_slow_or_lost_or_comes_twice(tmp_path, seed):
    quick, crews = make(tmp_path / "quick"), []
    begun = climb(quick, 30, [])
    slow = make(tmp_path / "slow")
    assert climb(slow, 30, crews, seed=seed, losses=0.2, repeats=0.5) == begun
    assert slow.store.read_bytes() == quick.store.read_bytes()
    assert crews[0].delivered != sorted(set(crews[0].delivered)), "the double brings all in order"
    assert quick.games == 30 * ladder.ROUND
    assert len({one.seed for one in begun}) == 30


def test_ratings_of_known_strengths_are_as_sure_as_those_of_one_process(tmp_path):
    errors = []
    for name, crews in (("here", None), ("there", [])):
        found = make(tmp_path / name)
        begun = climb(found, 60, crews, **({} if crews is None else {"size": 8}))
        ratings = found.ratings()
        intervals = bradley_terry.intervals(ratings, found.tally())
        errors.append((ratings.error**2).sum())
        for i, strength in enumerate(STRENGTHS.values()):
            # A little wider than 95%: eight intervals are to hold at once.
            wide = intervals[i] + (intervals[i] - ratings.elo[i]) * 0.4
            assert wide[0] <= strength <= wide[1], (name, i, strength, intervals[i])
    assert errors[1] < 1.1 * errors[0], errors
    first = begun[: AHEAD * 8]
    most = max(sum(other[:2] == one[:2] for other in first) for one in first)
    assert most <= 4, "the first rounds ask the same question again and again"


def test_rounds_under_way_count_but_for_their_results_as_in_a_whole_fit(tmp_path):
    """Of ratings known well, more games of a pairing reduce the variance as `expecting` says."""
    found = make(tmp_path)
    climb(found, 80)
    ratings, tally = found.ratings(), found.tally()
    expected = bradley_terry.expecting(ratings, 3, 4, 1600)
    chances = [outcome(450, 900, 40, 0.5), outcome(900, 450, 40, 0.5)]
    more = bradley_terry.Tally(
        np.append(tally.first, [3, 4]),
        np.append(tally.second, [4, 3]),
        np.append(tally.counts, 800 * np.array(chances), axis=0),
    )
    fitted = bradley_terry.fit(5, more, found.anchor)
    before, after, told = (
        bradley_terry.difference_error(of, 3, 4) for of in (ratings, fitted, expected)
    )
    assert told == pytest.approx(after, rel=0.1)
    assert told < 0.7 * before
    np.testing.assert_array_equal(expected.elo, ratings.elo)


def test_two_rounds_of_one_pairing_at_once_are_not_the_same_games(tmp_path):
    found = make(tmp_path, [random_player(PILE), SECOND])
    begun = climb(found, 6, [], size=3)
    assert {one[:2] for one in begun} == {(0, 1)}
    assert len({one.seed for one in begun}) == 6
    again = make(tmp_path, [random_player(PILE), SECOND]).begin(0, 1)
    assert again.seed not in {one.seed for one in begun[:2]}


def test_players_that_repeat_their_games_are_left_alone_as_without_workers(tmp_path):
    found = make(tmp_path, [FIRST, SECOND])
    found.opening_plies = 0
    begun = climb(found, 50, [], size=2)
    assert found.games == 2
    assert len(begun) <= 1 + 2 * AHEAD


def test_a_round_that_is_lost_too_often_ends_the_ladder_and_what_was_counted_stays(tmp_path):
    found, crews = make(tmp_path), []
    with pytest.raises(TaskError, match="round 0 was lost 4 times"):
        climb(found, 20, crews, losses=1.0)
    assert found.games == 0
    with pytest.raises(ValueError, match="block 5 has an illegal action"):
        climb(found, 20, crews, failing=(5,))
    assert make(tmp_path).games == 5 * ladder.ROUND


@pytest.mark.slow
def test_the_command_plays_as_many_games_with_workers_as_without(tmp_path, monkeypatch, capsys):
    words = ("uniform:simulations=2", "random", "--ladder", "--game", "tic_tac_toe")
    words += ("--games", "100", "--json", "--out", str(tmp_path))
    args = console.parse(command.Args, words, "arena", arena.defaults(words))
    crews, rounds_here = [], command.play_rounds

    def rounds_elsewhere(found, begin, waiting, _):
        find = elsewhere(found, crews, losses=0.2)
        return rounds_here(found, begin, waiting, find)

    monkeypatch.setattr(command, "play_rounds", rounds_elsewhere)
    assert command.run(args) == 0
    lines = (tmp_path / "games.jsonl").read_text().splitlines()
    assert len(lines) == 100, "rounds of 32 and one cut short"
    assert json.loads(capsys.readouterr().out)["games"] <= 100
    assert crews[0].begun
