"""Hex against OpenSpiel, and its winners against a flood fill."""

import jax
import numpy as np
import pytest

from games import State, load
from tests.support.playouts import Reference, assert_agrees, assert_symmetric, openspiel, play

CASES = [(2, True), (3, False), (5, True), (7, True), (11, False)]


def connected(board: np.ndarray, seat: int) -> bool:
    """Whether `seat` joins its edges on a board of seats: a flood fill from the first edge."""
    size = len(board)
    line = 0 if seat == 0 else 1  # the coordinate that counts up towards the far edge
    owned = {cell for cell in np.ndindex(size, size) if board[cell] == seat}
    frontier = reached = {cell for cell in owned if cell[line] == 0}
    while frontier:
        around = {
            (row + down, col + right)
            for row, col in frontier
            for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, 1), (1, -1))
        }
        frontier = (around & owned) - reached
        reached = reached | frontier
    return any(cell[line] == size - 1 for cell in reached)


def any_action_that_does_not_win(reference: Reference, rng: np.random.Generator) -> int:
    actions = reference.legal_actions()
    quiet = [a for a in actions if not reference.child(a).is_terminal()]
    return int(rng.choice(quiet or actions))


@pytest.mark.parametrize(("size", "swap"), CASES)
def test_random_games_agree_with_openspiel(size: int, swap: bool) -> None:
    name = f"hex(board_size={size},swap={swap})"
    played = assert_agrees(load(f"hex:size={size},swap={swap}"), openspiel(name), 100)
    swaps = sum(size**2 in game.history()[:2] for game in played)
    assert swaps > 0 or not swap or size > 5, "no game with a swap"


@pytest.mark.slow
@pytest.mark.parametrize(("size", "swap"), [(4, True), (11, True), (13, False), (19, True)])
def test_thousands_of_random_games_agree_with_openspiel(size: int, swap: bool) -> None:
    name = f"hex(board_size={size},swap={swap})"
    assert_agrees(load(f"hex:size={size},swap={swap}"), openspiel(name), 1000, seed=1)


@pytest.mark.parametrize(("size", "swap"), [(3, False), (5, True)])
def test_long_games_with_winding_chains_agree_with_openspiel(size: int, swap: bool) -> None:
    name = f"hex(board_size={size},swap={swap})"
    game = load(f"hex:size={size},swap={swap}")
    played = assert_agrees(game, openspiel(name), 30, choose=any_action_that_does_not_win)
    boards = [[c for c in str(state) if c in "xo."] for state in played]
    assert any(board.count(".") == 0 for board in boards), "no full board"


@pytest.mark.parametrize("size", [1, 3, 8, 12])
def test_just_the_side_that_moved_last_is_connected_when_the_game_ends(size: int) -> None:
    game = load(f"hex:size={size}")
    rng = np.random.default_rng(size)
    step = jax.jit(game.step)
    for _ in range(10):
        state, seats = game.init(jax.random.key(0)), np.full((size, size), -1)
        for ply, cell in enumerate(rng.permutation(size**2)):
            seats.flat[cell] = ply % 2
            state = step(state, np.int32(cell))
            winners = [seat for seat in (0, 1) if connected(seats, seat)]
            assert bool(state.terminated) == bool(winners), game.render(state)
            if winners:
                assert winners == [ply % 2]
                assert game.returns(state)[ply % 2] == 1.0, game.render(state)
                break


def test_the_swap_mirrors_the_opening_and_is_only_the_second_players_first_move() -> None:
    game = load("hex:size=5,swap=true")
    assert not play(game, "").legal_action_mask[25]
    assert play(game, "b4").legal_action_mask[25]
    assert not play(game, "b4 c3").legal_action_mask[25]
    assert not play(game, "b4 c3 d5").legal_action_mask[25]
    swapped = play(game, "b4 swap")
    assert not swapped.legal_action_mask[25]
    assert swapped.to_play == 0
    seen = np.asarray(game.observe(swapped))
    assert np.argwhere(seen[..., 1]).tolist() == [[1, 3]]  # b4, row 3 of column 1, mirrored
    assert not seen[..., 0].any()
    assert seen[..., 2].all()
    # Seat 1 wins from left to right through the stone that it took over, on row 2.
    won = play(game, "b4 swap a1 a2 b1 b2 c1 c2 e1 e2")
    assert won.terminated
    assert game.returns(won).tolist() == [-1.0, 1.0]


def test_a_swapped_stone_on_the_long_diagonal_stays_where_it_is_and_changes_its_owner() -> None:
    game = load("hex:size=5,swap=true")
    before, after = (np.asarray(game.observe(play(game, m))) for m in ("c3", "c3 swap"))
    assert np.argwhere(before[..., 1]).tolist() == [[2, 2]]  # seat 1 looks at seat 0's stone
    assert np.argwhere(after[..., 1]).tolist() == [[2, 2]]  # seat 0 looks at seat 1's
    assert "c3" not in [game.action_to_string(None, a) for a in legal(play(game, "c3 swap"))]


def test_on_a_single_cell_the_opening_wins_before_anyone_can_swap() -> None:
    state = play(load("hex:size=1,swap=true"), "a1")
    assert state.terminated
    assert legal(state) == []


def legal(state: State) -> list[int]:
    actions: list[int] = np.flatnonzero(state.legal_action_mask).tolist()
    return actions


def test_a_stone_on_the_swapped_stones_old_cell_is_a_group_of_its_own() -> None:
    game = load("hex:size=5,swap=true")
    state = play(game, "b4 swap a1 b4")  # seat 1 has d2 and b4, which do not touch
    groups = np.asarray(state.groups).reshape(5, 5)
    assert groups[1, 3] != groups[3, 1]


def test_without_the_option_there_is_no_swap_action() -> None:
    assert load("hex:size=5").num_actions == 25
    assert play(load("hex:size=5"), "b4").legal_action_mask.shape == (25,)


@pytest.mark.parametrize("spec", ["hex:size=4", "hex:size=5,swap=true"])
def test_half_a_turn_is_a_symmetry(spec: str) -> None:
    assert len(load(spec).symmetries()) == 2
    assert_symmetric(load(spec))


def test_the_observation_is_the_movers_view_and_tells_their_edges() -> None:
    game = load("hex:size=3")
    seen = np.asarray(game.observe(play(game, "a2")))
    assert not seen[..., 0].any()
    assert np.argwhere(seen[..., 1]).tolist() == [[1, 0]]
    assert not seen[..., 2].any()
    assert np.asarray(game.observe(play(game, "a2 c3")))[..., 2].all()


def test_it_reads_and_writes_the_usual_notation() -> None:
    game = load("hex:size=3,swap=true")
    state = play(game, "c1 b2")
    assert game.render(state) == "1 . . X\n 2 . O .\n  3 . . .\n     a b c"
    assert [game.action_to_string(state, a) for a in (0, 5, 9)] == ["a1", "c2", "swap"]
    with pytest.raises(ValueError, match="no legal move 'c1'; legal: a1 b1 a2 c2 a3 b3 c3"):
        game.string_to_action(state, "c1")


@pytest.mark.parametrize("size", [0, 20])
def test_a_bad_size_is_refused_by_name_and_value(size: int) -> None:
    with pytest.raises(ValueError, match=f"size must be a whole number from 1 to 19, got {size}"):
        load(f"hex:size={size}")
