"""Weights of the legal moves, such as a policy, on the drawing of a position."""

import collections
from typing import Any

import numpy as np

from games.drawing import svg
from games.drawing.result import Drawing

DISC = "#1f6fc4"
LEAST = 0.005  # of a weight that is shown: less is 0% in whole percent


def weighed(drawing: Drawing, weights: Any, num_actions: int) -> str:
    """Returns the SVG of a drawing with a disc where each legal move ends.

    Moves that end at the same place, such as two men's, share a disc.

    Args:
      weights: float[A].

    Raises:
      ValueError: there is not one weight for each action, or one is not in [0, 1].
    """
    values = np.asarray(weights, float)
    if values.shape != (num_actions,):
        raise ValueError(
            f"weights must be one for each of {num_actions} actions, got shape {values.shape}; "
            "of a batch take one, as in result.action_weights[0]"
        )
    if not ((values >= 0) & (values <= 1 + 1e-6)).all():
        raise ValueError(
            f"weights must be in [0, 1], got {values.min():g} to {values.max():g}; "
            "of logits take the softmax"
        )
    by_spot: collections.Counter[str] = collections.Counter()
    for move in drawing.moves:
        if move.spots:
            by_spot[move.spots[-1]] += values[move.action]
    discs = "".join(
        _disc(*drawing.spots[spot], weight) for spot, weight in by_spot.items() if weight >= LEAST
    )
    return drawing.svg.removesuffix("</svg>") + discs + "</svg>"


def _disc(x: float, y: float, radius: float, weight: float) -> str:
    reach = 0.92 * radius * min(1.0, weight) ** 0.5
    disc = svg.circle(x, y, reach, class_="board-weight", fill=DISC, fill_opacity=0.65)
    label = svg.text(x, y, f"{weight:.0%}", 0.62 * radius, "board-weight")
    return disc + label
