"""Checks that an observation is the mover's view, and that returns are indexed by seat.

No check knows the rules. The evidence is that seats are names: a game played with the seats
exchanged must look the same to its movers and end with the results exchanged. So *twin* envs play
the moves of a main env from an opening in which `to_play` alone was changed. Where that makes no
difference to be seen but a turn of the board, and the twins go on to look alike for two plies, they
are the same game but for the names; where it does (pieces on the board at the start, a plane that
shows the seat, a seat kept in other fields too), nothing is concluded.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from games.board import dihedral
from games.conformance.cases import Case, Trial, scene
from games.conformance.moves import ENOUGH
from games.conformance.playouts import Batch, Ply, choose, differs, image, take
from games.game import Game, Symmetry, as_board

SELDOM = 0.3  # of positions: what is there at more of them is how the game is shown
WARM_UP = 2  # plies, one of each seat, after which twins that still look alike are the same game


def with_to_play(states: Any, to_play: Any, envs: slice = slice(None)) -> Any | None:
    """Returns the states with another seat to play, or None if `to_play` is not one field."""
    paths, structure = jax.tree_util.tree_flatten_with_path(states)
    if sum(_is_turn(path) for path, _ in paths) != 1:
        return None
    leaves = [leaf.copy() if _is_turn(path) else leaf for path, leaf in paths]
    for (path, _), leaf in zip(paths, leaves, strict=True):
        if _is_turn(path):
            leaf[envs] = to_play
    return jax.tree.unflatten(structure, leaves)


def _is_turn(path: Any) -> bool:
    last = path[-1]
    name = getattr(last, "name", getattr(last, "key", None))
    return len(path) == 1 and name == "to_play"


@dataclasses.dataclass
class Twins:
    """Watches main envs and their twins."""

    trial: Trial
    symmetries: tuple[Symmetry, ...]
    turn: Symmetry | None = None  # through which twins look like their main envs, None for as is
    alike: np.ndarray | None = None  # bool[twins], None where twins prove nothing
    unequal: str = ""  # how the first pair of unlike twins differed
    causes: str = ""  # what that may come from
    case: Case = Case()

    def place(self, states: Any) -> Any:
        """Returns the openings with seat 1 to play on the twins' envs."""
        placed = with_to_play(states, 1, self.trial.envs.twin)
        if placed is None:
            return states
        self.alike = np.ones(self.trial.envs.twins, bool)
        return placed

    def start(self, openings: Batch) -> None:
        for turn in (None, *self.symmetries, *_turns(self.trial.game)):
            self.turn = turn
            main, twin = self._pair(openings)
            if not differs(main.observation, twin.observation).any():
                return
        self.turn = self.alike = None

    @property
    def actions(self) -> np.ndarray | None:
        """int32[A]: the twin's action for each of the main env's, None where it is the same."""
        return None if self.turn is None else self.turn.inverse().action

    def watch(self, ply: Ply) -> None:
        if self.alike is None:
            return
        main, twin = self._pair(ply.after)
        same = ~_unlike_ends(main, twin) & (twin.to_play == 1 - main.to_play)
        same &= ~differs((main.observation, main.mask), (twin.observation, twin.mask))
        odd = self.alike & ~same
        if odd.any() and ply.number > WARM_UP and not self.unequal:
            self._remember(ply, int(odd.argmax()))
        self.alike &= same
        if self.turn is not None and ply.number == WARM_UP and not self.alike.all():
            self.alike = None  # the rules do not turn with the board

    def conclude(self, decided: np.ndarray, echoes: bool) -> None:
        """Judges unequal twins.

        Args:
          decided: int[mover, winner], who moved last in games that were won, and who won.
          echoes: whether more than `to_play` tells whose turn it is, so that twins prove little.
        """
        findings = self.trial.findings
        if self.turn is not None and findings.breaks("symmetry"):
            return  # twins that are turned are unlike for that reason
        wins, deciding = decided.sum(axis=0), decided.sum(axis=1)
        one_seat = (wins == 0).any() and wins.sum() >= 2 * ENOUGH
        credited = f"all {wins.sum()} decided games were credited to seat {wins.argmax()}"
        if one_seat and self.unequal:
            findings.add(
                "seats",
                "games that are alike but for the seats to end with the results exchanged "
                "(returns are indexed by seat, never by mover); if the rules favour a seat, "
                "show it in a plane of the observation",
                f"{self.unequal}; {credited}",
                *self.case,
            )
        elif one_seat and (deciding >= ENOUGH).all():
            findings.note(
                f"seats: {credited}, though each seat made deciding moves; right only if the rules "
                "favour that seat"
            )
        elif self.unequal and not echoes:
            findings.add(
                "seats",
                "positions that look the same to seat 0 and to seat 1 to go on and end alike, with "
                "the results exchanged",
                f"{self.unequal}: {self.causes}, which a plane of the observation must show?",
                *self.case,
            )
        elif self.unequal:
            findings.note(
                "seats: two games that look alike but for the seats do not go on and end alike, "
                f"which is right only if the rules go by the ply: {self.unequal}: {self.causes}? "
                f"{self.case.action}, at\n{self.case.position}",
                self.case.scenes,
            )

    def _pair(self, batch: Batch) -> tuple[Batch, Batch]:
        """Returns the main envs, turned as the twins are, and the twins."""
        envs = self.trial.envs
        main, twin = take(batch, slice(envs.twins)), take(batch, envs.twin)
        return (image(self.turn, main) if self.turn else main), twin

    def _remember(self, ply: Ply, env: int) -> None:
        main, twin = pair = [take(at, slice(env, env + 1)) for at in self._pair(ply.after)]
        told = [f"terminated {at.terminated[0]}, returns {at.returns[0].tolist()}" for at in pair]
        self.causes = (
            "are returns indexed by the mover rather than by seat, is a tie given to a seat, or is "
            "there a rule that favours a seat"
        )
        if not _unlike_ends(main, twin).any():
            told = [f"seat {int(at.to_play[0])} is to play" for at in pair]
            actions = (main.mask != twin.mask).sum()
            planes = (main.observation != twin.observation).any(axis=(0, 1, 2))
            told[1] += (
                f" and {actions} actions are legal in one of them only"
                if actions
                else f" and planes {np.flatnonzero(planes).tolist()} are otherwise"
            )
            self.causes = (
                "does a rule or a mask treat the seats unlike, by the number of a seat or by what "
                "was left over from the turn of the other, or does one favour a seat"
            )
        self.unequal = f"{told[0]} where seat 0 began, {told[1]} where seat 1 began"
        states, first = (ply.before.state, ply.after.state), self.trial.envs.real
        self.case = self.trial.case(
            states[0], env, ply.action[env], states[1], "seat 0 began", led=True
        )
        there = first + env
        other = scene(states[0], there, ply.action[there], states[1], "seat 1 began")
        self.case = self.case._replace(scenes=(*self.case.scenes, other))


def _unlike_ends(main: Batch, twin: Batch) -> np.ndarray:
    """Returns bool[N]: games that have ended, or with a result, that their twin has not."""
    return differs((main.terminated, main.returns), (twin.terminated, twin.returns[:, ::-1]))


def _turns(game: Game[Any]) -> tuple[Symmetry, ...]:
    """Returns the turns of the board where each action is a cell, or a last one that is a pass.

    A game whose opening they change may not call them symmetries; and yet they exchange the seats.
    """
    rows, cols, _ = as_board(game.observation_shape)
    rest = np.arange(rows * cols, game.num_actions, dtype=np.int32)
    if not 0 <= game.num_actions - rows * cols <= 1:
        return ()
    boards = [board.reshape(-1) for board in dihedral(rows, cols)]
    return tuple(Symmetry(cells, np.concatenate([cells, rest])) for cells in boards)


class BothViews(NamedTuple):
    """A random move from each of N positions, seen by the mover and by the other seat."""

    at: Batch
    action: np.ndarray  # int32[N]
    after: Batch
    by_other: Batch  # after the same move, made by the other seat
    other: np.ndarray  # [N, H, W, C], the other's observation before
    mover_after: np.ndarray  # the mover's after it, whoever is to move next
    other_after: np.ndarray


def seen_by_both(trial: Trial, at: Batch) -> BothViews | None:
    """Tries a move; returns None if the seat to play cannot be changed at all."""
    action = choose(at.mask, trial.rng)
    turned = with_to_play(at.state, 1 - at.to_play)
    if turned is None:
        return None
    look, step = trial.rules.look, trial.rules.step
    after = step(at.state, action)
    mover, other = (with_to_play(after.state, s) for s in (at.to_play, 1 - at.to_play))
    views = [look(states).observation for states in (turned, mover, other)]
    return BothViews(at, action, after, step(turned, action), *views)


def check_views(trial: Trial, seen: BothViews) -> None:
    """Looks at sampled positions, and after a move from each, with the eyes of either seat."""
    findings, at = trial.findings, seen.at
    # Of which of the other's planes always is plane 0: the mover's pieces, or the other's.
    theirs = np.all(at.observation == seen.other[..., :1], axis=(0, 1, 2))
    _note_shared_cells(trial, seen, theirs)
    # Numbers that are no board need not be anybody's pieces.
    pieces = len(trial.game.observation_shape) > 2 or theirs[1:].any()
    live = ~at.terminated[:, None, None]
    own = (seen.mover_after > at.observation)[..., 0] & live
    others = (seen.other_after > seen.other)[..., 0] & live
    env = int(others.any(axis=(1, 2)).argmax())
    case = trial.case(at.state, env, seen.action[env], seen.after.state)
    if others.any() and not own.any() and pieces:
        findings.add(
            "observation",
            "a move to add to the mover's own plane 0, not to the opponent's",
            "the reverse: the opponent's pieces are in plane 0 (or step gives the mover's "
            "pieces to the other seat)",
            *case,
        )
    # A game may store its board from the mover's side, and then need not look at the seat: but
    # then what a move leads to does not depend on the seat.
    same = not differs(at.observation, seen.other).any()
    same &= bool(differs(seen.after.observation, seen.by_other.observation).any())
    if (same or _has_planes_of_seats(seen)) and not findings.breaks("observation"):
        findings.add(
            "observation",
            "the view of the seat to play: its own pieces in plane 0",
            "the same plane 0 whoever is to play; observe must look at to_play",
            *case,
        )


def _has_planes_of_seats(seen: BothViews) -> bool:
    """Whether plane 0 is that of one seat's pieces, and another that of the other's."""
    fixed = np.all(seen.at.observation == seen.other, axis=(0, 1, 2))
    gained = np.any(seen.mover_after > seen.at.observation, axis=(1, 2))
    gains = [gained[seen.at.to_play == seat].any(axis=0) for seat in (0, 1)]
    owner = [fixed & gains[seat] & ~gains[1 - seat] for seat in (0, 1)]
    return bool((owner[0][0] and owner[1].any()) or (owner[1][0] and owner[0].any()))


def _note_shared_cells(trial: Trial, seen: BothViews, theirs: np.ndarray) -> None:
    at = seen.at
    both = np.any((at.observation[..., 0] > 0) & (seen.other[..., 0] > 0), axis=(1, 2))
    # Seats that see the board in another frame have no cells in common; a row may be a scale.
    board = theirs[1:].any() and min(as_board(trial.game.observation_shape)[:2]) > 2
    if board and 0 < both.sum() < SELDOM * len(both):
        case = trial.case(at.state, int(both.argmax()))
        trial.findings.note(
            f"mask: at {both.sum()} of {len(both)} positions a cell holds pieces of both "
            "seats (plane 0 of either shows one): right only if two may share a cell; else the "
            "mask allows a move onto the other's piece, or what is taken stays on the board: "
            f"at\n{case.position}",
            case.scenes,
        )
