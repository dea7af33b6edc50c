"""A position of any game as a picture: the one way to draw it, for browser, report and notebook."""

from typing import Any

from games.drawing import declared, text, weighed
from games.drawing.result import Drawing, Picture
from games.game import Game


def draw(
    game: Game[Any], state: Any, last: int | None = None, before: Any | None = None
) -> Drawing:
    """A position as SVG, with its legal moves as what can be clicked in it.

    Of a game that declares no board it is the game's text, and every move is a button.

    Args:
      state: one position, leaves in NumPy or jax.
      last: the action that led there, to be marked; the position before must be given too.
      before: the position before that; the last move is marked by what it changed.
    """
    if declared.is_drawn(game):
        return declared.drawing(game, state, last, before)
    return text.drawing(game, state, before)


def picture(
    game: Game[Any],
    state: Any,
    last: int | None = None,
    before: Any | None = None,
    weights: Any | None = None,
) -> Picture:
    """A position as SVG text, what `draw` draws; a notebook shows it as a picture.

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
    shown = text.rendered(game, state)
    if weights is None:
        return Picture(drawing.svg, shown)
    return Picture(weighed.weighed(drawing, weights, game.num_actions), shown)
