"""The law of symmetries: the mirrored game, played with mirrored moves, is the game's image."""

import dataclasses
import math
from typing import Any

import jax
import numpy as np

from games.conformance.cases import Trial
from games.conformance.playouts import Batch, Ply, differs, image, take
from games.game import Game, Symmetry, as_board, cells_of
from games.laws import Findings

PARTS = ("observation", "mask", "to_play", "terminated", "returns")  # that have images


def well_formed(findings: Findings, game: Game[Any]) -> tuple[Symmetry, ...]:
    """Checks the form of the symmetries; returns those that can be tried, without the identity."""
    given = game.symmetries()
    cells = math.prod(cells_of(game.observation_shape))
    sizes = (("observation", cells), ("action", game.num_actions))
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
    _check_neighbours(findings, game, given)
    return tuple(Symmetry(*map(np.asarray, symmetry)) for symmetry in given[1:])


def _check_neighbours(
    findings: Findings, game: Game[Any], symmetries: tuple[Symmetry, ...]
) -> None:
    edges: Any = getattr(game, "adjacency", None)
    for number, symmetry in enumerate(symmetries if edges is not None else ()):
        nodes = np.asarray(symmetry.observation)
        wrong = np.argwhere(edges[np.ix_(nodes, nodes)] != edges)
        if len(wrong):
            findings.add(
                "symmetry",
                "neighbours to be neighbours in the image too, by adjacency",
                f"symmetry {number}: not so of nodes {wrong[0].tolist()} of the image",
            )
            return


@dataclasses.dataclass
class Images:
    """Watches main envs and their images."""

    trial: Trial
    symmetries: tuple[Symmetry, ...]
    tried: list[bool] = dataclasses.field(default_factory=list)

    def place(self, openings: Batch) -> Any:
        """Returns the states with an image of the opening on each image env, where one is known.

        Most openings are their own image. Othello's four discs are not, under half of the
        symmetries: there the fields of the state that are boards are mapped as the observation is.
        """
        states = openings.state
        main = take(states, slice(self.trial.envs.images))
        for number, symmetry in enumerate(self.symmetries):
            if not self._unlike(openings, number):
                continue
            mapped = _mapped(self.trial.game, symmetry, main)
            if mapped is not None:
                envs = self.trial.envs.image(number)
                states = jax.tree.map(lambda old, new, at=envs: _put(old, at, new), states, mapped)
        return states

    def start(self, openings: Batch) -> None:
        numbers = range(len(self.symmetries))
        self.tried = [not self._unlike(openings, number) for number in numbers]
        if not all(self.tried):
            skipped = [number + 1 for number in numbers if not self.tried[number]]
            self.trial.findings.note(
                f"symmetry: the opening has no image under {skipped}, which were not tried"
            )

    def watch(self, ply: Ply) -> None:
        for number, tried in enumerate(self.tried):
            unlike = self._unlike(ply.after, number) if tried else {}
            for part, bad in unlike.items():
                self._blame(ply, number, part, int(bad.argmax()))
                self.tried = [False] * len(self.tried)  # one case is enough
                return

    def _unlike(self, at: Batch, number: int) -> dict[str, np.ndarray]:
        """Returns by part of a batch: bool[images], where an image is not the main env's."""
        main, seen = self._pair(at, number)
        wanted = image(self.symmetries[number], main)
        unlike = {part: differs(getattr(wanted, part), getattr(seen, part)) for part in PARTS}
        return {part: bad for part, bad in unlike.items() if bad.any()}

    def _pair(self, at: Batch, number: int) -> tuple[Batch, Batch]:
        envs = self.trial.envs
        return take(at, slice(envs.images)), take(at, envs.image(number))

    def _blame(self, ply: Ply, number: int, part: str, env: int) -> None:
        there = self.trial.envs.image(number).start + env
        case, states = self.trial.case, (ply.before.state, ply.after.state)
        main = case(states[0], env, ply.action[env], states[1])
        about = f"its image under symmetry {number + 1}"
        mirrored = case(states[0], there, ply.action[there], states[1], about)
        cause = (
            "the symmetry is wrong, or the rules, such as the mask or the end, treat a position "
            "and its image unlike"
        )
        if part == "mask" and self._fits_transposed(ply, number):
            cause = (
                "with rows and columns exchanged it would fit: is the mask flattened in another "
                "order than step reads the action?"
            )
        self.trial.findings.add(
            "symmetry",
            f"symmetry {number + 1} to map {part} to that of the image after the mirrored move",
            f"another {part}: {cause}",
            f"{main.position}\nand its image\n{mirrored.position}",
            f"{main.action} and its image {mirrored.action}",
            [*main.scenes, *mirrored.scenes],
        )

    def _fits_transposed(self, ply: Ply, number: int) -> bool:
        """Whether the masks would be images if their cells were numbered column by column."""
        height, width, _ = as_board(self.trial.game.observation_shape)
        if height != width or self.trial.game.num_actions != height * width:
            return False
        masks = [at.mask.reshape(-1, height, width) for at in self._pair(ply.after, number)]
        main, seen = (mask.transpose(0, 2, 1).reshape(len(mask), -1) for mask in masks)
        return bool((self.symmetries[number].on_actions(main) == seen).all())


def _put(old: np.ndarray, envs: slice, new: np.ndarray) -> np.ndarray:
    old = old.copy()
    old[envs] = new
    return old


def _mapped(game: Game[Any], symmetry: Symmetry, states: Any) -> Any | None:
    """Returns the states with every board and action field mapped, None if one is neither."""
    cells = cells_of(game.observation_shape)
    count = math.prod(cells)

    def mapped(path: Any, leaf: np.ndarray) -> np.ndarray:
        shape = leaf.shape[1:]
        if not shape:
            return leaf
        if shape == (game.num_actions,) and getattr(path[-1], "name", "") == "legal_action_mask":
            return symmetry.on_actions(leaf)
        if shape[: len(cells)] == cells:
            planes = leaf.reshape(len(leaf), count, -1)
            return symmetry.on_observation(planes, 2).reshape(leaf.shape)
        if shape[-len(cells) :] == cells or shape[-1] == count:
            boards = leaf.reshape(len(leaf), -1, count)
            return symmetry.on_cells(boards, 1).reshape(leaf.shape)
        raise ValueError(f"a field of shape {shape}")

    try:
        return jax.tree_util.tree_map_with_path(mapped, states)
    except ValueError:
        return None
