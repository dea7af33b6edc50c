"""The law of the last board: what a game says of its ends beside results, if it says anything.

`Territorial` and `Scoring` in `games/game.py` are optional. The evidence is that of other laws:
games played with the seats exchanged, and games played through a symmetry.
"""

import dataclasses
from typing import Any

import numpy as np

from games.conformance.cases import Case, Trial
from games.conformance.moves import ENOUGH
from games.conformance.playouts import Batch, Ply
from games.conformance.seats import WARM_UP, Twins
from games.conformance.symmetry import Images
from games.game import as_board, cells_of, largest_margin

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

    trial: Trial
    twins: Twins
    images: Images
    planes: Any = None  # of N states: int8[N, 2, H, W]
    margin: Any = None  # float32[N]
    bound: float = 0.0  # of margins
    # By the seat to play at the end, where games ended so: whether its plane was the pieces that it
    # sees, its own less the other's; and the first such position.
    pieces: tuple[list[bool], list[bool]] = dataclasses.field(default_factory=lambda: ([], []))
    shown: dict[int, Case] = dataclasses.field(default_factory=dict)
    unlike: tuple[str, Case] | None = None  # what differed between the first unlike twins

    def start(self, openings: Batch) -> None:
        """Traces what the game has of them."""
        trial, game = self.trial, self.trial.game
        trial.findings.tried.add(LAW)
        form = f"int8[{','.join(map(str, (2, *cells_of(game.observation_shape))))}]"
        self.planes = trial.compiled(LAW, "final_planes", form, openings.state)
        self.margin = trial.compiled(LAW, "margin", "float32[]", openings.state)
        if self.margin:
            with trial.findings.trying(LAW, doing="largest_margin"):
                # Of a game that does not say, any number that is one will do.
                self.bound = largest_margin(game) if hasattr(game, "largest_margin") else MOST

    def watch(self, ply: Ply) -> None:
        """Looks at the games that have ended with this ply."""
        ended = ply.after.terminated & ~ply.before.terminated
        if not ended[: self.trial.envs.real].any():
            return
        with self.trial.findings.trying(LAW, doing="final_planes or margin at the end"):
            if self.planes:
                shape = 2, *as_board(self.trial.game.observation_shape)[:2]
                self._watch_planes(self.planes(ply.after.state).reshape(-1, *shape), ply, ended)
            if self.margin and self.bound:
                self._watch_margins(self.margin(ply.after.state), ply, ended)

    def conclude(self, echoes: bool) -> None:
        """Judges unlike twins.

        Args:
          echoes: whether more than `to_play` tells whose turn it is, so that twins prove little.
        """
        findings = self.trial.findings
        for seat, (own, other) in enumerate((self.pieces, self.pieces[::-1])):
            if min(len(own), len(other)) >= ENOUGH and not any(own) and all(other):
                findings.add(
                    LAW,
                    "the last board as either seat sees it: where seat s is to play, plane s is "
                    "the pieces of its observation to both seats, or to neither",
                    f"it is at all {len(other)} ends with seat {1 - seat} to play, and at none of "
                    f"{len(own)} with seat {seat}: are the planes by mover, or turned otherwise "
                    "than the view is?",
                    *self.shown[seat],
                )
        if self.unlike is not None and echoes:
            findings.note(
                f"{LAW}: two games that look alike but for the seats have other {self.unlike[0]}, "
                f"the seats exchanged: are they by mover? At\n{self.unlike[1].position}",
                self.unlike[1].scenes,
            )
        elif self.unlike is not None:
            findings.add(LAW, EXCHANGED, f"other {self.unlike[0]}", *self.unlike[1])

    def _watch_planes(self, planes: np.ndarray, ply: Ply, ended: np.ndarray) -> None:
        real = ended & (np.arange(len(ended)) < self.trial.envs.real)
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
        self._note_pieces(planes[real], ply, np.flatnonzero(real))
        turn = self.twins.turn
        turned = planes if turn is None else turn.on_cells(planes)
        self._watch_twins("final planes", turned, planes[:, ::-1], ply, ended)
        mapped = [symmetry.on_cells(planes) for symmetry in self.images.symmetries]
        self._watch_images("final_planes", mapped, planes, ply, ended)

    def _note_pieces(self, planes: np.ndarray, ply: Ply, envs: np.ndarray) -> None:
        seen = ply.after.observation[envs].astype(np.float32)
        if seen.shape[-1] < 2:
            return
        seats = ply.after.to_play[envs].astype(int)
        same = ~_differ(seen[..., 0] - seen[..., 1], planes[np.arange(len(seats)), seats])
        for env, seat, is_same in zip(envs.tolist(), seats.tolist(), same.tolist(), strict=True):
            self.pieces[seat].append(is_same)
            if seat not in self.shown:
                self.shown[seat] = self._case(ply, env)

    def _watch_margins(self, margin: np.ndarray, ply: Ply, ended: np.ndarray) -> None:
        result = ply.after.returns[:, 0]
        real = ended & (np.arange(len(ended)) < self.trial.envs.real)
        self._blame(
            real & ~(abs(margin) <= self.bound + NEAR),
            f"margins from -{self.bound:g} to {self.bound:g}, by largest_margin",
            margin,
            ply,
        )
        self._blame(
            real & (np.sign(margin) != np.sign(result)) & (abs(margin) > NEAR),
            "margin above 0 where seat 0 has won, below 0 where seat 1 has, and 0 at a draw",
            margin,
            ply,
        )
        self._watch_twins("margins", margin, -margin, ply, ended)
        self._watch_images("margin", [margin] * len(self.images.symmetries), margin, ply, ended)

    def _watch_twins(
        self, what: str, main: np.ndarray, exchanged: np.ndarray, ply: Ply, ended: np.ndarray
    ) -> None:
        alike, count = self.twins.alike, self.trial.envs.twins
        if alike is None or ply.number <= WARM_UP or self.unlike is not None:
            return
        bad = alike & ended[:count] & _differ(main[:count], exchanged[self.trial.envs.twin])
        if bad.any():
            self.unlike = what, self._case(ply, int(bad.argmax()))

    def _watch_images(
        self, name: str, mapped: list[np.ndarray], seen: np.ndarray, ply: Ply, ended: np.ndarray
    ) -> None:
        count = self.trial.envs.images
        for number, wanted in enumerate(mapped):
            if self.images.tried[number]:
                bad = _differ(wanted[:count], seen[self.trial.envs.image(number)])
                self._blame(
                    bad & ended[:count],
                    f"a symmetry to map {name} to that of the image of the game",
                    f"another {name} under symmetry {number + 1}: which cells does it count, and "
                    "are they those of observe?",
                    ply,
                )

    def _blame(self, bad: np.ndarray, expected: str, found: str | np.ndarray, ply: Ply) -> None:
        move = (ply.before.state, ply.action, ply.after.state)
        self.trial.blame(LAW, expected, found, bad, *move, led=True)

    def _case(self, ply: Ply, env: int) -> Case:
        return self.trial.case(ply.before.state, env, ply.action[env], ply.after.state, led=True)


def _differ(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns bool[N]: envs on which any number differs."""
    away = np.abs(a.astype(np.float32) - b.astype(np.float32)) > NEAR
    return np.any(away.reshape(len(away), -1), axis=1)
