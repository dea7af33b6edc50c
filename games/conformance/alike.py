"""The law of what looks alike: the observation shows all that the rules go by.

A network is given the observation and nothing else. So two positions that look the same to their
movers must have the same legal actions, and an action must lead from both to what looks the same:
the same end and result for the mover, the same next seat (the mover again, or the other), the same
next observation. Where it doesn't, something that the rules use is hidden, random or forgotten.

Such pairs are met by chance in small games, and sought: games are played once more with two moves
exchanged (transposed).
"""

import contextlib
import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from games.conformance.cases import Trial, action_name, scene
from games.conformance.playouts import Batch, Ply, choose, differs, fill, take
from games.conformance.unseen import unseen

SOUGHT_PLIES = 256  # of the games played to meet pairs
APART = (1, 2, 2, 4)  # plies between two moves that are exchanged
CONFIRMED = 4  # pairs looked at, before they are called one by rounding
SHOWN = 8  # moves of those that led to a position
PAIR = ("the first", "the second, with the same observation")
STALE = "was the mask made from the board before the move? Else "
CAUSE = (
    "something that the rules use is not in the observation: hidden, random or forgotten. Show it "
    "in a plane; if it must be left out, say what it is with a class attribute, for example "
    'unobserved = "superko history"'
)

UNSEEN = (
    "alike: the rules go by {} of the state, which `observe` never reads: show it in a plane, "
    "unless it follows from what is shown"
)


class Rows(NamedTuple):
    """One move in each of N envs, in short; equal numbers stand for what is equal."""

    seen: np.ndarray  # uint64[N], the observation
    mask: np.ndarray  # uint64[N]
    action: np.ndarray  # int32[N]
    after: np.ndarray  # uint64[N], what the move led to
    limited: np.ndarray  # bool[N], it led to the end by max_plies, which need not be shown
    course: np.ndarray  # int32[N], the number of the play-out
    ply: np.ndarray  # int32[N], moves before this one
    env: np.ndarray  # int32[N]


@dataclasses.dataclass
class Course:
    """What it takes to play a play-out's games once more."""

    openings: Any  # states, each leaf [N, ...]
    actions: list[np.ndarray] = dataclasses.field(default_factory=list)  # int32[N] each ply


@dataclasses.dataclass
class Alike:
    """Collects moves of the main envs, seeks more, and compares those from alike positions."""

    trial: Trial
    courses: list[Course] = dataclasses.field(default_factory=list)
    rows: list[Rows] = dataclasses.field(default_factory=list)
    _seen: np.ndarray | None = None  # of the newest positions of the newest course

    def __post_init__(self) -> None:
        self.lengths = np.zeros(self.trial.envs.main, int)  # plies of the main envs' games

    def start(self, openings: Batch) -> None:
        """Begins with the openings of a play-out."""
        self.courses.append(Course(openings.state))
        self._seen = _prints(openings.observation)

    def watch(self, ply: Ply) -> None:
        """Notes a ply of the main envs."""
        self.lengths[~ply.before.terminated[: self.trial.envs.main]] = ply.number
        self._note(ply, self.trial.envs.main)

    def seek(self) -> None:
        """Plays games anew that are likely to meet positions of others, in all envs."""
        trial, count = self.trial, self.trial.envs.count
        every = np.arange(count)
        opened = trial.rules.look(self.courses[0].openings)
        before = take(opened, every % trial.envs.main)
        self.start(before)
        for number, wish in enumerate(self._exchanged()[:SOUGHT_PLIES], start=1):
            if before.terminated.all():
                return
            action = np.where(before.mask[every, wish], wish, choose(before.mask, trial.rng))
            after = trial.rules.step(before.state, action)
            self._note(Ply(number, before, action, after), count)
            before = after

    def conclude(self) -> None:
        """Compares what was noted."""
        findings = self.trial.findings
        unobserved = getattr(self.trial.game, "unobserved", "")
        if not isinstance(unobserved, str):
            findings.add("form", "unobserved to be a text that says what", repr(unobserved))
            return
        if unobserved:
            findings.portrait.append(f"not in the observation, as the game says: {unobserved}")
            return
        with contextlib.suppress(Exception):  # an operation that is not known here: a note less
            if names := unseen(self.trial.game):
                findings.note(UNSEEN.format(", ".join(names)))
        rows = Rows(*map(np.concatenate, zip(*self.rows, strict=True)))
        # How near max_plies is need not be shown: ends by it are compared with each other.
        move = rows.action.astype(np.uint64) * np.uint64(2) + rows.limited
        alike = rows.seen * np.uint64(0x9E3779B97F4A7C15) + move
        unlike = [take(rows, pair) for pair in _unlike(rows.seen, rows.mask)[:CONFIRMED]]
        unlike += [take(rows, pair) for pair in _unlike(alike, rows.after)[:CONFIRMED]]
        any(self._blame(pair) for pair in unlike)  # until there is one

    def _note(self, ply: Ply, count: int) -> None:
        before, after = ply.before, ply.after
        self.courses[-1].actions.append(ply.action)
        seen, self._seen = self._seen, _prints(after.observation)
        assert seen is not None
        live = np.flatnonzero(~before.terminated[:count])
        mover = np.clip(before.to_play[live], 0, 1)
        ended = after.terminated[live]
        result = np.round(after.returns[live, mover] * 1024).astype(np.int64).astype(np.uint64)
        stays = after.to_play[live] == before.to_play[live]
        kind = result * np.uint64(4) + ended * np.uint64(2) + (stays & ~ended)
        led_to = np.where(ended, np.uint64(0), self._seen[live])
        self.rows.append(
            Rows(
                seen[live],
                _prints(before.mask)[live],
                ply.action[live],
                led_to + kind * np.uint64(0xD1B54A32D192ED03),
                ended & (ply.number == self.trial.game.max_plies),
                np.full(len(live), len(self.courses) - 1),
                np.full(len(live), ply.number - 1),
                live,
            )
        )

    def _exchanged(self) -> np.ndarray:
        """Returns int[T, N]: the main envs' games, each with two moves exchanged."""
        every, rng = np.arange(self.trial.envs.count), self.trial.rng
        env = every % self.trial.envs.main
        plan = np.stack(self.courses[0].actions)[:, env]
        apart = rng.choice(APART, len(env))
        early = rng.random(len(env)) * np.maximum(self.lengths[env] - apart, 0)
        first = early.astype(int)
        second = np.minimum(first + apart, len(plan) - 1)
        plan[first, every], plan[second, every] = plan[second, every], plan[first, every]
        return plan

    def _blame(self, pair: Rows) -> bool:
        """Plays to both positions again and reports what differs; False if nothing does."""
        trial = self.trial
        lines = [self._line(pair, i) for i in (0, 1)]
        before = [line[-1] for line in lines]
        if differs(before[0].observation, before[1].observation).any():
            return False
        moves = np.full(trial.envs.count, pair.action[0], np.int32)
        after = [trial.rules.step(fill(at.state, len(moves)), moves) for at in before]
        masks = self._unlike_masks(before)
        what = masks or _unlike_results(before, after)
        if not what:
            return False
        cases = [trial.case(at.state, 0, pair.action[0]) for at in before]
        trial.findings.add(
            "alike",
            "positions that look alike to the mover to have the same legal actions, and an action "
            "to lead from them to what looks alike",
            f"{what}: {STALE if masks else ''}{CAUSE}",
            "\nand, with the same observation,\n".join(
                f"{case.position}\n{self._moves(pair, i, lines[i])}" for i, case in enumerate(cases)
            ),
            "" if masks else cases[0].action,
            [
                scene(at.state, 0, None if masks else pair.action[0], then, about)
                for at, then, about in zip(
                    before, [None if masks else then.state for then in after], PAIR, strict=True
                )
            ],
        )
        return True

    def _line(self, pair: Rows, i: int) -> list[Batch]:
        """Returns the positions from the opening to that of row `i`, each in a batch of one."""
        course, env = self.courses[pair.course[i]], [int(pair.env[i])]  # copies, no view of all
        now = self.trial.rules.look(course.openings)
        line = [take(now, env)]
        for action in course.actions[: pair.ply[i]]:
            now = self.trial.rules.step(now.state, action)
            line.append(take(now, env))
        return line

    def _moves(self, pair: Rows, i: int, line: list[Batch]) -> str:
        """Returns who is to play, and the newest moves that led there."""
        course, env, ply = self.courses[pair.course[i]], int(pair.env[i]), int(pair.ply[i])
        names = [
            action_name(self.trial.game, line[p].state, 0, int(course.actions[p][env]))
            for p in range(max(ply - SHOWN, 0), ply)
        ]
        left_out = f"... {ply - SHOWN} more, " if ply > SHOWN else ""
        moves = f"after {ply} moves: {left_out}{', '.join(names)}" if ply else "the opening"
        return f"(seat {int(line[-1].to_play[0])} to play, {moves})"

    def _unlike_masks(self, before: list[Batch]) -> str:
        unlike = np.flatnonzero(before[0].mask[0] != before[1].mask[0])
        if not len(unlike):
            return ""
        owner = 0 if before[0].mask[0, unlike[0]] else 1
        name = action_name(self.trial.game, before[owner].state, 0, int(unlike[0]))
        return f"{name} is legal in the {('first', 'second')[owner]} only"


def _unlike_results(before: list[Batch], after: list[Batch]) -> str:
    """Returns what differs after the same action, in the envs 0."""
    seats = [int(np.clip(at.to_play[0], 0, 1)) for at in before]
    ended = [bool(at.terminated[0]) for at in after]
    kept = [int(at.to_play[0]) == seat for at, seat in zip(after, seats, strict=True)]
    result = [float(at.returns[0, seat]) for at, seat in zip(after, seats, strict=True)]
    if ended[0] != ended[1]:
        return f"the action ends the game from the {'first' if ended[0] else 'second'} only"
    if abs(result[0] - result[1]) > 1e-3:
        return (
            f"the action is worth {result[0]:g} to its mover from the first, {result[1]:g} from "
            "the second"
        )
    if not ended[0] and kept[0] != kept[1]:
        return f"the action keeps the turn from the {'first' if kept[0] else 'second'} only"
    views = [np.moveaxis(at.observation[0], -1, 0) for at in after]
    planes = [] if ended[0] else np.flatnonzero(differs(*views)).tolist()
    return f"the action leads to other observations (planes {planes})" if planes else ""


def _unlike(alike: np.ndarray, what: np.ndarray) -> np.ndarray:
    """Returns int[K, 2]: pairs of rows with one `alike` and two of `what`, the earliest first."""
    order = np.lexsort((np.arange(len(alike)), alike))
    same = alike[order[1:]] == alike[order[:-1]]
    unlike = same & (what[order[1:]] != what[order[:-1]])
    pairs = np.stack([order[:-1][unlike], order[1:][unlike]], axis=1)
    return pairs[np.argsort(pairs.max(axis=1), kind="stable")]


def _prints(values: np.ndarray) -> np.ndarray:
    """Returns uint64[N], a hash of each of N arrays: of floats to four places, else of the bits."""
    if jnp.issubdtype(values.dtype, jnp.floating):
        values = np.round(values.astype(np.float32) * 8192).astype(np.int32)
    return np.array([hash(row.tobytes()) for row in values]).astype(np.uint64)
