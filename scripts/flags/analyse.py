"""The flags of `selfplay analyse`."""

import dataclasses

from scripts.flags import checks
from scripts.terminal.console import Positional
from selfplay import player_spec


@dataclasses.dataclass(frozen=True)
class Args:
    """Analyse positions for another program: requests as JSON lines in, answers as JSON lines out.

    A request is an object on a line of standard input, such as {"id": "a", "moves": ["4", "4"]};
    its answer is an object on a line of standard output, with the same id. Many positions are
    searched together, so answers come in any order: ask at once all that you want to know, and read
    meanwhile. At the end of the input it answers what is left, and ends. docs/analyse.md has all
    fields.

    Examples:
      selfplay analyse runs/c4 < requests.jsonl > answers.jsonl
      selfplay analyse runs/c4 --simulations 400 --batch 256
      echo '{"id": "a", "moves": ["4", "4"]}' | selfplay analyse uniform --game connect_four
    """

    player: Positional[str]
    """Who analyses: a run folder R, R@STEP, shipped:NAME, or uniform."""
    game: str = ""
    """The game; needed only if the player is not a run."""
    simulations: int = 200
    """Simulations of a search, where a request does not say; 0: the raw policy."""
    max_simulations: int = 2048
    """The most that a request may ask for: a batch of such searches must fit into memory."""
    batch: int = 64
    """Positions of each search, which is filled up where fewer wait: 1 is the fastest for who asks
    one at a time, hundreds for a GPU and many requests."""


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    checks.game(args.game)
    checks.players([args.player], args.game)
    _, own = player_spec.split_settings(args.player)
    if own.simulations is not None or own.temperature:
        raise ValueError(
            f"player {args.player!r}: requests say how many simulations, and the best move is the "
            "answer: leave out simulations (there is --simulations) and temperature"
        )
    if args.batch < 1:
        raise ValueError(f"--batch must be at least 1, got {args.batch}")
    if not 0 <= args.simulations <= args.max_simulations:
        raise ValueError(
            f"--simulations must be from 0 to --max-simulations, {args.max_simulations}, "
            f"got {args.simulations}"
        )
