"""The laws that one move can break, watched over many games."""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from games.conformance.cases import Trial
from games.conformance.playouts import (
    LONGEST,
    Batch,
    Ply,
    differs,
    join,
    take,
    without_mask,
)

ENOUGH = 8  # deciding moves of each seat, before anything is said about who they favour
OFTEN_LATE = 0.3  # of the games that were won: their last mover lost, whatever it did
KEPT = 4  # positions sampled from each main env
ABSORBS = "no action to change anything at the end (jax.tree.map over old and new state)"


@dataclasses.dataclass
class MoveLaws:
    """Watches the real envs, ply by ply."""

    trial: Trial
    seats: set[int] = dataclasses.field(default_factory=set)  # that were to play
    views: set[bytes] = dataclasses.field(default_factory=set)  # of env 0, two at most
    masks: set[bytes] = dataclasses.field(default_factory=set)  # at live positions, two at most
    # [mover, winner]: main envs' games that were decided by mover's move in favour of winner.
    decided: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((2, 2), int))
    last: Batch | None = None  # the newest positions
    plies: int = 0  # of the longest game
    echo: "SeatEcho" = dataclasses.field(default_factory=lambda: SeatEcho())
    invariant: Any = None  # the game's, compiled for N envs

    def start(self, openings: Batch) -> None:
        """Checks the openings."""
        first = take(openings, slice(self.trial.envs.real))
        blame, states = self.trial.blame, first.state
        blame("turns", "seat 0 to play at the opening", "seat 1", first.to_play != 0, states)
        blame("mask", "a game to go on at its opening", "terminated", first.terminated, states)
        self.trial.findings.tried.add("invariant")
        self.invariant = self.trial.compiled("invariant", "invariant", "bool[]", openings.state)
        self._check_position(openings, None)

    def watch(self, ply: Ply) -> None:
        """Checks one ply."""
        self.plies = ply.number
        self._check_position(ply.after, ply)
        real = slice(self.trial.envs.real)
        before, after, action = take((ply.before, ply.after, ply.action), real)
        move = (before.state, action, after.state)
        ended, moved = before.terminated, differs(after, before)
        self.trial.blame("end", ABSORBS, "another position", ended & moved, *move)
        only_mask = ~differs(without_mask(after), without_mask(before))
        self.trial.blame(
            "mask",
            "a legal action to change the position, if only the seat to play",
            "nothing changed but perhaps the mask: step ignores the action or keeps the turn, or "
            "the action is not legal",
            ~ended & before.mask[np.arange(len(action)), action] & only_mask,
            *move,
        )
        self._count(before, after)

    def conclude(self, early: tuple[str, float], removed: bool) -> None:
        """Checks what shows only over many games.

        Args:
          early: what tells that games end a ply late, if anything does, and how often a seat was
            to play that lost by any move.
          removed: whether any move has taken something off the board.
        """
        assert self.last is not None
        findings, limit = self.trial.findings, self.trial.game.max_plies
        live = ~self.last.terminated
        if limit > LONGEST and live.any():
            findings.note(f"length: play-outs were stopped after {LONGEST} plies")
        else:
            self.trial.blame(
                "length",
                f"every game to have ended after max_plies = {limit} plies",
                f"{live.sum()} of {len(live)} games go on" + _why_endless(removed),
                live,
                self.last.state,
            )
        if len(self.masks) == 1 and self.trial.game.num_actions > 1 and self.plies > 1:
            observed = "one mask at all positions"
            if live.any():
                findings.add(
                    "mask",
                    "the mask to change in the course of a game that must end",
                    f"{observed}, and games that go on: is it computed from the board?",
                )
            else:
                findings.note(
                    f"mask: {observed}; right only if the rules forbid the same actions everywhere"
                )
        if self.seats == {0} and self.plies > 1:
            expected = "both seats to play in some game"
            findings.add("turns", expected, "seat 1 never is: is to_play flipped?")
        if len(self.views) == 1:
            expected = "positions to look different"
            findings.add("observation", expected, "one view all through a game")
        self._check_deciding_moves(*early)

    def _check_deciding_moves(self, late: str, share: float) -> None:
        """Last moves that only ever lose are the mark of a result with the wrong sign.

        It can't be proven: in a misère game they do. Such a game says so, `misere = True`, and has
        the wrong sign where they only ever win.
        """
        lost, won = self.decided[[0, 1], [1, 0]], self.decided[[0, 1], [0, 1]]
        misere = getattr(self.trial.game, "misere", False)
        wrong, right = (won, lost) if misere else (lost, won)
        if (wrong < ENOUGH).any() or right.any():
            if late and share > OFTEN_LATE and not misere:
                self.trial.findings.note(f"end: in {share:.0%} of the games that were won, {late}")
            return
        self.trial.findings.add(
            "seats",
            "the seat that makes the deciding move to lose sometimes, as misere = True says"
            if misere
            else "the seat that makes the deciding move to win sometimes; if by the rules it "
            "always loses (a misère game), say so with a class attribute: misere = True",
            f"it {'won' if misere else 'lost'} all {wrong.sum()} decided games: "
            + (late or "is the sign of the returns, or the winner's seat, the wrong way round?"),
        )

    def _check_position(self, batch: Batch, ply: Ply | None) -> None:
        real = slice(self.trial.envs.real)
        at = take(batch, real)
        legal, returns, live = at.mask.any(axis=1), at.returns, ~at.terminated
        finite = np.isfinite(at.observation.astype(np.float32)).all(axis=(1, 2, 3))
        holds = self.invariant(batch.state)[real] if self.invariant else ~np.zeros_like(live)
        stuck = "some legal action until the end (a pass, where the rules force one)"
        laws: tuple[tuple[str, str, str | np.ndarray, Any], ...] = (
            ("turns", "to_play to be 0 or 1", at.to_play, ~np.isin(at.to_play, (0, 1))),
            ("mask", "no legal action at the end", "some action is legal", ~live & legal),
            ("mask", stuck, "none is", live & ~legal),
            ("returns", "finite returns", returns, ~np.isfinite(returns).all(axis=1)),
            ("returns", "returns that sum to zero", returns, abs(returns.sum(axis=1)) > 1e-6),
            ("returns", "returns in [-1, 1]", returns, (abs(returns) > 1).any(axis=1)),
            (
                "returns", "returns of zero before the end", returns,
                live & (returns != 0).any(axis=1),
            ),
            ("observation", "finite numbers", "NaN or infinity", ~finite),
            ("invariant", "invariant(state) to be true at every position", "false", ~holds),
        )  # fmt: skip
        move: tuple[Any, Any, Any] = (at.state, None, None)
        if ply is not None:
            move = (ply.before.state, ply.action, ply.after.state)
        for law, expected, found, bad in laws:
            self.trial.blame(law, expected, found, bad, *move, led=True)
        self.last = at

    def _count(self, before: Batch, after: Batch) -> None:
        self.echo.watch(before)
        live = ~before.terminated
        self.seats.update(before.to_play[live].tolist())
        if len(self.views) < 2:
            self.views.update((before.observation[0].tobytes(), after.observation[0].tobytes()))
        if len(self.masks) < 2:
            self.masks.update(mask.tobytes() for mask in before.mask[live])
        main = slice(self.trial.envs.main)
        ended = (live & after.terminated & (after.returns[:, 0] != 0))[main]
        mover = np.clip(before.to_play[main][ended], 0, 1)
        np.add.at(self.decided, (mover, after.returns[main].argmax(axis=1)[ended]), 1)


def _why_endless(removed: bool) -> str:
    return ": is a rule that ends games missing, or max_plies too small?" + (
        ""
        if removed
        else " In none of them did a move leave fewer pieces on the board (planes 0 and 1): do "
        "pieces that move, or are captured, stay where they were, or does the mask allow what "
        "is taken already?"
    )


@dataclasses.dataclass
class SeatEcho:
    """Tells whether a number in the state, such as the ply, says whose turn it is as to_play does.

    Then a position in which to_play alone is exchanged contradicts itself, and proves nothing.
    """

    _pairs: dict[str, set[tuple[int, int]]] = dataclasses.field(default_factory=dict)

    @property
    def fields(self) -> set[str]:
        """The numbers whose parity was to_play's, or its opposite, all along."""
        told = ({(0, 0), (1, 1)}, {(0, 1), (1, 0)})  # parity and seat
        return {name for name, pairs in self._pairs.items() if pairs in told}

    def watch(self, at: Batch) -> None:
        """Notes live positions."""
        live = ~at.terminated
        for path, leaf in jax.tree_util.tree_leaves_with_path(at.state):
            name = jax.tree_util.keystr(path)
            if name == ".to_play" or leaf.ndim != 1 or leaf.dtype.kind not in "iu":
                continue
            pairs = self._pairs.setdefault(name, set())
            if len(pairs) < 3:
                seat = np.clip(at.to_play[live], 0, 1).tolist()
                pairs.update(zip((leaf[live] % 2).tolist(), seat, strict=True))


class LastMoves(NamedTuple):
    """The moves that ended games."""

    before: Batch
    action: np.ndarray  # int32[N]
    after: Batch
    plies: np.ndarray  # int[N], of each game


@dataclasses.dataclass
class Sample:
    """Keeps a few live positions of each main env, evenly from all plies, and the last moves."""

    trial: Trial
    positions: list[Batch] = dataclasses.field(default_factory=list)  # each one of every main env
    _last: list[LastMoves] = dataclasses.field(default_factory=list)

    def watch(self, ply: Ply) -> None:
        envs = self.trial.envs
        main = take(ply.before, slice(envs.main))
        self.positions = self.positions or [main] * KEPT
        newest = self.trial.rng.integers(0, ply.number, (KEPT, envs.main)) == 0
        for number, kept in enumerate(self.positions):
            self.positions[number] = _where(newest[number] & ~main.terminated, main, kept)
        ended = ply.after.terminated & ~ply.before.terminated & (np.arange(envs.count) < envs.real)
        if ended.any():
            plies = np.full(envs.count, ply.number)
            self._last.append(take(LastMoves(ply.before, ply.action, ply.after, plies), ended))

    def last(self) -> LastMoves | None:
        """Returns the last moves of all games that ended, if any did."""
        return join(*self._last) if self._last else None


def _where(chosen: np.ndarray, new: Any, old: Any) -> Any:
    def pick(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.where(chosen.reshape(-1, *[1] * (x.ndim - 1)), x, y)

    return jax.tree.map(pick, new, old)
