"""What the seats of a game are called, and their colours, as its board shows them."""

import functools
from typing import Any

from games.drawing import declared, shapes, text
from games.drawing.sight import sight
from games.game import Game


@functools.lru_cache(maxsize=32)
def sides(game: Any) -> list[dict[str, str]] | None:
    """Returns `name` and `fill` by seat; None where the board does not show whose is what."""
    if declared.is_drawn(game):
        colours = game.board().colours
        return [{"name": name, "fill": shapes.COLOURS[name][0]} for name in colours]
    return _marked(game)


def _marked(game: Game[Any]) -> list[dict[str, str]] | None:
    marks = sight(game).marks
    if marks is None:
        return None
    return [{"name": mark, "fill": fill} for mark, fill in zip(marks, text.COLOURS, strict=True)]
