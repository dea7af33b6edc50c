"""What moves do: whose pieces they take up, how far they carry them, whether two do the same.

Plane 0 holds the mover's pieces. So the same board, seen by either seat before and after a move,
tells which pieces of which seat left their cells, and where an own piece went.
"""

import dataclasses
from typing import Any

import jax
import numpy as np

from games.conformance.cases import Case, Trial
from games.conformance.moves import ENOUGH
from games.conformance.playouts import MOVES_TRIED, Ply, differs, take
from games.conformance.seats import BothViews
from games.game import as_board


@dataclasses.dataclass
class Pieces:
    """Judges random moves from the opening, and from later positions."""

    trial: Trial
    opening: BothViews
    later: BothViews

    def check(self) -> None:
        first, later = (_taken(seen) for seen in (self.opening, self.later))
        if min(first[2], later[2]) >= ENOUGH:
            self._compare(first, later, "the opening", 0.0)
            self._compare(later, first, "later positions", 0.3)  # a few of them are openings too
        strides = [stride for seen in (self.opening, self.later) for stride in _strides(seen)]
        if len(strides) >= 8 * ENOUGH:
            self._judge_strides(np.array(strides))

    def _compare(self, here: list[int], there: list[int], where: str, at_most: float) -> None:
        """Moves that take up a piece take up one's own, at the opening as later."""
        own, others, moves = here
        at = self.opening.at
        if own <= at_most * moves and others > 0.7 * moves and there[0] > 0.9 * there[2]:
            self.trial.findings.add(
                "mask",
                "the moves of the seat to play, at the opening and later",
                f"moves at {where} take up pieces of the other seat, not of the mover as "
                "elsewhere: is the mask there that of the other seat?",
                *self.trial.case(at.state, 0, self.opening.action[0], self.opening.after.state),
            )

    def _judge_strides(self, strides: np.ndarray) -> None:
        """Pieces that step to a neighbour, or else from one edge to the opposite, wrap round.

        Not so where they go along a track that is written in rows: there they never change rows
        but at its ends.
        """
        for axis, size in enumerate(as_board(self.trial.game.observation_shape)[:2]):
            far = strides[:, axis] == size - 1
            near, across = strides[~far, axis], strides[~far, 1 - axis] > 0
            if size < 4 or far.sum() < 3 or not len(near) or near.max() > (1 if size < 6 else 2):
                continue
            if across.mean() < 0.2:
                continue
            self.trial.findings.note(
                f"mask: moves reach over at most {near.max()} {('rows', 'columns')[axis]}, but "
                f"{far.sum()} of {len(far)} times by {size - 1}, from one edge to the opposite: "
                "does a move wrap round the edge of the board?"
            )


def _taken(seen: BothViews) -> list[int]:
    """Returns how many moves took up a piece of the mover's, of the other's, and of all."""
    views = (seen.at.observation, seen.mover_after), (seen.other, seen.other_after)
    return [*(int((y < x)[..., 0].any(axis=(1, 2)).sum()) for x, y in views), len(seen.action)]


def _strides(seen: BothViews) -> list[list[int]]:
    """Returns by how many rows and columns pieces were carried."""
    strides = []
    for old, new in zip(seen.at.observation[..., 0], seen.mover_after[..., 0], strict=True):
        changed = np.concatenate([np.argwhere(new < old), np.argwhere(new > old)])
        pieces = len(np.unique(old)) <= 2  # else they are counts, such as of seeds
        if len(changed) == 2 and (new > old).any() and pieces:  # a step, or two cells taken
            strides.append(abs(changed[1] - changed[0]).tolist())
    return strides


@dataclasses.dataclass
class Effects:
    """Compares the moves that branching envs try from one position: do two of them do the same?"""

    trial: Trial
    positions: int = 0  # at which several actions were tried
    twice: int = 0  # of them, those at which two actions led to one position
    idle: int = 0  # of those, where both actions left the board as it was
    cases: tuple[Case, ...] = ()  # both actions, tried in one position

    def watch(self, ply: Ply) -> None:
        """Notes one ply."""
        envs = self.trial.envs
        for first in range(envs.main, envs.real, MOVES_TRIED):
            if not ply.before.terminated[first]:
                self._note_twice(ply, first)

    def conclude(self) -> None:
        """Notes moves that do nothing, and moves that do the same."""
        if self.idle < 3 and self.twice < max(3, self.positions // 50):
            return
        text = (
            f"mask: at {self.idle} of {self.positions} positions two legal actions changed "
            "nothing but the turn or a clock: does the mask allow moves that can't be made, "
            "or those of the other seat?"
            if self.idle >= 3
            else f"mask: two legal actions led to one position at {self.twice} of {self.positions} "
            "positions: does step ignore or clip a part of the action, or are both legal?"
        )
        names = " and ".join(case.action for case in self.cases)
        scenes = [scene for case in self.cases for scene in case.scenes]
        self.trial.findings.note(f"{text} {names} at\n{self.cases[0].position}", scenes)

    def _note_twice(self, ply: Ply, first: int) -> None:
        before, after = ply.before, ply.after
        tried, envs = np.unique(ply.action[first : first + MOVES_TRIED], return_index=True)
        envs = envs[before.mask[first, tried]] + first
        envs = envs[~after.terminated[envs]]
        if len(envs) < 2:
            return
        self.positions += 1
        i, j = envs[np.stack(np.triu_indices(len(envs), 1))]
        same = ~differs(take(after.state, i), take(after.state, j))
        if same.any():
            self.twice += 1
            both = [int(side[same.argmax()]) for side in (i, j)]
            boards = [_boards(take(at.state, both[:1])) for at in (before, after)]
            idle = bool(boards[0]) and not differs(*boards).any()
            self.idle += idle
            if not self.cases or (idle and self.idle == 1):
                case, states = self.trial.case, (before.state, after.state)
                self.cases = tuple(case(states[0], at, ply.action[at], states[1]) for at in both)


def _boards(state: Any) -> list[np.ndarray]:
    """Returns the fields with axes, less the mask and the per-seat ones: what holds the pieces."""
    paths = jax.tree_util.tree_leaves_with_path(state)
    return [
        leaf
        for path, leaf in paths
        if leaf.ndim > 1 and "legal_action_mask" not in jax.tree_util.keystr(path)
    ]
