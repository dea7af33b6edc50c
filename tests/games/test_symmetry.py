"""Symmetries of whatever belongs to a position, against loops in plain Python."""

import itertools

import jax
import numpy as np
import pytest

import games
from games import Symmetry
from games.board import dihedral, symmetry_of_moves

GAME = games.load("othello:size=4")  # its actions are not its cells: there is a pass
HEIGHT, WIDTH = GAME.observation_shape[:2]
ROWS = 6


def image_of_cells(symmetry, values):
    image = np.zeros_like(values)
    for i in range(HEIGHT * WIDTH):
        source = int(symmetry.observation[i])
        image[i // WIDTH, i % WIDTH] = values[source // WIDTH, source % WIDTH]
    return image


def values_of(rng):
    observation = rng.random((ROWS, HEIGHT, WIDTH, 3))
    return observation, observation[..., 0], rng.random((ROWS, 17)), rng.integers(0, 17, ROWS)


@pytest.mark.parametrize("each_its_own", [False, True])
def test_images_are_those_of_plain_python(each_its_own):
    rng = np.random.default_rng(0)
    symmetries = GAME.symmetries()
    assert len(symmetries) == 4
    observation, cells, policy, action = values_of(rng)
    for number in range(4):
        chosen = [(number + i * each_its_own) % 4 for i in range(ROWS)]
        used = symmetries[number]
        if each_its_own:
            used = Symmetry(*(np.stack([symmetries[c][part] for c in chosen]) for part in (0, 1)))
        images = (
            used.on_observation(observation),
            used.on_cells(cells),
            used.on_actions(policy),
            used.on_action(action),
        )
        for row, c in enumerate(chosen):
            of_row = symmetries[c]
            wanted = (
                image_of_cells(of_row, observation[row]),
                image_of_cells(of_row, cells[row]),
                [policy[row, of_row.action[a]] for a in range(17)],
                next(a for a in range(17) if of_row.action[a] == action[row]),
            )
            for image, plain in zip(images, wanted, strict=True):
                np.testing.assert_allclose(image[row], plain, rtol=1e-6)


def test_the_inverse_leads_back_and_one_position_needs_no_axis():
    observation, cells, policy, action = (x[0] for x in values_of(np.random.default_rng(1)))
    for symmetry in GAME.symmetries():
        back = symmetry.inverse()
        np.testing.assert_array_equal(
            back.on_observation(symmetry.on_observation(observation)), observation
        )
        np.testing.assert_array_equal(back.on_cells(symmetry.on_cells(cells)), cells)
        np.testing.assert_array_equal(back.on_actions(symmetry.on_actions(policy)), policy)
        assert back.on_action(symmetry.on_action(action)) == action


def test_a_traced_action_has_its_number_too():
    for symmetry in GAME.symmetries():
        images = jax.jit(jax.vmap(symmetry.on_action))(np.arange(17))
        assert [int(symmetry.action[image]) for image in images] == list(range(17))


@pytest.mark.parametrize(("rows", "cols"), [(3, 3), (2, 4)])
def test_symmetries_of_moves_from_cell_to_cell_are_those_of_plain_python(rows, cols):
    steps = ((-1, 0), (0, 1), (1, 0), (0, -1))

    def target(cell, step):
        row, col = cell // cols + step[0], cell % cols + step[1]
        return row * cols + col if 0 <= row < rows and 0 <= col < cols else -1

    cells = range(rows * cols)
    moves = [(cell, target(cell, step)) for cell in cells for step in steps] + [(-1, -1), (0, -2)]
    with pytest.raises(ValueError, match=r"\[0, -2\], becomes \["):
        symmetry_of_moves(np.arange(rows * cols)[::-1], moves)
    moves = moves[:-1]
    boards = dihedral(rows, cols)
    assert len(boards) == (8 if rows == cols else 4)
    for board in boards:
        symmetry = symmetry_of_moves(board, moves)
        assert sorted(symmetry.action.tolist()) == list(range(len(moves)))
        for action, of_original in enumerate(symmetry.action.tolist()):
            here = [cell if cell < 0 else int(board.flat[cell]) for cell in moves[action]]
            assert list(moves[of_original]) == here


def test_symmetries_of_moves_that_turn_a_quadrant_commute_with_play():
    """Pentago: a stone on a cell, then a quarter turn of one of four quadrants, either way."""
    cells = np.arange(36).reshape(6, 6)
    quarter_turns = []
    for row, col, way in itertools.product((0, 3), (0, 3), (1, -1)):
        turned = cells.copy()
        part = np.s_[row : row + 3, col : col + 3]
        turned[part] = np.rot90(cells[part], way)
        quarter_turns.append(turned.reshape(-1))
    moves = np.repeat(np.arange(36), 8)[:, None]
    turns = np.tile(quarter_turns, (36, 1))
    board = np.random.default_rng(0).integers(2, 99, 36)

    def play(board, action):
        return np.where(np.arange(36) == moves[action], 1, board)[turns[action]]

    for image in map(np.ravel, dihedral(6, 6)):
        symmetry = symmetry_of_moves(image, moves, turns)
        for action in range(0, 288, 5):
            original = symmetry.action[action]
            np.testing.assert_array_equal(play(board[image], action), play(board, original)[image])
