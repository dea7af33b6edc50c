"""Perfect play in Hex against plain-Python search, published openings, and what proofs claim."""

import random

import jax
import numpy as np
import pytest

import games
from selfplay import positions
from selfplay.arena import play_match
from selfplay.perfect import hex as perfect_hex
from selfplay.perfect import mistakes, solver
from selfplay.perfect.player import perfect_player
from selfplay.player_spec import parse_player
from selfplay.players import random_player
from tests.oracles.hex import joins, winner


def random_boards(size, plies, count, seed=0):
    """Yields unfinished boards after so many random moves, and who is to play."""
    rng = random.Random(seed)
    for number in range(count):
        ply = plies[number % len(plies)]
        board = [-1] * size**2
        for i, cell in enumerate(rng.sample(range(size**2), ply)):
            board[cell] = i % 2
        if not joins(board, size, 0) and not joins(board, size, 1):
            yield tuple(board), ply % 2


def bits(board, seat):
    return sum(1 << i for i, owner in enumerate(board) if owner == seat)


@pytest.mark.parametrize("spec", ["hex:size=3", "hex:size=3,swap=true"])
def test_every_live_position_of_3x3_has_the_outcomes_of_the_exhaustive_solver(spec):
    game = games.load(spec)
    solved = solver.solve(game, by_observation=True)
    ours = perfect_hex.outcomes(game, solved.states)
    np.testing.assert_array_equal(ours, solved.outcomes)


@pytest.mark.parametrize(("size", "plies"), [(4, range(8, 13)), (5, range(17, 20))])
def test_positions_of_4x4_and_5x5_have_the_winner_of_plain_search(size, plies):
    ours = perfect_hex.Solver(size)
    seen = set()
    for board, seat in random_boards(size, plies, 60):
        stones = bits(board, 0), bits(board, 1)
        expected = winner(board, size, seat)
        assert ours.prove(stones, seat).winner == expected, (board, seat)
        won = [cell for cell, value in enumerate(ours.outcomes(stones, seat)) if value == 1]
        assert won == [
            cell
            for cell in range(size**2)
            if board[cell] == -1
            and winner((*board[:cell], seat, *board[cell + 1 :]), size, 1 - seat) == seat
        ], (board, seat)
        seen.add((seat, expected))
    assert len(seen) == 4


def test_a_winner_needs_no_more_than_the_proof_says():
    ours = perfect_hex.Solver(4)
    for board, seat in random_boards(4, range(7, 12), 40, seed=1):
        proof = ours.prove((bits(board, 0), bits(board, 1)), seat)
        least = tuple(
            -1
            if proof.carrier >> cell & 1
            else 1 - proof.winner
            if board[cell] == -1
            else board[cell]
            for cell in range(16)
        )
        assert proof.carrier & ~bits(board, -1) == 0, (board, seat)
        assert not joins(least, 4, 1 - proof.winner), (board, seat)
        assert winner(least, 4, seat) == proof.winner, (board, seat)


def test_the_first_player_wins_from_the_empty_board_and_with_the_published_openings():
    # https://github.com/cgao3/benzene-vanilla-cmake, share/swap-moves.txt, which is mirrored: its
    # 3x3 has b1 c1 b2 a3 b3.
    winning = {2: "b1 a2", 3: "c1 a2 b2 c2 a3", 4: "d1 c2 b3 a4"}
    for size, names in winning.items():
        game = games.load(f"hex:size={size}")
        state = positions.opening_position(game)
        row = perfect_hex.outcomes(game, positions.take(state, np.newaxis))[0]
        won = [game.action_to_string(state, int(a)) for a in np.flatnonzero(row == 1)]
        assert won == names.split(), size
    assert perfect_hex.Solver(5).prove((0, 0), 0).winner == 0


def test_the_perfect_player_draws_among_the_moves_that_keep_the_result():
    game = games.load("hex:size=3")
    player = perfect_player(game)
    states = positions.replay(game, [[]] * 400 + [[0]] * 400 + [[4]] * 400).states
    result = player(states, jax.random.key(1))
    chosen = np.asarray(result.action).reshape(3, 400)
    for actions, best in zip(chosen, ([2, 3, 4, 5, 6], [4], [0, 1, 2, 3, 5, 6, 7, 8]), strict=True):
        counts = np.bincount(actions, minlength=9)  # the last position is lost: all legal moves
        assert np.flatnonzero(counts).tolist() == best
        assert counts[best].max() < 2 * counts[best].min()


def test_the_perfect_player_never_loses_a_won_game_or_a_drawn_one():
    for spec in ("hex:size=3", "tic_tac_toe"):
        game = games.load(spec)
        result = play_match(perfect_player(game), random_player(game), game, 60, opening_plies=0)
        assert result.by_seat[0][2] == 0
        assert spec != "tic_tac_toe" or result.losses == 0
    with pytest.raises(ValueError, match="known for tic_tac_toe and hex up to size=5, not for go"):
        parse_player("perfect", games.load("go"), 1, None)
    named = parse_player("perfect", games.load("hex:size=3"), 1, None)
    assert (named.name, named.on_device) == ("perfect", False)


def test_the_shipped_positions_are_distinct_and_the_late_ones_have_the_outcomes_of_plain_search():
    states, outcomes, plies = mistakes.load_positions("hex:size=5")["random"]
    assert len(np.unique(positions.fingerprints(states))) == len(outcomes) == 50 * len(set(plies))
    late = np.flatnonzero(plies >= 17)
    for row in late[:60]:
        owners = np.select([states.groups[row] > 0, states.groups[row] < 0], [0, 1], -1)
        board, seat = tuple(owners.tolist()), int(states.to_play[row])
        for cell in np.flatnonzero(outcomes[row] != solver.ILLEGAL).tolist():
            after = (*board[:cell], seat, *board[cell + 1 :])
            won = winner(after, 5, 1 - seat) == seat
            assert outcomes[row, cell] == 2 * won - 1, (board, cell)
