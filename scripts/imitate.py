"""`selfplay imitate`."""

import dataclasses
import functools
import time
from typing import Any

import games
from games.conformance import require_form
from scripts.terminal.console import (
    Flat,
    announce_devices,
    flag_value,
    flag_words,
    print_json,
    progress,
    say,
)
from scripts.terminal.signals import stop_on_signal
from selfplay.records.game_record import GameRecord, Scan, scan_records
from training import presets
from training.config import RunConfig
from training.imitation import inverse_rl as inferred
from training.imitation import rows as expert
from training.imitation.fit import Imitation, ImitationConfig, fit, found
from training.players import load_amplifier, network_of
from training.storage.run_folder import RunFolder, next_free

SHOWN_PROBLEMS = 20
scan = functools.cache(scan_records)  # the defaults look into the files too
IN_SIGHT = {  # what `--help` shows
    *("records", "game", "preset", "seed", "run_dir", "json", "amplify", "distil"),
    *("network.blocks", "network.channels", "network.dtype", "learner.batch"),
    *("learner.learning_rate", "loss", "held_out", "epochs"),
}


@dataclasses.dataclass(frozen=True)
class Args:
    """Starts a run by imitating an expert: a network is fitted to recorded games.

    Records are JSON lines, as `games/` of every run holds, or Go games as SGF, gzipped or not.
    Every game is replayed by the rules; those that they forbid, and those of another game, are
    named, with file and move, and skipped. A share of the games is held out, drawn by game: the
    accuracy shown is on those. The pass that does best on them is kept as step 0 of the run, which
    `selfplay train --run-dir R` goes on with.
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
    recorded = (record.game for path in paths for record in scan(path, game).records)
    preset = flag_value(argv, "preset") or RunConfig.preset
    return Args(presets.preset(preset, game or next(recorded, RunConfig.game)))  # type: ignore[arg-type]


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    config, settings = args.config, args.imitation
    config.check()
    for problem in settings.problems():
        raise ValueError(problem)
    game = games.load(config.game)
    require_form(game, config.game)
    folder = RunFolder(args.run_dir) if args.run_dir else next_free(config.game)
    if folder.path.exists():
        raise ValueError(f"{folder.path} is there already: imitation starts a new run")
    load_amplifier(config, game)  # a slot that cannot work must not cost the fitting
    announce_devices()
    records, skipped = _read(args.records, config.game)
    learnt, tested = expert.split(records, settings.held_out, config.seed)
    say(f"{len(records)} games, {len(tested)} of them held out; {skipped} skipped")
    rows = expert.rows_of(game, learnt)
    if settings.loss == "inferred":
        rows = inferred.judge(game, learnt, rows, config.seed)
    with stop_on_signal() as stop, progress("imitate", settings.epochs) as update:

        def watch(line: dict[str, Any]) -> None:
            update(line["epoch"], _describe(line))

        network = network_of(config, game)
        test_rows = expert.rows_of(game, tested)
        began = time.monotonic()
        imitation = fit(config, settings, game, network, rows, test_rows, watch, stop)
    facts = {
        "games": len(records),
        "held_out_games": len(tested),
        "positions": len(rows.ply),
        "skipped": skipped,
        **imitation.held_out,
    }
    seconds = round(time.monotonic() - began, 3)
    line = {"kind": "imitation", "iteration": 0, "step": 0, "seconds": seconds, **facts}
    folder = found(folder, config, imitation.weights, line)
    _conclude(args, folder, imitation, facts)
    return 0


def _read(paths: tuple[str, ...], spec: str) -> tuple[list[GameRecord], int]:
    """Returns the games of the files, and how many were skipped; says which."""
    if not paths:
        raise ValueError("imitation needs games: name files with --records")
    scans: list[Scan] = [scan(path, spec, spec) for path in paths]
    problems = [problem for found in scans for problem in found.problems]
    for problem in problems[:SHOWN_PROBLEMS]:
        say(f"skipped: {problem}")
    if len(problems) > SHOWN_PROBLEMS:
        say(f"skipped: {len(problems) - SHOWN_PROBLEMS} more")
    for path, found_in in zip(paths, scans, strict=True):
        if found_in == ([], []):
            say(f"{path} holds no game")
    records = [record for found_in in scans for record in found_in.records]
    if not records:
        raise ValueError(f"no game of {spec} in {', '.join(paths)} that can be learned from")
    return records, len(problems)


def _describe(line: dict[str, Any]) -> str:
    return (
        f"top-1 {line['top1']:.1%}, top-5 {line['top5']:.1%}, policy loss "
        f"{line['policy_loss']:.3f}, value error {line['value_error']:.3f}"
    )


def _conclude(args: Args, folder: RunFolder, imitation: Imitation, facts: dict[str, Any]) -> None:
    epoch = imitation.held_out["epoch"]
    say(f"held-out games after pass {epoch}: {_describe(imitation.held_out)}")
    say(f"done: {folder.path} starts from there; selfplay train --run-dir {folder.path} goes on")
    if args.json:
        print_json({"run_dir": str(folder.path), **facts})
