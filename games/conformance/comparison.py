"""A game compared with a reference, ply by ply over many games: `selfplay game check --against`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from games.conformance import playouts
from games.conformance.matching import HOW_TO_MAP, Matching, Names, matchings
from games.conformance.playouts import LONGEST, Batch, batched, fill, one, take
from games.conformance.reference import InProgress, Rules, rules_of
from games.game import Game
from games.plug_in import PlugInError, described

TRIED = 4  # moves that are looked at before one is played
SHOWN = 8  # moves of a difference that are named
EARLY = 2  # plies in which a difference may come from moves that are matched wrongly


class Difference(NamedTuple):
    """The first position on which a game and its reference disagree."""

    about: str  # "legal moves", "whose turn it is", "the end" or "returns"
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
    """What came out of playing a game beside its reference."""

    reference: str  # its name
    matched: str  # how moves were told to be the same
    games: int
    plies: int  # positions on which both were asked, over all games
    difference: Difference | None
    error: str = ""  # what the reference got wrong, so that nothing is known

    @property
    def agrees(self) -> bool:
        return self.difference is None and not self.error


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

    Compared are the end, the returns there, who is to play, and the legal moves. Most games are
    played with a liking for what is rare: much that changes, few legal moves, long games.

    Args:
      reference: the class of a `Reference`, or what `reference.load` has read.
      actions: how a move of the reference becomes one of ours: "name", "index", a `to_ours` (see
        `reference.load_to_ours`), or "auto": by name where both have the same names, else by
        number; where a guess leads to a difference, the other one is tried too.
      update: is told how many games are over, and at which ply all are.

    Raises:
      ValueError: the reference cannot begin, or nothing says which moves are the same.
    """
    rules = reference if isinstance(reference, Rules) else rules_of(reference, game)
    own, furthest = batched(game), None
    seeds = np.random.default_rng([seed, games]).integers(0, 2**32, games, dtype=np.uint32)
    openings = own.init(seeds)
    if not rules.takes_opening and _vary(openings.state):
        raise ValueError(
            f"the game begins at random, and {rules.name} takes no `opening`: give its class a "
            "parameter of that name, the game's first State"
        )
    try:
        wide = fill(openings, games * TRIED)
        for matching in matchings(game, own, wide, rules, actions, seed):
            result = _Match(game, own, openings, rules, matching, seed).run(update)
            if result.agrees:
                return result
            if furthest is None or result.plies > furthest.plies:
                furthest = result
    except PlugInError as error:
        return Comparison(rules.name, "", games, 0, None, str(error))
    assert furthest is not None
    return furthest


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
    ) -> None:
        self.game, self.own, self.openings = game, own, openings
        self.rules, self.matching, self.rng = rules, matching, np.random.default_rng(seed)
        self.games = len(openings.terminated)
        self.plies, self.played = 0, list[np.ndarray]()  # the actions of each ply, int32[games]
        self.before = openings  # the position before the last move
        self.their_move = [dict[int, Any]() for _ in range(self.games)]  # of each legal action

    def run(self, update: Callable[[int, str], None]) -> Comparison:
        at = self.openings
        lanes = [self.rules.start(take(at.state, lane)) for lane in range(self.games)]
        over = np.zeros(self.games, bool)
        for ply in range(min(self.game.max_plies, LONGEST) + 1):
            for lane in np.flatnonzero(~over).tolist():
                self.plies += 1
                if difference := self._difference(at, lane, lanes[lane]):
                    return self._result(difference)
            over = at.terminated
            update(int(over.sum()), f"games over, ply {ply}")
            if over.all():
                break
            self.before, at = at, self._move(at, lanes)
        return self._result(None)

    def _result(self, difference: Difference | None) -> Comparison:
        how = self.matching.said + (" (assumed)" if self.matching.assumed else "")
        return Comparison(self.rules.name, how, self.games, self.plies, difference)

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

    def _difference(self, at: Batch, lane: int, reference: InProgress) -> Difference | None:
        over, ended = reference.is_over(), bool(at.terminated[lane])
        if over != ended:
            said = ("the game goes on", "the game is over")
            look = self._look_at_end(lane, ended)
            return self._show(at, lane, reference, "the end", said[ended], said[over], look)
        if over:
            ours, theirs = at.returns[lane].tolist(), reference.returns()
            if np.allclose(theirs, ours):
                return None
            answers = f"returns {ours}", f"returns {theirs}"
            return self._show(at, lane, reference, "returns", *answers, _look_at(ours, theirs))
        seat, other = int(at.to_play[lane]), reference.to_play()
        if seat != other:
            answers = f"seat {seat} is to play", f"seat {other} is to play"
            look = "`init`: seat 0 begins"
            if self.played:
                mover = int(self.before.to_play[lane])
                keeps = "passes" if other != mover else "keeps"
                look = f"where `step` sets to_play: seat {mover} {keeps} the turn in the reference"
            return self._show(at, lane, reference, "whose turn it is", *answers, look)
        return self._legal_moves(at, lane, reference)

    def _legal_moves(self, at: Batch, lane: int, reference: InProgress) -> Difference | None:
        names, theirs = Names(self.game, at, lane), dict[int, Any]()
        strange = list[Any]()  # legal in the reference, and no legal action of ours
        for move in reference.legal_moves():
            action = self.matching.action(move, reference, names)
            if action in theirs:
                raise PlugInError(
                    f"two moves of the reference {reference.name}, {theirs[action]!r} and "
                    f"{move!r}, are both the action {action}"
                )
            if action is None or not at.mask[lane][action]:
                strange.append(move)
            else:
                theirs[action] = move
        self.their_move[lane] = theirs
        ours = [a for a in np.flatnonzero(at.mask[lane]).tolist() if a not in theirs]
        if not ours and not strange:
            return None
        own = names.of(ours)
        labels = [f"{name} (action {action})" for name, action in zip(own, ours, strict=True)]
        answers = _counted(len(theirs), labels), _counted(len(theirs), list(map(str, strange)))
        look = self._look_at_mask(at, lane, bool(ours), bool(strange), bool(theirs))
        return self._show(at, lane, reference, "legal moves", *answers, look)

    def _look_at_mask(self, at: Batch, lane: int, ours: bool, strange: bool, both: bool) -> str:
        if not self.played:
            look = "the mask that `init` makes"
            if not both:
                look = (
                    "the mask that `init` makes, as no move is legal in both; or the board is the "
                    "other way round, or seat 0 has the other pieces"
                )
        elif (at.mask[lane] == self.before.mask[lane]).all():
            look = "the mask that `step` makes: is it that of the position before the move?"
        elif ours and strange:
            look = "what the last move did to the board, then the mask that `step` makes"
        elif ours:
            look = (
                "the mask that `step` makes: a condition is missing, or the last move left "
                "something on the board"
            )
        else:
            look = (
                "the mask that `step` makes: it leaves out a kind of move, or the last move took "
                "too much off the board"
            )
        if not self.matching.assumed or len(self.played) > EARLY:
            return look
        guess = (
            f"how moves are matched: {self.matching.said}, a guess; if it is wrong, {HOW_TO_MAP}"
        )
        return f"{look}; or {guess}" if both else f"{guess}; if it is right, {look}"

    def _look_at_end(self, lane: int, ended: bool) -> str:
        if not self.played:
            return "`init`"
        if ended and len(self.played) == self.game.max_plies:
            return f"max_plies = {self.game.max_plies}, which ends the game here and not there"
        if ended:
            return (
                "where `step` sets terminated: the condition holds too early, or a counter has "
                "wrapped"
            )
        return (
            "where `step` sets terminated: it misses this end, or looks at the board before the "
            "move"
        )

    def _show(
        self,
        at: Batch,
        lane: int,
        reference: InProgress,
        about: str,
        ours: str,
        theirs: str,
        look: str,
    ) -> Difference:
        try:
            position = self.game.render(one(at.state, lane))
        except Exception as error:  # whatever a broken game raises
            position = f"(render raised {described(error)})"
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


def _look_at(ours: list[float], theirs: list[float]) -> str:
    if any(ours) and np.allclose(ours, -np.asarray(theirs)):
        return "`returns`: the sign, results by mover instead of by seat, or what it counts"
    if not any(ours):
        return "`returns`, and where `step` notes the winner: here nobody wins"
    if not any(theirs):
        return "`returns` at a draw, or what it counts: here a seat wins"
    return "`returns`, and what it counts"


def _counted(shared: int, only: list[str]) -> str:
    more = f" and {len(only) - SHOWN} more" if len(only) > SHOWN else ""
    names = f"; only here: {', '.join(only[:SHOWN])}{more}" if only else ""
    count = shared + len(only)
    return f"{count} legal move{'s'[: count != 1]}{names}"


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

    Every other game plays at random. The rest like what changes most of the position, as captures
    do, or few legal moves next, or many, or the end and turns that are kept; the first three end no
    game that can go on.
    """
    games = len(at.terminated)
    over = after.terminated.reshape(games, TRIED)
    legal = after.mask.sum(axis=1).reshape(games, TRIED)
    again = after.to_play.reshape(games, TRIED) == at.to_play[:, None]
    likings = np.stack(
        [
            _changes(at.state, after.state) - 10_000 * over,
            -legal - 10_000 * over,
            legal - 10_000 * over,
            2 * over + again,
        ]
    )
    style = np.arange(games) % 8
    liked = likings[np.minimum(style // 2, 3), np.arange(games)].argmax(axis=1)
    # Always, so that nobody ends a game that can go on, or mostly.
    firmness = np.where(np.arange(games) // 8 % 2, 0.6, 1.0)
    return np.where((style % 2 == 1) & (rng.random(games) < firmness), liked, 0)


def _changes(before: Any, after: Any) -> np.ndarray:
    """Returns int[N, TRIED]: in how many of its numbers each next state differs from its last."""
    total: Any = 0
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        pairs = new.reshape(len(old), TRIED, -1) != old.reshape(len(old), 1, -1)
        total = total + pairs.sum(axis=2)
    return np.asarray(total)
