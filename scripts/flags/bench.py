"""The flags of `selfplay bench`."""

import dataclasses
import math
from typing import Literal

from mcts import SearchConfig
from scripts.benchmarks import plan
from scripts.flags import checks
from scripts.terminal.console import flag_value
from training import presets
from training.config import Preset
from training.settings import NetworkConfig

IN_SIGHT = {  # what `--help` shows
    *("game", "preset", "batch", "rounds", "compare", "loop", "suite", "json"),
    *("network.blocks", "network.channels"),
    *("search.policy", "search.simulations"),
}


@dataclasses.dataclass(frozen=True)
class Args:
    """Measures speed in one process: network alone, rules alone, search, self-play.

    `search_to_network` is what counts: network evaluations that the search makes in a second, as a
    share of what the same network reaches alone, at the same batch. `step_to_evaluation` is how
    long a step of the rules takes, as a share of an evaluation; where it is much, a sentence says
    where to look. The measurements take turns, and medians are reported.

    With --suite, it measures all that we claim or aim at, each in a process of its own, and writes
    JSON and a table into the folder --out (docs/accelerator.md). The same command goes on with what
    is left, after Ctrl-C too, and tries again what failed. --minutes limits a call, --parts picks
    (search, rules, training, learning, memory), --long adds a run of Go.

    Examples:
      selfplay bench --game connect_four --batch 256 --network.blocks 1 --network.channels 16
      selfplay bench --game connect_four --preset gpu --json
      selfplay bench --game go:size=9 --compare pgx
      selfplay bench --game connect_four --loop
      selfplay bench --suite --out h100 --minutes 9
      selfplay bench --suite --out h100 --parts search,rules
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
    suite: bool = False
    """Instead measure everything, for a card that nobody has measured on."""
    out: str = ""
    """Of --suite: the folder for its figures and runs; by default suite."""
    parts: str = plan.ALL
    """Of --suite: the parts to measure, as in search,rules."""
    minutes: float = 0.0
    """Of --suite: how long this call may take; 0: until all is measured."""
    long: bool = False
    """Of --suite: also train Go 9x9 for 8 minutes, and play it against its own half and GNU Go."""
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
    if not args.suite and (args.out or args.parts != plan.ALL or args.minutes or args.long):
        raise ValueError("--out, --parts, --minutes and --long are for --suite: add it")
    if args.suite and (args.loop or args.compare != "none"):
        raise ValueError("--suite measures all by itself: leave out --loop and --compare")
    if not 0 <= args.minutes < math.inf:
        raise ValueError(f"--minutes must be at least 0, got {args.minutes}")
    plan.chosen(args.parts)
