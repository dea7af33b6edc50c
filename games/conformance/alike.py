"""The law of what looks alike: the observation shows all that the rules go by.

A network is given the observation and nothing else. So two positions that look the same to their
movers must have the same legal actions, and an action must lead from both to what looks the same:
the same end and result for the mover, the same next seat (the mover again, or the other), the same
next observation. Where it doesn't, something that the rules use is hidden, random or forgotten.

Such pairs are met by chance in small games, and sought: games are played once more with two moves
exchanged, and others in which few moves are played at all, so that positions return.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.conformance.cases import action_name, rendered, scene
from games.conformance.playouts import Batch, Lanes, Ply, Rules, choose, differs, fill, take
from games.game import Game
from games.laws import Findings

SOUGHT_PLIES = 256  # of the games played to meet pairs
FEW = 3  # moves that a narrow game chooses from, of those it prefers
GROUP = 32  # narrow games with the same preferences
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


class Rows(NamedTuple):
    """One move on each of N lanes, in short; equal numbers stand for what is equal."""

    seen: np.ndarray  # uint64[N], the observation
    mask: np.ndarray  # uint64[N]
    action: np.ndarray  # int32[N]
    after: np.ndarray  # uint64[N], what the move led to
    limited: np.ndarray  # bool[N], it led to the end by max_plies, which need not be shown
    course: np.ndarray  # int32[N], the number of the play-out
    ply: np.ndarray  # int32[N], moves before this one
    lane: np.ndarray  # int32[N]


@dataclasses.dataclass
class Course:
    """What it takes to play a play-out's lanes once more."""

    openings: Any  # states, each leaf [N, ...]
    actions: list[np.ndarray] = dataclasses.field(default_factory=list)  # int32[N] each ply


@dataclasses.dataclass
class Alike:
    """Collects moves of the main lanes, seeks more, and compares those from alike positions."""

    findings: Findings
    game: Game[Any]
    rules: Rules
    lanes: Lanes
    rng: np.random.Generator
    courses: list[Course] = dataclasses.field(default_factory=list)
    rows: list[Rows] = dataclasses.field(default_factory=list)
    lengths: np.ndarray | None = None  # int[main], plies of the main lanes' games
    _seen: np.ndarray | None = None  # of the newest positions of the newest course

    def start(self, openings: Batch) -> None:
        """Begins with the openings of a play-out."""
        self.courses.append(Course(openings.state))
        self._seen = _prints(openings.observation)

    def watch(self, ply: Ply) -> None:
        """Notes a ply of the main lanes."""
        main = slice(self.lanes.main)
        if self.lengths is None:
            self.lengths = np.zeros(self.lanes.main, int)
        self.lengths[~ply.before.terminated[main]] = ply.number
        self._note(ply, self.lanes.main)

    def seek(self) -> None:
        """Plays games anew that are likely to meet positions of others, on all lanes."""
        assert self.lengths is not None
        first = self.courses[0]
        opened = self.rules.look(first.openings)
        before = take(opened, np.arange(self.lanes.count) % self.lanes.main)
        self.start(before)
        plan = self._exchanged()
        prefer = self.rng.random((-(-self.lanes.count // GROUP), before.mask.shape[1]))
        prefer = np.repeat(prefer, GROUP, axis=0)[: self.lanes.count]
        for number in range(1, min(len(plan), SOUGHT_PLIES) + 1):
            if before.terminated.all():
                return
            action = self._narrow(prefer, before.mask)
            planned = np.arange(self.lanes.count) % 2 == 0
            action[planned] = choose(before.mask, self.rng)[planned]
            wish = plan[number - 1]
            planned &= before.mask[np.arange(self.lanes.count), wish]
            action = np.where(planned, wish, action).astype(np.int32)
            after = self.rules.step(before.state, action)
            self._note(Ply(number, before, action, after), self.lanes.count)
            before = after

    def conclude(self) -> None:
        """Compares what was noted."""
        rows = Rows(*map(np.concatenate, zip(*self.rows, strict=True)))
        unlike_masks = _unlike(rows.seen, rows.mask)
        moved = take(rows, ~rows.limited)
        from_alike = moved.seen * np.uint64(0x9E3779B97F4A7C15) + moved.action.astype(np.uint64)
        unlike_results = _unlike(from_alike, moved.after)
        unobserved = getattr(self.game, "unobserved", "")
        if not isinstance(unobserved, str):
            self.findings.add("form", "unobserved to be a text that says what", repr(unobserved))
        elif unobserved:
            self.findings.portrait.append(f"not in the observation, as the game says: {unobserved}")
        else:
            for noted, unlike in ((rows, unlike_masks), (moved, unlike_results)):
                for pair in unlike[:CONFIRMED]:
                    if self._blame(take(noted, pair)):
                        return

    def _note(self, ply: Ply, count: int) -> None:
        before, after = ply.before, ply.after
        self.courses[-1].actions.append(ply.action)
        seen, self._seen = self._seen, _prints(after.observation)
        assert seen is not None
        assert self._seen is not None
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
                ended & (ply.number == self.game.max_plies),
                np.full(len(live), len(self.courses) - 1),
                np.full(len(live), ply.number - 1),
                live,
            )
        )

    def _exchanged(self) -> np.ndarray:
        """Returns int[T, N]: the main lanes' games, each with two moves exchanged."""
        assert self.lengths is not None
        actions = np.stack(self.courses[0].actions)
        lane = np.arange(self.lanes.count) % self.lanes.main
        plan = actions[:, lane].copy()
        length = self.lengths[lane]
        apart = self.rng.choice(APART, len(lane))
        early = self.rng.random(len(lane)) * np.maximum(length - apart, 0)
        first = early.astype(int)
        second = np.minimum(first + apart, len(plan) - 1)
        every = np.arange(len(lane))
        one_move = plan[first, every].copy()
        plan[first, every] = plan[second, every]
        plan[second, every] = one_move
        return plan

    def _narrow(self, prefer: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Returns int[N]: one of the FEW legal actions that each lane prefers."""
        few = min(FEW, mask.shape[1])
        best = np.argsort(-(prefer + mask), axis=1)[:, :few]
        legal = np.take_along_axis(mask, best, axis=1).sum(axis=1)
        chosen = (self.rng.random(len(mask)) * np.maximum(legal, 1)).astype(int)
        return best[np.arange(len(mask)), chosen].astype(np.int32)

    def _blame(self, pair: Rows) -> bool:
        """Plays to both positions again and reports what differs; False if nothing does."""
        lines = [self._line(pair, i) for i in (0, 1)]
        before = [line[-1] for line in lines]
        if differs(before[0].observation, before[1].observation).any():
            return False
        what = _unlike_masks(self.game, before)
        cause = STALE + CAUSE if what and _came_from_others(lines) else CAUSE
        action = ""
        scenes = [scene(at.state, 0, about=about) for at, about in zip(before, PAIR, strict=True)]
        if not what:
            moves = np.full(self.lanes.count, pair.action[0], np.int32)
            after = [self.rules.step(fill(at.state, len(moves)), moves) for at in before]
            what = _unlike_results(before, after)
            action = action_name(self.game, before[0].state, 0, int(pair.action[0]))
            scenes = [
                scene(at.state, 0, pair.action[0], then.state, about)
                for at, then, about in zip(before, after, PAIR, strict=True)
            ]
        if not what:
            return False
        boards = [
            f"{rendered(self.game, line[-1].state, 0)}\n{self._moves(pair, i, line)}"
            for i, line in enumerate(lines)
        ]
        self.findings.add(
            "alike",
            "positions that look alike to the mover to have the same legal actions, and an action "
            "to lead from them to what looks alike",
            f"{what}: {cause}",
            f"{boards[0]}\nand, with the same observation,\n{boards[1]}",
            action,
            scenes,
        )
        return True

    def _line(self, pair: Rows, i: int) -> list[Batch]:
        """Returns the positions from the opening to that of row `i`, each in a batch of one."""
        course, lane = self.courses[pair.course[i]], [int(pair.lane[i])]  # copies, no view of all
        now = self.rules.look(course.openings)
        line = [take(now, lane)]
        for action in course.actions[: pair.ply[i]]:
            now = self.rules.step(now.state, action)
            line.append(take(now, lane))
        return line

    def _moves(self, pair: Rows, i: int, line: list[Batch]) -> str:
        course, lane, ply = self.courses[pair.course[i]], int(pair.lane[i]), int(pair.ply[i])
        newest = range(max(ply - SHOWN, 0), ply)
        names = [
            action_name(self.game, line[p].state, 0, int(course.actions[p][lane])) for p in newest
        ]
        seat = f"seat {int(line[-1].to_play[0])} to play"
        left_out = f"... {ply - SHOWN} more, " if ply > SHOWN else ""
        moves = f"after {ply} moves: {left_out}{', '.join(names)}" if ply else "the opening"
        return f"({seat}, {moves})"


def _unlike_masks(game: Game[Any], before: list[Batch]) -> str:
    unlike = np.flatnonzero(before[0].mask[0] != before[1].mask[0])
    if not len(unlike):
        return ""
    owner = 0 if before[0].mask[0, unlike[0]] else 1
    name = action_name(game, before[owner].state, 0, int(unlike[0]))
    return f"{name} is legal in the {('first', 'second')[owner]} only"


def _came_from_others(lines: list[list[Batch]]) -> bool:
    """Returns whether the positions before differ: a mask that is made from them does so too."""
    if any(len(line) < 2 for line in lines):
        return len(lines[0]) != len(lines[1])
    return bool(differs(lines[0][-2].observation, lines[1][-2].observation).any())


def _unlike_results(before: list[Batch], after: list[Batch]) -> str:
    ended = [bool(at.terminated[0]) for at in after]
    if ended[0] != ended[1]:
        return f"the action ends the game from the {'first' if ended[0] else 'second'} only"
    mover = [int(np.clip(at.to_play[0], 0, 1)) for at in before]
    result = [float(at.returns[0, seat]) for at, seat in zip(after, mover, strict=True)]
    if abs(result[0] - result[1]) > 1e-3:
        return (
            f"the action is worth {result[0]:g} to its mover from the first, {result[1]:g} from "
            "the second"
        )
    if ended[0]:
        return ""
    stays = [int(at.to_play[0]) == seat for at, seat in zip(after, mover, strict=True)]
    if stays[0] != stays[1]:
        return f"the action keeps the turn from the {'first' if stays[0] else 'second'} only"
    planes = differs_by_plane(after[0].observation, after[1].observation)
    return f"the action leads to other observations (planes {planes})" if planes else ""


def differs_by_plane(a: np.ndarray, b: np.ndarray) -> list[int]:
    """Returns the planes in which two batches of observations differ."""
    return [c for c in range(a.shape[-1]) if differs(a[..., c], b[..., c]).any()]


def _unlike(alike: np.ndarray, what: np.ndarray) -> np.ndarray:
    """Returns int[K, 2]: pairs of rows with one `alike` and two of `what`, the earliest first."""
    order = np.lexsort((np.arange(len(alike)), alike))
    same = alike[order[1:]] == alike[order[:-1]]
    unlike = same & (what[order[1:]] != what[order[:-1]])
    pairs = np.stack([order[:-1][unlike], order[1:][unlike]], axis=1)
    return pairs[np.argsort(pairs.max(axis=1), kind="stable")]


def _prints(values: np.ndarray) -> np.ndarray:
    """Returns uint64[N], a hash of each of N arrays, [N, ...]."""
    return np.asarray(_two_hashes(values.reshape(len(values), -1))).astype(np.uint64) @ np.array(
        [1, 1 << 32], np.uint64
    )


@jax.jit
def _two_hashes(values: jax.Array) -> jax.Array:
    """Returns uint32[N, 2], of float32 values to four places, of others by their bits."""
    if jnp.issubdtype(values.dtype, jnp.floating):
        values = jnp.round(values.astype(jnp.float32) * 8192).astype(jnp.int32)
    bits = values.astype(jnp.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):  # murmur3's finaliser
        bits = (bits ^ (bits >> shift)) * jnp.uint32(factor)
    weights = np.random.default_rng(0).integers(1, 2**32, (2, values.shape[1]), dtype=np.uint32)
    return jnp.stack([(bits * w[None]).sum(axis=1, dtype=jnp.uint32) for w in weights], axis=1)
