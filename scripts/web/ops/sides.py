"""What the seats of a game are called, and their colours, as its board shows them."""

import functools
from typing import Any

from games.drawing import board_of_text, declared, grid, shapes, text
from games.drawing.sight import in_cases, sight
from games.game import Game


def sides(game: Game[Any]) -> list[dict[str, str]] | None:
    """Returns `name` and `fill` by seat; None where the board does not show whose is what."""
    hashable: Any = game
    found: list[dict[str, str]] | None = _sides(hashable)
    return found


@functools.lru_cache(maxsize=32)
def _sides(game: Any) -> list[dict[str, str]] | None:
    if declared.is_drawn(game):
        return _coloured(game.board().colours)
    seen = sight(game)
    if seen.marks is None:
        return None
    on_grid = grid.frame(game) is not None
    coloured = _coloured(board_of_text.colours(seen))
    fills = [side["fill"] for side in coloured] if on_grid else text.COLOURS
    if in_cases(seen.marks):
        names = [side["name"] for side in coloured] if on_grid else seen.marks
    else:
        names = [own[0] for own in seen.marks]  # as the game's text calls them
    return [{"name": name, "fill": fill} for name, fill in zip(names, fills, strict=True)]


def _coloured(names: tuple[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "fill": shapes.COLOURS[name][0]} for name in names]
