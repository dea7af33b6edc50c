"""The flags of `selfplay engine`."""

import dataclasses
from typing import Literal

from games import registry
from games.catalogue import GAMES
from scripts.flags import checks
from scripts.terminal.console import Positional
from selfplay import player_spec

CHESS = "pgx:chess"
# The games that UCI has names for; what holds them is imported later.
BY_UCI = (CHESS, "pgx:gardner_chess", "pgx:animal_shogi", "pgx:shogi", "breakthrough")


@dataclasses.dataclass(frozen=True)
class Args:
    """Serves a player as an engine, to front ends and to other programs: GTP, UCI, or JSON lines.

    gtp is the Go Text Protocol, for Sabaki, GoGui and the like; other games are played with their
    own coordinates, black for seat 0. uci is the Universal Chess Interface, for front ends of
    chess. json is KataGo's parallel analysis protocol, for programs: many positions at once, in
    batches. Without --protocol it is uci for chess, shogi and breakthrough, gtp for all others.
    Commands come on standard input, answers go to standard output. On a clock it searches less, so
    that no move is late.

    Examples:
      selfplay engine shipped:go_9x9
      selfplay engine runs/go9 --simulations 800 --resign 0.05
      selfplay engine runs/chess
      selfplay engine uniform --protocol uci
      selfplay engine runs/c4 --protocol json < queries.jsonl > responses.jsonl
    """

    player: Positional[str]
    """Who plays: a run folder R, R@STEP, shipped:NAME (docs/players.md), random, uniform, or
    module:function; for json a run, shipped:NAME or uniform."""
    protocol: Literal["", "gtp", "uci", "json"] = ""
    """What it speaks; by default what front ends of its game speak."""
    game: str = ""
    """The game; needed only if the player is not a run, and not for uci, which begins with
    pgx:chess."""
    simulations: int = 200
    """Simulations of each search, at most; 0: the raw policy. uci and json can ask for others."""
    resign: float = 0.0
    """gtp: resign a move whose winrate would be below this; 0: never."""
    batch: int = 64
    """json: positions that are searched together; where fewer wait, a search takes as long. 1 for
    one query at a time, hundreds for many queries on a GPU."""
    max_visits: int = 2049
    """json: the most that a query may ask for: a batch of such searches must fit into memory."""
    seed: int = 0
    """gtp, uci: random seed, for players that choose at random."""


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    checks.game(args.game)
    begins = CHESS if args.protocol == "uci" and not player_spec.run_of(args.player) else ""
    spec = checks.players([args.player], args.game or begins)
    named = spec.partition(":")[0] in GAMES  # another name may be that of one of these
    if args.protocol == "uci" and named and registry.canonical(spec) not in BY_UCI:
        raise ValueError(f"{spec} is not played by UCI, only {', '.join(BY_UCI)}")
    if args.simulations < 0:
        raise ValueError(f"--simulations must be at least 0, got {args.simulations}")
    if not 0 <= args.resign <= 1:
        raise ValueError(f"--resign must be a winrate from 0 to 1, got {args.resign}")
    if args.batch < 1:
        raise ValueError(f"--batch must be at least 1, got {args.batch}")
    if args.protocol == "json":
        _, own = player_spec.split_settings(args.player)
        if own.simulations is not None or own.temperature:
            raise ValueError(
                f"player {args.player!r}: queries say how many visits, and the best move is the "
                "answer: leave out simulations (there is --simulations) and temperature"
            )
        if args.simulations >= args.max_visits:
            raise ValueError(
                f"--simulations must be below --max-visits, {args.max_visits}, for the root has "
                f"one visit more; got {args.simulations}"
            )
