"""The contract between a board game and everything above it, and the laws a game obeys.

Scope: two players, zero-sum, deterministic, perfect information, turns in any order. A game is a
frozen, hashable object whose methods are pure functions on *one* position; callers `vmap` them.

Viewpoint, everywhere in this project: a value or a return is for the seat to play at that position,
unless an axis of 2 says otherwise (then it is indexed by seat). Its sign flips when `to_play`
changes, never "every ply": in some games a player moves twice.

Laws, checked by `games.conformance` (command `selfplay game check`):

- terminated  =>  no action is legal, and `step` changes nothing;
- not terminated  =>  some action is legal;
- returns sum to zero, and are zero before the end;
- the observation is the mover's own view: plane 0 holds the mover's pieces;
- positions that look alike have the same legal actions, which lead to what looks alike;
- a symmetry maps observation, legal actions and next positions consistently, and of a `Graph` edges
  to edges;
- every game has ended after `max_plies` plies;
- a game that can forget and recall its past (`Remembering`) plays on as if it had not forgotten;
- what a game says of its ends (`Territorial`, `Scoring`) fits results, seats and symmetries;
- on a board that a game declares (`Drawn`) every legal action has a place of its own;
- nothing touches a device when a game's module is imported or a game is constructed.

A game in which the deciding move never wins says so by a class attribute `misere = True`; without
it, the check takes that for a wrong sign. A game whose rules go by something that no observation
of it shows says what by `unobserved`, for example `unobserved = "superko history"`. One whose first
plies nobody chooses says how many by `drawn_plies`: self-play and matches draw them at random.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from games.layout import Board, Edge, Piece, Place


class State(Protocol):
    """One position; each game adds its own fields. Must be a JAX pytree (a `NamedTuple` is).

    It holds no observation: a state is copied into every node of the search tree.
    """

    @property
    def to_play(self) -> jax.Array: ...  # int8[], the seat to play, 0 or 1

    @property
    def legal_action_mask(self) -> jax.Array: ...  # bool[A], all False once terminated

    @property
    def terminated(self) -> jax.Array: ...  # bool[]


S = TypeVar("S", bound=State)


class Symmetry(NamedTuple):
    """A relabelling of board and actions under which the game is the same; gather indices.

    Cell i of an image is cell `observation[i]` of the original, action a of it is action
    `action[a]`. The methods take any number of positions, on leading axes, and show them through
    this symmetry; or, where its arrays have these axes too, each through its own.
    """

    observation: np.ndarray  # int32[cells], of `cells_of` in row-major order: H * W of a board
    action: np.ndarray  # int32[A]

    def on_observation(self, values: Any, rank: int = 3) -> Any:
        """Returns the images of observations, or of other values of each cell.

        Args:
          values: `[..., *shape]`, as `[..., H, W, C]`.
          rank: the axes of one, `len(game.observation_shape)`.
        """
        if rank == 1:  # of n numbers each is a cell
            return self.on_cells(values, rank)
        cells = values.reshape(*values.shape[: values.ndim - rank], -1, values.shape[-1])
        if self.observation.ndim == 1:
            image = cells[..., self.observation, :]
        else:
            image = jnp.take_along_axis(cells, self.observation[..., None], axis=-2)
        return image.reshape(values.shape)

    def on_cells(self, values: Any, rank: int = 2) -> Any:
        """Returns the images of a value of each cell, `[..., *cells]`: `rank` axes, as H, W."""
        return self.on_observation(values[..., None], rank + 1)[..., 0]

    def on_actions(self, values: Any) -> Any:
        """Returns the images of `[..., A]`: masks, policies, a value of each action."""
        if self.action.ndim == 1:
            return values[..., self.action]
        return jnp.take_along_axis(values, self.action, axis=-1)

    def on_action(self, action: Any) -> Any:
        """Returns the numbers that actions int[...] have in the images."""
        if self.action.ndim == 1:
            return jnp.asarray(self.inverse().action)[action]
        return (self.action == action[..., None]).argmax(axis=-1).astype(action.dtype)

    def inverse(self) -> "Symmetry":
        """Returns the symmetry that leads back."""
        indices = (np.argsort(part, axis=-1).astype(np.int32) for part in self)
        return Symmetry(*indices)


class Game(Protocol[S]):
    """The rules of one game; A is `num_actions`."""

    @property
    def num_actions(self) -> int:
        """A, the size of the flat action space."""
        ...

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """That of `observe`: `(H, W, C)` of a board, `(n,)` of n numbers, `(N, F)` of N nodes.

        Or `(D, H, W, C)` and more: all axes but the last number the cells (`cells_of`).
        """
        ...

    @property
    def max_plies(self) -> int:
        """A bound after which every game has ended; reaching it is a rule, not a truncation."""
        ...

    def init(self, key: jax.Array) -> S:
        """Returns the opening position; seat 0 is to play. `key` is for games that draw one."""
        ...

    def step(self, state: S, action: jax.Array) -> S:
        """Plays int32[] `action`. An illegal action is undefined, but finite and never NaN."""
        ...

    def observe(self, state: S) -> jax.Array:
        """Returns the mover's view `[*observation_shape]`, bool unless the game says otherwise."""
        ...

    def returns(self, state: S) -> jax.Array:
        """Returns float32[2], each seat's result: win 1, draw 0, loss -1; zero before the end."""
        ...

    def symmetries(self) -> tuple[Symmetry, ...]:
        """Returns the game's symmetries, identity first."""
        ...

    def action_to_string(self, state: S, action: int) -> str:
        """Returns the action in the game's usual notation."""
        ...

    def string_to_action(self, state: S, text: str) -> int:
        """Returns the legal action that `text` names. Raises ValueError with the legal forms."""
        ...

    def render(self, state: S) -> str:
        """Returns the position as text; row 0 is the top line."""
        ...


@runtime_checkable
class Remembering(Game[S], Protocol[S]):
    """A game whose states hold their past, as superko needs; optional, it makes trees smaller.

    A search keeps the past of its root once, and forgets it in all other nodes: what a node adds to
    the past is known from the nodes on the way to it.
    """

    def forget(self, state: S) -> S:
        """Returns the state without its past, for which leaves of another shape may stand."""
        ...

    def recall(self, state: S, root: S, line: S) -> S:
        """Returns a forgetful state with a past, for one `step`; what that leads to is forgotten.

        Args:
          root: an earlier state that has its past.
          line: forgetful states, leaves [K, ...]: `root` and all after it that come before `state`,
            in any order, some perhaps repeated.
        """
        ...


@runtime_checkable
class Territorial(Game[S], Protocol[S]):
    """A game that says who owns each cell at its end; optional, the network may learn it.

    For Go the area that each side has, KataGo's ownership (Wu 2019, section 4.1,
    https://arxiv.org/abs/1902.10565); for a game of pieces, those that are left.
    """

    def final_planes(self, state: S) -> jax.Array:
        """Returns int8[2, *cells], the last position as seat 0 sees it, and as seat 1 does.

        Cells are those of `observe`, [H, W] of a board. In plane s, a cell of seat s has 1, one of
        the other seat -1, any other 0: where both see the board the same way round, one plane is
        minus the other. Only asked of terminated states.
        """
        ...


@runtime_checkable
class Scoring(Game[S], Protocol[S]):
    """A game that is won by a margin; optional, the network may learn it.

    It learns the share of `largest_margin: float`, a bound in the same units, where a game has it,
    else of the number of cells.
    """

    def margin(self, state: S) -> jax.Array:
        """Returns float32[], by how much seat 0 has won; below 0 where seat 1 has, 0 at a draw.

        In the game's own units: points, discs, boxes. Only asked of terminated states.
        """
        ...


@runtime_checkable
class Graph(Game[S], Protocol[S]):
    """A game whose cells are the nodes of a graph; optional, a network of one's own may use it."""

    @property
    def adjacency(self) -> np.ndarray:
        """bool[N, N], symmetric: which nodes are neighbours. Symmetries map edges to edges."""
        ...


@runtime_checkable
class Invariable(Game[S], Protocol[S]):
    """A game that knows what is true of all its positions; optional, for `selfplay game check`."""

    def invariant(self, state: S) -> jax.Array:
        """Returns bool[]: whether the position can be, for example whether all stones are there."""
        ...


@runtime_checkable
class Drawn(Game[S], Protocol[S]):
    """A game that says how its board is drawn; optional, without it what `render` shows is drawn.

    Data only, of `games/layout.py`. As for `render`, these run in plain Python on one position,
    whose leaves may be NumPy arrays.
    """

    def board(self) -> Board:
        """Returns the board without pieces, always the same."""
        ...

    def place(self, state: S, action: int) -> Place:
        """Returns where a legal action is on the board: where a person would click for it."""
        ...

    def pieces(self, state: S) -> Sequence[Piece | Edge]:
        """The pieces on the board; the later lie above the earlier."""
        ...


def largest_margin(game: Game[Any]) -> float:
    """The margin that counts as the largest of a `Scoring` game.

    Raises:
      ValueError: the game's own `largest_margin` is no number above 0.
    """
    bound = getattr(game, "largest_margin", math.prod(cells_of(game.observation_shape)))
    if not isinstance(bound, int | float | np.number) or not 0 < bound < np.inf:
        raise ValueError(f"largest_margin must be a number above 0, got {bound!r}")
    return float(bound)


def drawn_plies(game: Game[Any]) -> int:
    """How many first plies of each game are drawn at random; 0 unless the game says so."""
    return int(getattr(game, "drawn_plies", 0))


def identity(observation_shape: tuple[int, ...], num_actions: int) -> Symmetry:
    """Returns the symmetry that every game has."""
    sizes = math.prod(cells_of(observation_shape)), num_actions
    return Symmetry(*(np.arange(size, dtype=np.int32) for size in sizes))


def cells_of(observation_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of an observation that number its cells: all but the last, or the only one."""
    return observation_shape[:-1] or observation_shape


def as_board(observation_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The `(H, W, C)` by which checks and pages look at any observation: `(n,)` as `(n, 1, 1)`."""
    cells = cells_of(observation_shape)
    width = cells[-1] if len(cells) > 1 else 1
    return math.prod(cells) // width, width, (*observation_shape, 1)[len(cells)]
