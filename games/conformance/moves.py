"""The laws that one move can break, watched over many games."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from games.conformance.cases import action_name, rendered, scene
from games.conformance.playouts import (
    LONGEST,
    Batch,
    Lanes,
    Ply,
    Rules,
    differs,
    join,
    one,
    take,
    without_mask,
)
from games.game import Game, Invariable
from games.laws import Findings

ENOUGH = 8  # deciding moves of each seat, before anything is said about who they favour
OFTEN_LATE = 0.3  # of the games that were won: their last mover lost, whatever it did
KEPT = 4  # positions sampled from each main lane


@dataclasses.dataclass
class MoveLaws:
    """Watches the real lanes, ply by ply."""

    findings: Findings
    game: Game[Any]
    lanes: Lanes
    seats: set[int] = dataclasses.field(default_factory=set)  # that were to play
    views: set[bytes] = dataclasses.field(default_factory=set)  # of lane 0
    masks: set[bytes] = dataclasses.field(default_factory=set)  # at live positions, two at most
    # [mover, winner]: main lanes' games that were decided by mover's move in favour of winner.
    decided: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((2, 2), int))
    last: Batch | None = None  # the newest positions
    plies: int = 0  # of the longest game
    echo: "SeatEcho" = dataclasses.field(default_factory=lambda: SeatEcho())

    def start(self, openings: Batch) -> None:
        """Checks the openings."""
        first = take(openings, slice(self.lanes.real))
        self._blame(
            "turns", first.to_play != 0, "seat 0 to play at the opening", "seat 1", first, None
        )
        self._blame(
            "mask", first.terminated, "a game to go on at its opening", "terminated", first, None
        )
        self._check_position(first, None)

    def watch(self, ply: Ply) -> None:
        """Checks one ply."""
        self.plies = ply.number
        real = slice(self.lanes.real)
        before, after, action = take((ply.before, ply.after, ply.action), real)
        self._check_position(after, action, before)
        moved = differs(after, before)
        only_mask = ~differs(without_mask(after), without_mask(before))
        self._blame(
            "end",
            before.terminated & moved,
            "no action to change anything at the end (jax.tree.map over old and new state)",
            "another position",
            before,
            action,
            after=after,
        )
        self._blame(
            "mask",
            ~before.terminated & before.mask[np.arange(len(action)), action] & only_mask,
            "a legal action to change the position, if only the seat to play",
            "nothing changed but perhaps the mask: step ignores the action or keeps the turn, or "
            "the action is not legal",
            before,
            action,
            after=after,
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
        live = ~self.last.terminated
        if min(self.game.max_plies, LONGEST) < self.game.max_plies and live.any():
            self.findings.notes.append(f"length: play-outs were stopped after {LONGEST} plies")
        else:
            self._blame(
                "length",
                live,
                f"every game to have ended after max_plies = {self.game.max_plies} plies",
                f"{live.sum()} of {len(live)} games go on" + self._why_endless(removed),
                self.last,
                None,
            )
        if len(self.masks) == 1 and self.game.num_actions > 1 and self.plies > 1:
            self._check_one_mask(bool(live.any()))
        if self.seats == {0} and self.plies > 1:
            self.findings.add(
                "turns", "both seats to play in some game", "seat 1 never is: is to_play flipped?"
            )
        if len(self.views) == 1:
            self.findings.add(
                "observation", "positions to look different", "one view all through a game"
            )
        self._check_deciding_moves(early)

    def _why_endless(self, removed: bool) -> str:
        return ": is a rule that ends games missing, or max_plies too small?" + (
            ""
            if removed
            else " In none of them did a move leave fewer pieces on the board (planes 0 and 1): do "
            "pieces that move, or are captured, stay where they were, or does the mask allow what "
            "is taken already?"
        )

    def _check_one_mask(self, endless: bool) -> None:
        observed = "one mask at all positions"
        if endless:
            self.findings.add(
                "mask",
                "the mask to change in the course of a game that must end",
                f"{observed}, and games that go on: is it computed from the board?",
            )
        else:
            self.findings.notes.append(
                f"mask: {observed}; right only if the rules forbid the same actions everywhere"
            )

    def _check_deciding_moves(self, early: tuple[str, float]) -> None:
        """Last moves that only ever lose are the mark of a result with the wrong sign.

        It can't be proven: in a misère game they do. Such a game says so, `misere = True`, and has
        the wrong sign where they only ever win.
        """
        lost, won = self.decided[[0, 1], [1, 0]], self.decided[[0, 1], [0, 1]]
        misere = getattr(self.game, "misere", False)
        wrong, right = (won, lost) if misere else (lost, won)
        if (wrong < ENOUGH).any() or right.any():
            if early[0] and early[1] > OFTEN_LATE and not misere:
                self.findings.notes.append(
                    f"end: in {early[1]:.0%} of the games that were won, {early[0]}"
                )
            return
        expected = (
            "the seat that makes the deciding move to lose sometimes, as misere = True says"
            if misere
            else "the seat that makes the deciding move to win sometimes; if by the rules it "
            "always loses (a misère game), say so with a class attribute: misere = True"
        )
        self.findings.add(
            "seats",
            expected,
            f"it {'won' if misere else 'lost'} all {wrong.sum()} decided games: "
            + (
                early[0] or "is the sign of the returns, or the winner's seat, the wrong way round?"
            ),
        )

    def _check_position(
        self, at: Batch, action: np.ndarray | None, before: Batch | None = None
    ) -> None:
        legal, returns = at.mask.any(axis=1), at.returns
        rules: tuple[tuple[str, Any, str, Any], ...] = (
            ("turns", ~np.isin(at.to_play, (0, 1)), "to_play to be 0 or 1", at.to_play),
            ("mask", at.terminated & legal, "no legal action at the end", "some action is legal"),
            (
                "mask",
                ~at.terminated & ~legal,
                "some legal action until the end (a pass, where the rules force one)",
                "none is",
            ),
            ("returns", ~np.isfinite(returns).all(axis=1), "finite returns", returns),
            ("returns", abs(returns.sum(axis=1)) > 1e-6, "returns that sum to zero", returns),
            ("returns", (abs(returns) > 1).any(axis=1), "returns in [-1, 1]", returns),
            (
                "returns",
                ~at.terminated & (returns != 0).any(axis=1),
                "returns of zero before the end",
                returns,
            ),
        )
        for law, bad, expected, observed in rules:
            self._blame(law, bad, expected, observed, at, action, before)
        seen: Any = np.isfinite(at.observation.astype(np.float32)).all(axis=(1, 2, 3))
        self._blame("observation", ~seen, "finite numbers", "NaN or infinity", at, action, before)
        self.last = at

    def _count(self, before: Batch, after: Batch) -> None:
        self.echo.watch(before)
        self.seats.update(before.to_play[~before.terminated].tolist())
        if len(self.views) < 2:
            self.views.update((before.observation[0].tobytes(), after.observation[0].tobytes()))
        if len(self.masks) < 2:
            self.masks.update(mask.tobytes() for mask in before.mask[~before.terminated])
        main = slice(self.lanes.main)
        ended = (after.terminated & ~before.terminated)[main]
        ended &= after.returns[main, 0] != 0
        mover = np.clip(before.to_play[main][ended], 0, 1)
        winner = after.returns[main].argmax(axis=1)[ended]
        np.add.at(self.decided, (mover, winner), 1)

    def _blame(
        self,
        law: str,
        bad: np.ndarray,
        expected: str,
        observed: Any,
        at: Batch,
        action: np.ndarray | None,
        before: Batch | None = None,
        after: Batch | None = None,
    ) -> None:
        """Reports the first bad lane: the position `at`, and the action there or that led there."""
        if not bad.any() or self.findings.has(law, expected):
            return
        lane = int(np.flatnonzero(bad)[0])
        name = ""
        if action is not None:
            name = action_name(self.game, (before or at).state, lane, int(action[lane]))
            name += ", which led here" if before else ""
        shown = observed if isinstance(observed, str) else str(observed[lane].tolist())
        first, then = (before, at) if before else (at, after)
        tried = None if action is None else action[lane]
        case = scene(first.state, lane, tried, then and then.state)
        self.findings.add(law, expected, shown, rendered(self.game, at.state, lane), name, [case])


@dataclasses.dataclass
class SeatEcho:
    """Tells whether a number in the state, such as the ply, says whose turn it is as to_play does.

    Then a position in which to_play alone is exchanged contradicts itself, and proves nothing.
    """

    _kinds: dict[str, set[tuple[int, int]]] = dataclasses.field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether some number's parity was to_play's, or its opposite, all along."""
        return bool(self._echoes())

    def is_read(self, rules: Rules, moves: Sequence[tuple[Batch, np.ndarray, Batch]]) -> bool:
        """Whether anything depends on the parity of those numbers: tried with each one larger."""
        echoes = self._echoes()

        def one_more(at: Batch) -> Any:
            paths, structure = jax.tree_util.tree_flatten_with_path(at.state)
            leaves = [
                leaf + leaf.dtype.type(1) if jax.tree_util.keystr(path) in echoes else leaf
                for path, leaf in paths
            ]
            return jax.tree.unflatten(structure, leaves)

        def rest(at: Batch) -> Any:
            paths = jax.tree_util.tree_leaves_with_path(at.state)
            fields = [leaf for path, leaf in paths if jax.tree_util.keystr(path) not in echoes]
            return fields, at.mask, at.terminated, at.returns

        for before, action, after in moves:
            other = rules.step(one_more(before), action)
            # A limit that is one ply nearer changes a few.
            if differs(rest(after), rest(other)).mean() > 0.25:
                return True
        return False

    def _echoes(self) -> set[str]:
        told = ({(0, 0), (1, 1)}, {(0, 1), (1, 0)})  # parity and seat
        return {name for name, pairs in self._kinds.items() if pairs in told}

    def watch(self, at: Batch) -> None:
        """Notes live positions."""
        live = ~at.terminated
        for path, leaf in jax.tree_util.tree_leaves_with_path(at.state):
            name = jax.tree_util.keystr(path)
            if name == ".to_play" or leaf.ndim != 1 or leaf.dtype.kind not in "iu":
                continue
            parity = (leaf[live] % 2).astype(int)
            pairs = self._kinds.setdefault(name, set())
            if len(pairs) < 3:
                codes = np.unique(parity * 2 + np.clip(at.to_play[live], 0, 1))
                pairs.update((int(code) // 2, int(code) % 2) for code in codes)


@dataclasses.dataclass
class Invariant:
    """Watches what a game says of all its positions, if it does."""

    findings: Findings
    game: Game[Any]
    lanes: Lanes
    holds: Any = None  # the compiled method, for N lanes

    def start(self, openings: Batch) -> None:
        """Checks the openings."""
        self.findings.tried.add("invariant")
        if not isinstance(self.game, Invariable):
            return
        with self.findings.trying("invariant", doing="invariant(state)"):
            form = jax.eval_shape(self.game.invariant, one(openings.state, 0))
            if getattr(form, "shape", None) != () or form.dtype != bool:
                self.findings.add("form", "invariant(state) to be bool[]", str(form))
                return
            self.holds = jax.jit(jax.vmap(self.game.invariant))
            self._check(openings.state, None, None)

    def watch(self, ply: Ply) -> None:
        """Checks one ply."""
        if self.holds is not None:
            self._check(ply.after.state, ply.before.state, ply.action)

    def _check(self, states: Any, before: Any, action: np.ndarray | None) -> None:
        bad = np.flatnonzero(~np.asarray(self.holds(states))[: self.lanes.real])
        if not len(bad):
            return
        lane, name, board = int(bad[0]), "", rendered(self.game, states, int(bad[0]))
        case = scene(states, lane)
        if action is not None:
            board = f"{rendered(self.game, before, lane)}\nand after the move\n{board}"
            name = action_name(self.game, before, lane, int(action[lane]))
            case = scene(before, lane, action[lane], states)
        self.findings.add(
            "invariant",
            "invariant(state) to be true at every position",
            "false after this move" if name else "false at the opening",
            board,
            name,
            [case],
        )
        self.holds = None  # one case is enough


@dataclasses.dataclass
class Sample:
    """Keeps a few live positions of each main lane, evenly from all plies, and the games' ends."""

    lanes: Lanes
    rng: np.random.Generator
    _rows: list[Any] = dataclasses.field(default_factory=list)
    _finals: list[Batch] = dataclasses.field(default_factory=list)
    _lasts: list[tuple[Batch, np.ndarray, np.ndarray]] = dataclasses.field(default_factory=list)
    _longest: int = 0

    def watch(self, ply: Ply) -> None:
        main = take(ply.before, slice(self.lanes.main))
        if not self._rows:
            self._rows = [take(main, np.arange(self.lanes.main)) for _ in range(KEPT)]
        newest = self.rng.integers(0, ply.number, (KEPT, self.lanes.main)) == 0
        for number, row in enumerate(self._rows):
            self._rows[number] = _where(newest[number] & ~main.terminated, main, row)
        real = slice(self.lanes.real)
        ended = take(ply.after, real).terminated & ~take(ply.before, real).terminated
        if ended.any():
            self._finals.append(take(take(ply.after, real), ended))
            plies = np.full(len(ply.action), ply.number)
            self._lasts.append(take(take((ply.before, ply.action, plies), real), ended))
            self._longest = ply.number

    def positions(self) -> list[Batch]:
        """Returns batches of one live position for each main lane."""
        return self._rows

    def lasts(self, early: bool = False) -> list[tuple[Batch, np.ndarray]]:
        """Returns the positions before the end and the moves that led there, one batch at most.

        Args:
          early: only of games that did not last as long as any: the others may end by a count.
        """
        if not self._lasts:
            return []
        before, action, plies = join(*self._lasts)
        chosen = np.flatnonzero(plies < self._longest) if early else np.arange(len(plies))
        chosen = self.rng.permutation(chosen)[: self.lanes.count]
        return [take((before, action), chosen)] if len(chosen) else []

    def latest(self) -> tuple[int, list[Batch]]:
        """Returns the plies of the longest games, and their positions before the end, one batch."""
        if not self._lasts:
            return 0, []
        before, _, plies = join(*self._lasts)
        return self._longest, [take(before, np.flatnonzero(plies == self._longest))]

    def finals(self) -> list[Batch]:
        """Returns the positions in which games ended, in batches of any size."""
        return self._finals


def _where(chosen: np.ndarray, new: Any, old: Any) -> Any:
    def pick(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.where(chosen.reshape(-1, *[1] * (x.ndim - 1)), x, y)

    return jax.tree.map(pick, new, old)
