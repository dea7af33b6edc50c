"""The flags of `selfplay sweep`."""

import dataclasses
import os

from scripts.terminal.console import Positional
from training.sweep import plan
from training.workers.ray_node import ADDRESS


@dataclasses.dataclass(frozen=True)
class Args:
    """Trains variants of a run, each from several seeds, at equal compute, and compares them.

    FILE is TOML: a game, a limit, seeds, and the settings of each variant (docs/sweeps.md). What
    cannot work is named before the first run. Ctrl-C (or SIGTERM) saves and exits with code 75; the
    same command goes on, also after a kill, and with variants or seeds that FILE has got meanwhile.
    A run that fails is named, the others go on, and the exit code is 1.

    Examples:
      selfplay sweep value.toml --dry-run
      selfplay sweep value.toml --workers 2
      selfplay sweep value.toml --markdown
      selfplay sweep value.toml --only today/seed-1      # on one of several machines
    """

    file: Positional[str]
    """The plan of the sweep, in TOML."""
    out: str = ""
    """The sweep's folder; by default sweeps/<name of FILE>."""
    workers: int = 1
    """Runs at once, each a process with its own share of this machine's cores, so that results are
    statistically equal to those on all cores; on an accelerator, 1."""
    only: str = ""
    """VARIANT/seed-N: make this one run, in this process, and no table."""
    dry_run: bool = False
    """Check all variants, say what there is to do, and write nothing."""
    markdown: bool = False
    """Print a row of Markdown for each variant, not the table."""
    json: bool = False
    """Print one JSON object on stdout: the summary, and every run's result."""


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight: in FILE, all of it at once."""
    if args.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {args.workers}")
    if args.workers > 1 and (address := os.environ.get(ADDRESS)):
        raise ValueError(
            f"--workers {args.workers} are processes of this machine, and {ADDRESS}={address} "
            "names a cluster: unset it, or make single runs there by --only VARIANT/seed-N"
        )
    if args.markdown and args.json:
        raise ValueError("--markdown and --json both print the result: choose one")
    if args.only and (args.dry_run or args.markdown or args.json):
        raise ValueError("--only makes one run: leave out --dry-run, --markdown and --json")
    plan.read(args.file)
