"""Blocks of a match that others play: late, lost, twice, and yet the match is the same."""

import json

import pytest

from scripts import arena as command
from scripts.terminal import console
from selfplay import tasks
from selfplay.arena import match, openings
from selfplay.arena.result import PlayedGame, match_records
from selfplay.players import random_player
from selfplay.tasks import Done, InOrder, Lost, TaskError
from tests.support.crews import Scripted
from tests.support.pile_players import PILE, SECOND

RANDOM = random_player(PILE)
GAMES, SEED = 44, 5


def elsewhere(crews, game=PILE, **options):
    """Returns what finds a scripted crew; the crews come into a list."""

    def find(first, second, order):
        opened = openings.repeat(game, order.moves, len(order.moves))

        def play(block):
            return match.play_block(first, second, game, opened, order, block)

        crews.append(Scripted(play, **options))
        return crews[-1]

    return find


@pytest.fixture(scope="module")
def opened():
    return openings.make_openings(PILE, GAMES // 2, openings.purpose_key(SEED, 0), 2)


@pytest.mark.parametrize("done", [0, 16])
@pytest.mark.parametrize("seed", range(4))
def test_blocks_played_elsewhere_are_those_played_here_in_their_order(opened, seed, done):
    given = (RANDOM, SECOND, PILE, opened, SEED, 8)
    here, there, crews = [], [], []
    plain = list(match.play_blocks(*given, progress=here.append, done=done))
    find = elsewhere(crews, seed=seed, losses=0.2, repeats=0.5)
    others = list(match.play_blocks(*given, progress=there.append, done=done, elsewhere=find))
    assert others == plain
    assert [len(block) for block in plain] == [8] * (5 - done // 8) + [4]
    crew = crews[0]
    assert crew.delivered != sorted(set(crew.delivered)), "the double brings all in order"
    assert there == sorted(there), "progress goes back"
    assert set(there) == {*range(done, GAMES, 8), GAMES}
    assert here[-1] == there[-1] == GAMES


def test_a_whole_match_elsewhere_has_the_same_result_and_records(opened):
    words = (RANDOM, SECOND, PILE, 20, SEED, 2)
    plain, crews = match.play_match(*words), []
    other = match.play_match(*words, elsewhere=elsewhere(crews, losses=0.3))
    assert other == plain
    assert match_records(other, "pile") == match_records(plain, "pile")
    assert crews


def crew_of(ending, size=2):
    """Returns a crew each of whose looks gives the next of some lists of events."""
    crew = Scripted(None, size=size)
    looks = iter(ending)
    crew.ended = lambda: next(looks)
    crew.free = lambda: size
    return crew


GAME = [PlayedGame((0,), (1.0, -1.0))]


def take(crew, count=9, end=9):
    """Returns the blocks that come, and the error that ends them."""
    taken = []
    try:
        for games in InOrder(crew, 0, end, "block").results(lambda turn: None):
            taken.append(games)
            if len(taken) == count:
                break
    except (TaskError, ValueError) as error:
        return taken, str(error)
    return taken, ""


def test_a_lost_block_is_played_three_times_again_and_then_named():
    died = Lost(0, "its process died")
    crew = Scripted(lambda block: GAME, losses=1.0, size=1)
    taken, said = take(crew)
    assert taken == []
    assert said == "block 0 was lost 4 times; the last time: out of memory"
    assert crew.begun.count(0) == 4
    assert take(crew_of([[died], [died], [died], [Done(0, GAME)]], 1), count=1) == ([GAME], "")


def test_a_block_that_is_there_is_not_played_again_whoever_is_lost():
    lost, first = Lost(0, "no route to host"), Done(0, GAME)
    for looks in ([[lost, first]], [[first], [lost], []], [[first, lost], []]):
        crew = crew_of([*looks, [Done(1, GAME)]], size=1)
        assert take(crew, end=2) == ([GAME, GAME], "")
        assert crew.begun.count(0) == 1, looks


def test_what_fails_counts_when_its_turn_comes_and_not_where_the_match_stops_before():
    def play(block):
        return [PlayedGame((block,), (0.0, 0.0))]

    crew = Scripted(play, size=4, failing=(3,))
    taken, said = take(crew)
    assert taken == [play(0), play(1), play(2)]
    assert said == "block 3 has an illegal action"
    taken, said = take(Scripted(play, size=4, failing=(3,)), count=3)
    assert (len(taken), said) == (3, "")


def test_no_more_is_begun_ahead_than_a_stop_may_throw_away():
    crew = crew_of([[Done(block, GAME)] for block in (1, 2, 3, 0)], size=2)
    take(crew, count=1, end=100)
    assert max(crew.begun) < tasks.AHEAD * 2


def run(capsys, *words):
    args = console.parse(command.Args, [str(word) for word in words], "arena")
    code = command.run(args)
    return code, capsys.readouterr().out


@pytest.mark.parametrize("seed", range(2))
def test_a_sequential_test_stops_at_the_same_game_with_the_same_files(
    capsys, tmp_path, monkeypatch, seed
):
    words = ("uniform:simulations=16", "random", "--game", "tic_tac_toe", "--opening-plies", 1)
    options = (*words, "--games", 400, "--block", 16, "--sprt", 0, 200, "--json")

    def outcome(name):
        folder, file = tmp_path / name, tmp_path / f"{name}.jsonl"
        code, out = run(capsys, *options, "--out", folder, "--records", file)
        return code, out, (folder / "games.jsonl").read_bytes(), file.read_bytes()

    plain, crews = outcome("here"), []
    blocks_here = match.play_blocks

    def played_elsewhere(first, second, game, *rest, **more):
        find = elsewhere(crews, game, seed=seed, losses=0.2, repeats=0.3)
        return blocks_here(first, second, game, *rest, **(more | {"elsewhere": find}))

    monkeypatch.setattr(match, "play_blocks", played_elsewhere)
    assert outcome("there") == plain
    stopped = json.loads(plain[1])["games"]
    assert 32 <= stopped < 400
    assert max(crews[0].begun) >= stopped // 16, "no block was begun beyond the stop"
