"""Games looked at again: planted mistakes are found, values have their seat, proofs decide."""

import jax
import numpy as np
import pytest

import games
from mcts import SearchConfig, SearchResult
from selfplay import positions
from selfplay.perfect.in_time import outcomes_along
from selfplay.perfect.player import perfect_player
from selfplay.players import Player, random_player, uniform_player
from selfplay.review import BLUNDER, MISTAKE, Exact, review
from tests.oracles.lines import EMPTY, negamax, place
from tests.toys.double_move import Pile

TTT = games.load("tic_tac_toe")
PILE = Pile(7)
MISSED = [4, 0, 8, 2, 6, 1]  # seat 0 does not stop the upper row by cell 1; seat 1 completes it


def walk(game, moves):
    states = [positions.opening_position(game)]
    for action in moves:
        states.append(positions.step(game, states[-1], np.int32(action)))
    return [jax.tree.map(np.asarray, state) for state in states]


def reviewed(player, moves, exact=True):
    states = walk(player.game, moves)
    outcomes = outcomes_along(player.game, states) if exact else [None] * len(states)
    return list(review(player, player.game, states, moves, outcomes, jax.random.key(0)))


def exact_by_plain_python(moves):
    board, found = (EMPTY,) * 9, []
    for ply, action in enumerate(moves):
        seat = ply % 2
        free = [cell for cell in range(9) if board[cell] == EMPTY]
        value = {cell: -negamax(place(board, cell, seat), 1 - seat) for cell in free}
        found.append(Exact(max(value.values()), value[action]))
        board = place(board, action, seat)
    return found


@pytest.mark.parametrize("moves", [MISSED, [0, 1, 2, 3, 4], [0, 4, 8, 2, 6, 3, 7], [4]])
def test_perfect_play_says_of_each_move_what_negamax_says(moves):
    plies = reviewed(random_player(TTT), moves)
    expected = exact_by_plain_python(moves)
    assert [one.exact for one in plies] == [*expected, None]
    lost = [exact.played < exact.best for exact in expected]
    assert [one.mistake is not None for one in plies] == [*lost, False]


def test_a_planted_blunder_is_found_by_search_alone_and_nothing_in_perfect_play():
    searching = uniform_player(TTT, SearchConfig(simulations=64))
    plies = reviewed(searching, MISSED, exact=False)
    worst = max(plies[:-1], key=lambda one: one.regret)
    assert (worst.ply, worst.played) == (4, 6)
    assert worst.regret >= BLUNDER
    assert worst.mistake == "blunder"

    best, state = [], positions.opening_position(TTT)
    while not state.terminated:
        batch = jax.tree.map(lambda leaf: np.asarray(leaf)[None], state)
        best.append(int(perfect_player(TTT)(batch, jax.random.key(len(best))).action[0]))
        state = positions.step(TTT, state, np.int32(best[-1]))
    plies = reviewed(searching, best)
    assert [one.mistake for one in plies] == [None] * len(plies)


def test_values_are_those_of_seat_0_and_the_last_one_is_the_result():
    plies = reviewed(perfect_player(TTT), MISSED)
    # After 4 0 8 2 seat 0 holds a draw by 1, and lets seat 1 win by 6.
    assert [one.value for one in plies[4:]] == [0.0, -1.0, -1.0]
    assert [one.to_play for one in plies[:6]] == [0, 1, 0, 1, 0, 1]
    assert plies[-1][4:] == (None, None, None, None, None, False, None)


def test_what_perfect_play_makes_of_a_position_is_for_seat_0():
    plies = reviewed(random_player(TTT), MISSED[:-1])
    assert [one.certain for one in plies] == [0, 0, 0, 0, 0, -1]  # the last one has no move


def test_a_move_into_a_certain_win_is_no_mistake_though_its_own_position_is_not_known():
    states = walk(TTT, MISSED)
    outcomes = outcomes_along(TTT, states)
    outcomes[:5] = [None] * 5
    states, moves = states[:6], MISSED[:5]  # 6 lets seat 1 win
    plies = list(review(random_player(TTT), TTT, states, moves, outcomes, jax.random.key(0)))
    assert (plies[4].exact, plies[4].certain) == (None, None)
    moves = [4, 1, 8, 0, 2]  # a move of seat 0 that wins, by two threats
    states = walk(TTT, moves)
    outcomes = [*[None] * 5, outcomes_along(TTT, states)[5]]
    plies = list(review(random_player(TTT), TTT, states, moves, outcomes, jax.random.key(0)))
    assert [one.exact for one in plies] == [None] * 4 + [Exact(1, 1), None]
    assert [one.certain for one in plies] == [None] * 4 + [1, 1]


def test_a_move_that_the_search_disowns_and_perfect_play_does_not_is_excused():
    def act(variables, states, key, history):
        legal = np.asarray(states.legal_action_mask)
        blank, empty = np.zeros(legal.shape, np.float32), int((~legal).sum())
        value = np.array([0.9 if empty % 2 == 0 else 0.0], np.float32)  # hopeful when it begins
        best = np.array([legal[0].nonzero()[0][-1]], np.int32)
        return SearchResult(best, blank, blank.astype(int), value, blank, blank, value)

    hopeful = Player("hopeful", TTT, act, on_device=False)
    first = reviewed(hopeful, [4])[0]
    assert (first.mistake, first.excused, first.exact) == (None, True, Exact(0, 0))
    first = reviewed(hopeful, [4], exact=False)[0]
    assert (first.mistake, first.excused, first.certain) == ("blunder", False, None)
    assert not any(one.excused for one in reviewed(perfect_player(TTT), MISSED))


def fixed_values(values):
    """A player that says given values of positions by the number of stones left, for the mover."""

    def act(variables, states, key, history):
        stones = int(states.stones[0])
        legal = np.asarray(states.legal_action_mask)
        value = np.array([values[stones]], np.float32)
        blank = np.zeros(legal.shape, np.float32)
        weights = legal / legal.sum(axis=1, keepdims=True)
        action = legal.argmax(axis=1).astype(np.int32)
        return SearchResult(action, weights, blank.astype(int), value, blank, weights, value)

    return Player("fixed", PILE, act, on_device=False)


def test_a_turn_that_does_not_pass_changes_no_sign():
    # Action 0 takes one stone, and the same seat moves again; action 1 takes two.
    values = {7: 0.5, 6: 0.25, 5: 0.3, 4: 0.0, 3: -0.4, 2: 0.1, 1: 0.9}
    moves = [1, 0, 1]  # 7 stones, seat 0; 5, seat 1; 4, seat 1 again; 2, seat 0
    plies = reviewed(fixed_values(values), moves, exact=False)
    assert [one.to_play for one in plies] == [0, 1, 1, 0]
    assert [one.value for one in plies] == pytest.approx([0.5, -0.3, 0.0, 0.1])
    # Not the player's move, and no search: the value of the position minus that of the next one.
    assert plies[0].regret == pytest.approx(0.5 + 0.3)
    assert plies[1].regret == 0.0  # the player's own move
    assert plies[2].regret == pytest.approx(0.0 + 0.1)
    assert [one.mistake for one in plies] == ["blunder", None, None, None]
    assert plies[2].regret < MISTAKE


def test_a_player_that_gives_up_has_no_best_move_and_the_review_goes_on():
    def act(variables, states, key, history):
        legal = np.asarray(states.legal_action_mask)
        blank, value = np.zeros(legal.shape, np.float32), np.zeros(1, np.float32)
        action = np.array([-1], np.int32)
        return SearchResult(action, blank, blank.astype(int), value, blank, blank, value)

    plies = reviewed(Player("quitter", TTT, act, on_device=False), MISSED, exact=False)
    assert [one.best for one in plies] == [None] * 7
    assert [one.regret for one in plies[:5]] == [0.0] * 5
    assert plies[5].regret == 0.0  # it wins: better than what the player held for best
