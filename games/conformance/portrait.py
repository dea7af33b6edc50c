"""A portrait of a game, drawn from random games, and notes on what is odd in it.

No law says how long games are or who wins. But whoever knows the game sees at a glance that a third
of its games should not be drawn.
"""

import dataclasses
from typing import Any

import jax
import numpy as np

from games.conformance.cases import action_name, rendered, scene
from games.conformance.playouts import MOVES_TRIED, Batch, Lanes, Ply, differs, take
from games.game import Game
from games.laws import Findings, Scene

ENOUGH = 16  # games or moves, before anything is called odd
OFTEN = 1 / 3  # of games that are cut off at max_plies, which may be a rule
SOMETIMES = 0.1  # of games that are cut off at a number that nobody named
LARGE = 100.0  # a number in an observation that no network likes
FEW_PLANES = 16  # of an observation, each of which random games should fill
WRAPS = (2**8, 2**16)  # where narrow counters begin again


@dataclasses.dataclass
class Portrait:
    """Watches the main lanes that play at random, and what moves do on the branching ones."""

    findings: Findings
    game: Game[Any]
    lanes: Lanes
    chosen: np.ndarray = dataclasses.field(init=False)  # int[G], lanes that play at random
    plies: np.ndarray = dataclasses.field(init=False)  # int[G], of each game
    returns: np.ndarray = dataclasses.field(init=False)  # float32[G, 2]
    ended: np.ndarray = dataclasses.field(init=False)  # bool[G]
    last_mover: np.ndarray = dataclasses.field(init=False)  # int[G]
    last_legal: np.ndarray = dataclasses.field(init=False)  # int[G], actions at the last move
    next_seat: np.ndarray = dataclasses.field(init=False)  # int[G], to play when the game had ended
    moves: int = 0
    legal: int = 0  # actions, summed over moves
    only: int = 0  # moves without a choice
    kept: int = 0  # moves after which the mover is to play again
    goes_on: int = 0  # moves that don't end the game
    ever_legal: np.ndarray = dataclasses.field(init=False)  # bool[A]
    largest: float = 0.0
    written: np.ndarray = dataclasses.field(init=False)  # bool[C], planes that were ever not zero
    removed: bool = False  # a move left the mover and the other together with less on the board

    def __post_init__(self) -> None:
        every = np.arange(self.lanes.main)
        self.chosen = every[(every % 8 != 1) & (every % 8 != 2)]  # the others prefer some actions
        count = len(self.chosen)
        self.plies, self.last_mover, self.last_legal, self.next_seat = np.zeros((4, count), int)
        self.ended, self.returns = np.zeros(count, bool), np.zeros((count, 2), np.float32)
        self.ever_legal = np.zeros(self.game.num_actions, bool)
        self.written = np.zeros(self.game.observation_shape[2], bool)

    def watch(self, ply: Ply) -> None:
        """Notes one ply."""
        views = take(ply.before.observation, slice(self.lanes.main))
        self.written |= (views != 0).any(axis=(0, 1, 2))
        if views.dtype != bool:
            self.largest = max(self.largest, float(abs(views.astype(np.float32)).max()))
        live = ~ply.before.terminated[: self.lanes.main]
        self.ever_legal |= ply.before.mask[: self.lanes.main][live].any(axis=0)
        before, after = take((ply.before, ply.after), self.chosen)
        live = ~before.terminated
        legal = before.mask.sum(axis=1)
        now = live & after.terminated
        stays = live & ~after.terminated & (before.to_play == after.to_play)
        self.plies[live] = ply.number
        self.last_legal[live] = legal[live]
        self.last_mover[live] = before.to_play[live]
        self.next_seat[live] = np.clip(after.to_play[live], 0, 1)
        self.ended |= now
        self.returns[now] = after.returns[now]
        self.moves += int(live.sum())
        self.legal += int(legal[live].sum())
        self.only += int((legal[live] == 1).sum())
        self.goes_on += int((live & ~after.terminated).sum())
        self.kept += int(stays.sum())
        pieces = [(at.observation[..., :2] > 0).sum(axis=(1, 2, 3)) for at in (before, after)]
        self.removed |= bool((live & (pieces[1] < pieces[0])).any())

    def lines(self) -> tuple[str, ...]:
        """Returns the portrait."""
        if not len(self.plies) or not self.moves:
            return ()
        plies, games = self.plies, len(self.plies)
        won = [self._share((self.returns[:, seat] > 0) & self.ended) for seat in (0, 1)]
        drawn = self._share((self.returns[:, 0] == 0) & self.ended)
        decided = self.ended & (self.returns[:, 0] != 0)
        mover = self._mover_won()[decided].mean() if decided.any() else 0.0
        deciding = f"; the last to move won {mover:.0%} of the decided" if decided.any() else ""
        going = self._share(~self.ended)
        return (
            f"{games} random games: {plies.min()} to {plies.max()} plies, mean {plies.mean():.1f} "
            f"(max_plies {self.game.max_plies}, {self._share(self._limited())} end there); seat 0 "
            f"won {won[0]}, seat 1 {won[1]}, drawn {drawn}"
            f"{'' if self.ended.all() else f', {going} went on'}{deciding}",
            f"{self.legal / self.moves:.1f} legal moves on average, only one at "
            f"{self.only / self.moves:.0%} of positions; {self.ever_legal.sum()} of "
            f"{len(self.ever_legal)} actions were legal at some time; the mover moved again after "
            f"{self.kept / max(self.goes_on, 1):.0%} of moves",
        )

    def conclude(self, cut: int) -> None:
        """Notes what is odd.

        Args:
          cut: the ply after which games end whatever is played, 0 if there is none.
        """
        if len(self.plies) < ENOUGH or not self.moves:
            return
        if not self._note_wrap():
            self._note_cut((self.plies == cut) & self.ended & (self.last_legal > 2), cut)
        self._note_undecided()
        self._note_one_seat()
        self._note_next_seat()
        self._note_views()

    def _share(self, games: np.ndarray) -> str:
        return f"{games.mean():.0%}"

    def _mover_won(self) -> np.ndarray:
        return np.asarray(self.returns[np.arange(len(self.plies)), self.last_mover] > 0)

    def _limited(self) -> np.ndarray:
        return self.ended & (self.plies == self.game.max_plies)

    def _varied(self) -> bool:
        return bool(self.plies.min() < self.plies.max())

    def _note_cut(self, late: np.ndarray, cut: int) -> None:
        """Notes games that a count ends, with moves left: too many, too soon, or for one seat."""
        share, limit = late.mean(), self.game.max_plies
        if cut == limit and share > OFTEN:
            self.findings.notes.append(
                f"length: {share:.0%} of random games are cut off at max_plies = {limit}, with "
                "moves left. If that is not how they should end: is max_plies too small, or an end "
                "by the rules missing or out of reach?"
            )
        elif cut < limit and share > SOMETIMES:
            self.findings.notes.append(
                f"length: {share:.0%} of random games are cut off after exactly {cut} plies, "
                f"whatever is played, and max_plies is {limit}: if that is a rule, max_plies = "
                f"{cut} says so; else a count ends games too soon"
            )
        winners = self.returns[late].sum(axis=0), (self.returns[~late] > 0).any(axis=0)
        if late.sum() >= ENOUGH and abs(winners[0]).max() == late.sum() and winners[1].all():
            self.findings.notes.append(
                f"seats: all {late.sum()} games that were cut off after {cut} plies were won by "
                f"seat {winners[0].argmax()}, whatever the board: right only if the rules say so"
            )

    def _note_wrap(self) -> bool:
        longest, limit = int(self.plies.max()), self.game.max_plies
        share = (self.plies == longest).mean()
        wraps = [w for w in WRAPS if 0 <= longest - limit % w <= 1 and limit >= w // 2]
        if not wraps or longest + 1 >= limit or share <= 0.05 or not self._varied():
            return False
        self.findings.notes.append(
            f"length: {share:.0%} of random games end after exactly {longest} plies, which is "
            f"max_plies = {limit} less a multiple of {wraps[0]}: is {limit} compared with a "
            "counter too narrow to hold it, such as int8?"
        )
        return True

    def _note_next_seat(self) -> None:
        """A winner who is always the seat to play next is seldom right where turns may be kept."""
        decided = self.ended & (self.returns[:, 0] != 0)
        by_mover = self._mover_won()[decided]
        next_won = self.returns[np.arange(len(self.plies)), self.next_seat] > 0
        enough = min(by_mover.sum(), (~by_mover).sum()) >= ENOUGH
        if enough and next_won[decided].all() and not getattr(self.game, "misere", False):
            self.findings.notes.append(
                f"seats: all {decided.sum()} decided games were won by the seat that was to play "
                f"next, which made the last move in {by_mover.mean():.0%} of them only: is the "
                "winner the seat to play after the move, instead of the one that made it?"
            )

    def _note_undecided(self) -> None:
        ended = int(self.ended.sum())
        if ended >= ENOUGH and not self.returns[self.ended].any():
            self.findings.notes.append(
                f"returns: not one of {ended} random games was decided, all were drawn. If the "
                "game can be won: is the winner missed, or is a win so rare in random play that "
                "training would have none to begin with?"
            )

    def _note_one_seat(self) -> None:
        won = (self.returns > 0).sum(axis=0)
        seat = int(won.argmin())
        drawn = self.ended & (self.returns[:, 0] == 0)
        own = drawn & (self.last_mover == seat) & (self.last_legal > 1) & ~self._limited()
        if won[seat] == 0 and won[1 - seat] >= ENOUGH and own.sum() >= ENOUGH:
            self.findings.notes.append(
                f"seats: seat {seat} never won, seat {1 - seat} won {won[1 - seat]} of "
                f"{len(self.plies)} random games, and {own.sum()} were drawn by a move of seat "
                f"{seat} that was not the only one: do the returns, or who is kept as winner, "
                f"forget the wins of seat {seat}?"
            )

    def _note_views(self) -> None:
        if self.largest > LARGE:
            self.findings.notes.append(
                f"observation: numbers up to {self.largest:g}; a network wants them from about -1 "
                "to 1: divide by the largest that can occur"
            )
        empty = np.flatnonzero(~self.written)
        if len(empty) and len(self.written) <= FEW_PLANES and len(self.plies) >= 4 * ENOUGH:
            self.findings.notes.append(
                f"observation: planes {empty.tolist()} were zero at all positions: never written, "
                "or of something that random games don't reach?"
            )


@dataclasses.dataclass
class Effects:
    """Compares the moves that branching lanes try from one position: do two of them do the same?"""

    findings: Findings
    game: Game[Any]
    lanes: Lanes
    positions: int = 0  # at which several actions were tried
    twice: int = 0  # of them, those at which two actions led to one position
    case: str = ""
    scenes: tuple[Scene, ...] = ()  # of that case: both actions, tried in its position
    idle: int = 0  # of those, where both actions left the board as it was

    def watch(self, ply: Ply) -> None:
        """Notes one ply."""
        lanes = slice(self.lanes.main, self.lanes.real)
        before, after, action = take((ply.before, ply.after, ply.action), lanes)
        for first in range(0, len(action), MOVES_TRIED):
            if not before.terminated[first]:
                self._note_twice(before, after, action, first)

    def conclude(self) -> None:
        """Notes moves that do nothing, and moves that do the same."""
        if self.idle >= 3:
            self.findings.note(
                f"mask: at {self.idle} of {self.positions} positions two legal actions changed "
                "nothing but the turn or a clock: does the mask allow moves that can't be made, "
                f"or those of the other seat? {self.case}",
                self.scenes,
            )
        elif self.twice >= max(3, self.positions // 50):
            self.findings.note(
                f"mask: two legal actions led to one position at {self.twice} of {self.positions} "
                f"positions: does step ignore or clip a part of the action, or are both legal? "
                f"{self.case}",
                self.scenes,
            )

    def _note_twice(self, before: Batch, after: Batch, action: np.ndarray, first: int) -> None:
        tried, lanes = np.unique(action[first : first + MOVES_TRIED], return_index=True)
        lanes = lanes[before.mask[first, tried]] + first
        lanes = lanes[~after.terminated[lanes]]
        if len(lanes) < 2:
            return
        self.positions += 1
        i, j = np.triu_indices(len(lanes), 1)
        same = ~differs(take(after.state, lanes[i]), take(after.state, lanes[j]))
        if same.any():
            self.twice += 1
            pair = int(same.argmax())
            boards = [_boards(take(at.state, lanes[i[[pair]]])) for at in (before, after)]
            idle = bool(boards[0]) and not differs(*boards).any()
            self.idle += idle
            if not self.case or (idle and self.idle == 1):
                both = np.array([lanes[i[pair]], lanes[j[pair]]])
                self.case = _case(self.game, before, first, action[both])
                self.scenes = tuple(
                    scene(before.state, lane, action[lane], after.state) for lane in both
                )


def _case(game: Game[Any], before: Batch, lane: int, actions: np.ndarray) -> str:
    names = " and ".join(action_name(game, before.state, lane, int(a)) for a in actions)
    return f"{names} at\n{rendered(game, before.state, lane)}"


def _boards(state: Any) -> list[np.ndarray]:
    """Returns the fields with axes, less the mask and the per-seat ones: what holds the pieces."""
    paths = jax.tree_util.tree_leaves_with_path(state)
    return [
        leaf
        for path, leaf in paths
        if leaf.ndim > 1 and "legal_action_mask" not in jax.tree_util.keystr(path)
    ]
