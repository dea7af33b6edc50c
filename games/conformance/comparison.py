"""A game compared with a reference, ply by ply over many games: `selfplay game check --against`."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from games.conformance.cases import rendered
from games.conformance.playouts import LONGEST, Batch, batched, fill, one, take
from games.conformance.reference import InProgress, Rules, plain, reads_reference, rules_of
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


class Matching(NamedTuple):
    """How a move of the reference becomes an action."""

    said: str
    # From a move and the reference before it: our name of the action, or its number.
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
    step, seeds = batched(game), np.random.default_rng([seed, games])
    openings = step.init(seeds.integers(0, 2**32, games, dtype=np.uint32))
    varied = any((leaf != leaf[:1]).any() for leaf in jax.tree.leaves(openings.state))
    if varied and not rules.takes_opening:
        raise ValueError(
            f"the game begins at random, and {rules.name} takes no `opening`: give its class a "
            "parameter of that name, the game's first State"
        )
    tried = []
    try:
        for matching in _matchings(game, rules, openings, actions):
            match = _Match(game, step.step, openings, rules, matching, seed, actions == "auto")
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
        return [Matching("by your to_ours", reads_reference(actions))]
    if actions in ("name", "index"):
        return [BY_NAME if actions == "name" else BY_NUMBER]
    if actions != "auto":
        raise ValueError(f"actions must be auto, name, index or a function, got {actions!r}")
    reference = rules.start(take(openings.state, 0))
    moves: list[Any] = [] if reference.is_over() else reference.legal_moves()
    if all(isinstance(move, int | np.integer) for move in moves):
        return [BY_NUMBER]
    names = _by_name(game, openings, 0)
    ways = [BY_NAME] if any(_named(names, str(move)) is not None for move in moves) else []
    ways += [BY_NUMBER] if rules.num_actions == game.num_actions else []
    if not ways:
        ours, theirs = (", ".join(sorted(map(repr, some))[:3]) for some in (names, moves))
        raise ValueError(
            f"no move at the opening has one name in the game, which has {ours}, and in the "
            f"reference {rules.name}, which has {theirs}: {HOW_TO_MAP}; or is the mask that "
            "`init` makes wrong?"
        )
    return ways


def _names_of(game: Game[Any], at: Batch, env: int, actions: list[int]) -> list[str]:
    failed: Exception | None = None
    for get in (take, one):  # jax arrays, which few games ask for, take long to make
        try:
            state = get(at.state, env)
            return [game.action_to_string(state, action) for action in actions]
        except Exception as error:  # whatever a broken game raises
            failed = error
    assert failed is not None
    raise PlugInError(f"action_to_string of the game raised {described(failed)}") from failed


def _by_name(game: Game[Any], at: Batch, env: int) -> dict[str, int]:
    """Returns the legal actions of one position by exact and, if distinct, by plain name."""
    legal = np.flatnonzero(at.mask[env]).tolist()
    exact = dict(zip(_names_of(game, at, env, legal), legal, strict=True))
    simple = {plain(name): action for name, action in exact.items()}
    return exact | (simple if len(simple) == len(legal) else {}) | exact


def _named(names: dict[str, int], name: str) -> int | None:
    return names.get(name, names.get(plain(name)))


@dataclasses.dataclass
class _Match:
    """All games of a comparison, side by side, with one way to match moves."""

    game: Game[Any]
    step: Callable[[Any, np.ndarray], Batch]
    openings: Batch
    rules: Rules
    matching: Matching
    seed: int
    guessed: bool  # the matching
    plies: int = 0
    played: list[np.ndarray] = dataclasses.field(default_factory=list)  # int32[games] each ply
    # By game: the reference's move of each legal action.
    their_move: dict[int, dict[int, Any]] = dataclasses.field(default_factory=dict)

    def run(self, update: Callable[[int, str], None]) -> Comparison:
        at, rng = self.openings, np.random.default_rng(self.seed)
        over = np.zeros(len(at.terminated), bool)
        references = [self.rules.start(take(at.state, env)) for env in range(len(over))]
        for ply in range(min(self.game.max_plies, LONGEST) + 1):
            for env in np.flatnonzero(~over).tolist():
                self.plies += 1
                if found := self._unlike(at, env, references[env]):
                    return self._result(self._difference(at, env, references[env], *found))
            over = at.terminated
            update(int(over.sum()), f"games over, ply {ply}")
            if over.all():
                break
            actions, after = _move(self.step, at, rng)
            for env in np.flatnonzero(~over).tolist():
                references[env].play(self.their_move[env][int(actions[env])])
            self.played.append(actions)
            at = after
        return self._result(None)

    def _result(self, difference: Difference | None) -> Comparison:
        games = len(self.openings.terminated)
        return Comparison(self.rules.name, self.matching.said, games, self.plies, difference)

    def _unlike(self, at: Batch, env: int, reference: InProgress) -> tuple[str, str, str] | None:
        """Returns what the two disagree about, and the answer of each."""
        over, ended = reference.is_over(), bool(at.terminated[env])
        if over != ended:
            said = ("the game goes on", "the game is over")
            return "the end", said[ended], said[over]
        if over:
            results = at.returns[env].tolist(), reference.returns()
            ours, other = (f"returns {result}" for result in results)
            return None if np.allclose(*results) else ("returns", ours, other)
        seats = int(at.to_play[env]), reference.to_play()
        if seats[0] != seats[1]:
            ours, other = (f"seat {seat} is to play" for seat in seats)
            return "whose turn it is", ours, other
        theirs, strange = self._their_moves(at, env, reference)
        self.their_move[env] = theirs
        only = [a for a in np.flatnonzero(at.mask[env]).tolist() if a not in theirs]
        if not only and not strange:
            return None
        names = zip(_names_of(self.game, at, env, only), only, strict=True)
        labels = [f"{name} (action {action})" for name, action in names]
        return "legal moves", _counted(len(theirs), labels), _counted(len(theirs), strange)

    def _their_moves(
        self, at: Batch, env: int, reference: InProgress
    ) -> tuple[dict[int, Any], list[str]]:
        """Returns the reference's moves by action, and those that are no legal action of ours."""
        theirs, strange, names = dict[int, Any](), list[str](), dict[str, int]()
        for move in reference.legal_moves():
            action = self.matching.ours(move, reference)
            if isinstance(action, str):
                names = names or _by_name(self.game, at, env)
                action = _named(names, action)
            elif not isinstance(action, int | np.integer) or not (
                0 <= action < self.game.num_actions
            ):
                raise PlugInError(
                    f"the move {move!r} of the reference {reference.name} is the action "
                    f"{action!r}, but those of the game are 0 to {self.game.num_actions - 1}"
                )
            if action in theirs:
                raise PlugInError(
                    f"two moves of the reference {reference.name}, {theirs[action]!r} and "
                    f"{move!r}, are both the action {action}"
                )
            if action is None or not at.mask[env][action]:
                strange.append(str(move))
            else:
                theirs[int(action)] = move
        return theirs, strange

    def _difference(
        self, at: Batch, env: int, reference: InProgress, about: str, ours: str, theirs: str
    ) -> Difference:
        look = LOOK_AT[about] if self.played else "`init`"
        if self.guessed and about == "legal moves" and len(self.played) <= EARLY:
            look += f"; or moves are matched wrongly, {self.matching.said}: then {HOW_TO_MAP}"
        position = rendered(self.game, at.state, env)
        return Difference(about, ours, theirs, self._moves(env), position, str(reference), look)

    def _moves(self, env: int) -> tuple[str, ...]:
        """Returns the moves that have been played in a game, as the game names them."""
        at, moves = self.openings, list[str]()
        for actions in self.played:
            if at.terminated[env]:
                break
            moves += _names_of(self.game, at, env, [int(actions[env])])
            wide = len(actions) * TRIED  # as in `_move`, so that nothing recompiles
            after = self.step(fill(at.state, wide), fill(actions, wide))
            at = take(after, slice(len(actions)))
        return tuple(moves)


def _counted(shared: int, only: list[str]) -> str:
    more = f" and {len(only) - SHOWN} more" if len(only) > SHOWN else ""
    names = f"; only here: {', '.join(only[:SHOWN])}{more}" if only else ""
    count = shared + len(only)
    return f"{count} legal move{'s'[: count != 1]}{names}"


def _move(step: Any, at: Batch, rng: np.random.Generator) -> tuple[np.ndarray, Batch]:
    """Plays a move in every game: int32[N] actions, and what they led to."""
    tried, games = _moves_to_try(at.mask, rng), len(at.terminated)
    after = step(take(at.state, np.repeat(np.arange(games), TRIED)), tried.reshape(-1))
    chosen = np.arange(games) * TRIED + _preferred(at, after, rng)
    return tried.reshape(-1)[chosen], take(after, chosen)


def _moves_to_try(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns int32[N, TRIED]: random legal actions, different ones where there are as many."""
    scores = rng.random(mask.shape, dtype=np.float32) + mask
    best = np.argsort(-scores, axis=1)[:, :TRIED]
    best = np.pad(best, ((0, 0), (0, TRIED - best.shape[1])), mode="edge")
    legal = np.take_along_axis(mask, best, axis=1)
    return np.where(legal, best, best[:, :1]).astype(np.int32)


def _preferred(at: Batch, after: Batch, rng: np.random.Generator) -> np.ndarray:
    """Returns int[N]: which of the moves tried each game plays.

    Every other game plays at random. The rest mostly prefer what changes most of the position, as
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
