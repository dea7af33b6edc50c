"""The flags of `selfplay completion`."""

import dataclasses
from typing import Literal

from scripts.terminal.console import Positional


@dataclasses.dataclass(frozen=True)
class Args:
    """Prints a script that lets a shell complete commands, flags, games, players and runs.

    It holds what there is to complete, so that a shell need not ask; print it anew after an update.

    Examples:
      selfplay completion bash > ~/.local/share/bash-completion/completions/selfplay
      selfplay completion zsh > ~/.zfunc/_selfplay          # a folder of your fpath
      selfplay completion fish > ~/.config/fish/completions/selfplay.fish
    """

    shell: Positional[Literal["bash", "zsh", "fish"]]
    """Which shell is to read it."""
