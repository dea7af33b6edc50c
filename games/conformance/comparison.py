"""A game compared with a reference, ply by ply over many games: `selfplay game check --against`."""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from games.conformance import playouts
from games.conformance.cases import rendered
from games.conformance.playouts import LONGEST, Batch, batched, fill, one, take
from games.conformance.reference import InProgress, Rules, plain, rules_of
from games.game import Game
from games.plug_in import PlugInError, described

TRIED = 4  # moves that are looked at before one is played
SHOWN = 8  # moves of a difference that are named
EARLY = 2  # plies in which a difference may come from moves that are matched wrongly
HOW_TO_MAP = (
    "give --actions FILE.py:to_ours, a function from the reference's move to the game's name of it "
    "or its action number, or --actions index where both number their actions alike"
)
LOOK_AT = {  # by what differs: where the cause may be
    "the end": "where `step` sets terminated: the condition holds too early (has a counter "
    "wrapped, is max_plies too small?), misses this end, or looks at the board before the move",
    "returns": "`returns`: the sign, results by mover instead of by seat, or what it counts; and "
    "where `step` notes the winner",
    "whose turn it is": "where `step` sets to_play",
    "legal moves": "the mask that `step` makes: is it that of the position before the move, or is "
    "a condition missing? Then what the last move did to the board",
}


class Difference(NamedTuple):
    """The first position on which a game and its reference disagree."""

    about: str  # a key of LOOK_AT
    ours: str
    theirs: str
    moves: tuple[str, ...]  # that lead there, as the game names them
    position: str  # as the game renders it
    their_position: str  # as the reference does, if it does
    look: str  # where the cause may be

    def __str__(self) -> str:
        count = len(self.moves)
        where = f"after {count} move{'s'[: count != 1]}: " if count else "at the opening"
        lines = [f"reference: another answer on {self.about} {where}{' '.join(self.moves)}"]
        for whose, board in (("the game", self.position), ("the reference", self.their_position)):
            if board:
                lines += [f"  position in {whose}:", *(f"    {row}" for row in board.splitlines())]
        lines += [f"  game:      {self.ours}", f"  reference: {self.theirs}"]
        return "\n".join([*lines, f"  look at:   {self.look}"])


class Comparison(NamedTuple):
    """The result of playing a game beside its reference."""

    reference: str  # its name
    matched: str  # how moves were told to be the same
    games: int
    plies: int  # positions on which both were asked, over all games
    difference: Difference | None
    error: str = ""  # what the reference got wrong, so that nothing is known

    @property
    def agrees(self) -> bool:
        return self.difference is None and not self.error


class Names:
    """The game's names of the legal actions of one position, made when they are asked for."""

    def __init__(self, game: Game[Any], at: Batch, lane: int) -> None:
        self._game, self._at, self._lane = game, at, lane
        self._actions: dict[str, int] = {}  # by name, exact and plain

    def action(self, name: str) -> int | None:
        """Returns the legal action of that name, however programs write it, None without one."""
        if not self._actions:
            legal = np.flatnonzero(self._at.mask[self._lane]).tolist()
            names = self.of(legal)
            simple = {plain(own): action for own, action in zip(names, legal, strict=True)}
            distinct = len(simple) == len(legal)
            self._actions = (simple if distinct else {}) | dict(zip(names, legal, strict=True))
        return self._actions.get(name, self._actions.get(plain(name)))

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
    # From a move, the reference before it, and the names of our actions: a name, or a number.
    ours: Callable[[Any, InProgress], Any]


BY_NAME = Matching("by name", lambda move, reference: str(move))
BY_NUMBER = Matching("by action number", lambda move, reference: reference.number(move))


def compare(
    game: Game[Any],
    reference: Rules | Callable[..., Any],
    *,
    games: int = 256,
    seed: int = 0,
    actions: str | Callable[..., Any] = "auto",
    update: Callable[[int, str], None] = lambda done, note: None,
) -> Comparison:
    """Plays random games by both rules at once, and stops at the first difference.

    Compared are the end, the returns there, who is to play, and the legal moves. Half of the games
    are played with a liking for what is rare: much that changes, few legal moves, long games.

    Args:
      reference: the class of a `Reference`, or what `reference.load` has read.
      actions: how a move of the reference becomes one of ours: "name", "index", a `to_ours` (see
        `reference.load_to_ours`), or "auto": by name, and where that leads to a difference, by
        number, if the reference has numbers.
      update: is told how many games are over, and at which ply all are.

    Raises:
      ValueError: the reference cannot begin, or no move of it is known to be one of ours.
    """
    rules = reference if isinstance(reference, Rules) else rules_of(reference, game)
    own = batched(game)
    seeds = np.random.default_rng([seed, games]).integers(0, 2**32, games, dtype=np.uint32)
    openings = own.init(seeds)
    if not rules.takes_opening and _vary(openings.state):
        raise ValueError(
            f"the game begins at random, and {rules.name} takes no `opening`: give its class a "
            "parameter of that name, the game's first State"
        )
    tried = []
    try:
        for matching in _matchings(game, rules, openings, actions):
            match = _Match(game, own, openings, rules, matching, seed, guessed=actions == "auto")
            tried.append(match.run(update))
            if tried[-1].agrees:
                return tried[-1]
    except PlugInError as error:
        return Comparison(rules.name, "", games, 0, None, str(error))
    return max(tried, key=lambda result: result.plies)


def _matchings(
    game: Game[Any], rules: Rules, openings: Batch, actions: str | Callable[..., Any]
) -> list[Matching]:
    """Returns the ways to match moves that are worth a try, the likeliest first."""
    if callable(actions):
        return [Matching("by your to_ours", _by_function(actions))]
    if actions in ("name", "index"):
        return [BY_NAME if actions == "name" else BY_NUMBER]
    if actions != "auto":
        raise ValueError(f"actions must be auto, name, index or a function, got {actions!r}")
    reference = rules.start(take(openings.state, 0))
    if reference.is_over():
        return [BY_NAME]
    moves, names = reference.legal_moves(), Names(game, openings, 0)
    if all(isinstance(move, int | np.integer) for move in moves):
        return [BY_NUMBER]
    ways = [BY_NAME] if any(names.action(str(move)) is not None for move in moves) else []
    ways += [BY_NUMBER] if rules.num_actions == game.num_actions else []
    if not ways:
        ours = names.of(np.flatnonzero(openings.mask[0]).tolist())
        raise ValueError(
            f"no move at the opening has one name in the game, which has {_some(ours)}, and in the "
            f"reference {rules.name}, which has {_some(moves)}: {HOW_TO_MAP}; or is the mask that "
            "`init` makes wrong?"
        )
    return ways


def _by_function(to_ours: Callable[..., Any]) -> Callable[[Any, InProgress], Any]:
    code = getattr(to_ours, "__code__", None)
    wants_both = code is not None and code.co_argcount - len(to_ours.__defaults__ or ()) > 1

    def ours(move: Any, reference: InProgress) -> Any:
        try:
            return to_ours(move, reference.inner) if wants_both else to_ours(move)
        except Exception as error:  # whatever an author's code raises
            raise PlugInError(f"to_ours({move!r}) raised {described(error)}") from error

    return ours


class _Match:
    """All games of a comparison, side by side, with one way to match moves."""

    def __init__(
        self,
        game: Game[Any],
        own: playouts.Rules,
        openings: Batch,
        rules: Rules,
        matching: Matching,
        seed: int,
        guessed: bool,
    ) -> None:
        self.game, self.own, self.openings = game, own, openings
        self.rules, self.matching, self.guessed = rules, matching, guessed
        self.rng = np.random.default_rng(seed)
        self.games = len(openings.terminated)
        self.plies, self.played = 0, list[np.ndarray]()  # the actions of each ply, int32[games]
        self.their_move = [dict[int, Any]() for _ in range(self.games)]  # of each legal action

    def run(self, update: Callable[[int, str], None]) -> Comparison:
        at, over = self.openings, np.zeros(self.games, bool)
        lanes = [self.rules.start(take(at.state, lane)) for lane in range(self.games)]
        for ply in range(min(self.game.max_plies, LONGEST) + 1):
            for lane in np.flatnonzero(~over).tolist():
                self.plies += 1
                if found := self._unlike(at, lane, lanes[lane]):
                    return self._result(self._difference(at, lane, lanes[lane], *found))
            over = at.terminated
            update(int(over.sum()), f"games over, ply {ply}")
            if over.all():
                break
            at = self._move(at, lanes)
        return self._result(None)

    def _result(self, difference: Difference | None) -> Comparison:
        return Comparison(self.rules.name, self.matching.said, self.games, self.plies, difference)

    def _move(self, at: Batch, lanes: list[InProgress]) -> Batch:
        """Plays a move in every game that goes on, by both rules."""
        tried = _moves_to_try(at.mask, self.rng)
        sources = take(at.state, np.repeat(np.arange(self.games), TRIED))
        after = self.own.step(sources, tried.reshape(-1))
        chosen = np.arange(self.games) * TRIED + _preferred(at, after, self.rng)
        actions = tried.reshape(-1)[chosen]
        for lane in np.flatnonzero(~at.terminated).tolist():
            lanes[lane].play(self.their_move[lane][int(actions[lane])])
        self.played.append(actions)
        return take(after, chosen)

    def _unlike(self, at: Batch, lane: int, reference: InProgress) -> tuple[str, str, str] | None:
        """Returns what the two disagree about, and the answer of each."""
        over, ended = reference.is_over(), bool(at.terminated[lane])
        if over != ended:
            said = ("the game goes on", "the game is over")
            return "the end", said[ended], said[over]
        if over:
            ours, theirs = at.returns[lane].tolist(), reference.returns()
            alike = np.allclose(theirs, ours)
            return None if alike else ("returns", f"returns {ours}", f"returns {theirs}")
        seat, other = int(at.to_play[lane]), reference.to_play()
        if seat != other:
            return "whose turn it is", f"seat {seat} is to play", f"seat {other} is to play"
        return self._unlike_moves(at, lane, reference)

    def _unlike_moves(
        self, at: Batch, lane: int, reference: InProgress
    ) -> tuple[str, str, str] | None:
        names, theirs = Names(self.game, at, lane), dict[int, Any]()
        strange = list[str]()  # legal in the reference, and no legal action of ours
        for move in reference.legal_moves():
            action = self._action(move, reference, names)
            if action in theirs:
                raise PlugInError(
                    f"two moves of the reference {reference.name}, {theirs[action]!r} and "
                    f"{move!r}, are both the action {action}"
                )
            if action is None or not at.mask[lane][action]:
                strange.append(str(move))
            else:
                theirs[action] = move
        self.their_move[lane] = theirs
        ours = [a for a in np.flatnonzero(at.mask[lane]).tolist() if a not in theirs]
        if not ours and not strange:
            return None
        labels = [f"{n} (action {a})" for n, a in zip(names.of(ours), ours, strict=True)]
        return "legal moves", _counted(len(theirs), labels), _counted(len(theirs), strange)

    def _action(self, move: Any, reference: InProgress, names: Names) -> int | None:
        """Returns the action that a move of the reference is, None if it is no legal one."""
        ours = self.matching.ours(move, reference)
        if isinstance(ours, str):
            return names.action(ours)
        if not isinstance(ours, int | np.integer) or not 0 <= ours < self.game.num_actions:
            raise PlugInError(
                f"the move {move!r} of the reference {reference.name} is the action {ours!r}, but "
                f"those of the game are 0 to {self.game.num_actions - 1}"
            )
        return int(ours)

    def _difference(
        self, at: Batch, lane: int, reference: InProgress, about: str, ours: str, theirs: str
    ) -> Difference:
        look = LOOK_AT[about] if self.played else "`init`"
        if self.guessed and about == "legal moves" and len(self.played) <= EARLY:
            look += f"; or moves are matched wrongly, {self.matching.said}: then {HOW_TO_MAP}"
        position = rendered(self.game, at.state, lane)
        return Difference(about, ours, theirs, self._moves(lane), position, str(reference), look)

    def _moves(self, lane: int) -> tuple[str, ...]:
        """Returns the moves that have been played in a game, as the game names them."""
        at, moves = take(self.openings, [lane]), list[str]()
        for actions in self.played:
            if at.terminated[0]:
                break
            action = actions[lane : lane + 1]
            moves += Names(self.game, at, 0).of(action.tolist())
            wide = self.games * TRIED  # as in `_move`, so that nothing recompiles
            after = self.own.step(fill(at.state, wide), np.repeat(action, wide))
            at = take(after, slice(0, 1))
        return tuple(moves)


def _counted(shared: int, only: list[str]) -> str:
    more = f" and {len(only) - SHOWN} more" if len(only) > SHOWN else ""
    names = f"; only here: {', '.join(only[:SHOWN])}{more}" if only else ""
    count = shared + len(only)
    return f"{count} legal move{'s'[: count != 1]}{names}"


def _some(moves: list[Any]) -> str:
    return ", ".join(sorted(map(repr, moves))[:3])


def _vary(states: Any) -> bool:
    return any((leaf != leaf[:1]).any() for leaf in jax.tree.leaves(states))


def _moves_to_try(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns int32[N, TRIED]: random legal actions, different ones where there are as many."""
    scores = rng.random(mask.shape, dtype=np.float32) + mask
    best = np.argsort(-scores, axis=1)[:, :TRIED]
    best = np.pad(best, ((0, 0), (0, TRIED - best.shape[1])), mode="edge")
    legal = np.take_along_axis(mask, best, axis=1)
    return np.where(legal, best, best[:, :1]).astype(np.int32)


def _preferred(at: Batch, after: Batch, rng: np.random.Generator) -> np.ndarray:
    """Returns int[N]: which of the moves tried each game plays.

    Every other game plays at random. The rest mostly like what changes most of the position, as
    captures do, or few legal moves next, or many, or the end and turns that are kept; the first
    three end no game that can go on.
    """
    games = len(at.terminated)
    over = after.terminated.reshape(games, TRIED)
    legal = after.mask.sum(axis=1).reshape(games, TRIED)
    again = after.to_play.reshape(games, TRIED) == at.to_play[:, None]
    leaves = zip(jax.tree.leaves(at.state), jax.tree.leaves(after.state), strict=True)
    changes = sum(
        (new.reshape(games, TRIED, -1) != old.reshape(games, 1, -1)).sum(axis=2)
        for old, new in leaves
    )
    likings = np.stack([*(x - 10_000 * over for x in (changes, -legal, legal)), 2 * over + again])
    style = np.arange(games) % 8
    liked = likings[style // 2, np.arange(games)].argmax(axis=1)
    firmness = np.where(np.arange(games) // 8 % 2, 0.6, 1.0)
    return np.where((style % 2 == 1) & (rng.random(games) < firmness), liked, 0)
