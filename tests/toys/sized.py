"""A game with boards of any size whose actions are no cells."""

import dataclasses

from games.connect_four import ConnectFour


@dataclasses.dataclass(frozen=True)
class Moves(ConnectFour):
    size: int = 6
