"""Which action of a game a move of its reference is: by name, by number, by a mapping."""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from games.conformance import playouts
from games.conformance.playouts import Batch, choose, one, take
from games.conformance.reference import InProgress, OpenSpielGame, Rules, plain
from games.game import Game
from games.plug_in import PlugInError, described

NAMED_PLIES, NAMED_GAMES = 8, 16  # of each side, to see whether moves have the same names
HOW_TO_MAP = (
    "give --actions FILE.py:to_ours, a function from the reference's move to the game's name of it "
    "or its action number, or --actions index where both number their actions alike"
)


class Names:
    """The game's names of the legal actions of one position, made when they are asked for."""

    def __init__(self, game: Game[Any], at: Batch, lane: int) -> None:
        self._game, self._at, self._lane = game, at, lane
        self._exact: dict[str, int] = {}
        self._plain: dict[str, int] = {}

    def action(self, name: str) -> int | None:
        """Returns the legal action of that name, however programs write it, None without one."""
        exact = self.all()
        return exact[name] if name in exact else self._plain.get(plain(name))

    def all(self) -> dict[str, int]:
        if not self._exact:
            legal = np.flatnonzero(self._at.mask[self._lane]).tolist()
            self._exact = dict(zip(self.of(legal), legal, strict=True))
            simple = [plain(name) for name in self._exact]
            if len(set(simple)) == len(simple):
                self._plain = dict(zip(simple, self._exact.values(), strict=True))
        return self._exact

    def of(self, actions: list[int]) -> list[str]:
        state: Any = take(self._at.state, self._lane)
        # jax arrays take a third of all the time to make, and NumPy's do for most games.
        with contextlib.suppress(Exception):
            return [self._game.action_to_string(state, action) for action in actions]
        state = one(self._at.state, self._lane)
        try:
            return [self._game.action_to_string(state, action) for action in actions]
        except Exception as error:  # whatever a broken game raises
            raise PlugInError(f"action_to_string of the game raised {described(error)}") from error


class Matching(NamedTuple):
    """How a move of the reference becomes an action."""

    said: str
    action: Callable[[Any, InProgress, Names], int | None]  # None: of no legal one
    assumed: bool = False  # nobody said so


def matchings(
    game: Game[Any],
    batched: playouts.Rules,
    openings: Batch,
    rules: Rules,
    actions: str | Callable[..., Any],
    seed: int,
) -> list[Matching]:
    """Returns the ways to match moves that are worth a try, the likeliest first.

    Args:
      batched, openings: the game's own rules, and lanes where it begins.
      actions: "name", "index", "auto", or a `to_ours` (see `reference.load_to_ours`).

    Raises:
      ValueError: moves are neither named nor numbered alike.
      PlugInError: the reference fails at once.
    """
    by_name = Matching("by name", _by_name)
    by_number = Matching("by action number", _by_number(game.num_actions))
    if callable(actions):
        return [Matching("by your to_ours", _by_function(game.num_actions, actions))]
    if actions in ("name", "index"):
        return [by_name if actions == "name" else by_number]
    if actions != "auto":
        raise ValueError(f"actions must be auto, name, index or a function, got {actions!r}")
    theirs = _their_moves(openings, rules, seed)
    if all(isinstance(move, int) for move in theirs):
        return [by_number]
    if not all(isinstance(move, str) for move in theirs):
        raise ValueError(
            f"moves of the reference {rules.name} are neither names nor numbers, such as "
            f"{_some(theirs)}: {HOW_TO_MAP}"
        )
    ours = _our_names(game, batched, openings, seed)
    shared = {plain(name) for name in ours} & {plain(name) for name in theirs}
    worth_trying = (
        (by_name, 2 * len(shared) >= min(len(ours), len(theirs))),
        (by_number, rules.num_actions == game.num_actions),
    )
    clear = 5 * len(ours & theirs) >= 4 * len(ours | theirs)  # then names are no guess
    result = [
        way._replace(assumed=way is by_number or not clear) for way, worth in worth_trying if worth
    ]
    if not result:
        raise ValueError(
            f"the reference {rules.name} has other names of moves than the game, and nothing says "
            f"which are the same. Only the game has {_some(ours - theirs)}; only the reference has "
            f"{_some(theirs - ours)}. Please {HOW_TO_MAP}"
        )
    return result


def _by_name(move: Any, reference: InProgress, names: Names) -> int | None:
    return names.action(str(move))


def _by_number(num_actions: int) -> Callable[[Any, InProgress, Names], int | None]:
    def action(move: Any, reference: InProgress, names: Names) -> int | None:
        inner = reference.reference
        number = inner.number(move) if isinstance(inner, OpenSpielGame) else move
        return _checked(number, num_actions, f"the reference {reference.name}")

    return action


def _by_function(
    num_actions: int, to_ours: Callable[..., Any]
) -> Callable[[Any, InProgress, Names], int | None]:
    code = getattr(to_ours, "__code__", None)
    wants_both = code is not None and code.co_argcount - len(to_ours.__defaults__ or ()) > 1

    def action(move: Any, reference: InProgress, names: Names) -> int | None:
        inner = reference.reference
        inner = inner.state if isinstance(inner, OpenSpielGame) else inner
        try:
            ours = to_ours(move, inner) if wants_both else to_ours(move)
        except Exception as error:  # whatever an author's code raises
            raise PlugInError(f"to_ours({move!r}) raised {described(error)}") from error
        if isinstance(ours, str):
            return names.action(ours)
        return _checked(ours, num_actions, f"to_ours({move!r})")

    return action


def _checked(action: Any, num_actions: int, whose: str) -> int:
    if not isinstance(action, int | np.integer) or not 0 <= action < num_actions:
        raise PlugInError(
            f"{whose} gives the action {action!r}, but those of the game are 0 to {num_actions - 1}"
        )
    return int(action)


def _our_names(game: Game[Any], batched: playouts.Rules, openings: Batch, seed: int) -> set[str]:
    rng, names, at = np.random.default_rng(seed), set[str](), openings
    for _ in range(NAMED_PLIES):
        for lane in np.flatnonzero(~at.terminated[:NAMED_GAMES]).tolist():
            names |= set(Names(game, at, lane).all())
        at = batched.step(at.state, choose(at.mask, rng))
    return names


def _their_moves(openings: Batch, rules: Rules, seed: int) -> set[Any]:
    """Returns names and numbers, or one move that is neither."""
    rng, moves = np.random.default_rng(seed), set[Any]()
    for lane in range(NAMED_GAMES):
        reference = rules.start(take(openings.state, lane % len(openings.terminated)))
        for _ in range(NAMED_PLIES):
            if reference.is_over():
                break
            legal = reference.legal_moves()
            for move in legal:
                if not isinstance(move, str | int | np.integer):
                    return {repr(move).encode()}
                moves.add(move if isinstance(move, str) else int(move))
            reference.play(legal[rng.integers(len(legal))])
    return moves


def _some(moves: set[Any]) -> str:
    names = [m.decode() if isinstance(m, bytes) else repr(m) for m in sorted(moves, key=str)]
    spread = names[:: max(1, len(names) // 3)][:3]
    return ", ".join(spread) or "none of its own"
