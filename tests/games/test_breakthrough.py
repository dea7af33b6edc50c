"""Breakthrough against OpenSpiel, and its two ways to win."""

import numpy as np
import pytest

from games import load
from tests.support.playouts import Reference, assert_agrees, assert_symmetric, openspiel, play


def to_ours(reference: Reference, action: int) -> int:
    """OpenSpiel counts cell * 12 + direction * 2 + capture, three directions down, three up."""
    cell, direction = action // 12, action // 2 % 6
    down = reference.current_player() == 0
    right = direction % 3 - 1  # columns to the right as the board is drawn
    return cell * 3 + 1 + (-right if down else right)


def captures_first(reference: Reference, rng: np.random.Generator) -> int:
    actions = reference.legal_actions()
    captures = [action for action in actions if action % 2]
    return int(rng.choice(captures or actions))


def openspiel_name(rows: int, cols: int) -> str:
    return f"breakthrough(rows={rows},columns={cols})"


BOARDS = [(8, 8), (6, 5), (5, 7), (3, 2), (2, 3)]
EXTREMES = [(2, 2), (2, 19), (19, 2), (19, 19)]


@pytest.mark.parametrize(("rows", "cols"), BOARDS)
def test_random_games_agree_with_openspiel(rows: int, cols: int) -> None:
    game = load(f"breakthrough:rows={rows},cols={cols}")
    assert_agrees(game, openspiel(openspiel_name(rows, cols)), 100, to_ours)


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "cols"), EXTREMES)
def test_the_smallest_and_largest_boards_agree_with_openspiel(rows: int, cols: int) -> None:
    game = load(f"breakthrough:rows={rows},cols={cols}")
    assert_agrees(game, openspiel(openspiel_name(rows, cols)), 10, to_ours)


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "cols"), [(8, 8), (7, 6)])
def test_thousands_of_random_games_agree_with_openspiel(rows: int, cols: int) -> None:
    game = load(f"breakthrough:rows={rows},cols={cols}")
    assert_agrees(game, openspiel(openspiel_name(rows, cols)), 2000, to_ours, seed=1)


def test_games_full_of_captures_agree_with_openspiel_to_the_last_piece() -> None:
    game = load("breakthrough:rows=6,cols=2")
    start = openspiel(openspiel_name(6, 2))
    played = assert_agrees(game, start, 100, to_ours, captures_first)
    boards = ["".join(str(state).splitlines()[:6]) for state in played]
    assert any("w" not in board or "b" not in board for board in boards), "none captured all"


def test_capturing_the_last_piece_wins_away_from_the_far_row() -> None:
    game = load("breakthrough:rows=6,cols=2")
    before = "b5b4 b2b3 a6b5 a1b2 b4a3 b2a3 b5b4 a3b4 a5b4 a2a3 b4a3 b3b4 a3a2 b1a2 b6a5"
    assert not play(game, before).terminated
    state = play(game, before + " b4a5")
    assert game.render(state).count("X") == 0
    assert game.returns(state).tolist() == [-1.0, 1.0]
    assert not state.legal_action_mask.any()


def test_a_straight_move_never_captures() -> None:
    game = load("breakthrough:rows=4,cols=3")
    state = play(game, "b4b3 b1b2")  # face to face
    with pytest.raises(ValueError, match=r"no legal move 'b3b2'; legal: .*b3c2 b3a2"):
        game.string_to_action(state, "b3b2")


def test_left_is_the_movers_left() -> None:
    game = load("breakthrough")
    down = play(game, "")
    assert game.action_to_string(down, (1 * 8 + 3) * 3 + 0) == "d7e6"  # seat 0 looks down
    up = play(game, "d7d6")
    assert game.action_to_string(up, (6 * 8 + 3) * 3 + 0) == "d2c3"


def test_left_and_right_exchanged_is_a_symmetry() -> None:
    for spec in ("breakthrough", "breakthrough:rows=5,cols=3"):
        assert len(load(spec).symmetries()) == 2
        assert_symmetric(load(spec))


def test_it_is_drawn_with_seat_0_on_top_and_tells_the_mover_its_direction() -> None:
    game = load("breakthrough:rows=4,cols=3")
    state = play(game, "a4a3")
    assert game.render(state) == "4 . X X\n3 X . .\n2 . . .\n1 O O O\n  a b c"
    seen = np.asarray(game.observe(state))
    assert seen[..., 0].tolist() == [[False] * 3] * 3 + [[True] * 3]
    assert not seen[..., 2].any()
    assert np.asarray(game.observe(play(game, "")))[..., 2].all()


@pytest.mark.parametrize(
    ("options", "message"),
    [("rows=1", "rows .* from 2 to 19, got 1"), ("cols=20", "cols .* from 2 to 19, got 20")],
)
def test_a_bad_option_is_refused_by_name_and_value(options: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(f"breakthrough:{options}")
