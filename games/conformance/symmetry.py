"""The law of symmetries: the mirrored game, played with mirrored moves, is the game's image."""

import dataclasses
from typing import Any

import jax
import numpy as np

from games.conformance.cases import action_name, rendered, scene
from games.conformance.playouts import Batch, Lanes, Ply, differs, take
from games.game import Game, Symmetry
from games.laws import Findings


def well_formed(findings: Findings, game: Game[Any]) -> tuple[Symmetry, ...]:
    """Checks the form of the symmetries; returns those that can be tried, without the identity."""
    given = game.symmetries()
    height, width = game.observation_shape[:2]
    sizes = (("observation", height * width), ("action", game.num_actions))
    for number, symmetry in enumerate(given):
        if not isinstance(symmetry, Symmetry):
            findings.add("symmetry", "a tuple of games.Symmetry", f"{type(symmetry).__name__}")
            return ()
        for name, size in sizes:
            indices = np.asarray(getattr(symmetry, name))
            whole = indices.dtype.kind == "i" and indices.ndim == 1
            if not whole or sorted(indices.tolist()) != list(range(size)):
                findings.add(
                    "symmetry",
                    f"{name} to be a permutation of 0 .. {size - 1}, of whole numbers",
                    f"symmetry {number}: {indices.tolist()}",
                )
                return ()
    if not given or any((getattr(given[0], n) != np.arange(size)).any() for n, size in sizes):
        findings.add("symmetry", "the identity as the first symmetry", "another one, or none")
        return ()
    return tuple(Symmetry(*map(np.asarray, symmetry)) for symmetry in given[1:])


@dataclasses.dataclass
class Images:
    """Watches main lanes and their images."""

    findings: Findings
    game: Game[Any]
    lanes: Lanes
    symmetries: tuple[Symmetry, ...]
    tried: list[bool] = dataclasses.field(default_factory=list)

    def place(self, openings: Batch) -> Any:
        """Returns the states with an image of the opening on each image lane, where one is known.

        Most openings are their own image. Othello's four discs are not, under half of the
        symmetries: there the fields of the state that are boards are mapped as the observation is.
        """
        states = openings.state
        for number, symmetry in enumerate(self.symmetries):
            lanes = self.lanes.image(number)
            main, image = take(openings, slice(self.lanes.images)), take(openings, lanes)
            if not differs(_image(symmetry, main), _seen(image)).any():
                continue
            mapped = _mapped(self.game, symmetry, main.state)
            if mapped is not None:
                states = jax.tree.map(lambda old, new, at=lanes: _put(old, at, new), states, mapped)
        return states

    def start(self, openings: Batch) -> None:
        for number, symmetry in enumerate(self.symmetries):
            main = take(openings, slice(self.lanes.images))
            image = take(openings, self.lanes.image(number))
            self.tried.append(not differs(_image(symmetry, main), _seen(image)).any())
        if not all(self.tried):
            skipped = [n + 1 for n, tried in enumerate(self.tried) if not tried]
            self.findings.notes.append(
                f"symmetry: the opening has no image under {skipped}, which were not tried"
            )

    def watch(self, ply: Ply) -> None:
        main = take(ply.after, slice(self.lanes.images))
        for number, symmetry in enumerate(self.symmetries):
            if not self.tried[number]:
                continue
            image = take(ply.after, self.lanes.image(number))
            wanted, observed = _image(symmetry, main), _seen(image)
            for name in wanted:
                bad = np.flatnonzero(differs(wanted[name], observed[name]))
                if len(bad):
                    self._blame(ply, number, name, int(bad[0]))
                    self.tried = [False] * len(self.tried)  # one case is enough
                    return

    def _blame(self, ply: Ply, number: int, name: str, lane: int) -> None:
        before = take(ply.before, slice(self.lanes.images)).state
        image = take(ply.before, self.lanes.image(number)).state
        there = self.lanes.image(number).start + lane
        moves = [
            action_name(self.game, before, lane, int(ply.action[lane])),
            action_name(self.game, image, lane, int(ply.action[there])),
        ]
        boards = [rendered(self.game, states, lane) for states in (before, image)]
        cause = (
            "the symmetry is wrong, or the rules, such as the mask or the end, treat a position "
            "and its image unlike"
        )
        if name == "legal_action_mask" and self._fits_transposed(ply, number):
            cause = (
                "with rows and columns exchanged it would fit: is the mask flattened in another "
                "order than step reads the action?"
            )
        self.findings.add(
            "symmetry",
            f"symmetry {number + 1} to map {name} to that of the image after the mirrored move",
            f"another {name}: {cause}",
            f"{boards[0]}\nand its image\n{boards[1]}",
            f"{moves[0]} and its image {moves[1]}",
            [
                scene(ply.before.state, at, ply.action[at], ply.after.state, about)
                for at, about in ((lane, ""), (there, f"its image under symmetry {number + 1}"))
            ],
        )

    def _fits_transposed(self, ply: Ply, number: int) -> bool:
        """Whether the masks would be images if their cells were numbered column by column."""
        height, width = self.game.observation_shape[:2]
        if height != width or self.game.num_actions != height * width:
            return False
        lanes = (slice(self.lanes.images), self.lanes.image(number))
        masks = [ply.after.mask[at].reshape(-1, height, width) for at in lanes]
        main, image = (mask.transpose(0, 2, 1).reshape(len(mask), -1) for mask in masks)
        return bool((self.symmetries[number].on_actions(main) == image).all())


def _image(symmetry: Symmetry, at: Batch) -> dict[str, np.ndarray]:
    """Returns what the image of those positions must look like."""
    return {
        "observation": symmetry.on_observation(at.observation),
        "legal_action_mask": symmetry.on_actions(at.mask),
        "to_play": at.to_play,
        "terminated": at.terminated,
        "returns": at.returns,
    }


def _seen(at: Batch) -> dict[str, np.ndarray]:
    return {
        "observation": at.observation,
        "legal_action_mask": at.mask,
        "to_play": at.to_play,
        "terminated": at.terminated,
        "returns": at.returns,
    }


def _put(old: np.ndarray, lanes: slice, new: np.ndarray) -> np.ndarray:
    old = old.copy()
    old[lanes] = new
    return old


def _mapped(game: Game[Any], symmetry: Symmetry, states: Any) -> Any | None:
    """Returns the states with every board and action field mapped, None if one is neither."""
    height, width = game.observation_shape[:2]

    def mapped(path: Any, leaf: np.ndarray) -> np.ndarray:
        shape = leaf.shape[1:]
        if not shape:
            return leaf
        if shape == (game.num_actions,) and getattr(path[-1], "name", "") == "legal_action_mask":
            return symmetry.on_actions(leaf)
        if shape[:2] == (height, width):
            planes = leaf.reshape(len(leaf), height, width, -1)
            return symmetry.on_observation(planes).reshape(leaf.shape)
        if shape[-2:] == (height, width) or shape[-1] == height * width:
            boards = leaf.reshape(len(leaf), -1, height, width)
            return symmetry.on_cells(boards).reshape(leaf.shape)
        raise ValueError(f"a field of shape {shape}")

    try:
        return jax.tree_util.tree_map_with_path(mapped, states)
    except ValueError:
        return None
