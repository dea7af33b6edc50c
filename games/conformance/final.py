"""The law of the last board: what a game says of its ends beside results, if it says anything.

`Territorial` and `Scoring` in `games/game.py` are optional. The evidence is that of other laws:
games played with the seats exchanged, and games played through a symmetry.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from games.conformance.cases import rendered, scene
from games.conformance.moves import ENOUGH
from games.conformance.playouts import Batch, Lanes, Ply
from games.conformance.seats import WARM_UP, SeatSwapLanes
from games.conformance.symmetry import Images
from games.game import Game, largest_margin
from games.laws import Findings, Scene

LAW = "last board"
EXCHANGED = (
    "games that are alike but for the seats to have last boards and margins that are exchanged "
    "(planes are indexed by seat, never by mover; a margin is seat 0's)"
)
MOST = 1e9
NEAR = 1e-4  # margins this near are the same


@dataclasses.dataclass
class LastBoards:
    """Watches last positions, after `twins` and `images` have: it goes by which of them hold."""

    findings: Findings
    game: Game[Any]
    lanes: Lanes
    twins: SeatSwapLanes
    images: Images
    planes: Callable[[Any], Any] | None = None  # of N states: int8[N, 2, H, W]
    margin: Callable[[Any], Any] | None = None  # float32[N]
    bound: float = 0.0  # of margins
    # By the seat to play at the end, where games ended so: whether its plane was the pieces that it
    # sees, its own less the other's; and the first such position.
    pieces: tuple[list[bool], list[bool]] = dataclasses.field(default_factory=lambda: ([], []))
    shown: dict[int, tuple[str, Scene]] = dataclasses.field(default_factory=dict)
    # What differed between the first unlike twins, and where.
    unlike: tuple[str, str, Scene] | None = None

    def start(self, openings: Batch) -> None:
        """Traces what the game has of them."""
        self.findings.tried.add(LAW)
        state = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), openings.state)
        height, width = self.game.observation_shape[:2]
        for name, form in (("final_planes", f"int8[2,{height},{width}]"), ("margin", "float32[]")):
            method = getattr(self.game, name, None)
            if not callable(method):  # an option may have the name
                continue
            with self.findings.trying(LAW, doing=f"{name}(state)"):
                traced = jax.eval_shape(method, state)
                observed = f"{traced.dtype}{list(traced.shape)}".replace(" ", "")
                if observed != form:
                    self.findings.add(LAW, f"{name}(state) to be {form}", observed)
                    continue
                if name == "margin":
                    # Of a game that does not say, any number that is one will do.
                    says = hasattr(self.game, "largest_margin")
                    self.bound = largest_margin(self.game) if says else MOST
                    self.margin = jax.jit(jax.vmap(method))
                else:
                    self.planes = jax.jit(jax.vmap(method))

    def watch(self, ply: Ply) -> None:
        """Looks at the games that have ended with this ply."""
        ended = ply.after.terminated & ~ply.before.terminated
        if (self.planes is None and self.margin is None) or not ended[: self.lanes.real].any():
            return
        with self.findings.trying(LAW, doing="final_planes or margin at the end"):
            self._watch_planes(ply, ended)
            self._watch_margins(ply, ended)

    def conclude(self, echoes: bool) -> None:
        """Judges unlike twins.

        Args:
          echoes: whether more than `to_play` tells whose turn it is, so that twins prove little.
        """
        for seat, (own, other) in enumerate((self.pieces, self.pieces[::-1])):
            if min(len(own), len(other)) >= ENOUGH and not any(own) and all(other):
                self.findings.add(
                    LAW,
                    "the last board as either seat sees it: where seat s is to play, plane s is "
                    "the pieces of its observation to both seats, or to neither",
                    f"it is at all {len(other)} ends with seat {1 - seat} to play, and at none of "
                    f"{len(own)} with seat {seat}: are the planes by mover, or turned otherwise "
                    "than the view is?",
                    self.shown[seat][0],
                    scenes=[self.shown[seat][1]],
                )
        if self.unlike is None:
            return
        what, where, case = self.unlike
        if echoes:
            self.findings.note(
                f"{LAW}: two games that look alike but for the seats have other {what}, "
                f"the seats exchanged: are they by mover? At\n{where}",
                [case],
            )
        else:
            self.findings.add(LAW, EXCHANGED, f"other {what}", where, scenes=[case])

    def _watch_planes(self, ply: Ply, ended: np.ndarray) -> None:
        if self.planes is None:
            return
        planes = np.asarray(self.planes(ply.after.state))
        real = self._real(ended)
        self._blame(
            real & (abs(planes) > 1).any(axis=(1, 2, 3)),
            "final_planes to hold 1 for a seat's own cells, -1 for the other's, 0 for the rest",
            "other numbers",
            ply,
        )
        own, other = ((planes == sign).sum(axis=(2, 3)) for sign in (1, -1))
        self._blame(
            real & (own != other[:, ::-1]).any(axis=1),
            "final_planes to show both seats one board: as many cells of one's own to one seat as "
            "of the other's to the other",
            "other numbers of cells",
            ply,
        )
        self._note_pieces(planes, ply, real)
        turn = self.twins.turn
        self._watch_twins(
            "final planes",
            planes if turn is None else turn.on_cells(planes),
            planes[:, ::-1],
            ply,
            ended,
        )
        for number, symmetry in enumerate(self.images.symmetries):
            self._watch_image(number, "final_planes", symmetry.on_cells(planes), planes, ply, ended)

    def _note_pieces(self, planes: np.ndarray, ply: Ply, real: np.ndarray) -> None:
        seen = ply.after.observation[real].astype(np.float32)
        if seen.shape[-1] < 2:
            return
        seat = ply.after.to_play[real].astype(int)
        own = planes[real][np.arange(len(seat)), seat]
        same = ~_differ(seen[..., 0] - seen[..., 1], own)
        for lane, its, is_same in zip(np.flatnonzero(real), seat, same.tolist(), strict=True):
            self.pieces[its].append(is_same)
            if len(self.pieces[its]) == 1:
                board = rendered(self.game, ply.after.state, int(lane))
                self.shown[its] = board, _scene(ply, int(lane))

    def _watch_margins(self, ply: Ply, ended: np.ndarray) -> None:
        if self.margin is None:
            return
        margin = np.asarray(self.margin(ply.after.state))
        real, result = self._real(ended), ply.after.returns[:, 0]
        self._blame(
            real & ~(abs(margin) <= self.bound + NEAR),
            f"margins from -{self.bound:g} to {self.bound:g}",
            "{} here; say by largest_margin how large they can be",
            ply,
            margin,
        )
        self._blame(
            real & (np.sign(margin) != np.sign(result)) & (abs(margin) > NEAR),
            "margin above 0 where seat 0 has won, below 0 where seat 1 has, and 0 at a draw",
            "margin {} there",
            ply,
            margin,
        )
        self._watch_twins("margins", margin, -margin, ply, ended)
        for number in range(len(self.images.symmetries)):
            self._watch_image(number, "margin", margin, margin, ply, ended)

    def _real(self, ended: np.ndarray) -> np.ndarray:
        return ended & (np.arange(len(ended)) < self.lanes.real)

    def _watch_twins(
        self, what: str, main: np.ndarray, exchanged: np.ndarray, ply: Ply, ended: np.ndarray
    ) -> None:
        alike, count = self.twins.alike, self.lanes.twins
        if alike is None or ply.number <= WARM_UP or self.unlike is not None:
            return
        bad = alike & ended[:count] & _differ(main[:count], exchanged[self.lanes.twin])
        if bad.any():
            lane = int(np.flatnonzero(bad)[0])
            board = rendered(self.game, ply.after.state, lane)
            self.unlike = what, board, _scene(ply, lane)

    def _watch_image(
        self,
        number: int,
        name: str,
        mapped: np.ndarray,
        seen: np.ndarray,
        ply: Ply,
        ended: np.ndarray,
    ) -> None:
        if not self.images.tried[number]:
            return
        count = self.lanes.images
        bad = np.zeros_like(ended)
        bad[:count] = _differ(mapped[:count], seen[self.lanes.image(number)])
        self._blame(
            bad & ended,
            f"symmetry {number + 1} to map {name} to that of the image of the game",
            f"another {name}: which cells does it count, and are they those of observe?",
            ply,
        )

    def _blame(
        self,
        bad: np.ndarray,
        expected: str,
        observed: str,
        ply: Ply,
        values: np.ndarray | None = None,
    ) -> None:
        if bad.any() and not self.findings.has(LAW, expected):
            lane = int(np.flatnonzero(bad)[0])
            text = observed if values is None else observed.format(f"{values[lane]:g}")
            board = rendered(self.game, ply.after.state, lane)
            self.findings.add(LAW, expected, text, board, scenes=[_scene(ply, lane)])


def _scene(ply: Ply, lane: int) -> Scene:
    return scene(ply.before.state, lane, ply.action[lane], ply.after.state)


def _differ(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns bool[N]: lanes on which any number differs."""
    away = np.abs(a.astype(np.float32) - b.astype(np.float32)) > NEAR
    return np.any(away.reshape(len(away), -1), axis=1)
