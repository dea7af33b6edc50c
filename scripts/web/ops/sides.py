"""What the seats of a game are called, and their colours, as its board shows them."""

from typing import Any

from games.drawing import declared, shapes


def sides(game: Any) -> list[dict[str, str]] | None:
    """`name` and `fill` by seat; None for a game that declares no board."""
    if not declared.is_drawn(game):
        return None
    return [{"name": name, "fill": shapes.COLOURS[name][0]} for name in game.board().colours]
