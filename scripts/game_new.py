"""`selfplay game new`."""

import importlib.util
import keyword
import pathlib
import re

from scripts.flags.game_new import Args
from scripts.terminal.console import print_text
from selfplay.files import durable

GAME = '''"""NAME: stones on a board; the first to have a number of them in a line wins.

This is a whole game, to be changed into yours. Say here where its rules are from.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from games import Symmetry

EMPTY = -1


# Everything that the rules need to know of a position, and nothing that can be computed from it:
# it is copied into every node of the search tree. The first three fields are required.
class State(NamedTuple):
    to_play: jax.Array  # int8[], seat 0 or 1
    legal_action_mask: jax.Array  # bool[A], all False once terminated
    terminated: jax.Array  # bool[]
    board: jax.Array  # int8[rows, cols], the seat that owns each cell, or EMPTY
    winner: jax.Array  # int8[], a seat, or EMPTY for none


# Frozen, so that it can be hashed. Its fields are the options: `NAME:CLASS:rows=6,line=4`.
@dataclasses.dataclass(frozen=True)
class CLASS:
    """A line of stones wins; a full board without one is a draw."""

    rows: int = 4
    cols: int = 4
    line: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.line <= max(self.rows, self.cols):
            raise ValueError(f"line must be 1 to {max(self.rows, self.cols)}, got {self.line}")

    @property
    def num_actions(self) -> int:
        return self.rows * self.cols  # row * cols + col

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        return (self.rows, self.cols, 2)

    @property
    def max_plies(self) -> int:
        return self.rows * self.cols  # every game must have ended by then, by a rule

    def init(self, key: jax.Array) -> State:
        del key  # for games that begin at random
        return State(
            to_play=jnp.int8(0),
            legal_action_mask=jnp.ones(self.num_actions, bool),
            terminated=jnp.bool_(False),
            board=jnp.full((self.rows, self.cols), EMPTY, jnp.int8),
            winner=jnp.int8(EMPTY),
        )

    # Traced by jax: no Python `if` or `while` on arrays, but jnp.where; no NumPy on arrays.
    def step(self, state: State, action: jax.Array) -> State:
        board = state.board.reshape(-1).at[action].set(state.to_play)
        board = board.reshape(self.rows, self.cols)
        won = self._has_line(board == state.to_play)
        terminated = won | (board != EMPTY).all()
        after = State(
            to_play=1 - state.to_play,  # or the same seat again, if it moves twice
            legal_action_mask=(board == EMPTY).reshape(-1) & ~terminated,
            terminated=terminated,
            board=board,
            winner=jnp.where(won, state.to_play, jnp.int8(EMPTY)),
        )
        # The search steps past the end of games: there, nothing may change.
        return jax.tree.map(lambda old, new: jnp.where(state.terminated, old, new), state, after)

    def _has_line(self, own: jax.Array) -> jax.Array:
        n = self.line
        padded = jnp.pad(own, n - 1)  # so that a line may start anywhere
        complete = jnp.bool_(False)
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            shifted = [jnp.roll(padded, (-i * down, -i * right), (0, 1)) for i in range(n)]
            complete |= jnp.stack(shifted).all(axis=0).any()
        return complete

    # What the network sees: plane 0 the pieces of the seat to play, plane 1 the other's.
    def observe(self, state: State) -> jax.Array:
        seats = jnp.stack([state.to_play, 1 - state.to_play])
        return state.board[:, :, None] == seats[None, None, :]

    # By seat, not by mover: index 0 is seat 0's result. Zero before the end.
    def returns(self, state: State) -> jax.Array:
        result = jnp.where(jnp.arange(2) == state.winner, 1.0, -1.0)
        return jnp.where(state.winner == EMPTY, 0.0, result)

    # Optional, and left out here: `final_planes`, who owns each cell at the end, and `margin`, by
    # how much a game is won, for a network that learns them too (docs/targets.md).

    # Optional too: `board`, `place` and `pieces`, which say how the board is drawn. Without them
    # the browser shows the text of `render` and a button for each move (docs/new-game.md).

    # Ways to turn or mirror the board that change nothing; the identity first. More samples for
    # training. Index arrays: the image's cell i is the cell `observation[i]`, and so with actions.
    def symmetries(self) -> tuple[Symmetry, ...]:
        cells = np.arange(self.num_actions, dtype=np.int32).reshape(self.rows, self.cols)
        images = [cells, cells[:, ::-1], cells[::-1], cells[::-1, ::-1]]
        return tuple(Symmetry(image.reshape(-1), image.reshape(-1)) for image in images)

    # The rest is for people; plain Python and NumPy will do.
    def action_to_string(self, state: State, action: int) -> str:
        row, col = divmod(action, self.cols)
        return f"{chr(ord('a') + col)}{self.rows - row}"

    def string_to_action(self, state: State, text: str) -> int:
        legal = np.flatnonzero(np.asarray(state.legal_action_mask)).tolist()
        names = {self.action_to_string(state, action): action for action in legal}
        if text.strip().lower() not in names:
            raise ValueError(f"no legal move {text!r}; legal: {' '.join(names)}")
        return names[text.strip().lower()]

    def render(self, state: State) -> str:
        cells = np.array([".", "X", "O"])[np.asarray(state.board) + 1]
        rows = [f"{self.rows - row:2} {' '.join(line)}" for row, line in enumerate(cells)]
        return "\\n".join([*rows, "   " + " ".join(chr(ord("a") + i) for i in range(self.cols))])
'''

TEST = '''"""The rules of NAME, by hand and once more in plain Python. Change them with the game."""

import jax
import jax.numpy as jnp
from games.conformance import check, compare
from NAME import CLASS

GAME = CLASS()


class Reference:
    """A game in progress, written from the rules alone: slow, plain, and easy to believe.

    It shares nothing with NAME.py but the names of moves and of options, so that a mistake would
    have to be made twice to stay unseen. Many games are in progress at once: keep all in `self`.
    """

    def __init__(self, rows=4, cols=4, line=3):
        self.rows, self.cols, self.line = rows, cols, line
        self.stones = {}  # (column, row), counted from the lower left corner, and whose it is
        self.to_play = 0
        self.winner = None

    @property
    def is_over(self):
        return self.winner is not None or len(self.stones) == self.rows * self.cols

    def legal_moves(self):
        cells = [(col, row) for col in range(self.cols) for row in range(self.rows)]
        return [f"{chr(ord('a') + c)}{r + 1}" for c, r in cells if (c, r) not in self.stones]

    def play(self, move):
        col, row = ord(move[0]) - ord("a"), int(move[1:]) - 1
        self.stones[col, row] = self.to_play
        for right, up in ((1, 0), (0, 1), (1, 1), (1, -1)):
            for start in range(1 - self.line, 1):
                steps = range(start, start + self.line)
                line = [self.stones.get((col + i * right, row + i * up)) for i in steps]
                if line == [self.to_play] * self.line:
                    self.winner = self.to_play
        self.to_play = 1 - self.to_play

    def returns(self):  # by seat
        return {None: (0, 0), 0: (1, -1), 1: (-1, 1)}[self.winner]


def play(moves):
    state = GAME.init(jax.random.key(0))
    for move in moves.split():
        state = GAME.step(state, jnp.int32(GAME.string_to_action(state, move)))
    return state


def test_the_game_obeys_the_laws():
    report = check(GAME, games=64)
    assert not report.violations, "\\n".join(map(str, report.violations))


def test_random_games_agree_with_the_reference():
    result = compare(GAME, Reference, games=64)
    assert result.agrees, result.difference or result.error


def test_a_line_wins_for_the_seat_that_made_it():
    state = play("a1 a2 b1 b2 c1")
    assert bool(state.terminated), GAME.render(state)
    assert GAME.returns(state).tolist() == [1.0, -1.0]


def test_nothing_is_decided_before_the_end():
    state = play("a1 a2 b1")
    assert not bool(state.terminated)
    assert GAME.returns(state).tolist() == [0.0, 0.0]
'''


def run(args: Args) -> int:
    """Writes the two files and prints what to do next."""
    name = args.name
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ValueError(f"a name of small letters, digits and underscores, please, not {name!r}")
    class_name = "".join(word.capitalize() for word in name.split("_"))
    texts = {pathlib.Path(f"{name}.py"): GAME, pathlib.Path(f"test_{name}.py"): TEST}
    if importlib.util.find_spec(name) and not pathlib.Path(f"{name}.py").exists():
        raise ValueError(f"{name!r} is the name of an installed module; choose another")
    taken = [str(path) for path in texts if path.exists()]
    if taken:
        raise ValueError(f"already there: {', '.join(taken)}; nothing was written")
    for path, text in texts.items():
        durable.write_whole(path, text.replace("NAME", name).replace("CLASS", class_name).encode())
        print_text(f"wrote {path}")
    print_text(
        "\nnext:\n"
        f"  selfplay game check {name}:{class_name}\n"
        f"  selfplay game check {name}:{class_name} --against test_{name}.py:Reference\n"
        f"  python -m pytest test_{name}.py\n"
        f"  selfplay train --game {name}:{class_name} --preset quick --minutes 2"
        f" --run-dir runs/{name}"
    )
    return 0
