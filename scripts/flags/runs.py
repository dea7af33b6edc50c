"""The flags of `selfplay runs`."""

import dataclasses
import os

from scripts.flags import checks
from scripts.terminal.console import Positional


@dataclasses.dataclass(frozen=True)
class Args:
    """Lists runs, sums up one or more of them, or shows recorded games.

    Of a folder of runs: a line each with game, state, how far it is, last evaluation and size. A
    run is running, stopped (the same command goes on), at its limit (--minutes, --iterations or
    --flops), done (it found its fixed point), new (nothing is saved yet) or damaged. The newest
    comes first.

    Of runs: settings, metrics, events and the doctor's last verdict, also of a run in progress; of
    several, the settings in which they differ. --png writes the curves for a paper, --csv the
    metrics; selfplay web shows both.

    Of a file of games (JSON lines, .sgf or .pgn), or of a run with --number: the games, each
    replayed by the rules; what they forbid is named on stderr, with place and move.

    Examples:
      selfplay runs                                   # those in runs/
      selfplay runs runs/c4
      selfplay runs runs/c4 runs/c4b --png --out compared
      selfplay runs runs/c4 --csv metrics.csv
      selfplay runs runs/c4 --number last --step      # its newest game of self-play
      selfplay runs games.sgf --number 3 --ply 20
    """

    paths: Positional[tuple[str, ...]] = ("runs",)
    """A folder of runs (or of folders of them), runs, or a file of games."""
    png: bool = False
    """Of runs: write each plot as a PNG."""
    out: str = ""
    """The folder for --png; by default report/ of the (first) run."""
    csv: str = ""
    """Of runs: write the metrics to this file, a row for each of their lines (docs/metrics.md)."""
    number: str = ""
    """The game to show, counted from 1, or last; by default a file's list, or its only game."""
    ply: int = -1
    """Of a game: show only the position after so many moves; -1: all of them."""
    step: bool = False
    """Of a game: go through it with Enter (next), b (back) and q (quit)."""
    game: str = ""
    """A game of your own that the file holds, as the file names it (module:Class, with options):
    its module is imported."""
    json: bool = False
    """Print one JSON object on stdout."""


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    kind = script(args)
    for path in args.paths if args.paths != Args.paths else ():
        checks.run(path)
    if kind == "run_games" and len(args.paths) > 1:
        raise ValueError(f"games are shown of one file or run, got {' '.join(args.paths)}")
    for module, names in (
        ("run_report", ("png", "out", "csv")),
        ("run_games", ("number", "ply", "step", "game")),
    ):
        given = [name for name in names if getattr(args, name) != getattr(Args, name)]
        if given and kind != module:
            what = "a file of games, or of a run with --number" if names[0] == "number" else "runs"
            raise ValueError(f"--{given[0]} is of {what}, not of {' '.join(args.paths)}")
    if args.out and not args.png:
        raise ValueError("--out is the folder of --png, which is not given")


def script(args: Args) -> str:
    """The module that does the work, by what the paths are."""
    if args.number or any(map(os.path.isfile, args.paths)):
        return "run_games"
    if len(args.paths) > 1 or any(map(_is_run, args.paths)):
        return "run_report"
    return "runs"


def _is_run(path: str) -> bool:
    return os.path.lexists(os.path.join(path, "config.json"))
