"""What moves do to pieces: whose they take up, and how far they carry them.

Plane 0 holds the mover's pieces. So the same board, seen by either seat before and after a move,
tells which pieces of which seat left their cells, and where an own piece went.
"""

import dataclasses
from typing import Any

import numpy as np

from games.conformance.cases import action_name, rendered, scene
from games.conformance.moves import ENOUGH
from games.conformance.playouts import Batch, Rules, choose
from games.conformance.seats import with_to_play
from games.game import Game
from games.laws import Findings, Scene


@dataclasses.dataclass
class Pieces:
    """Watches one random move from each of many positions."""

    findings: Findings
    game: Game[Any]
    rules: Rules
    rng: np.random.Generator
    # At openings (True) and later: moves that took up a piece of the mover's, of the other's, all.
    taken: dict[bool, np.ndarray] = dataclasses.field(
        default_factory=lambda: {True: np.zeros(3, int), False: np.zeros(3, int)}
    )
    strides: list[tuple[int, int]] = dataclasses.field(default_factory=list)  # rows, columns
    opening: tuple[str, str, list[Scene]] = ("", "", [])  # position and action

    def watch(self, at: Batch, opening: bool) -> None:
        """Tries one batch, where the seat to play can be changed at all."""
        action = choose(at.mask, self.rng)
        moved = self.rules.step(at.state, action).state
        seen = []  # by the mover and by the other, plane 0 before and after the move
        for seat in (at.to_play, 1 - at.to_play):
            states = [with_to_play(state, seat, slice(None)) for state in (at.state, moved)]
            if states[0] is None:
                return
            seen.append([self.rules.look(state).observation[..., 0] for state in states])
        took = [(after < before).any(axis=(1, 2)) for before, after in seen]
        self.taken[opening] += np.array([took[0].sum(), took[1].sum(), len(action)])
        if opening:
            name = action_name(self.game, at.state, 0, int(action[0]))
            case = scene(at.state, 0, action[0], moved)
            self.opening = (rendered(self.game, at.state, 0), name, [case])
        before, after = seen[0]
        for lane in range(len(action)):
            gone = np.argwhere(after[lane] < before[lane])
            come = np.argwhere(after[lane] > before[lane])
            pieces = len(np.unique(before[lane])) <= 2  # else they are counts, such as of seeds
            changed = np.concatenate([gone, come])
            if len(changed) == 2 and len(come) and pieces:  # a step, or two cells taken at once
                rows, cols = abs(changed[1] - changed[0]).tolist()
                self.strides.append((rows, cols))

    def conclude(self) -> None:
        """Judges what was watched."""
        first, later = (self.taken[opening] for opening in (True, False))
        if min(first[2], later[2]) >= ENOUGH:
            self._compare(first, later, "the opening", 0.0)
            self._compare(later, first, "later positions", 0.3)  # a few of them are openings too
        if len(self.strides) >= 8 * ENOUGH:
            self._judge_strides()

    def _compare(self, here: np.ndarray, there: np.ndarray, where: str, at_most: float) -> None:
        """Moves that take up a piece take up one's own, at the opening as later."""
        own, others, moves = here
        if own <= at_most * moves and others > 0.7 * moves and there[0] > 0.9 * there[2]:
            self.findings.add(
                "mask",
                "the moves of the seat to play, at the opening and later",
                f"moves at {where} take up pieces of the other seat, not of the mover as "
                "elsewhere: is the mask there that of the other seat?",
                *self.opening,
            )

    def _judge_strides(self) -> None:
        """Pieces that step to a neighbour, or else from one edge to the opposite, wrap round.

        Not so where they go along a track that is written in rows: there they never change rows
        but at its ends.
        """
        strides = np.array(self.strides)
        for axis, size in enumerate(self.game.observation_shape[:2]):
            far = strides[:, axis] == size - 1
            near = strides[~far, axis]
            across = strides[~far, 1 - axis] > 0
            if size < 4 or far.sum() < 3 or not len(near) or near.max() > (1 if size < 6 else 2):
                continue
            if across.mean() < 0.2:
                continue
            self.findings.notes.append(
                f"mask: moves reach over at most {near.max()} {('rows', 'columns')[axis]}, but "
                f"{far.sum()} of {len(far)} times by {size - 1}, from one edge to the opposite: "
                "does a move wrap round the edge of the board?"
            )
