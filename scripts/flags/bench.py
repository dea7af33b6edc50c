"""The flags of `selfplay bench`."""

import dataclasses
import math
from typing import Literal

from mcts import SearchConfig
from scripts.flags import checks
from scripts.terminal.console import flag_value
from training import presets
from training.config import Preset
from training.settings import NetworkConfig

IN_SIGHT = {"game", "preset", "batch", "measure", "compare", "json"}  # what `--help` shows
OUT = "suite"


@dataclasses.dataclass(frozen=True)
class Args:
    """Measures speed: the network alone, the rules alone, search and self-play.

    `search_to_network` is what counts: network evaluations that the search makes in a second, as a
    share of what the same network reaches alone, at the same batch. `step_to_evaluation` is how
    long a step of the rules takes, as a share of an evaluation; where it is much, a sentence says
    where to look. The measurements take turns, and medians are reported.

    Examples:
      selfplay bench --game connect_four --batch 256 --network.blocks 1 --network.channels 16
      selfplay bench --game connect_four --preset gpu --json
      selfplay bench --game go:size=9 --compare pgx
      selfplay bench --game connect_four --measure loop
      selfplay bench --measure suite --out h100 --minutes 9
    """

    game: str = "connect_four"
    """NAME or package.module:Class, with options as in NAME:key=value,..."""
    preset: Preset = "quick"
    """Where the defaults of network and search come from."""
    batch: int = 0
    """Games at once, over all devices; 0: the preset's."""
    measure: Literal["speed", "loop", "memory", "device", "suite"] = "speed"
    """loop: where an iteration's time goes while `train` runs, and in which share of it no device
    works. memory: what a run uses, and what was predicted. device: what there is. suite: all that
    we have aims for, each in a process of its own (docs/accelerator.md)."""
    compare: Literal["none", "mctx", "pgx"] = "none"
    """Also measure, in the same process: mctx, the same with the search of mctx; pgx, the rules of
    the same game in pgx, at batches of 64 and 1024 too."""
    rounds: int = 5
    """Times that each speed is measured."""
    out: str = OUT
    """Of the suite: the folder for its figures."""
    minutes: float = 0.0
    """Of the suite: how long this call may take (the same call goes on); 0: no limit."""
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
    if args.batch < 0 or args.rounds < 1:
        raise ValueError(
            f"batch must be at least 0 and rounds at least 1, got {args.batch}, {args.rounds}"
        )
    if args.measure != "suite" and (args.out != OUT or args.minutes):
        raise ValueError("--out and --minutes are for --measure suite")
    if args.measure != "speed" and args.compare != "none":
        raise ValueError("--compare is for --measure speed")
    if not 0 <= args.minutes < math.inf:
        raise ValueError(f"--minutes must be at least 0, got {args.minutes}")
