"""The flags of `selfplay games`."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Args:
    """Lists the games that are known by name, with their options.

    A game of your own needs no name: give package.module:Class wherever a game is asked for.

    Examples:
      selfplay games
      selfplay games --json
      selfplay train --game connect_four
    """

    json: bool = False
    """Print one JSON object on stdout."""
