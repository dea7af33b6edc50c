"""The flags of `selfplay game new`."""

import dataclasses

from scripts.terminal.console import Positional


@dataclasses.dataclass(frozen=True)
class Args:
    """Writes the template of a new game and its test into the current folder.

    The template is a complete small game, commented for the reader who changes it. Nothing is
    overwritten.

    Examples:
      selfplay game new my_game       # writes my_game.py and test_my_game.py
    """

    name: Positional[str]
    """The module's name: small letters, digits and underscores."""
