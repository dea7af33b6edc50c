"""`selfplay train --imitate`: fits a network to recorded games, as step 0 of a new run."""

import shlex
import time
from typing import Any

import games
from games.form import require_form
from scripts.flags.train import Args, folder_of
from scripts.terminal.console import (
    announce_devices,
    print_json,
    progress,
    say,
)
from scripts.terminal.signals import stop_on_signal
from selfplay.files.game_lines import GameRecord
from selfplay.records.game_record import Scan, scan_records
from training.imitation import inverse_rl
from training.imitation.examples import examples_of, split
from training.imitation.fit import Imitation, by_chance, fit, make_run, steps_of_pass
from training.players import load_amplifier, network_of
from training.storage.run_folder import RunFolder, next_free

SHOWN_PROBLEMS = 20
# Of what moves drawn among the legal ones get on held-out games: a network that has learned
# something knows more of the moves, and finds them likelier.
MORE_KNOWN, LESS_LOSS = 1.25, 0.95


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    config, settings = args.config, args.imitation
    config.check()
    for problem in settings.problems():
        raise ValueError(problem)
    game = games.load(config.game)
    require_form(game, config.game)
    named = folder_of(args)
    folder = RunFolder(named) if named else next_free(config.game)
    if folder.path.exists():
        raise ValueError(f"{folder.path} is there already: imitation starts a new run")
    load_amplifier(config, game)  # a slot that cannot work must not cost the fitting
    announce_devices()
    records, skipped = _read(args.imitate, config.game)
    learnt, tested = split(records, settings.held_out, config.seed)
    say(f"{len(records)} games, {len(tested)} of them held out; {skipped} skipped")
    examples = examples_of(game, learnt)
    if settings.loss == "inferred":
        examples = inverse_rl.infer_values(game, learnt, examples, config.seed)
    _warn_of_few(args, len(records), len(examples.ply))
    with (
        stop_on_signal(worth_saving=1) as stop,
        progress("imitate", settings.epochs, "passes") as update,
    ):

        def watch(line: dict[str, Any]) -> None:
            update(line["epoch"], _describe(line))

        network = network_of(config, game)
        test_examples = examples_of(game, tested)
        began = time.monotonic()
        imitation = fit(config, settings, game, network, examples, test_examples, watch, stop)
    facts = {
        "games": len(records),
        "held_out_games": len(tested),
        "positions": len(examples.ply),
        "skipped": skipped,
        **imitation.held_out,
    }
    seconds = round(time.monotonic() - began, 3)
    line = {"kind": "imitation", "iteration": 0, "step": 0, "seconds": seconds, **facts}
    make_run(folder, config, imitation.weights, line)
    _warn_of_nothing(len(records), imitation.held_out, by_chance(test_examples))
    _conclude(args, folder, imitation, facts)
    return 0


def _read(paths: tuple[str, ...], spec: str) -> tuple[list[GameRecord], int]:
    """Returns the games of the files, and how many were skipped; says which."""
    scans: list[Scan] = [scan_records(path, spec, spec) for path in paths]
    problems = [problem for scan in scans for problem in scan.problems]
    for problem in problems[:SHOWN_PROBLEMS]:
        say(f"skipped: {problem}")
    if len(problems) > SHOWN_PROBLEMS:
        say(f"skipped: {len(problems) - SHOWN_PROBLEMS} more")
    for path, scan in zip(paths, scans, strict=True):
        if scan == ([], []):
            say(f"{path} holds no game")
    records = [record for scan in scans for record in scan.records]
    if not records:
        raise ValueError(f"no game of {spec} in {', '.join(paths)} that can be learned from")
    return records, len(problems)


def _warn_of_few(args: Args, games: int, examples: int) -> None:
    """Says so if training is over before its learning rate has risen."""
    config, epochs = args.config.learner, args.imitation.epochs
    most = steps_of_pass(args.config, examples) * epochs
    if most < config.warmup_steps:
        say(
            f"warning: {games} games are few: {epochs} passes over {examples} positions are {most} "
            f"training steps of {config.batch}, and the learning rate rises for "
            f"{config.warmup_steps}; more games teach more, else a smaller --learner.batch and "
            "--learner.warmup-steps"
        )


def _warn_of_nothing(games: int, measured: dict[str, float], chance: dict[str, float]) -> None:
    """Says so if the network does hardly better than chance on the held-out games."""
    if (
        measured["top1"] < MORE_KNOWN * chance["top1"]
        or measured["policy_loss"] > LESS_LOSS * chance["policy_loss"]
    ):
        say(
            f"warning: {games} games taught next to nothing: of the moves in held-out games the "
            f"network's best is {measured['top1']:.1%} (policy loss {measured['policy_loss']:.3f}),"
            f" one drawn among the legal moves {chance['top1']:.1%} ({chance['policy_loss']:.3f}); "
            "give it more games"
        )


def _describe(line: dict[str, Any]) -> str:
    return (
        f"top-1 {line['top1']:.1%}, top-5 {line['top5']:.1%}, policy loss "
        f"{line['policy_loss']:.3f}, value error {line['value_error']:.3f}"
    )


def _conclude(args: Args, folder: RunFolder, imitation: Imitation, facts: dict[str, Any]) -> None:
    epoch = imitation.held_out["epoch"]
    say(f"held-out games after pass {epoch}: {_describe(imitation.held_out)}")
    say(
        f"done: {folder.path} starts from there; selfplay train "
        f"{shlex.quote(str(folder.path))} goes on"
    )
    if args.json:
        print_json({"run_dir": str(folder.path), **facts})
