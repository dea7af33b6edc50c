"""A portrait of a game: statistics of random games, and notes on what is odd in them.

No law says how long games are or who wins. But whoever knows the game sees at a glance that a third
of its games should not be drawn.
"""

import dataclasses

import numpy as np

from games.conformance.cases import Trial
from games.conformance.playouts import Ply, take
from games.game import as_board

ENOUGH = 16  # games or moves, before anything is called odd
OFTEN = 1 / 3  # of games that are cut off at max_plies, which may be a rule
SOMETIMES = 0.1  # of games that are cut off at a number that nobody named
LARGE = 100.0  # a number in an observation that no network likes
FEW_PLANES = 16  # of an observation, each of which random games should fill


@dataclasses.dataclass
class Portrait:
    """Watches the main envs that play at random."""

    trial: Trial
    moves: int = 0
    legal: int = 0  # actions, summed over moves
    only: int = 0  # moves without a choice
    kept: int = 0  # moves after which the mover is to play again
    goes_on: int = 0  # moves that don't end the game
    largest: float = 0.0  # number in an observation
    removed: bool = False  # a move left the mover and the other together with less on the board

    def __post_init__(self) -> None:
        every = np.arange(self.trial.envs.main)
        self.chosen = every[(every % 8 != 1) & (every % 8 != 2)]  # the others prefer some actions
        count = len(self.chosen)
        # Of each game: its plies, the last to move, its legal actions then, and who was to be next.
        self.plies, self.mover, self.choices, self.next = np.zeros((4, count), int)
        self.ended, self.returns = np.zeros(count, bool), np.zeros((count, 2), np.float32)
        # Actions ever legal, and planes ever not zero.
        self.ever_legal = np.zeros(self.trial.game.num_actions, bool)
        self.written = np.zeros(as_board(self.trial.game.observation_shape)[2], bool)

    def watch(self, ply: Ply) -> None:
        """Notes one ply."""
        main = take(ply.before, slice(self.trial.envs.main))
        self.written |= (main.observation != 0).any(axis=(0, 1, 2))
        self.largest = max(self.largest, float(abs(main.observation.astype(np.float32)).max()))
        self.ever_legal |= main.mask[~main.terminated].any(axis=0)
        before, after = take((ply.before, ply.after), self.chosen)
        live, goes_on = ~before.terminated, ~before.terminated & ~after.terminated
        legal = before.mask.sum(axis=1)
        self.plies[live] = ply.number
        self.choices[live] = legal[live]
        self.mover[live] = np.clip(before.to_play[live], 0, 1)
        self.next[live] = np.clip(after.to_play[live], 0, 1)
        self.ended |= live & after.terminated
        self.returns = np.where(self.ended[:, None], after.returns, self.returns)
        self.moves += int(live.sum())
        self.legal += int(legal[live].sum())
        self.only += int((legal[live] == 1).sum())
        self.goes_on += int(goes_on.sum())
        self.kept += int((goes_on & (before.to_play == after.to_play)).sum())
        pieces = [(at.observation[..., :2] > 0).sum(axis=(1, 2, 3)) for at in (before, after)]
        self.removed |= bool((live & (pieces[1] < pieces[0])).any())

    def lines(self) -> tuple[str, ...]:
        """Returns the portrait."""
        plies, limit = self.plies, self.trial.game.max_plies
        if not self.moves:
            return ()
        decided, won = self._decided(), self.returns > 0
        drawn, limited = self.ended & ~decided, self.ended & (plies == limit)
        going = "" if self.ended.all() else f", {(~self.ended).mean():.0%} went on"
        mover = self._won_by(self.mover)[decided]
        deciding = f"; the last to move won {mover.mean():.0%} of the decided" if len(mover) else ""
        return (
            f"{len(plies)} random games: {plies.min()} to {plies.max()} plies, mean "
            f"{plies.mean():.1f} (max_plies {limit}, {limited.mean():.0%} end there); seat 0 won "
            f"{won[:, 0].mean():.0%}, seat 1 {won[:, 1].mean():.0%}, drawn {drawn.mean():.0%}"
            f"{going}{deciding}",
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
        self._note_cut((self.plies == cut) & self.ended & (self.choices > 2), cut)
        self._note_winners()
        note = self.trial.findings.note
        if self.largest > LARGE:
            note(
                f"observation: numbers up to {self.largest:g}; a network wants them from about -1 "
                "to 1: divide by the largest that can occur"
            )
        empty = np.flatnonzero(~self.written)
        if len(empty) and len(self.written) <= FEW_PLANES and len(self.plies) >= 4 * ENOUGH:
            note(
                f"observation: planes {empty.tolist()} were zero at all positions: never written, "
                "or of something that random games don't reach?"
            )

    def _decided(self) -> np.ndarray:
        return np.asarray(self.ended & (self.returns[:, 0] != 0))

    def _won_by(self, seat: np.ndarray) -> np.ndarray:
        return np.asarray(self.returns[np.arange(len(seat)), seat] > 0)

    def _note_cut(self, late: np.ndarray, cut: int) -> None:
        """Notes games that a count ends, with moves left: too many, too soon, or for one seat."""
        share, limit, note = late.mean(), self.trial.game.max_plies, self.trial.findings.note
        if cut == limit and share > OFTEN:
            note(
                f"length: {share:.0%} of random games are cut off at max_plies = {limit}, with "
                "moves left. If that is not how they should end: is max_plies too small, or an end "
                "by the rules missing or out of reach?"
            )
        elif cut < limit and share > SOMETIMES:
            note(
                f"length: {share:.0%} of random games are cut off after exactly {cut} plies, "
                f"whatever is played, and max_plies is {limit}: if that is a rule, max_plies = "
                f"{cut} says so; else a count ends games too soon"
            )
        ahead, otherwise = self.returns[late].sum(axis=0), (self.returns[~late] > 0).any(axis=0)
        if late.sum() >= ENOUGH and abs(ahead).max() == late.sum() and otherwise.all():
            note(
                f"seats: all {late.sum()} games that were cut off after {cut} plies were won by "
                f"seat {ahead.argmax()}, whatever the board: right only if the rules say so"
            )

    def _note_winners(self) -> None:
        """Notes that nobody wins, or only a seat, or only who is to play next."""
        decided, note, won = self._decided(), self.trial.findings.note, self.returns > 0
        if self.ended.sum() >= ENOUGH and not decided.any():
            note(
                f"returns: not one of {self.ended.sum()} random games was decided, all were drawn. "
                "If the game can be won: is the winner missed, or is a win so rare in random play "
                "that training would have none to begin with?"
            )
        seat = int(won.sum(axis=0).argmin())
        own = self.ended & ~decided & (self.mover == seat) & (self.choices > 1)
        own &= self.plies < self.trial.game.max_plies
        if not won[:, seat].any() and min(won.sum(), own.sum()) >= ENOUGH:
            note(
                f"seats: seat {seat} never won, seat {1 - seat} won {won.sum()} of {len(won)} "
                f"random games, and {own.sum()} were drawn by a move of seat {seat} that was not "
                "the only one: do the returns, or who is kept as winner, forget the wins of seat "
                f"{seat}?"
            )
        # That is seldom right where turns may be kept.
        by_mover = self._won_by(self.mover)[decided]
        enough = min(by_mover.sum(), (~by_mover).sum()) >= ENOUGH
        misere = getattr(self.trial.game, "misere", False)
        if enough and self._won_by(self.next)[decided].all() and not misere:
            note(
                f"seats: all {decided.sum()} decided games were won by the seat that was to play "
                f"next, which made the last move in {by_mover.mean():.0%} of them only: is the "
                "winner the seat to play after the move, instead of the one that made it?"
            )
