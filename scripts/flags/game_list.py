"""The flags of `selfplay game list`."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Args:
    """Lists the games that are known by name, with their options.

    A game of your own needs no name: give package.module:Class wherever a game is asked for.

    Examples:
      selfplay game list
      selfplay game list --json
      selfplay train --game connect_four
    """

    json: bool = False
    """Print one JSON object on stdout."""
