"""The solver on Hex and Breakthrough, against searches that share no code with it or the games."""

import numpy as np
import pyspiel
import pytest

import games
from selfplay import positions
from selfplay.perfect import solver
from tests.oracles.hex import winner

EMPTY = -1


def hex_outcome(board, cell, seat):
    """Result for `seat` of placing a stone, by plain search."""
    return 1 if winner((*board[:cell], seat, *board[cell + 1 :]), 3, 1 - seat) == seat else -1


@pytest.fixture(scope="module")
def hex3():
    return solver.solve(games.load("hex:size=3"), by_observation=True)


def test_hex_3x3_has_the_outcomes_of_negamax_in_every_position(hex3):
    signs = np.sign(hex3.states.groups)  # positive for seat 0
    boards = np.where(signs == 0, EMPTY, np.where(signs > 0, 0, 1))
    assert len({(tuple(b), int(s)) for b, s in zip(boards, hex3.states.to_play, strict=True)}) == (
        len(boards)
    )
    columns = map(tuple, boards.tolist()), hex3.states.to_play.tolist(), hex3.outcomes, hex3.plies
    for board, seat, found, ply in zip(*columns, strict=True):
        assert ply == sum(c != EMPTY for c in board), board
        for cell in range(9):
            expected = hex_outcome(board, cell, seat) if board[cell] == EMPTY else solver.ILLEGAL
            assert found[cell] == expected, (board, seat, cell)


def test_the_first_player_wins_hex_and_with_swap_the_second_does(hex3):
    assert hex3.outcomes[0].max() == 1
    assert hex3.outcomes[0].tolist().count(1) == 5  # hexwiki.net/index.php/Small_boards
    swapped = solver.solve(games.load("hex:size=3,swap=true"), by_observation=True)
    assert swapped.outcomes[0].max() == -1  # whatever is opened, it can be taken or answered
    after_a_winning_opening = swapped.plies == 1
    swap = swapped.outcomes[after_a_winning_opening, 9]
    np.testing.assert_array_equal(np.sort(swap), np.sort(hex3.outcomes[0]))


def openspiel_outcomes(state, known):
    """Fills `known[board, seat] = {move: outcome for the mover}` by negamax; returns the value."""
    seat = state.current_player()
    rows = str(state).splitlines()[:-1]  # a line number, then the pieces
    board = tuple({"b": 0, "w": 1, ".": EMPTY}[piece] for row in rows for piece in row[1:])
    if (board, seat) not in known:
        found = known[board, seat] = {}
        for action in state.legal_actions():
            child = state.child(action)
            move = state.action_to_string(action).rstrip("*")  # marks a capture
            ended = child.is_terminal()
            result = child.returns()[seat] if ended else -openspiel_outcomes(child, known)
            found[move] = int(result)
    return max(known[board, seat].values())


def test_breakthrough_4x3_has_the_outcomes_of_negamax_over_openspiel_in_every_position():
    game = games.load("breakthrough:rows=4,cols=3")
    expected = {}
    other = pyspiel.load_game("breakthrough(rows=4,columns=3)").new_initial_state()
    openspiel_outcomes(other, expected)
    solved = solver.solve(game, by_observation=True)
    for i, outcomes in enumerate(solved.outcomes):
        state = positions.take(solved.states, i)
        legal = np.flatnonzero(state.legal_action_mask).tolist()
        assert np.flatnonzero(outcomes != solver.ILLEGAL).tolist() == legal
        found = {game.action_to_string(state, a): int(outcomes[a]) for a in legal}
        board = tuple(state.board.tolist())
        assert found == expected.pop((board, int(state.to_play))), board
    assert not expected


def test_positions_kept_per_ply_are_solved_as_all_are(hex3):
    some = solver.solve(games.load("hex:size=3"), by_observation=True, keep_per_ply=20)
    assert np.bincount(some.plies).tolist() == [1, 9] + [20] * 7
    place = {row.tobytes(): i for i, row in enumerate(positions.fingerprints(hex3.states))}
    for row, outcomes in zip(positions.fingerprints(some.states), some.outcomes, strict=True):
        np.testing.assert_array_equal(outcomes, hex3.outcomes[place[row.tobytes()]])
