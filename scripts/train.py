"""`selfplay train`: checks what was asked for, opens the run's folder, and trains."""

import contextlib
import shlex
from typing import Any

import games
from games.form import require_form
from games.game import Game
from scripts import dry_run, hosts
from scripts.flags.train import Args, _split_source, folder_of, number_of_workers, resources
from scripts.terminal import out_of_memory, signals, train_display
from scripts.terminal.console import announce_devices, print_json, say
from scripts.terminal.signals import INTERRUPTED, stop_on_signal
from selfplay import shipped
from selfplay.example import parse_targets
from training import checkpoint_steps, losses, multihost, targets
from training.config import RunConfig
from training.evaluation.train_run import train_folder
from training.oversight import decision_file
from training.players import load_amplifier, load_weights, network_of
from training.preflight import estimate
from training.preflight.machine import this_machine
from training.progress import Progress
from training.report.listing import progress_of
from training.source import LOCAL, Source
from training.storage.manifest import CheckpointError
from training.storage.run_folder import RunFolder, next_free, reserve
from training.workers import pool
from training.workers.source import WorkerSource


def run(args: Args) -> int:
    """Runs the command, alone or as one process of several; returns its exit code."""
    args.config.check()
    if args.hosts > 1 and not args.dry_run:
        return hosts.run(args, lambda: _run(args, LOCAL))
    with contextlib.ExitStack() as held:
        code = _run(args, LOCAL if args.dry_run else _source(args, held))
        if args.workers:  # to end Ray takes a moment, when all is said
            signals.conclude(code)
        return code


def _source(args: Args, held: contextlib.ExitStack) -> Source:
    """Returns where the run's examples come from; workers end with `held`."""
    least, most = number_of_workers(args.workers)
    needs = resources(args.worker_resources)
    workers = held.enter_context(pool.start(most, "train", needs))
    return WorkerSource(workers, least) if workers else LOCAL


def _run(args: Args, source: Source) -> int:
    config = args.config
    game = games.load(config.game)
    _check(config, game)  # a wrong name must not leave a folder behind
    run_dir = folder_of(args)
    folder = RunFolder(run_dir) if run_dir else next_free(config.game)
    is_there = bool(run_dir) and folder.exists()
    announce_devices()
    if run_dir and not is_there:
        folder.check_free()  # before the lock makes it
    first_weights = _find_source(args.from_, folder if is_there else None)
    if first_weights:
        _check_source(args.from_, first_weights, config, game)
    count = max(args.hosts, 1)
    dry_run.check(config, game, folder, count)
    if args.dry_run:
        if is_there:
            folder.check_same(config)
        return dry_run.run(config, game, folder, args.json, count)
    with contextlib.ExitStack() as held:
        folder = _open(args, folder, first_weights, held)
        # It is asked at the start of an iteration: the first one compiles, and may be done again.
        stop = held.enter_context(stop_on_signal(worth_saving=2))
        show = held.enter_context(train_display.display(config, _began(folder)))
        write = held.enter_context(train_display.tensorboard(folder, config))
        held.enter_context(out_of_memory.advise(lambda: _less_memory(config, game, folder)))
        last: dict[str, Any] = {}

        def watch(line: dict[str, Any]) -> None:
            if line["kind"] == "notice":
                say(f"note: {line['text']}")
                return
            last.update(line)
            show(line)
            write(line)

        given = first_weights, show.activity, source
        finished = train_folder(folder, config, watch, stop, *given)
    last = last or (folder.read_metrics(lambda problem: None) or [{}])[-1]
    if multihost.is_first():
        _say_end(args, folder, last, finished)
    return 0 if finished else INTERRUPTED


def _check(config: RunConfig, game: Game[Any]) -> None:
    """Raises ValueError for settings that cannot work."""
    require_form(game, config.game)
    network = network_of(config, game)
    if not config.network.is_ours():
        network.check()
    load_amplifier(config, game)
    losses.check_form(losses.load(config.distil), game, config.learner.batch)
    targets.check(parse_targets(config.targets), game, config.game)
    decision_file.load(config.overseer, config.game, game)


def _open(
    args: Args,
    folder: RunFolder,
    first_weights: tuple[RunFolder, int] | None,
    held: contextlib.ExitStack,
) -> RunFolder:
    """Makes the run's folder, or takes the one that is there, and holds its lock."""
    config, is_named = args.config, bool(folder_of(args))

    def open_first() -> None:
        nonlocal folder
        with signals.whole():  # a folder is made with its settings or not at all
            if not is_named:  # should another start take the name meanwhile, we take the next
                folder = reserve(config.game)
            held.enter_context(folder.lock())
            if folder.exists():
                folder.check_same(config)
                folder.write_config(config)  # limits may have changed, and what may run
            else:
                path, step = first_weights or (None, 0)
                folder.create(config, f"{shipped.name_of(path.path)}@{step}" if path else "")
            goes_on = f"{_again(args, folder)} goes on"
            signals.say_at_end(f"selfplay train: interrupted; {goes_on}")

    if args.hosts > 1:
        hosts.open_shared(folder, open_first)
        folder.check_same(config)
    else:
        open_first()
    say(f"run: {folder.path}")
    return folder


def _began(folder: RunFolder) -> Progress | None:
    """Returns how far a run had come; None for a new one, and where its last save is damaged."""
    with contextlib.suppress(ValueError, OSError, CheckpointError):
        return progress_of(folder.path)
    return None


def _say_end(args: Args, folder: RunFolder, last: dict[str, Any], finished: bool) -> None:
    """Says where the run stands, and what goes on from there; `last` holds its newest numbers."""
    progress = progress_of(folder.path)
    assert progress is not None  # a run that was trained has been saved
    step = progress.step
    verdict = last.get("fixed_point", {}).get("verdict")
    if not finished:
        say(f"interrupted: {folder.path} is saved at step {step}; {_again(args, folder)} goes on")
    elif verdict:
        say(f"done: {folder.path} at step {step}: {verdict}")
    else:
        limits = " and ".join(f"--{name}" for name in progress.ended)
        say(f"done: {folder.path} reached its limit at step {step}; raise {limits} to go on")
    measured = progress.seconds_measured / 60
    trained = progress.seconds / 60 - measured
    say(f"it trained {trained:.1f} min and measured {measured:.1f} min")
    if finished and not step:
        say(
            f"note: it has not trained yet: that begins at --replay.min-examples "
            f"{args.config.replay.min_examples}, an example a position"
        )
    if args.json:
        counts = {
            name: last.get(name) for name in ("iteration", "step", "games", "seconds", "flops")
        }
        ends = {"finished": finished, "fixed_point": verdict}
        print_json({"run_dir": str(folder.path), **ends, **counts})


def _again(args: Args, folder: RunFolder) -> str:
    """Returns the command that goes on with a run as it was."""
    words = ["selfplay", "train", str(folder.path)]
    for flag, value in (
        ("--workers", args.workers),
        ("--worker-resources", args.worker_resources),
        ("--hosts", str(args.hosts) if args.hosts > 1 else ""),
    ):
        words += [flag, value] if value else []
    words += ["--local"] if args.local else []
    return shlex.join(words)


def _less_memory(config: RunConfig, game: Any, folder: RunFolder) -> str:
    advice = estimate.advice(config, game, this_machine(folder.path, config.learner.batch))
    if not checkpoint_steps(folder.path):
        return f"{advice}, with another --run-dir"
    return (
        f"{advice}; a run keeps its settings, so go on from its weights: selfplay train --from "
        f"{shlex.quote(str(folder.path))} --run-dir NEW, with the settings of your choice"
    )


def _find_source(text: str, run: RunFolder | None) -> tuple[RunFolder, int] | None:
    """Returns where a new run's weights come from: of a `run` that is there, what it began with."""
    path, step = _split_source(text)
    if run:
        began = run.source()
        if text and text not in (began, began.rpartition("@")[0]):
            raise ValueError(f"--from starts a new run, but {run.path} holds one already")
        path, step = _split_source(began)
    if not path:
        return None
    if run and checkpoint_steps(run.path):
        return None  # it has weights of its own
    steps = checkpoint_steps(path)
    if not steps:
        raise ValueError(f"--from {text}: {path} has no checkpoint")
    if step and (not step.isdigit() or int(step) not in steps):
        known = ", ".join(map(str, steps))
        raise ValueError(f"--from {text}: {path} has no step {step!r}; it has {known}")
    return RunFolder(path), int(step) if step else steps[-1]


def _check_source(
    text: str, source: tuple[RunFolder, int], config: RunConfig, game: Game[Any]
) -> None:
    """Says it if the weights come from another game. Raises ValueError if they do not fit."""
    other = source[0].read_config().game
    try:
        load_weights(*source, network_of(config, game))
    except CheckpointError as error:
        if other == config.game:
            why = "leave out what changes the network"
        else:
            why = f"{source[0].path} plays {other}, and this run {config.game}"
        raise ValueError(f"--from {text}: {error}: {why}") from None
    if other != config.game:
        say(f"note: {source[0].path} was trained on {other}, and goes on with {config.game}")
