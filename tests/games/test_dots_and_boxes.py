"""Dots and Boxes against OpenSpiel, and moves that close several boxes."""

import numpy as np
import pytest

from games import load
from tests.support.playouts import Reference, assert_agrees, assert_symmetric, openspiel, play


def openspiel_name(rows: int, cols: int) -> str:
    return f"dots_and_boxes(num_rows={rows},num_cols={cols})"


def closes_boxes_when_it_can(reference: Reference, rng: np.random.Generator) -> int:
    actions = reference.legal_actions()
    mover = reference.current_player()
    closing = [a for a in actions if reference.child(a).current_player() == mover]
    return int(rng.choice(closing or actions))


@pytest.mark.parametrize(("rows", "cols"), [(5, 5), (2, 2), (2, 3), (1, 4), (1, 1)])
def test_random_games_agree_with_openspiel(rows: int, cols: int) -> None:
    game = load(f"dots_and_boxes:rows={rows},cols={cols}")
    played = assert_agrees(game, openspiel(openspiel_name(rows, cols)), 100)
    results = {state.returns()[0] for state in played}
    assert results == {(1, 1): {-1.0}, (2, 2): {-1.0, 0.0, 1.0}}.get((rows, cols), results)


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "cols"), [(1, 18), (18, 1), (18, 18)])
def test_the_largest_boards_agree_with_openspiel(rows: int, cols: int) -> None:
    game = load(f"dots_and_boxes:rows={rows},cols={cols}")
    assert_agrees(game, openspiel(openspiel_name(rows, cols)), 10)


def test_games_with_long_runs_of_closed_boxes_agree_with_openspiel() -> None:
    game = load("dots_and_boxes:rows=3,cols=4")
    assert_agrees(game, openspiel(openspiel_name(3, 4)), 50, choose=closes_boxes_when_it_can)


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "cols"), [(5, 5), (4, 3), (7, 2)])
def test_thousands_of_random_games_agree_with_openspiel(rows: int, cols: int) -> None:
    game = load(f"dots_and_boxes:rows={rows},cols={cols}")
    assert_agrees(game, openspiel(openspiel_name(rows, cols)), 2000, seed=1)


def test_the_player_who_closes_boxes_moves_on_and_the_last_edge_may_close_two() -> None:
    game = load("dots_and_boxes:rows=1,cols=3")
    # All but the four edges that stand upright, then three of these in a row by the same player.
    state = play(game, "a1b1 b1c1 c1d1 a2b2 b2c2 c2d2")
    assert state.to_play == 0
    state = play(game, "a1b1 b1c1 c1d1 a2b2 b2c2 c2d2 a1a2")
    assert state.to_play == 1
    assert np.asarray(state.boxes).tolist() == [[-1, -1, -1]]
    state = play(game, "a1b1 b1c1 c1d1 a2b2 b2c2 c2d2 a1a2 b1b2")  # one box
    assert state.to_play == 1
    assert np.asarray(state.boxes).tolist() == [[1, -1, -1]]
    assert game.returns(state).tolist() == [0.0, 0.0]
    one_by_one = play(game, "a1b1 b1c1 c1d1 a2b2 b2c2 c2d2 a1a2 b1b2 c1c2 d1d2")
    two_at_last = play(game, "a1b1 b1c1 c1d1 a2b2 b2c2 c2d2 a1a2 b1b2 d1d2 c1c2")
    for state, owners in ((one_by_one, [1, 1, 1]), (two_at_last, [1, 0, 0])):
        assert state.terminated
        assert np.asarray(state.boxes).tolist() == [owners]
        seat = max(set(owners), key=owners.count)
        assert game.returns(state)[seat] == 1.0
        assert state.to_play == seat


def test_one_edge_closes_two_boxes_in_mid_game() -> None:
    game = load("dots_and_boxes:rows=2,cols=2")
    state = play(game, "a1b1 b1c1 a2b2 b2c2 a1a2 c1c2 b1b2")
    assert np.asarray(state.boxes).tolist() == [[0, 0], [-1, -1]]
    assert state.to_play == 0
    assert not state.terminated


@pytest.mark.parametrize(("rows", "cols", "count"), [(3, 3, 8), (2, 3, 4)])
def test_the_symmetries_of_its_board_hold(rows: int, cols: int, count: int) -> None:
    game = load(f"dots_and_boxes:rows={rows},cols={cols}")
    assert len(game.symmetries()) == count
    assert_symmetric(game)


def test_the_observation_lays_boxes_and_edges_on_a_lattice_as_the_mover_sees_it() -> None:
    game = load("dots_and_boxes:rows=1,cols=2")
    state = play(game, "b1c1 a1b1 a2b2 a1a2 b1b2")  # seat 0 closes the left box
    own, other, drawn, open_ = np.moveaxis(np.asarray(game.observe(state)), -1, 0)
    assert state.to_play == 0
    assert np.argwhere(own).tolist() == [[1, 1]]
    assert not other.any()
    assert np.argwhere(drawn).tolist() == [[0, 1], [0, 3], [1, 0], [1, 2], [2, 1]]
    assert np.argwhere(open_).tolist() == [[1, 4], [2, 3]]
    assert game.render(state) == " 1 +---+---+\n   | X |\n 2 +---+   +\n   a   b   c"


def test_edges_are_named_by_their_dots() -> None:
    game = load("dots_and_boxes:rows=1,cols=2")
    state = play(game, "b1c1")
    names = [game.action_to_string(state, action) for action in range(game.num_actions)]
    assert names == ["a1b1", "b1c1", "a2b2", "b2c2", "a1a2", "b1b2", "c1c2"]
    with pytest.raises(ValueError, match="no legal move 'b1c1'; legal: a1b1 a2b2 b2c2"):
        game.string_to_action(state, "b1c1")


@pytest.mark.parametrize("options", ["rows=0", "cols=19"])
def test_a_bad_option_is_refused_by_name_and_value(options: str) -> None:
    name, value = options.split("=")
    with pytest.raises(ValueError, match=f"{name} must be .* from 1 to 18, got {value}"):
        load(f"dots_and_boxes:{options}")
