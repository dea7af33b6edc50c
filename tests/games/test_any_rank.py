"""Observations of any rank, vectors, graphs and boards: symmetries, and the check of a game."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from games.conformance import check
from games.form import require_form
from games.game import Symmetry, as_board, cells_of, identity, largest_margin
from games.tic_tac_toe import EMPTY, TicTacToe
from tests.planted.mutants import Mutant, stale_mask
from tests.toys.graph_snort import EDGES, NODES, GraphSnort
from tests.toys.heaps import Heaps

pytestmark = pytest.mark.usefixtures("compile_in_haste")
SHAPES = ((6,), (6, 2), (2, 3, 2), (3, 1, 2, 4))
GAMES = 64


@dataclasses.dataclass(frozen=True)
class Flat(TicTacToe):
    """Tic-tac-toe as 18 truth values: of each cell the mover's stone, the other's."""

    observation_shape = (18,)

    def symmetries(self):
        pairs = np.arange(18, dtype=np.int32).reshape(9, 2)
        return tuple(Symmetry(pairs[s.observation].reshape(-1), s.action) for s in super_of(self))


@dataclasses.dataclass(frozen=True)
class Others(Flat):
    """Of each cell the other's stone, and whether it is empty: the mover's stones are neither."""

    def observe(self, state):
        own, other = super().observe(state).reshape(9, 2).T
        return jnp.stack([other, ~(own | other)], axis=-1).reshape(18)


@dataclasses.dataclass(frozen=True)
class Deep(TicTacToe):
    """Tic-tac-toe as a board of three axes."""

    observation_shape = (3, 1, 3, 2)


def super_of(game):
    return TicTacToe.symmetries(game)


@pytest.mark.parametrize("each_its_own", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_images_move_cell_by_cell_whatever_the_shape(shape, each_its_own):
    rng, cells = np.random.default_rng(0), (shape[:-1] or shape)
    orders = [rng.permutation(6).astype(np.int32) for _ in range(4)]
    action = np.arange(3, dtype=np.int32)
    used = Symmetry(np.stack(orders), np.stack([action] * 4))
    used = used if each_its_own else Symmetry(orders[0], action)
    seen, owner = rng.random((4, *shape)), rng.random((4, *cells))
    images = used.on_observation(seen, len(shape)), used.on_cells(owner, len(cells))
    for row in range(4):
        order = orders[row if each_its_own else 0]
        for image, values in zip(images, (seen, owner), strict=True):
            old, new = values[row].reshape(6, -1), np.asarray(image)[row].reshape(6, -1)
            for cell in range(6):
                np.testing.assert_allclose(new[cell], old[order[cell]], rtol=1e-6)
    # One position has no leading axis, and several may have two.
    first = Symmetry(orders[0], action)
    alone, many = first.on_observation(seen[0], len(shape)), seen.reshape(2, 2, *shape)
    np.testing.assert_array_equal(alone, first.on_observation(seen, len(shape))[0])
    np.testing.assert_array_equal(first.on_observation(many, len(shape))[0, 0], alone)


@pytest.mark.parametrize(
    ("shape", "board"),
    [
        ((5,), (5, 1, 1)),
        ((5, 3), (5, 1, 3)),
        ((2, 3, 4), (2, 3, 4)),
        ((2, 3, 4, 5), (6, 4, 5)),
    ],
)
def test_each_shape_has_its_cells_and_looks_like_a_board(shape, board):
    assert as_board(shape) == board
    assert np.prod(cells_of(shape)) == board[0] * board[1]
    assert identity(shape, 7).observation.tolist() == list(range(board[0] * board[1]))
    assert largest_margin(Mutant("", Heaps, {"observation_shape": shape}).game()) == (
        board[0] * board[1]
    )


@pytest.mark.parametrize("game", [Heaps(), GraphSnort(), Flat(), Others(), Deep()])
def test_of_correct_games_of_other_shapes_nothing_is_said(game):
    require_form(game, "its_own")
    report = check(game, games=GAMES, fresh_process=False)
    assert not report.violations
    assert [note for note in report.notes if not note.startswith("board: none")] == []


def unturned(self):
    """Symmetries of what is seen, with the actions left where they are."""
    first, *rest = type(self).__mro__[1].symmetries(self)
    return (first, *(Symmetry(s.observation, first.action) for s in rest))


def exchanged_nodes(self):
    order = np.arange(NODES, dtype=np.int32)
    order[[0, 1]] = order[[1, 0]]
    return (identity(self.observation_shape, NODES), Symmetry(order, order))


def stones_first(self, state):
    """The other's stones first, where the mover's are meant."""
    seats = jnp.stack([1 - state.to_play, state.to_play])
    return state.owner[:, None] == seats[None, :]


def emptied_by_mover(self, state):
    planes = type(self).__mro__[1].final_planes(self, state)
    return jnp.where(state.to_play == 0, planes, planes[::-1])


def one_way(edges):
    edges = edges.copy()
    edges[0, 1] = False
    return edges


BUGS = {  # the law that each breaks, the game, and what is wrong in it
    "heaps that change places, their moves do not": ("symmetry", Heaps, {"symmetries": unturned}),
    "heaps with a stale mask": ("alike", Heaps, stale_mask(Heaps)),
    "heaps by who moved last": ("last board", Heaps, {"final_planes": emptied_by_mover}),
    "heaps that hide one": (
        "alike",
        Heaps,
        {"observe": lambda s, x: (x.left.at[2].set(0) / 3).astype(jnp.float32)},
    ),
    "nodes that change places, their moves do not": (
        "symmetry",
        GraphSnort,
        {"symmetries": unturned},
    ),
    "a symmetry that breaks edges": ("symmetry", GraphSnort, {"symmetries": exchanged_nodes}),
    "nodes as seat 0 sees them": (
        "observation",
        GraphSnort,
        {"observe": lambda s, x: x.owner[:, None] == jnp.array([[EMPTY, 0, 1]])},
    ),
    "nodes as the opponent sees them": (
        "observation",
        GraphSnort,
        {"observe": stones_first, "observation_shape": (NODES, 2)},
    ),
    "nodes with a stale mask": ("mask", GraphSnort, stale_mask(GraphSnort)),
    "edges in one direction": ("form", GraphSnort, {"adjacency": one_way(EDGES)}),
    "edges of fewer nodes": ("form", GraphSnort, {"adjacency": EDGES[1:, 1:]}),
    "edges as a list": ("form", GraphSnort, {"adjacency": EDGES.tolist()}),
    "owners of a board": (
        "last board",
        GraphSnort,
        {"final_planes": lambda s, x: jnp.zeros((2, NODES, 1), jnp.int8)},
    ),
    "a vector as seat 0 sees it": (
        "observation",
        Flat,
        {"observe": lambda s, x: (x.board[:, None] == jnp.arange(2)[None, :]).reshape(-1)},
    ),
    "a vector whose image is another": ("symmetry", Flat, {"symmetries": unturned}),
    "a vector of a stale mask": ("mask", Flat, stale_mask(Flat)),
    "a shape without axes": ("form", Flat, {"observation_shape": ()}),
}


@pytest.mark.parametrize("name", BUGS)
def test_planted_bugs_are_found_whatever_the_shape(name):
    law, base, methods = BUGS[name]
    game = Mutant(law, base, methods).game()
    report = check(game, games=GAMES, fresh_process=False)
    assert law in {violation.law for violation in report.violations}, report
