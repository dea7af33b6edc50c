"""The laws of the two seats: whose view an observation is, and whose result a return.

No check knows the rules. The evidence is that seats are names: a game played with the seats
exchanged must look the same to its movers and end with the results exchanged. So *twin* lanes play
the moves of a main lane from an opening in which `to_play` alone was changed. Where that makes no
difference to be seen but a turn of the board, and the twins go on to look alike for two plies, they
are the same game but for the names; where it does (pieces on the board at the start, a plane that
shows the seat, a seat kept in other fields too), nothing is concluded.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from games.board import dihedral
from games.conformance.cases import action_name, rendered, scene
from games.conformance.moves import ENOUGH
from games.conformance.playouts import Batch, Lanes, Ply, Rules, choose, differs, fill, join, take
from games.game import Game, Symmetry
from games.laws import Findings, Scene

SELDOM = 0.3  # of positions: what is there at more of them is how the game is shown
WARM_UP = 2  # plies, one of each seat, after which twins that still look alike are the same game


def with_to_play(states: Any, to_play: np.ndarray | int, lanes: slice) -> Any | None:
    """Returns the states with another seat to play, or None if `to_play` is not one field."""
    paths, structure = jax.tree_util.tree_flatten_with_path(states)
    places = [i for i, (path, _) in enumerate(paths) if _name(path) == "to_play"]
    if len(places) != 1:
        return None
    leaves = [leaf for _, leaf in paths]
    changed = leaves[places[0]].copy()
    changed[lanes] = to_play
    leaves[places[0]] = changed
    return jax.tree.unflatten(structure, leaves)


def _name(path: Any) -> Any:
    last = path[-1]
    return getattr(last, "name", getattr(last, "key", None)) if len(path) == 1 else None


@dataclasses.dataclass
class SeatSwapLanes:
    """Watches main lanes and their twins."""

    findings: Findings
    game: Game[Any]
    lanes: Lanes
    symmetries: tuple[Symmetry, ...]
    turn: Symmetry | None = None  # through which twins look like their main lanes, None for as is
    alike: np.ndarray | None = None  # bool[twins], None where twins prove nothing
    unequal: str = ""  # how the first pair of unlike twins differed
    causes: str = ""  # what that may come from
    case: tuple[str, str, list[Scene]] = ("", "", [])  # its position and action

    def place(self, states: Any) -> Any:
        """Returns the openings with seat 1 to play on the twins' lanes."""
        placed = with_to_play(states, 1, self.lanes.twin)
        if placed is None:
            return states
        self.alike = np.ones(self.lanes.twins, bool)
        return placed

    def start(self, openings: Batch) -> None:
        for turn in (None, *self.symmetries, *_turns(self.game)):
            self.turn = turn
            main, twin = self._pair(openings)
            if not differs(main.observation, twin.observation).any():
                return
        self.turn = self.alike = None

    @property
    def actions(self) -> np.ndarray | None:
        """int32[A]: the twin's action for each of the main lane's, None where it is the same."""
        return None if self.turn is None else self.turn.inverse().action

    def watch(self, ply: Ply) -> None:
        if self.alike is None:
            return
        main, twin = self._pair(ply.after)
        exchanged = twin.to_play == 1 - main.to_play
        same_view = ~differs(main.observation, twin.observation)
        same = same_view & ~differs(
            (main.mask, main.terminated, main.returns),
            (twin.mask, twin.terminated, twin.returns[:, ::-1]),
        )
        odd = self.alike & ~(exchanged & same)
        if ply.number > WARM_UP:
            if odd.any() and not self.unequal:
                self._remember(ply, int(np.flatnonzero(odd)[0]))
        elif (
            self.turn is None
            and self.alike.all()
            and (exchanged & ~same_view & _renamed(main, twin)).all()
        ):
            self._check_skew(ply, main, twin)
        self.alike &= exchanged & same
        if self.turn is not None and ply.number == WARM_UP and not self.alike.all():
            self.alike = None  # the rules do not turn with the board

    def conclude(self, decided: np.ndarray, echoes: bool, reads_echo: bool) -> None:
        """Judges unequal twins.

        Args:
          decided: int[mover, winner], who moved last in games that were won, and who won.
          echoes: whether more than `to_play` tells whose turn it is, so that twins prove little.
          reads_echo: whether the rules go by that.
        """
        if self.turn is not None and any(v.law == "symmetry" for v in self.findings.violations):
            return  # twins that are turned are unlike for that reason
        wins, deciding = decided.sum(axis=0), decided.sum(axis=1)
        one_seat = (wins == 0).any() and wins.sum() >= 2 * ENOUGH
        if one_seat and self.unequal:
            self.findings.add(
                "seats",
                "games that are alike but for the seats to end with the results exchanged "
                "(returns are indexed by seat, never by mover); if the rules favour a seat, "
                "show it in a plane of the observation",
                f"{self.unequal}; all {wins.sum()} decided games were credited to seat "
                f"{wins.argmax()}",
                *self.case,
            )
        elif one_seat and (deciding >= ENOUGH).all():
            self.findings.notes.append(
                f"seats: all {wins.sum()} decided games were credited to seat {wins.argmax()}, "
                "though each seat made deciding moves; right only if the rules favour that seat"
            )
        elif self.unequal and not echoes:
            self.findings.add(
                "seats",
                "positions that look the same to seat 0 and to seat 1 to go on and end alike, with "
                "the results exchanged",
                f"{self.unequal}: {self.causes}, which a plane of the observation must show?",
                *self.case,
            )
        elif self.unequal and not reads_echo:
            self.findings.note(
                "seats: two games that look alike but for the seats do not go on and end alike: "
                f"{self.unequal}: {self.causes}? {self.case[1]}, at\n{self.case[0]}",
                self.case[2],
            )

    def _pair(self, batch: Batch) -> tuple[Batch, Batch]:
        """Returns the main lanes, turned as the twins are, and the twins."""
        main, twin = take(batch, slice(self.lanes.twins)), take(batch, self.lanes.twin)
        if self.turn is not None:
            main = main._replace(
                observation=self.turn.on_observation(main.observation),
                mask=self.turn.on_actions(main.mask),
            )
        return main, twin

    def _remember(self, ply: Ply, lane: int) -> None:
        main, twin = (take(at, slice(lane, lane + 1)) for at in self._pair(ply.after))
        told = [f"terminated {bool(at.terminated[0])}, returns {at.returns[0].tolist()}"
                for at in (main, twin)]  # fmt: skip
        self.causes = (
            "are returns indexed by the mover rather than by seat, is a tie given to a seat, or is "
            "there a rule that favours a seat"
        )
        if not differs((main.terminated, main.returns), (twin.terminated, twin.returns[:, ::-1])):
            planes = (main.observation != twin.observation).any(axis=(0, 1, 2))
            other = f"planes {np.flatnonzero(planes).tolist()} are otherwise"
            if (main.mask != twin.mask).any():
                other = f"{(main.mask != twin.mask).sum()} actions are legal in one of them only"
            told = [f"seat {int(at.to_play[0])} is to play" for at in (main, twin)]
            told[1] += f" and {other}" if main.to_play[0] != twin.to_play[0] else ""
            self.causes = (
                "does a rule or a mask treat the seats unlike, by the number of a seat or by what "
                "was left over from the turn of the other, or does one favour a seat"
            )
        self.unequal = f"{told[0]} where seat 0 began, {told[1]} where seat 1 began"
        before = take(ply.before, slice(self.lanes.twins))
        action = int(ply.action[lane])
        self.case = (
            rendered(self.game, ply.after.state, lane),
            action_name(self.game, before.state, lane, action) + ", which led here",
            [
                scene(ply.before.state, at, ply.action[at], ply.after.state, f"seat {seat} began")
                for seat, at in enumerate((lane, self.lanes.real + lane))
            ],
        )

    def _check_skew(self, ply: Ply, main: Batch, twin: Batch) -> None:
        """The states are the same but for the names of the seats, and yet look different."""
        if _framed(main.observation, twin.observation):
            self.findings.notes.append("observation: seat 1 sees the board in another frame")
            return
        unlike = (main.observation != twin.observation).any(axis=(0, 1, 2))
        self.findings.add(
            "observation",
            "the same view for the mover when the seats are exchanged and the same moves played: "
            "its own pieces in plane 0, whichever seat it is",
            f"planes {np.flatnonzero(unlike).tolist()} differ",
            rendered(self.game, main.state, 0),
            action_name(self.game, ply.before.state, 0, int(ply.action[0])) + ", which led here",
            [scene(ply.before.state, 0, ply.action[0], ply.after.state)],
        )


def _turns(game: Game[Any]) -> tuple[Symmetry, ...]:
    """Returns the turns of the board where each action is a cell, or a last one that is a pass.

    A game whose opening they change may not call them symmetries; and yet they exchange the seats.
    """
    rows, cols = game.observation_shape[:2]
    rest = np.arange(rows * cols, game.num_actions, dtype=np.int32)
    if not 0 <= game.num_actions - rows * cols <= 1:
        return ()
    boards = [board.reshape(-1) for board in dihedral(rows, cols)]
    return tuple(Symmetry(cells, np.concatenate([cells, rest])) for cells in boards)


def _renamed(main: Batch, twin: Batch) -> np.ndarray:
    """Returns bool[N]: the states are equal but for seats, and some field besides to_play has them.

    A field with seats holds 0 where its twin holds 1, or has an axis of two, one place a seat.
    """
    related = np.ones(len(main.to_play), bool)
    marked = np.zeros(len(main.to_play), bool)
    paths = jax.tree_util.tree_leaves_with_path(main.state)
    for (path, x), y in zip(paths, jax.tree.leaves(twin.state), strict=True):
        if _name(path) == "to_play":
            continue
        images = [np.flip(x, axis) for axis in range(1, x.ndim) if x.shape[axis] == 2]
        if np.issubdtype(x.dtype, np.integer):
            images.append(np.where(x == 0, 1, np.where(x == 1, 0, x)))
        equal = ~differs(x, y)
        renamed = np.logical_or.reduce(
            [np.zeros_like(equal), *(~differs(image, y) for image in images)]
        )
        related &= equal | renamed
        marked |= renamed & ~equal
    return related & marked


def _framed(a: np.ndarray, b: np.ndarray) -> bool:
    """Returns whether b is a, turned or mirrored in the same way on all lanes."""
    turned = [np.rot90(x, k, axes=(1, 2)) for x in (a, a[:, :, ::-1]) for k in range(4)]
    return any(x.shape == b.shape and bool((x == b).all()) for x in turned)


@dataclasses.dataclass
class Alternation:
    """Measures whether plane 0 changes hands when the turn passes, on the main lanes."""

    lanes: Lanes
    to_other: float = 0.0  # summed change of plane 0 from a mover's view to the other's
    to_own: float = 0.0  # and from a mover's view to its next, two plies on
    _last: Batch | None = None

    def watch(self, ply: Ply) -> None:
        before, after = take((ply.before, ply.after), slice(self.lanes.main))
        last, self._last = self._last, before
        if last is None:
            return
        passed = (last.to_play != before.to_play) & (before.to_play != after.to_play)
        plane = [at.observation[passed & ~before.terminated, ..., 0].astype(np.float32)
                 for at in (last, before, after)]  # fmt: skip
        self.to_other += float(abs(plane[0] - plane[1]).sum())
        self.to_own += float(abs(plane[0] - plane[2]).sum())


def check_results(
    findings: Findings, game: Game[Any], rules: Rules, finals: list[Batch], count: int
) -> None:
    """Exchanges the seats in final positions, where that can be done: results must be exchanged.

    Returns by mover are not, where who ends a game need not win it; nor does a result that is read
    from the board change with `to_play` alone.
    """
    if not finals:
        return
    at = fill(join(*finals), count)
    turned_state = with_to_play(at.state, 1 - at.to_play, slice(None))
    if turned_state is None:
        return
    turned = rules.look(turned_state)
    for rename in RENAMINGS:
        leaves = jax.tree_util.tree_map_with_path(
            lambda path, leaf, rename=rename: leaf if _name(path) == "to_play" else rename(leaf),
            turned_state,
        )
        renamed = rules.look(leaves)
        tried = (at.returns[:, 0] != 0) & differs(at.observation, turned.observation)
        tried &= ~differs(at.observation, renamed.observation)
        by_mover = ~differs(at.returns, renamed.returns)
        by_mover &= ~differs(at.returns, turned.returns[:, ::-1])
        if tried.sum() >= ENOUGH and by_mover[tried].all():
            lane = int(np.flatnonzero(tried)[0])
            findings.add(
                "seats",
                "the same board to give the same seat the same result, whoever is to play at the "
                "end (returns are indexed by seat, never by mover)",
                f"returns {at.returns[lane].tolist()}, and {turned.returns[lane].tolist()} if only "
                "to_play is changed",
                rendered(game, at.state, lane),
                scenes=[scene(at.state, lane)],
            )
            return


def _signed(leaf: np.ndarray) -> bool:
    return bool(np.issubdtype(leaf.dtype, np.signedinteger))


def _swapped(leaf: np.ndarray) -> np.ndarray:
    return np.where((leaf == 0) | (leaf == 1), 1 - leaf, leaf) if _signed(leaf) else leaf


def _flipped(leaf: np.ndarray) -> np.ndarray:
    return np.flip(leaf, 1 + leaf.shape[1:].index(2)) if 2 in leaf.shape[1:] else leaf


# How fields may tell the seats apart: by 0 and 1, by an axis of two, by the sign.
RENAMINGS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    lambda leaf: _swapped(leaf) if _signed(leaf) else _flipped(leaf),
    lambda leaf: _flipped(leaf) if 2 in leaf.shape[1:] else _swapped(leaf),
    lambda leaf: -leaf if _signed(leaf) else leaf,
)


@dataclasses.dataclass
class SeatViews:
    """Looks at sampled positions, and after a move from each, with the eyes of either seat."""

    findings: Findings
    game: Game[Any]
    rules: Rules
    rng: np.random.Generator
    ignores_seat: bool = True  # no position looked different with the other seat to play
    stores_seat: bool = False  # some move led to another view when the other seat made it
    own_gain: bool = False  # some move added to the mover's own plane 0
    other_gain: bool = False  # some move added to the other seat's plane 0
    fixed: np.ndarray | None = None  # bool[C], planes in which no position looked different
    gains: np.ndarray | None = None  # bool[2, C], by the mover: some move added to the plane
    # Position and action of the first such move.
    case: tuple[str, str, list[Scene]] = ("", "", [])
    shared: int = 0  # positions with a cell that is in plane 0 of both seats
    positions: int = 0
    where: str = ""  # the first such position
    there: tuple[Scene, ...] = ()  # the same
    theirs: np.ndarray | None = None  # bool[C], planes that were always the other's plane 0

    def watch(self, at: Batch) -> bool:
        """Tries one batch; returns whether the seat to play could be changed at all."""
        action = choose(at.mask, self.rng)
        turned = with_to_play(at.state, 1 - at.to_play, slice(None))
        if turned is None:
            return False
        other = self.rules.look(turned)
        after = self.rules.step(at.state, action)
        by_other = self.rules.step(turned, action)
        # The seats whose move it was and was not, whoever moves next: some moves keep the turn.
        back = self.rules.look(with_to_play(after.state, at.to_play, slice(None)))
        across = self.rules.look(with_to_play(after.state, 1 - at.to_play, slice(None)))

        self.ignores_seat &= not differs(other.observation, at.observation).any()
        self.stores_seat |= bool(differs(after.observation, by_other.observation).any())
        self._note_planes(at, other, back)
        self._note_shared(at, other)
        live = ~at.terminated[:, None, None]
        own = (back.observation[..., 0] > at.observation[..., 0]) & live
        others = (across.observation[..., 0] > other.observation[..., 0]) & live
        if others.any() and not self.other_gain:
            lane = int(np.flatnonzero(others.any(axis=(1, 2)))[0])
            name = action_name(self.game, at.state, lane, int(action[lane]))
            shown = scene(at.state, lane, action[lane], after.state)
            self.case = (rendered(self.game, at.state, lane), name, [shown])
        self.own_gain |= bool(own.any())
        self.other_gain |= bool(others.any())
        return True

    def _note_shared(self, at: Batch, other: Batch) -> None:
        theirs = np.all(at.observation == other.observation[..., :1], axis=(0, 1, 2))
        self.theirs = theirs if self.theirs is None else self.theirs & theirs
        both = (at.observation[..., 0] > 0) & (other.observation[..., 0] > 0)
        lanes = np.flatnonzero(both.any(axis=(1, 2)))
        self.shared, self.positions = self.shared + len(lanes), self.positions + len(both)
        if len(lanes) and not self.where:
            self.where = rendered(self.game, at.state, int(lanes[0]))
            self.there = (scene(at.state, int(lanes[0])),)

    def _note_planes(self, at: Batch, other: Batch, after: Batch) -> None:
        fixed = np.all(at.observation == other.observation, axis=(0, 1, 2))
        gained = np.any(after.observation > at.observation, axis=(1, 2))
        gains = np.stack([gained[at.to_play == seat].any(axis=0) for seat in (0, 1)])
        self.fixed = fixed if self.fixed is None else self.fixed & fixed
        self.gains = gains if self.gains is None else self.gains | gains

    def _planes_of_seats(self) -> bool:
        """Whether plane 0 is that of one seat's pieces, and another that of the other's."""
        assert self.fixed is not None
        assert self.gains is not None
        owner = [self.fixed & self.gains[seat] & ~self.gains[1 - seat] for seat in (0, 1)]
        return bool((owner[0][0] and owner[1].any()) or (owner[1][0] and owner[0].any()))

    def conclude(self, alternation: Alternation) -> None:
        assert self.theirs is not None
        # Seats that see the board in another frame have no cells in common; a row may be a scale.
        board = self.theirs[1:].any() and min(self.game.observation_shape[:2]) > 2
        if board and 0 < self.shared < SELDOM * self.positions:
            self.findings.note(
                f"mask: at {self.shared} of {self.positions} positions a cell holds pieces of both "
                "seats (plane 0 of either shows one): right only if two may share a cell; else the "
                "mask allows a move onto the other's piece, or what is taken stays on the board: "
                f"at\n{self.where}",
                self.there,
            )
        if self.other_gain and not self.own_gain:
            self.findings.add(
                "observation",
                "a move to add to the mover's own plane 0, not to the opponent's",
                "the reverse: the opponent's pieces are in plane 0 (or step gives the mover's "
                "pieces to the other seat)",
                *self.case,
            )
        # A game may store its board from the mover's side, and then need not look at the seat: but
        # then what a move leads to does not depend on the seat, and plane 0 changes hands.
        stays = alternation.to_other <= alternation.to_own
        known = any(violation.law == "observation" for violation in self.findings.violations)
        same = self.ignores_seat and self.stores_seat and stays
        if (same or self._planes_of_seats()) and not known:
            self.findings.add(
                "observation",
                "the view of the seat to play: its own pieces in plane 0",
                "the same plane 0 whoever is to play; observe must look at to_play",
                *self.case,
            )
