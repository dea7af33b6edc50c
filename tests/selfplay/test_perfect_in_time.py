"""Perfect play along a game: late Connect Four against solved positions; it stops in time."""

import gzip
import itertools
import json
import random
import time

import jax
import numpy as np
import pytest

import games
from selfplay import positions
from selfplay.perfect import connect_four, in_time, mistakes
from selfplay.perfect import hex as perfect_hex
from selfplay.perfect.solver import ILLEGAL, TooLongError

C4 = games.load("connect_four")


def walk(game, moves):
    states = [positions.opening_position(game)]
    for action in moves:
        states.append(positions.step(game, states[-1], np.int32(action)))
    return [jax.tree.map(np.asarray, state) for state in states]


def solved_lines(least_plies):
    with gzip.open(mistakes.FILES["connect_four"], "rt") as file:
        lines = [json.loads(line) for line in file]
    late = [line for line in lines if len(line["moves"]) >= least_plies]
    return random.Random(0).sample(late, 150)


def test_late_positions_of_connect_four_have_the_outcomes_that_another_solver_found():
    """Those of the file were made by BitBully, which shares no code with ours."""
    for line in solved_lines(24):
        state = walk(C4, line["moves"])[-1]
        (row,) = in_time.outcomes_along(C4, [state], seconds=60.0)
        expected = [ILLEGAL if value is None else value for value in line["outcomes"]]
        assert row.tolist() == expected, line["moves"]


def test_winning_cells_are_those_that_a_loop_over_lines_finds():
    rng = random.Random(0)
    cells = [(col, row) for col in range(7) for row in range(6)]
    bit = {cell: 1 << connect_four.HEIGHT * cell[0] + cell[1] for cell in cells}
    directions = ((1, 0), (0, 1), (1, 1), (1, -1))
    fours = [
        [(col + k * right, row + k * up) for k in range(4)]
        for (col, row), (right, up) in itertools.product(cells, directions)
    ]
    lines = [line for line in fours if set(line) <= set(cells)]
    assert len(lines) == 69
    for _ in range(200):
        heights = [rng.randrange(7) for _ in range(7)]  # stones lie on each other
        stacked = [(col, row) for col in range(7) for row in range(heights[col])]
        own = {cell for cell in stacked if rng.random() < 0.6}
        other = set(stacked) - own
        expected = {
            cell
            for cell in set(cells) - own - other
            if any(cell in line and len(own & set(line)) == 3 for line in lines)
        }
        stones, taken = sum(map(bit.get, own)), sum(map(bit.get, own | other))
        found = connect_four.winning_cells(stones, taken)
        assert found == sum(map(bit.get, expected))


def test_it_gives_up_in_time_and_has_found_what_lies_at_the_end():
    line = next(line for line in solved_lines(30))
    states = walk(C4, line["moves"])
    began = time.monotonic()
    found = in_time.outcomes_along(C4, states, seconds=0.3)
    assert time.monotonic() - began < 5.0
    assert found[0] is None
    known = [row is not None for row in found]
    assert known == sorted(known)  # from some ply on
    assert known[-1]


@pytest.mark.parametrize("spec", ["hex:size=5", "hex:size=5,swap=false"])
def test_hex_gives_up_in_time_too(spec):
    game = games.load(spec)
    opening = positions.take(positions.opening_position(game), np.newaxis)
    opening = positions.step_all(game, opening, np.zeros(1, np.int32))  # a corner: a long proof
    began = time.monotonic()
    with pytest.raises(TooLongError):
        perfect_hex.outcomes(game, opening, time.monotonic() + 0.2)
    assert time.monotonic() - began < 5.0


def test_othello_and_games_that_nobody_has_solved():
    othello = games.load("othello:size=4")
    state, moves = positions.opening_position(othello), []
    while not state.terminated:
        moves.append(int(np.flatnonzero(state.legal_action_mask)[-1]))
        state = positions.step(othello, state, np.int32(moves[-1]))
    states = walk(othello, moves)
    found = in_time.outcomes_along(othello, states)
    assert found[-1] is None  # it is over
    result, seat = np.asarray(othello.returns(state)), int(states[-2].to_play)
    assert found[-2][moves[-1]] == result[seat]
    gomoku = games.load("gomoku:rows=5,cols=5,k=4")
    assert in_time.outcomes_along(gomoku, walk(gomoku, [0])) == [None, None]
