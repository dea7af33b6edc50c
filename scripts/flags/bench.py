"""The flags of `selfplay bench`."""

import dataclasses
from typing import Literal

from mcts import SearchConfig
from scripts.flags import checks
from scripts.terminal.console import (
    flag_value,
)
from training import presets
from training.config import Preset
from training.settings import NetworkConfig

IN_SIGHT = {  # what `--help` shows
    *("game", "preset", "batch", "rounds", "compare", "loop", "json"),
    *("network.blocks", "network.channels", "network.dtype"),
    *("search.policy", "search.simulations"),
}


@dataclasses.dataclass(frozen=True)
class Args:
    """Measures speed in one process: network alone, rules alone, search, self-play.

    `search_to_network` is what counts: network evaluations that the search makes in a second, as a
    share of what the same network reaches alone, at the same batch. `step_to_evaluation` is how
    long a step of the rules takes, as a share of an evaluation; where it is much, a sentence says
    where to look. The measurements take turns, and medians are reported.

    Examples:
      selfplay bench --game connect_four --batch 256 --network.blocks 1 --network.channels 16
      selfplay bench --game connect_four --preset gpu --json
      selfplay bench --game go:size=9 --compare pgx
      selfplay bench --game connect_four --loop
    """

    game: str = "connect_four"
    """NAME or package.module:Class, with options as in NAME:key=value,..."""
    preset: Preset = "quick"
    """Where the defaults of network and search come from."""
    batch: int = 0
    """Games at once, over all devices; 0: the preset's."""
    rounds: int = 5
    """Times that each measurement is taken."""
    compare: Literal["none", "mctx", "pgx"] = "none"
    """Also measure, in the same process: mctx, the same with the search of mctx; pgx, the rules of
    the same game in pgx, at batches of 64 and 1024 too."""
    loop: bool = False
    """Instead measure the loop of `train`: the share of time in which no device works."""
    network: NetworkConfig = NetworkConfig()
    search: SearchConfig = SearchConfig()
    json: bool = False
    """Print the result as one JSON object on stdout."""


def defaults(argv: list[str]) -> Args:
    """Returns the preset's network and search as defaults."""
    game, name = flag_value(argv, "game") or Args.game, flag_value(argv, "preset") or Args.preset
    config = presets.preset(name, game)  # type: ignore[arg-type]
    return Args(game=game, network=config.network, search=config.search)


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    checks.game(args.game)
