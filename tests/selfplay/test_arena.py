"""Matches: seats, turns, duplicates, refusals, against games played one by one in plain Python."""

import collections
import itertools

import jax.numpy as jnp
import numpy as np
import pytest

import games
from mcts import SearchConfig
from selfplay.arena import openings
from selfplay.arena.match import MAX_BATCH, _ply, play_blocks, play_match
from selfplay.players import FORFEIT, RESIGN, Player, random_player, uniform_player
from selfplay.randomness import MatchPurpose
from tests.support.pile_players import FIRST, PILE, SECOND, first_rule, result_of, second_rule
from tests.toys import double_move

TIC_TAC_TOE = games.load("tic_tac_toe")


def outside(player, choose, seen):
    """The same player outside the device; notes what it is asked."""

    def act(variables, states, key, history):
        seen.append((np.asarray(states.stones), np.asarray(states.to_play), history))
        pairs = zip(states.stones.tolist(), states.to_play.tolist(), strict=True)
        return result_of(np.array([choose(stones, seat) for stones, seat in pairs]))

    return Player(player.name, PILE, act, on_device=False)


def expected_games(openings, rules):
    """Plays each opening twice, the rules exchanging seats: moves and returns, in plain Python."""
    for opening in openings:
        for seats in (rules, rules[::-1]):

            def choose(stones, seat, moves, opening=opening, seats=seats):
                return (
                    opening[len(moves)] if len(moves) < len(opening) else seats[seat](stones, seat)
                )

            yield double_move.play(PILE.stones, choose)


@pytest.mark.parametrize("batch", [MAX_BATCH, 3])  # 9 or 3 at once: odd, on two devices
def test_games_are_those_of_plain_python_with_seats_exchanged_and_double_moves(batch):
    match = play_match(FIRST, SECOND, PILE, 18, seed=3, opening_plies=2, batch=batch)
    openings = [moves[:2] for moves in match.moves[::2]]
    expected = list(expected_games(openings, (first_rule, second_rule)))
    assert len(set(openings)) == match.distinct_openings
    for i, (moves, result) in enumerate(expected):
        assert list(match.moves[i]) == moves, i
        assert match.returns[i].tolist() == list(result), (i, moves)
        assert match.first_seat[i] == i % 2
    own = [result[i % 2] for i, (_, result) in enumerate(expected)]
    tally = collections.Counter(own)
    assert (match.wins, match.draws, match.losses) == (tally[1], tally[0], tally[-1])
    assert match.score == pytest.approx((tally[1] + tally[0] / 2) / 18)
    for seat in (0, 1):
        count = collections.Counter(own[seat::2])
        assert match.by_seat[seat] == (count[1], count[0], count[-1])


def test_a_player_outside_the_device_plays_alike_and_is_asked_its_own_live_games_only():
    seen, seen_second = [], []
    match = play_match(
        outside(FIRST, first_rule, seen),
        outside(SECOND, second_rule, seen_second),
        PILE,
        16,
        seed=3,
        opening_plies=2,
    )
    assert match.moves == play_match(FIRST, SECOND, PILE, 16, seed=3, opening_plies=2).moves
    asked = collections.Counter(
        tuple(row[row >= 0].tolist()) for _, _, history in seen for row in history
    )
    for stones, _, history in seen + seen_second:
        left = PILE.stones - np.where(history >= 0, history + 1, 0).sum(axis=1)
        assert (left == stones).all(), (history, stones)
        assert (stones > 0).all(), (history, stones)
    own_turns = collections.Counter()
    for i, moves in enumerate(match.moves):
        stones, seat = PILE.stones, 0
        for ply, action in enumerate(moves):
            if ply >= 2 and seat == i % 2:
                own_turns[moves[:ply]] += 1
            stones, seat = stones - action - 1, seat if action == 0 else 1 - seat
    assert asked == own_turns


def test_exchanged_players_get_mirrored_results():
    match = play_match(FIRST, SECOND, PILE, 16, seed=5)
    mirror = play_match(SECOND, FIRST, PILE, 16, seed=5)
    assert (match.wins, match.draws, match.losses) == (mirror.losses, mirror.draws, mirror.wins)
    assert match.score == 1 - mirror.score
    np.testing.assert_allclose(match.interval, 1 - np.array(mirror.interval)[::-1], atol=1e-9)
    assert match.elo == pytest.approx(-mirror.elo)


def test_identical_players_score_one_half_with_every_game_twice():
    match = play_match(FIRST, FIRST, PILE, 16, seed=1, opening_plies=2)
    assert match.score == 0.5
    assert match.elo == 0
    assert match.moves[::2] == match.moves[1::2]
    assert match.distinct_games == len(set(match.moves)) <= 8
    assert match.interval[0] < 0.5 < match.interval[1]


def test_repeated_pairs_do_not_narrow_the_interval():
    few, many = (play_match(FIRST, SECOND, PILE, n, opening_plies=0) for n in (2, 16))
    assert (few.distinct_games, many.distinct_games) == (2, 2)
    np.testing.assert_allclose(few.interval, many.interval, atol=1e-6)


def test_a_player_that_wins_in_one_beats_random_from_both_seats():
    player = uniform_player(TIC_TAC_TOE, SearchConfig(simulations=48))
    match = play_match(player, random_player(TIC_TAC_TOE), TIC_TAC_TOE, 64, opening_plies=1)
    assert match.interval[0] > 0.7, (match.by_seat, match.interval)
    assert min(wins for wins, _, _ in match.by_seat) > 18, match.by_seat
    assert match.elo_interval[0] > 100


def test_the_seed_fixes_the_games_of_random_players():
    player = random_player(TIC_TAC_TOE)
    first, again, other = (
        play_match(player, player, TIC_TAC_TOE, 64, seed, opening_plies=1).moves
        for seed in (1, 1, 2)
    )
    assert first == again != other
    assert first[::2] != first[1::2], "both seats drew the same random numbers"


def test_a_ply_is_compiled_once_in_a_match_and_progress_reaches_the_end():
    before, done = _ply._cache_size(), []
    game = double_move.Pile(stones=11)
    players = [Player(name, game, player.act) for name, player in (("a", FIRST), ("b", SECOND))]
    play_match(*players, game, 12, progress=done.append)
    assert _ply._cache_size() == before + 1
    assert done == sorted(done)
    assert done[-1] == 12


def test_an_illegal_action_is_refused_with_player_game_and_position():
    greedy = Player("greedy", PILE, lambda v, s, k: result_of(jnp.full(len(s.stones), 2)))
    with pytest.raises(ValueError, match=r"'greedy' chose action 2 in game \d+ at ply \d+"):
        play_match(FIRST, greedy, PILE, 8)


@pytest.mark.parametrize(
    ("first", "count", "wanted"),
    [
        (FIRST, 7, "even number of games"),
        (FIRST, 0, "even number of games"),
        (
            random_player(TIC_TAC_TOE),
            8,
            "'random' plays tic_tac_toe, .* of .*Pile:stones=12",
        ),
    ],
)
def test_a_match_refuses_odd_counts_and_players_of_another_game(first, count, wanted):
    with pytest.raises(ValueError, match=wanted):
        play_match(first, SECOND, PILE, count)


def test_blocks_are_played_alike_whatever_came_before_and_the_last_may_be_short():
    opened = openings.make_openings(PILE, 9, openings.purpose_key(3, MatchPurpose.OPENINGS), 2)
    before = _ply._cache_size()
    players = random_player(PILE), SECOND
    blocks = list(play_blocks(*players, PILE, opened, seed=3, block=8))
    assert [len(block) for block in blocks] == [8, 8, 2]
    assert _ply._cache_size() <= before + 1, "the short block was compiled apart"
    later = list(play_blocks(*players, PILE, opened, seed=3, block=8, done=8))
    assert later == blocks[1:]
    for i, game in enumerate(itertools.chain(*blocks)):
        assert game.moves[:2] == opened.moves[i // 2], i
        assert game.ended_by == ""


def test_a_player_that_resigns_or_fails_loses_that_game_only_and_is_reported():
    def act(variables, states, key, history):
        action = np.array(
            [first_rule(s, t) for s, t in zip(states.stones, states.to_play, strict=True)]
        )
        action[states.stones == 7] = RESIGN
        failed = np.flatnonzero(states.stones == 5)
        action[failed] = FORFEIT
        unsure.faults.extend(f"crashed before {history[i].max()}" for i in failed)
        return result_of(action)

    unsure = Player("unsure", PILE, act, on_device=False)
    match = play_match(unsure, SECOND, PILE, 18, seed=3, opening_plies=2)
    reasons = collections.Counter()
    for i, game in enumerate(match.played):
        stones, seat = PILE.stones, 0
        for action in game.moves:
            stones, seat = stones - action - 1, seat if action == 0 else 1 - seat
        own = i % 2
        if game.ended_by:
            assert (stones, seat) in ((7, own), (5, own)), (i, game)
            assert game.returns[own] == -1.0 == -game.returns[1 - own]
            fault = "" if stones == 7 else f"crashed before {max(game.moves)}"
            assert game[2:] == ("forfeit" if fault else "resignation", fault), (i, game)
            reasons[fault] += 1
        else:
            assert stones == 0, (i, game)
    assert match.resigned == (reasons.pop(""), 0)
    assert match.faults == (reasons, collections.Counter())
    assert reasons
