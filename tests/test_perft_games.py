"""Perft: how many ways there are to play the first d plies, against counts known from elsewhere.

Othello: many programs agree on it, e.g. https://www.aartbik.com/strategy.php. Breakthrough: counted
with OpenSpiel. Hex and gomoku: all cells but the taken ones, as no game is over that soon.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from games import Game, load

CHUNK = 4096  # positions stepped at once; one shape compiles once
COUNTS = {
    "othello": [4, 12, 56, 244, 1396, 8200, 55092, 390216, 3005288],
    "hex": [121, 121 * 120, 121 * 120 * 119],
    "hex:swap=true": [121, 121 * 121],
    "gomoku": [225, 225 * 224],
    "breakthrough": [22, 484, 11132, 256036],
    "dots_and_boxes:rows=2,cols=2": [12, 12 * 11, 12 * 11 * 10, 12 * 11 * 10 * 9],
}


def perft(game: Game, depth: int) -> list[int]:
    """Counts the games of 1 to `depth` plies; a forced pass is a ply."""
    step = jax.jit(jax.vmap(game.step))
    frontier = jax.tree.map(lambda leaf: np.asarray(leaf)[None], game.init(jax.random.key(0)))
    counts = []
    for _ in range(depth - 1):
        counts.append(int(frontier.legal_action_mask.sum()))
        parents, actions = np.nonzero(frontier.legal_action_mask)
        chunks = []
        for start in range(0, len(actions), CHUNK):
            chosen = np.arange(start, start + CHUNK).clip(max=len(actions) - 1)
            parent = jax.tree.map(lambda leaf, of=parents[chosen]: leaf[of], frontier)
            children = step(parent, jnp.asarray(actions[chosen], jnp.int32))
            size = min(CHUNK, len(actions) - start)
            chunks.append(jax.tree.map(lambda leaf, n=size: np.asarray(leaf)[:n], children))
        frontier = jax.tree.map(lambda *leaves: np.concatenate(leaves), *chunks)
    return [*counts, int(frontier.legal_action_mask.sum())]


@pytest.mark.parametrize("spec", COUNTS)
def test_perft_matches_known_counts(spec: str) -> None:
    assert perft(load(spec), len(COUNTS[spec])) == COUNTS[spec]
