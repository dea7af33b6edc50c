"""Boards of several sizes as one game, `go:size=5+7+9`: one network learns them all.

The first move of a game chooses its board: in self-play and matches it is drawn at random, for the
network does not learn it. Positions of all sizes have one form, so that they share a batch: a
smaller board lies in the middle of the largest one, and the last plane of the observation tells its
cells. KataGo trains so, with boards from 9x9 to 19x19 in a batch, masked (Wu 2019, "Accelerating
Self-Play Learning in Go", https://arxiv.org/abs/1902.10565). What a network makes of that plane is
in `training/networks/convolutional.py`.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.board import find_action
from games.game import Drawn, Game, Remembering, Scoring, Symmetry, Territorial, largest_margin
from games.layout import Board, Text

PLACES = ("place", "start", "end", "further", "places")  # fields that name places of a board


class State(NamedTuple):
    """A position on a board of one of the sizes."""

    size: jax.Array  # int8[], which of the boards is played on; -1 before it is chosen
    boards: tuple[Any, ...]  # a state of each size; the others stay at their opening
    to_play: jax.Array  # int8[]
    legal_action_mask: jax.Array  # bool[A]
    terminated: jax.Array  # bool[]


class Frame(NamedTuple):
    """Where a board lies in the largest one."""

    cells: np.ndarray  # int32[h * w], of each cell its number in the largest board
    to_large: np.ndarray  # int32[a], of each action
    to_small: np.ndarray  # int32[A], likewise; `a` where there is none


def several(games: Sequence[Game[Any]]) -> "Sizes":
    """Returns a game whose every game is one of `games`, as its first move chooses.

    Raises:
      ValueError: they have not an action for each cell of the board and equally many others, such
        as a pass, or not equally many planes.
    """
    ordered = tuple(sorted(games, key=lambda game: game.observation_shape))
    kinds = {(len(g.observation_shape), *g.observation_shape[2:], _others(g)) for g in ordered}
    if len(kinds) > 1 or _others(ordered[-1]) < 0:
        raise ValueError(
            "boards of several sizes need games with an action for each cell, and equally many "
            "others, such as a pass; "
            + ", ".join(f"{g.num_actions} actions on {g.observation_shape}" for g in ordered)
        )
    sizes: Sizes = _class_for(ordered[-1])(ordered)  # type: ignore[arg-type]
    return sizes


def _others(game: Game[Any]) -> int:
    """The number of actions that are no cell."""
    height, width = game.observation_shape[:2]
    return game.num_actions - height * width


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The same game on boards of several sizes."""

    games: tuple[Game[Any], ...]  # from the smallest to the largest

    @property
    def sizes(self) -> int:
        """How many sizes there are.

        The last plane of the observation is 1 on the cells of the board, and as many last actions
        choose the board.
        """
        return len(self.games)

    @property
    def drawn_plies(self) -> int:
        """So many first plies are drawn at random: the choice of the board."""
        return 1

    @property
    def num_actions(self) -> int:
        # The largest board's cells, what is no cell, such as a pass, and the sizes.
        return self.games[-1].num_actions + self.sizes

    @property
    def observation_shape(self) -> tuple[int, ...]:
        height, width, planes = self.games[-1].observation_shape
        return height, width, planes + 1

    @property
    def max_plies(self) -> int:
        return 1 + max(game.max_plies for game in self.games)

    def init(self, key: jax.Array) -> State:
        return self._state(jnp.int8(-1), tuple(game.init(key) for game in self.games))

    def step(self, state: State, action: jax.Array) -> State:
        boards = []
        for number, (game, frame, board) in enumerate(self._each(state)):
            own = jnp.minimum(jnp.asarray(frame.to_small)[action], game.num_actions - 1)
            after = game.step(board, own)
            played = state.size == number
            boards.append(jax.tree.map(functools.partial(jnp.where, played), after, board))
        chosen = jnp.clip(action - self.games[-1].num_actions, 0, self.sizes - 1).astype(jnp.int8)
        return self._state(jnp.where(state.size < 0, chosen, state.size), tuple(boards))

    def observe(self, state: State) -> jax.Array:
        seen = []
        for game, _, board in self._each(state):
            own = game.observe(board)
            on_board = jnp.ones_like(own, shape=(*own.shape[:2], 1))
            seen.append(self._framed(jnp.concatenate([own, on_board], axis=-1), axis=0))
        return jnp.where(state.size < 0, jnp.zeros_like(seen[0]), _chosen(state.size, seen))

    def returns(self, state: State) -> jax.Array:
        return _chosen(state.size, [g.returns(board) for g, _, board in self._each(state)])

    def symmetries(self) -> tuple[Symmetry, ...]:
        """Those of the largest board that every smaller board in its middle has, too."""
        largest = self.games[-1]
        choice = np.arange(largest.num_actions, self.num_actions, dtype=np.int32)
        return tuple(
            Symmetry(one.observation, np.append(one.action, choice))
            for one in largest.symmetries()
            if all(map(functools.partial(_has, one), self.games, self._frames))
        )

    def action_to_string(self, state: State, action: int) -> str:
        if int(state.size) < 0:
            return self._names[action - self.games[-1].num_actions]
        game, frame, board = self._played(state)
        return game.action_to_string(board, int(frame.to_small[action]))

    def string_to_action(self, state: State, text: str) -> int:
        if int(state.size) < 0:
            return find_action(self, state, text)
        game, frame, board = self._played(state)
        return int(frame.to_large[game.string_to_action(board, text)])

    def render(self, state: State) -> str:
        if int(state.size) < 0:
            return f"which board: {', '.join(self._names)}?"
        game, _, board = self._played(state)
        return game.render(board)

    @property
    def _names(self) -> list[str]:
        return ["x".join(map(str, game.observation_shape[:2])) for game in self.games]

    def _state(self, size: jax.Array, boards: tuple[Any, ...]) -> State:
        masks = [
            jnp.append(board.legal_action_mask, False)[frame.to_small]
            for board, frame in zip(boards, self._frames, strict=True)
        ]
        choice = jnp.arange(self.num_actions) >= self.games[-1].num_actions
        return State(
            size=size,
            boards=boards,
            to_play=_chosen(size, [board.to_play for board in boards]),
            legal_action_mask=jnp.where(size < 0, choice, _chosen(size, masks)),
            terminated=_chosen(size, [board.terminated for board in boards]),
        )

    def _framed(self, board: jax.Array, axis: int) -> jax.Array:
        """Returns what lies on a board, whose rows are `axis`, on the largest, with 0 around."""
        around = [(0, 0)] * board.ndim
        for side, size in enumerate(self.observation_shape[:2]):
            before = _before(size, board.shape[axis + side])
            around[axis + side] = before, size - board.shape[axis + side] - before
        return jnp.pad(board, around)

    @property
    def _frames(self) -> tuple[Frame, ...]:
        return _frames(self)

    def _each(self, state: State) -> Any:
        return zip(self.games, self._frames, state.boards, strict=True)

    def _played(self, state: State) -> tuple[Game[Any], Frame, Any]:
        """Returns the board that a position is on."""
        size = int(state.size)
        return self.games[size], self._frames[size], state.boards[size]


def _has(symmetry: Symmetry, game: Game[Any], frame: Frame) -> bool:
    """Whether a symmetry of the largest board is one of a board in its middle."""
    own = np.full(len(symmetry.observation), -1)
    own[frame.cells] = np.arange(len(frame.cells))
    cells = own[symmetry.observation[frame.cells]]
    actions = frame.to_small[symmetry.action[frame.to_large]]
    return any(
        np.array_equal(cells, known.observation) and np.array_equal(actions, known.action)
        for known in game.symmetries()
    )


def _before(large: int, small: int) -> int:
    """The rows or columns before a board that lies in the middle of a larger one."""
    return (large - small) // 2


@functools.cache
def _frames(sizes: Sizes) -> tuple[Frame, ...]:
    height, width, _ = sizes.observation_shape
    frames = []
    for game in sizes.games:
        rows, cols = game.observation_shape[:2]
        top, left = _before(height, rows), _before(width, cols)
        board = np.arange(height * width, dtype=np.int32).reshape(height, width)
        cells = board[top : top + rows, left : left + cols].reshape(-1)
        others = np.arange(height * width, sizes.games[-1].num_actions, dtype=np.int32)
        to_large = np.append(cells, others)
        to_small = np.full(sizes.num_actions, game.num_actions, np.int32)
        to_small[to_large] = np.arange(game.num_actions)
        frames.append(Frame(cells, to_large, to_small))
    return tuple(frames)


def _chosen(size: jax.Array, of_each: Sequence[jax.Array]) -> jax.Array:
    """Returns the entry of the size that is played; before it is chosen, of the smallest."""
    found = of_each[0]
    for number, other in enumerate(of_each[1:], start=1):
        found = jnp.where(size == number, other, found)
    return found


# ---- what a game may also have: of several sizes as of one --------------------------------------


class _Remembering(Sizes):
    def forget(self, state: State) -> State:
        boards = (game.forget(board) for game, _, board in self._each(state))
        return state._replace(boards=tuple(boards))

    def recall(self, state: State, root: State, line: State) -> State:
        given = zip(self.games, state.boards, root.boards, line.boards, strict=True)
        return state._replace(boards=tuple(game.recall(*past) for game, *past in given))  # type: ignore[attr-defined]


class _Territorial(Sizes):
    def final_planes(self, state: State) -> jax.Array:
        planes = [g.final_planes(board) for g, _, board in self._each(state)]
        return _chosen(state.size, [self._framed(plane, axis=1) for plane in planes])


class _Scoring(Sizes):
    @property
    def largest_margin(self) -> float:
        return max(map(largest_margin, self.games))

    def margin(self, state: State) -> jax.Array:
        return _chosen(state.size, [g.margin(board) for g, _, board in self._each(state)])


class _Drawn(Sizes):
    """Drawn on the largest board, a button for each size."""

    def board(self) -> Board:
        board: Board = self.games[-1].board()  # type: ignore[attr-defined]
        return board

    def place(self, state: State, action: int) -> Any:
        if int(state.size) < 0:
            return Text(self.action_to_string(state, action))
        game, frame, board = self._played(state)
        return _moved(game.place(board, int(frame.to_small[action])), frame)  # type: ignore[attr-defined]

    def pieces(self, state: State) -> list[Any]:
        game, frame, board = self._played(state)
        return [_moved(piece, frame) for piece in game.pieces(board)]  # type: ignore[attr-defined]


def _moved(drawn: Any, frame: Frame) -> Any:
    """Returns a place or piece of a smaller board as one of the largest."""
    cells = frame.cells.tolist()
    moved = {
        name: tuple(cells[p] for p in value) if isinstance(value, tuple) else cells[value]
        for name, value in drawn._asdict().items()
        if name in PLACES
    }
    return drawn._replace(**moved)


PARTS: dict[Any, type] = {
    Remembering: _Remembering,
    Territorial: _Territorial,
    Scoring: _Scoring,
    Drawn: _Drawn,
}


@functools.cache
def _class_for(game: Game[Any]) -> Any:
    """Returns the class with what a game has beside the rules; others ask whether it is there."""
    bases = tuple(part for protocol, part in PARTS.items() if isinstance(game, protocol))
    about = {name: getattr(game, name) for name in ("misere", "unobserved") if hasattr(game, name)}
    return type("Sizes", bases or (Sizes,), about | {"__module__": __name__})
