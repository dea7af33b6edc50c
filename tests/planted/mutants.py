"""Correct games with one bug each, and the law that each bug breaks.

The bugs are those that people make: they are the reason for the check.
"""

import dataclasses
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.breakthrough import Breakthrough
from games.connect_four import ConnectFour
from games.dots_and_boxes import DotsAndBoxes
from games.game import Symmetry
from games.hex import Hex
from games.layout import Point
from games.othello import Othello
from games.tic_tac_toe import EMPTY, State, TicTacToe

COUNTER = [0]


class Mutant(NamedTuple):
    law: str  # that the report must name
    base: type
    changes: dict[str, Any]  # attributes and methods that replace those of `base`

    def game(self) -> Any:
        """Returns the mutant."""
        changed = type(f"Mutant{self.base.__name__}", (self.base,), dict(self.changes))
        return dataclasses.dataclass(frozen=True)(changed)()


def after_step(base: type, change: Callable[[Any, Any, Any], Any]) -> dict[str, Any]:
    """Returns a `step` whose result is changed by `change(before, after, action)`."""

    def step(self: Any, state: Any, action: jax.Array) -> Any:
        return change(state, base.step(self, state, action), action)

    return {"step": step}


def before_the_end(before: Any, changed: Any) -> Any:
    """Returns `changed`, or `before` where the game had ended, so that the end still absorbs."""
    return jax.tree.map(lambda old, new: jnp.where(before.terminated, old, new), before, changed)


def stale_mask(base: type) -> dict[str, Any]:
    """Returns a `step` that leaves the mask as it was before the move."""
    return after_step(
        base,
        lambda before, after, _: after._replace(
            legal_action_mask=before.legal_action_mask & ~after.terminated
        ),
    )


def with_returns(change: Callable[[Any, jax.Array], jax.Array], base: type = TicTacToe) -> Any:
    return {"returns": lambda self, state: change(state, base.returns(self, state))}


def with_winner(choose: Callable[[Any], Any]) -> dict[str, Any]:
    """Returns a `step` of tic-tac-toe in which `choose(state)` is who won."""
    return after_step(
        TicTacToe,
        lambda before, after, _: before_the_end(
            before,
            after._replace(
                winner=jnp.where(after.winner == EMPTY, after.winner, jnp.int8(choose(before)))
            ),
        ),
    )


def view(first: Callable[[Any], Any], second: Callable[[Any], Any]) -> dict[str, Any]:
    """Returns an `observe` for tic-tac-toe with the stones of seat `first`, then of `second`."""

    def observe(self: Any, state: State) -> jax.Array:
        seats = jnp.stack([jnp.int8(first(state)), jnp.int8(second(state))])
        return (state.board[:, None] == seats[None, :]).reshape(self.observation_shape)

    return {"observe": observe}


def branching_step(self: Any, state: State, action: jax.Array) -> State:
    if state.terminated:  # works in plain Python, not under jit
        return state
    return TicTacToe.step(self, state, action)


def numpy_step(self: Any, state: State, action: jax.Array) -> State:
    board = np.array(state.board)
    board[action] = state.to_play
    return TicTacToe.step(self, state, action)._replace(board=jnp.asarray(board))


def noisy_step(self: Any, state: State, action: jax.Array) -> State:
    after = TicTacToe.step(self, state, action)
    lucky = np.random.default_rng().random() < 0.5
    to_play = after.to_play if lucky else state.to_play
    return before_the_end(state, after._replace(to_play=to_play))


def dicey_step(self: Any, state: State, action: jax.Array) -> State:
    after = TicTacToe.step(self, state, action)
    taken = np.arange(9) == random.randrange(9)
    fewer = after.legal_action_mask & ~taken
    return after._replace(legal_action_mask=jnp.where(fewer.any(), fewer, after.legal_action_mask))


def fuzzy_step(self: Any, state: "FloatState", action: jax.Array) -> "FloatState":
    after = TicTacToe.step(self, State(*state[:5]), action)
    noise = jnp.float32(np.random.default_rng().random())
    return before_the_end(state, FloatState(*after, score=noise))


def counting_step(self: Any, state: State, action: jax.Array) -> State:
    COUNTER[0] += 1
    after = TicTacToe.step(self, state, action)
    to_play = jnp.int8((COUNTER[0] // 2) % 2)
    return before_the_end(state, after._replace(to_play=to_play))


def unfinished_step(self: Any, state: State, action: jax.Array) -> State:
    return TicTacToe.step(self, state._replace(terminated=jnp.bool_(False)), action)


def growing_step(self: Any, state: State, action: jax.Array) -> State:
    after = TicTacToe.step(self, state, action)
    return after._replace(board=jnp.concatenate([after.board, after.board[:1]]))


def seat_0_view(self: Any, state: Any) -> jax.Array:
    seen = ConnectFour.observe(self, state)
    return jnp.where(state.to_play == 0, seen, seen[..., ::-1])


def dividing_observe(self: Any, state: State) -> jax.Array:
    """Returns a view that divides by how far the board is from three stones."""
    away = jnp.abs((state.board != EMPTY).sum() - 3).astype(jnp.float32)
    return TicTacToe.observe(self, state) / away


def flipped_for_seat_1(self: Any, state: State) -> jax.Array:
    seen = TicTacToe.observe(self, state)
    return jnp.where(state.to_play == 0, seen, seen.at[..., 1].set(False))


def swapped(symmetries: Any, field: str) -> Any:
    """Returns symmetries of which the last has two entries of one field exchanged."""
    *others, last = symmetries
    indices = getattr(last, field).copy()
    indices[[0, 1]] = indices[[1, 0]]
    return (*others, last._replace(**{field: indices}))


def ambiguous(self: Any, state: Any, action: int) -> str:
    return str(action % 3)


def off_by_one(self: Any, state: Any, text: str) -> int:
    return max(TicTacToe.string_to_action(self, state, text) - 1, 0)


def crashing_render(self: Any, state: Any) -> str:
    raise KeyError("no glyph")


@dataclasses.dataclass(frozen=True)
class SmallHex(Hex):
    size: int = 4
    swap: bool = True


@dataclasses.dataclass(frozen=True)
class SmallDots(DotsAndBoxes):
    rows: int = 2
    cols: int = 2


@dataclasses.dataclass(frozen=True)
class SmallBreakthrough(Breakthrough):
    rows: int = 4
    cols: int = 4


@dataclasses.dataclass(frozen=True)
class SmallOthello(Othello):
    size: int = 4


def drawless_render(self: Any, state: State) -> str:
    over = {0: "X won", 1: "O won"}[int(state.winner)] if state.terminated else ""
    return TicTacToe.render(self, state) + over


def first_word(self: Any, state: State, text: str) -> int:
    return TicTacToe.string_to_action(self, state, "".join(text.split()[:1]))


def any_move(self: Any, state: State, text: str) -> int:
    legal = np.flatnonzero(np.asarray(state.legal_action_mask))
    return TicTacToe.string_to_action(self, state, text) if text else int(legal[0])


def nameless_swap(self: Any, state: Any, action: int) -> str:
    return Hex.action_to_string(self, state, min(action, self.size**2 - 1))


def undecided_returns(self: Any, state: State) -> jax.Array:
    return TicTacToe.returns(self, state) * random.choice([1.0, -1.0])


class FloatState(NamedTuple):
    board: jax.Array
    to_play: jax.Array
    legal_action_mask: jax.Array
    terminated: jax.Array
    winner: jax.Array
    score: jax.Array  # float32[], NaN after a move onto a stone


def float_init(self: Any, key: jax.Array) -> FloatState:
    return FloatState(*TicTacToe.init(self, key), score=jnp.float32(0))


def nan_step(self: Any, state: FloatState, action: jax.Array) -> FloatState:
    after = TicTacToe.step(self, State(*state[:5]), action)
    free = (state.board[action] == EMPTY).astype(jnp.float32)
    return before_the_end(state, FloatState(*after, score=0 * jnp.log(free)))


MUTANTS = {
    # The end and the results.
    "returns of the wrong sign": Mutant("seats", TicTacToe, with_returns(lambda s, r: -r)),
    "a misère game whose deciding move wins": Mutant("seats", TicTacToe, {"misere": True}),
    "the winner is the other seat": Mutant(
        "seats", TicTacToe, with_winner(lambda s: 1 - s.to_play)
    ),
    "returns exchanged when seat 1 won": Mutant(
        "seats", TicTacToe, with_returns(lambda s, r: jnp.where(s.winner == 1, r[::-1], r))
    ),
    "returns by mover instead of by seat": Mutant(
        "seats", TicTacToe, with_returns(lambda s, r: jnp.stack([r[s.to_play], r[1 - s.to_play]]))
    ),
    "returns by mover, where who ends a game need not win it": Mutant(
        "seats",
        SmallDots,
        with_returns(lambda s, r: jnp.where(s.to_play == 0, r, -r), SmallDots),
    ),
    "seat 1's wins go to seat 0": Mutant(
        "seats",
        ConnectFour,
        with_returns(lambda s, r: jnp.where(s.winner == 1, r[::-1], r), ConnectFour),
    ),
    "only seat 0's lines count": Mutant(
        "seats",
        TicTacToe,
        after_step(
            TicTacToe,
            lambda before, after, _: before_the_end(
                before,
                after._replace(
                    winner=jnp.where(after.winner == 1, EMPTY, after.winner).astype(jnp.int8),
                    terminated=after.terminated & (after.winner != 1)
                    | (after.board != EMPTY).all(),
                    legal_action_mask=(after.board == EMPTY) & (after.winner != 0),
                ),
            ),
        ),
    ),
    "the winner is always seat 0": Mutant("seats", TicTacToe, with_winner(lambda s: 0)),
    "returns that do not sum to zero": Mutant(
        "returns", TicTacToe, with_returns(lambda s, r: jnp.maximum(r, 0))
    ),
    "returns before the end": Mutant(
        "returns",
        TicTacToe,
        with_returns(lambda s, r: jnp.where(s.terminated, r, jnp.array([0.1, -0.1]))),
    ),
    "returns of NaN at a draw": Mutant(
        "returns",
        TicTacToe,
        with_returns(
            lambda s, r: jnp.where(s.terminated, r / jnp.abs(r).sum(keepdims=True), r),
        ),
    ),
    "returns of 2 and -2": Mutant("returns", TicTacToe, with_returns(lambda s, r: 2 * r)),
    "an end that does not absorb": Mutant("end", TicTacToe, {"step": unfinished_step}),
    "an end at which the turn still passes": Mutant(
        "end", TicTacToe, after_step(TicTacToe, lambda b, s, _: s._replace(to_play=1 - b.to_play))
    ),
    "max_plies too small": Mutant("length", TicTacToe, {"max_plies": 8}),
    "max_plies that forgets the swap": Mutant("length", SmallHex, {"max_plies": 16}),
    "max_plies too small by one, in a long game": Mutant("length", ConnectFour, {"max_plies": 41}),
    # The mask and the turn.
    "a mask of the board before the move": Mutant(
        "alike",
        TicTacToe,
        after_step(
            TicTacToe,
            lambda before, after, _: after._replace(
                legal_action_mask=(before.board == EMPTY) & ~after.terminated
            ),
        ),
    ),
    "a mask that is never computed again": Mutant(
        "mask",
        TicTacToe,
        stale_mask(TicTacToe),
    ),
    "a mask of the board before the move, connect_four": Mutant(
        "mask",
        ConnectFour,
        stale_mask(ConnectFour),
    ),
    "a mask that stays on at the end": Mutant(
        "mask",
        TicTacToe,
        after_step(TicTacToe, lambda b, s, _: s._replace(legal_action_mask=s.board == EMPTY)),
    ),
    "a forgotten pass": Mutant(
        "mask",
        TicTacToe,
        after_step(
            TicTacToe,
            lambda b, s, _: s._replace(
                legal_action_mask=s.legal_action_mask & ((s.board != EMPTY).sum() != 4)
            ),
        ),
    ),
    "a legal action that does nothing": Mutant(
        "mask",
        TicTacToe,
        after_step(
            TicTacToe,
            lambda b, s, action: jax.tree.map(lambda x, y: jnp.where(action == 4, x, y), b, s),
        ),
    ),
    "a pass that keeps the turn": Mutant(
        "mask",
        SmallOthello,
        after_step(
            SmallOthello,
            lambda b, s, action: before_the_end(
                b, s._replace(to_play=jnp.where(action == 16, b.to_play, s.to_play))
            ),
        ),
    ),
    "a forgotten change of turn": Mutant(
        "turns", TicTacToe, after_step(TicTacToe, lambda b, s, _: s._replace(to_play=b.to_play))
    ),
    "seats called 1 and 2": Mutant(
        "turns",
        TicTacToe,
        after_step(TicTacToe, lambda b, s, _: before_the_end(b, s._replace(to_play=s.to_play + 1))),
    ),
    # The view.
    "seat 0's view for both": Mutant("observation", TicTacToe, view(lambda s: 0, lambda s: 1)),
    "seat 0's view for both, beside a plane that shows the seat": Mutant(
        "observation",
        SmallBreakthrough,
        {
            "observe": lambda self, s: (
                Breakthrough.observe(self, s._replace(to_play=jnp.int8(0)))
                .at[..., 2]
                .set(s.to_play == 0)
            )
        },
    ),
    "the opponent's stones first": Mutant(
        "observation", TicTacToe, view(lambda s: 1 - s.to_play, lambda s: s.to_play)
    ),
    "a view that hides stones from seat 1": Mutant(
        "alike", TicTacToe, {"observe": flipped_for_seat_1}
    ),
    "the opponent's boxes first, where who gains a box moves again": Mutant(
        "observation",
        SmallDots,
        {"observe": lambda self, s: DotsAndBoxes.observe(self, s)[..., jnp.array([1, 0, 2, 3])]},
    ),
    "an observation that never changes": Mutant(
        "observation",
        TicTacToe,
        {"observe": lambda self, s: jnp.zeros(self.observation_shape, bool)},
    ),
    "a view that divides by zero": Mutant("observation", TicTacToe, {"observe": dividing_observe}),
    "seat 0's view for both, connect_four": Mutant(
        "observation", ConnectFour, {"observe": seat_0_view}
    ),
    # Symmetries.
    "a wrong symmetry of the board": Mutant(
        "symmetry",
        ConnectFour,
        {"symmetries": lambda self: swapped(ConnectFour.symmetries(self), "observation")},
    ),
    "a wrong symmetry of the actions": Mutant(
        "symmetry",
        TicTacToe,
        {"symmetries": lambda self: swapped(TicTacToe.symmetries(self), "action")},
    ),
    "a symmetry of the board but not of the actions": Mutant(
        "symmetry",
        ConnectFour,
        {
            "symmetries": lambda self: tuple(
                Symmetry(s.observation, np.arange(7, dtype=np.int32))
                for s in ConnectFour.symmetries(self)
            )
        },
    ),
    "symmetries in floating point": Mutant(
        "symmetry",
        TicTacToe,
        {
            "symmetries": lambda self: tuple(
                Symmetry(s.observation.astype(np.float32), s.action)
                for s in TicTacToe.symmetries(self)
            )
        },
    ),
    "symmetries without the name": Mutant(
        "symmetry",
        TicTacToe,
        {"symmetries": lambda self: tuple(map(tuple, TicTacToe.symmetries(self)))},
    ),
    "the identity last": Mutant(
        "symmetry", TicTacToe, {"symmetries": lambda self: TicTacToe.symmetries(self)[::-1]}
    ),
    # Form and purity.
    "a Python if on a traced value": Mutant("purity", TicTacToe, {"step": branching_step}),
    "NumPy on a traced value": Mutant("purity", TicTacToe, {"step": numpy_step}),
    "NumPy's randomness": Mutant("purity", TicTacToe, {"step": noisy_step}),
    "Python's randomness in the mask": Mutant("purity", TicTacToe, {"step": dicey_step}),
    "noise in a number": Mutant("purity", TicTacToe, {"init": float_init, "step": fuzzy_step}),
    "returns that a coin decides": Mutant("purity", TicTacToe, {"returns": undecided_returns}),
    "a counter outside the state": Mutant("purity", TicTacToe, {"step": counting_step}),
    "a wrong dtype": Mutant(
        "form", TicTacToe, after_step(TicTacToe, lambda b, s, _: s._replace(to_play=s.winner + 0.0))
    ),
    "returns in another dtype": Mutant(
        "form", TicTacToe, with_returns(lambda s, r: r.astype(jnp.bfloat16))
    ),
    "an observation of another shape": Mutant(
        "form", TicTacToe, {"observe": lambda self, s: TicTacToe.observe(self, s).reshape(9, 2)}
    ),
    "another kind of state after a move": Mutant(
        "form", TicTacToe, {"step": lambda self, s, a: {**TicTacToe.step(self, s, a)._asdict()}}
    ),
    "a board that grows": Mutant("form", TicTacToe, {"step": growing_step}),
    "a method that raises": Mutant(
        "form", TicTacToe, {"observe": lambda self, state: state.no_such_field}
    ),
    "a game that cannot be hashed": Mutant("construction", TicTacToe, {"__hash__": None}),
    "NaN after an illegal action": Mutant(
        "illegal actions", TicTacToe, {"init": float_init, "step": nan_step}
    ),
    "a past recalled without the moves since the root": Mutant(
        "past",
        TicTacToe,
        {
            "forget": lambda self, state: state._replace(board=state.board[:0]),
            "recall": lambda self, state, root, line: state._replace(board=root.board),
        },
    ),
    # Text.
    "two actions of one name": Mutant("notation", TicTacToe, {"action_to_string": ambiguous}),
    "a swap, legal at one ply only, with a cell's name": Mutant(
        "notation", SmallHex, {"action_to_string": nameless_swap}
    ),
    "names that are misread": Mutant("notation", TicTacToe, {"string_to_action": off_by_one}),
    "two actions at one place": Mutant(
        "board", TicTacToe, {"place": lambda self, state, action: Point(min(action, 7))}
    ),
    "a render that raises": Mutant("notation", TicTacToe, {"render": crashing_render}),
    "a render that raises at a draw": Mutant("notation", TicTacToe, {"render": drawless_render}),
    "what follows a move is not read": Mutant(
        "notation", TicTacToe, {"string_to_action": first_word}
    ),
    "the empty text is a move": Mutant("notation", TicTacToe, {"string_to_action": any_move}),
}

# Like another one above, on another game or in another place; tried by `make test-all` only.
VARIANTS = {
    "returns of NaN at a draw",
    "a view that divides by zero",
    "Python's randomness in the mask",
    "noise in a number",
    "another kind of state after a move",
    "the winner is the other seat",
    "the winner is always seat 0",
    "seat 1's wins go to seat 0",
    "returns of 2 and -2",
    "an end at which the turn still passes",
    "a mask that is never computed again",
    "a mask that stays on at the end",
    "a legal action that does nothing",
    "seats called 1 and 2",
    "seat 0's view for both, connect_four",
    "an observation that never changes",
    "a symmetry of the board but not of the actions",
    "the identity last",
    "a render that raises",
    "what follows a move is not read",
    "the empty text is a move",
    "symmetries without the name",
    "returns by mover, where who ends a game need not win it",
    "max_plies too small by one, in a long game",
    "a mask of the board before the move, connect_four",
    "seat 0's view for both, beside a plane that shows the seat",
    "the opponent's boxes first, where who gains a box moves again",
    "symmetries in floating point",
    "NumPy's randomness",
    "returns that a coin decides",
    "returns in another dtype",
    "a swap, legal at one ply only, with a cell's name",
    "a render that raises at a draw",
    "max_plies that forgets the swap",
    "returns exchanged when seat 1 won",
}
