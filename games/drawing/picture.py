"""A position of any game as a picture: the one way to draw it, for browser, report and notebook."""

from typing import Any

from games.drawing import board_of_text, characters, declared, spotting, text, weighed
from games.drawing.children import rendered
from games.drawing.grid import Frame, fits, frame
from games.drawing.result import Drawing, Picture
from games.drawing.sight import Sight, sight
from games.game import Game


def draw(
    game: Game[Any], state: Any, last: int | None = None, before: Any | None = None
) -> Drawing:
    """Returns a position as SVG, with its legal moves as what can be clicked in it.

    A game's first drawing compiles its `step`, and plays a little to see whose pieces are whose.

    Args:
      state: one position, leaves in NumPy or jax.
      last: the action that led there, to be marked; the position before must be given too.
      before: the position before that; the last move is marked by what it changed.
    """
    if declared.is_drawn(game):
        return declared.drawing(game, state, last, before)
    hashable: Any = game
    seen: Sight = sight(hashable)
    shown = rendered(game, state)
    old = None if before is None else rendered(game, before)
    seen_grid: Frame | None = frame(hashable)
    if seen_grid is None or not fits(seen_grid, characters.aligned([shown])[0]):
        found = spotting.spotted(game, state, shown, seen)
        return text.drawing(found, shown, old, seen)
    found = spotting.spotted(game, state, shown, seen, seen_grid.grid)
    return board_of_text.drawing(seen_grid, found, shown, old, seen)


def picture(
    game: Game[Any],
    state: Any,
    last: int | None = None,
    before: Any | None = None,
    weights: Any | None = None,
) -> Picture:
    """Returns a position as SVG text, what `draw` draws; in a notebook it is seen as a picture.

    Args:
      state, last, before: as for `draw`.
      weights: float[A], one for each action, such as a policy. Where a legal move ends there is a
        disc whose area is its share of the place, with that in percent. A move that has no place
        on the board, such as a pass, has no disc.

    Raises:
      ValueError: there is not one weight for each action, or one is not in [0, 1].

    Example:
      >>> import games, jax, numpy as np
      >>> game = games.load("tic_tac_toe")
      >>> state = game.init(jax.random.key(0))
      >>> games.picture(game, state, weights=np.full(9, 1 / 9))
      3 . . .
      2 . . .
      1 . . .
        a b c
    """
    drawing = draw(game, state, last, before)
    shown = rendered(game, state)
    if weights is None:
        return Picture(drawing.svg, shown)
    return Picture(weighed.weighed(drawing, weights, game.num_actions), shown)
