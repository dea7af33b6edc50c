"""Perft: how many sequences of d legal moves a game has, to be compared with counts by others."""

from typing import Any

import jax
import numpy as np

from games.game import Game

CHUNK = 4096  # positions stepped in one compiled call

# Reproduced by other programs (see the games' docs): spec, counts for depths 1, 2, 3, ... Tests
# count as far as the frontier fits TEST_POSITIONS; `python -m tests.oracles.perft SPEC DEPTH`
# goes deeper.
COUNTS = {
    "breakthrough": (22, 484, 11132, 256036),
    "connect_four": (7, 49, 343, 2401, 16807, 117649, 823536, 5673234),
    "dots_and_boxes:rows=2,cols=2": (12, 132, 1320, 11880),
    "go": (82, 6643, 531522),
    "gomoku": (225, 50400),
    "hex": (121, 14520, 1727880),
    "hex:swap=true": (121, 14641),
    "othello": (4, 12, 56, 244, 1396, 8200, 55092, 390216, 3005288),
    "tic_tac_toe": (9, 72, 504, 3024, 15120, 54720, 148176, 200448, 127872),
}
TEST_POSITIONS = 20_000


def perft(game: Game[Any], depth: int) -> list[int]:
    """Returns the numbers of move sequences of length 1 to `depth`; a forced pass is a move.

    Breadth first: the whole frontier of positions is held in memory, so that at most the last
    count but one has to fit.
    """
    step = jax.jit(jax.vmap(game.step))
    opening = jax.tree.map(lambda leaf: np.asarray(leaf)[None], game.init(jax.random.key(0)))
    frontier, counts = opening, []
    for ply in range(1, depth + 1):
        counts.append(int(frontier.legal_action_mask.sum()))
        if ply < depth:
            frontier = _successors(step, frontier)
    return counts


def _successors(step: Any, frontier: Any) -> Any:
    parent, action = np.nonzero(frontier.legal_action_mask)
    if not len(parent):
        return jax.tree.map(lambda leaf: leaf[:0], frontier)
    chunks = []
    for start in range(0, len(parent), CHUNK):
        # The last chunk is filled up with copies, so that every call has the same shape.
        rows = np.resize(np.arange(start, min(start + CHUNK, len(parent))), CHUNK)
        states = jax.tree.map(lambda leaf, rows=rows: leaf[parent[rows]], frontier)
        after = jax.tree.map(np.asarray, step(states, action[rows].astype(np.int32)))
        kept = min(CHUNK, len(parent) - start)
        chunks.append(jax.tree.map(lambda leaf, kept=kept: leaf[:kept], after))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *chunks)


def depth_for_tests(counts: tuple[int, ...]) -> int:
    """Returns how deep to count, so that the frontier has at most TEST_POSITIONS positions."""
    return sum(count <= TEST_POSITIONS for count in (1, *counts[:-1]))


if __name__ == "__main__":
    import sys

    import games

    print(perft(games.load(sys.argv[1]), int(sys.argv[2])))
