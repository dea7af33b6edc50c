"""The board games of pgx as games of ours: `load("pgx:chess")`.

Rules and action numbers are those of pgx 2 (Koyama et al. 2023, arXiv:2303.17503,
https://github.com/sotetsuk/pgx). Its contract differs from ours in five points, which this file
settles: its first player is drawn at random; all actions are legal in a finished game; results are
gone a step after the end; observations are part of the state; and its modules compute on the device
when they are imported, so that this is put off until a game is first used.
"""

import dataclasses
import functools
import importlib.util
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games import pgx_boards, pgx_moves
from games.board import draw, find_action
from games.game import Game, Symmetry, identity
from games.layout import Board, Piece, Place


class Kind(NamedTuple):
    """What pgx does not tell of a game; the pictures read the first planes of its observation."""

    max_plies: int
    letters: str = "X"  # of the planes of the mover's pieces, in order
    others: int = 1  # the first plane of the other's pieces, in the same order
    turned: tuple[int, ...] = ()  # the axes along which seat 1 sees the board reversed
    unobserved: str = ""  # what the rules go by and the observation leaves out


REPETITION = "all earlier positions, which repetition asks for"
CHESS, SHOGI = "PNBRQK", "PLNSBRGKTMQVHD"  # the last six of shogi's are its promoted pieces
GAMES = {
    "animal_shogi": Kind(
        256, "CEGLH", 5, (0, 1), REPETITION
    ),  # chick, elephant, giraffe, lion, hen
    "chess": Kind(512, CHESS, 6, (0,), f"{REPETITION}, and en passant"),
    "connect_four": Kind(42),
    "gardner_chess": Kind(256, CHESS, 6, (0,), REPETITION),
    "go_19x19": Kind(722, unobserved=f"{REPETITION}, and passes"),
    "go_9x9": Kind(162, unobserved=f"{REPETITION}, and passes"),
    "hex": Kind(122),  # the swap is a ply
    # After each of 60 discs at most a pass, and two at the end.
    "othello": Kind(122, unobserved="whether the other has just passed"),
    "shogi": Kind(512, SHOGI, 31, (0, 1), unobserved="how many plies are left"),
    "tic_tac_toe": Kind(9),
}
NOT_BOARD_GAMES = {
    "2048": "has one player",
    "backgammon": "has dice",
    "bridge_bidding": "has four players and hidden cards",
    "kuhn_poker": "has hidden cards",
    "leduc_holdem": "has hidden cards",
    "minatar": "has one player",
    "sparrow_mahjong": "has three players and hidden tiles",
}
# Pieces, whose turn, castling, en passant, plies since a capture or a pawn's move, move.
_FEN = re.compile(r"[1-8pnbrqkPNBRQK/]+ [wb] (?:-|[KQkq]{1,4}) (?:-|[a-h][36]) \d{1,3} \d{1,4}")
# Which of our games are also pgx's, by class and size.
COUNTERPARTS = {
    ("ConnectFour", None): "connect_four",
    ("Go", 9): "go_9x9",
    ("Go", 19): "go_19x19",
    ("Hex", 11): "hex",
    ("Othello", 8): "othello",
    ("TicTacToe", None): "tic_tac_toe",
}
# Fields of pgx's state that `State` holds itself or that can be computed again.
LEFT_OUT = (
    "current_player",
    "legal_action_mask",
    "observation",
    "rewards",
    "terminated",
    "truncated",
)


class Stepper(NamedTuple):
    """Rules for B positions at once, on the device, for whoever compares two of them."""

    init: Callable[[jax.Array], Any]  # from B keys
    step: Callable[[Any, jax.Array], Any]  # from states and int32[B] actions
    # From states: the legal actions bool[B, A], which games ended bool[B], returns float32[B, 2].
    look: Callable[[Any], tuple[jax.Array, jax.Array, jax.Array]]


class State(NamedTuple):
    inner: Any  # pgx's state, with None for the fields LEFT_OUT
    to_play: jax.Array  # int8[], seat 0 or 1: pgx's player
    legal_action_mask: jax.Array  # bool[A], all False once terminated
    terminated: jax.Array  # bool[]
    result: jax.Array  # float32[2], the returns


@dataclasses.dataclass(frozen=True)
class PgxGame:
    """A two-player, deterministic, perfect-information game of pgx, by its name there.

    Observations are pgx's, in its dtype: bool, float32 in the four chess-like games. Only the
    identity is known of its symmetries. Actions are named by their number, in the four chess-like
    games as `pgx_moves.py` says. Pictures use capitals for seat 0 and show no castling rights or
    the like.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in GAMES:
            reason = NOT_BOARD_GAMES.get(self.name.partition("-")[0], "is not a game of pgx")
            raise ValueError(f"{self.name!r} {reason}; choose from {', '.join(GAMES)}")
        if importlib.util.find_spec("pgx") is None:
            raise ValueError("the package pgx is not installed: pip install 'selfplay-zero[pgx]'")

    @property
    def num_actions(self) -> int:
        return int(_opening_shapes(self.name).legal_action_mask.shape[0])

    @property
    def observation_shape(self) -> tuple[int, ...]:
        return tuple(_opening_shapes(self.name).observation.shape)

    @property
    def max_plies(self) -> int:
        return GAMES[self.name].max_plies

    @property
    def unobserved(self) -> str:
        """What the rules go by and the observation leaves out."""
        return GAMES[self.name].unobserved

    def init(self, key: jax.Array) -> State:
        with jax.numpy_rank_promotion("allow"):  # pgx relies on it
            opening = _environment(self.name).init(key)
        # `key` decides nothing but which player has the first colour: here always player 0.
        first = {"current_player": jnp.int32(0)}
        if hasattr(opening, "_player_order"):
            first["_player_order"] = jnp.array([0, 1], jnp.int32)
        return _pack(opening.replace(**first))

    def step(self, state: State, action: jax.Array) -> State:
        with jax.numpy_rank_promotion("allow"):
            after = _pack(_environment(self.name).step(_unpack(state), action))
        # The search steps past the end of games: there, nothing may change.
        return jax.tree.map(lambda old, new: jnp.where(state.terminated, old, new), state, after)

    def observe(self, state: State) -> jax.Array:
        with jax.numpy_rank_promotion("allow"):
            observation: jax.Array = _environment(self.name).observe(_unpack(state))
        return observation

    def returns(self, state: State) -> jax.Array:
        return state.result

    def symmetries(self) -> tuple[Symmetry, ...]:
        return (identity(self.observation_shape, self.num_actions),)

    def action_to_string(self, state: State, action: int) -> str:
        if not pgx_moves.has_names(self.name):
            return str(action)
        return pgx_moves.move_name(self.name, state.inner, int(state.to_play), action)

    def string_to_action(self, state: State, text: str) -> int:
        legal = np.flatnonzero(np.asarray(state.legal_action_mask))
        if text.strip() in map(str, legal):  # as all of them were once written
            return int(text)
        return find_action(self, state, text)

    def board(self) -> Board:
        return pgx_boards.board(self.name, *self.observation_shape[:2])

    def place(self, state: State, action: int) -> Place:
        named = pgx_moves.has_names(self.name)
        name = self.action_to_string(state, action) if named else ""
        seat = int(state.to_play)
        return pgx_boards.place(self.name, name, action, seat, self._symbols(state))

    def pieces(self, state: State) -> list[Piece]:
        return pgx_boards.pieces(self.name, self._symbols(state), self._hands(state))

    def render(self, state: State) -> str:
        symbols = self._symbols(state)
        lines = [draw(symbols, range(len(symbols), 0, -1))]
        if hands := self._hands(state):  # captured pieces that may be dropped, the mover's first
            letters, seat = GAMES[self.name].letters, int(state.to_play)
            held = [
                _symbol(letters[i], owner) * number
                for owner in (seat, 1 - seat)
                for i, number in enumerate(hands[owner])
            ]
            lines.append(f"in hand: {''.join(held) or 'none'}")
        return "\n".join(lines)

    def _hands(self, state: State) -> list[list[int]]:
        """The number of pieces of each kind in hand, by seat; empty in games without hands."""
        hands = getattr(getattr(state.inner, "_x", None), "hand", None)
        hands = getattr(state.inner, "_hand", hands)
        if hands is None:
            return []
        mover_first: list[list[int]] = np.asarray(hands).tolist()
        return mover_first if int(state.to_play) == 0 else mover_first[::-1]

    def _symbols(self, state: State) -> np.ndarray:
        """str[rows, cols]: what stands on the board, as seat 0 sees it."""
        kind, count = GAMES[self.name], len(GAMES[self.name].letters)
        planes = np.asarray(_compiled_observe(self)(state)) > 0
        seat = int(state.to_play)
        symbols = np.full(planes.shape[:2], ".")
        for owner, first in ((seat, 0), (1 - seat, kind.others)):
            for i in range(count):
                symbols[planes[:, :, first + i]] = _symbol(kind.letters[i], owner)
        if seat == 1:
            symbols = np.flip(symbols, kind.turned)
        return symbols


def chess_position(fen: str) -> State:
    """Returns a position of `pgx:chess` from its FEN, whose two counts may be absent.

    Raises:
      ValueError: it is none.
    """
    words = fen.split()
    words += ["0", "1"][len(words) - 4 :] if len(words) in (4, 5) else []
    if not _FEN.fullmatch(" ".join(words)) or not _is_board(words[0]):
        raise ValueError(f"no position of chess: {fen!r}")
    with jax.numpy_rank_promotion("allow"):
        _environment("chess")
        from pgx.experimental.chess import from_fen

        state: State = jax.tree.map(np.asarray, _pack(from_fen(" ".join(words))))
    return state


def _is_board(rows: str) -> bool:
    """Whether it is eight rows of eight squares, with one king of each colour."""
    filled = [re.sub("[1-8]", lambda digit: "." * int(digit[0]), row) for row in rows.split("/")]
    one_each = rows.count("K") == rows.count("k") == 1
    return [len(row) for row in filled] == [8] * 8 and one_each


def raw(game: Game[Any]) -> Stepper:
    """Returns pgx's own rules, nothing added, of the game that is `game` here.

    States hold no observation, so that a step computes none. Rules that differ in detail (Go's
    repetitions, the end of Othello, the swap of Hex) stay pgx's.

    Raises:
      ValueError: pgx has no such game, or not of that size, or is not installed.
    """
    kind, size = type(game).__name__, getattr(game, "size", None)
    name = game.name if isinstance(game, PgxGame) else COUNTERPARTS.get((kind, size))
    if name is None:
        known = [f"{kind} of size {size}" if size else kind for kind, size in COUNTERPARTS]
        raise ValueError(f"pgx has no {game}; of our games it has {', '.join(known)}")
    environment = _environment(PgxGame(name).name)

    def without_observation(function: Callable[..., Any]) -> Callable[..., Any]:
        def mapped(*args: Any) -> Any:
            with jax.numpy_rank_promotion("allow"):  # pgx relies on it
                return jax.vmap(function)(*args).replace(observation=None)

        return mapped

    return Stepper(
        init=without_observation(environment.init),
        step=without_observation(environment.step),
        look=lambda at: (at.legal_action_mask, at.terminated | at.truncated, at.rewards),
    )


def _symbol(letter: str, seat: int) -> str:
    if seat == 0:
        return letter
    return "O" if letter == "X" else letter.lower()


@functools.cache
def _environment(name: str) -> Any:
    # The first use may be inside a traced function, whose tracers must not end up in pgx's tables.
    with jax.ensure_compile_time_eval(), jax.numpy_rank_promotion("allow"):
        import pgx  # here, not above: it is optional, and its import starts a device

        return pgx.make(name)


@functools.cache
def _opening_shapes(name: str) -> Any:
    with jax.numpy_rank_promotion("allow"):
        return jax.eval_shape(_environment(name).init, jax.random.key(0))


@functools.cache
def _compiled_observe(game: PgxGame) -> Any:
    return jax.jit(game.observe)  # for pictures: uncompiled, some take seconds


def _pack(after: Any) -> State:
    """Returns our state for one of pgx's."""
    terminated = after.terminated | after.truncated
    inner = after.replace(**dict.fromkeys(LEFT_OUT))
    if hasattr(getattr(inner, "_x", None), "legal_action_mask"):  # a second copy of the mask
        inner = inner.replace(_x=inner._x._replace(legal_action_mask=None))
    return State(
        # Strong types everywhere: some openings hold Python numbers.
        inner=jax.tree.map(lambda leaf: jnp.array(leaf, jnp.result_type(leaf)), inner),
        to_play=after.current_player.astype(jnp.int8),
        legal_action_mask=after.legal_action_mask & ~terminated,
        terminated=terminated,
        result=jnp.where(terminated, after.rewards, 0.0),
    )


def _unpack(state: State) -> Any:
    """Returns pgx's state for ours, without an observation. What follows the end is never used."""
    before = state.inner.replace(
        current_player=state.to_play.astype(jnp.int32),
        legal_action_mask=state.legal_action_mask,
        rewards=jnp.zeros(2, jnp.float32),
        terminated=state.terminated,
        truncated=jnp.zeros_like(state.terminated),
    )
    if hasattr(getattr(before, "_x", None), "legal_action_mask"):
        before = before.replace(_x=before._x._replace(legal_action_mask=state.legal_action_mask))
    return before
