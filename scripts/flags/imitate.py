"""The flags of `selfplay imitate`."""

import dataclasses

from scripts.flags import checks
from scripts.terminal.console import Flat, flag_value, flag_words, say
from training import presets
from training.config import RunConfig
from training.imitation.config import ImitationConfig

IN_SIGHT = {  # what `--help` shows
    *("records", "game", "preset", "seed", "run_dir", "json", "amplify", "distil"),
    *("network.blocks", "network.channels", "network.dtype", "learner.batch"),
    *("learner.learning_rate", "loss", "held_out", "epochs"),
}


@dataclasses.dataclass(frozen=True)
class Args:
    """Starts a run by imitating an expert: a network is fitted to recorded games.

    Records are JSON lines, as `games/` of every run holds, or SGF (.sgf: Go, Hex, gomoku, Othello)
    or PGN (.pgn: pgx:chess), gzipped or not. Every game is replayed by the rules; those that they
    forbid, and those of another game, are named, with file and move, and skipped. A share of the
    games is held out, drawn by game: the accuracy shown is on those. The pass that does best on
    them is kept as step 0 of the run, which `selfplay train --run-dir R` goes on with.
    Ctrl-C ends the fitting and keeps the best pass so far.

    Examples:
      selfplay imitate --records games.jsonl --run-dir runs/imitated
      selfplay imitate --records pro/*.sgf --run-dir runs/go9 --network.blocks 6
      selfplay train --run-dir runs/imitated --minutes 10
    """

    config: Flat[RunConfig]
    imitation: Flat[ImitationConfig] = ImitationConfig()
    records: tuple[str, ...] = ()
    """Files of games; the first one's game, if --game does not say which."""
    run_dir: str = ""
    """The new run's folder; by default runs/<game>-<n>, the first free n."""
    json: bool = False
    """Print one JSON object about the result on stdout."""


def defaults(argv: list[str]) -> Args:
    """Returns what holds where no flag is given: the preset of the records' game."""
    game, paths = flag_value(argv, "game"), flag_words(argv, "records") or []
    preset = flag_value(argv, "preset") or RunConfig.preset
    game = game or _recorded_game(paths) or RunConfig.game
    return Args(presets.preset(preset, game))  # type: ignore[arg-type]


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    checks.game(args.config.game)
    if not args.records:
        raise ValueError("imitation needs games: name files with --records")


def _recorded_game(paths: list[str]) -> str:
    """Returns the game of the first record; empty without one."""
    if not paths:
        return ""
    # Here, since records are replayed, which takes jax; `--help` names none.
    from scripts.terminal import devices
    from selfplay.records.game_record import scan_records

    say("starting: reading the records, for their game")
    devices.one_per_core()
    return next((record.game for path in paths for record in scan_records(path).records), "")
