"""`selfplay train`."""

import contextlib
import functools
import os
import pathlib
import shlex
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import games
from games import consent
from games.form import require_form
from games.game import Game
from scripts import dry_run
from scripts.flags.train import Args, _split_source, folder_of, number_of_workers, resources
from scripts.hosts import child, rank
from scripts.terminal import out_of_memory, signals
from scripts.terminal.console import (
    Update,
    announce_devices,
    print_json,
    progress,
    say,
)
from scripts.terminal.signals import INTERRUPTED, stop_on_signal
from selfplay import shipped
from selfplay.files import durable, json_objects
from selfplay.row import parse_targets
from training import checkpoint_steps, losses, targets
from training.config import RunConfig
from training.context import Context
from training.devices import peak_of_all
from training.hosts.peers import ALONE, Peers
from training.metrics import EvaluationLine, FleetLine, GateLine, IterationLine
from training.metrics_log import OnMetrics
from training.oversight import decision_rows
from training.players import load_amplifier, load_weights, network_of
from training.preflight import estimate
from training.preflight.machine import this_machine
from training.report.text import (
    describe_evaluation,
    describe_gate,
    describe_iteration,
    unit_of,
)
from training.run import train
from training.source import LOCAL, Source
from training.storage.manifest import CheckpointError
from training.storage.run_folder import RunFolder, next_free, reserve
from training.workers import in_words, ray_node, ray_pool
from training.workers.again import AgainSource
from training.workers.fleet import FleetSource
from training.workers.folder import FolderTransport, check_fleet, invite
from training.workers.lockstep import LockstepSource, OnRay, check_shares, devices_of
from training.workers.ray_team import Team
from training.workers.transport import Own


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    args.config.check()
    words = child.words()
    lead = functools.partial(_run_with, args)
    return lead(ALONE) if words is None else rank.run(words, lead)


def _run_with(args: Args, peers: Peers) -> int:
    """Runs the command alone, or as rank 0 of several."""
    with contextlib.ExitStack() as held:
        code = _run(args, LOCAL if args.dry_run else _rows_from(args, held), peers)
        if args.workers:  # to end Ray takes a moment, when all is said
            signals.conclude(code)
        return code


def _run(args: Args, rows_from: Source, peers: Peers) -> int:
    config = args.config
    # A wrong name must not leave a folder behind.
    game = games.load(config.game)
    require_form(game, config.game)
    load_amplifier(config, game)
    losses.check_form(losses.load(config.distil), game, config.learner.batch)
    targets.check(parse_targets(config.targets), game, config.game)
    decision_rows.load(config.overseer, config.game, game)
    run_dir = folder_of(args)
    folder = RunFolder(run_dir) if run_dir else next_free(config.game)
    # A name of our own choice is free: should another start take it meanwhile, we take the next.
    is_there = bool(run_dir) and folder.exists()
    announce_devices()
    if run_dir and not is_there:
        folder.check_free()  # before the lock makes it
    source = _find_source(args.from_, folder if is_there else None)
    if source:
        _check_source(args.from_, source, config, game)
    hosts = max(args.hosts, 1)
    dry_run.check(config, game, folder, hosts)
    if args.dry_run:
        if is_there:
            folder.check_same(config)
        return dry_run.run(config, game, folder, args.json, hosts)
    with contextlib.ExitStack() as held:
        with signals.whole():  # a folder is made with its settings or not at all
            if not run_dir:
                folder = reserve(config.game)
            held.enter_context(folder.lock())
            if folder.exists():
                folder.check_same(config)
                folder.write_config(config)  # limits may have changed, and what may run
            else:
                whose = f"{shipped.name_of(source[0].path)}@{source[1]}" if source else ""
                folder.create(config, whose)
            goes_on = f"{_again(args, folder)} goes on"
            signals.say_at_end(f"selfplay train: interrupted; {goes_on}")
        say(f"run: {folder.path}")
        rank.introduce(peers, config, has_workers=rows_from is not LOCAL)
        # It is asked at the start of an iteration: the first one compiles, and may be done again.
        stop = rank.also_of_command(held.enter_context(stop_on_signal(worth_saving=2)))
        with _display(config) as show, _tensorboard(folder, config) as write:
            last: dict[str, Any] = {}

            def watch(line: dict[str, Any]) -> None:
                if line["kind"] == "notice":
                    say(f"note: {line['text']}")
                    return
                last.update(line)
                show(line)
                write(line)

            with out_of_memory.advise(lambda: _less_memory(config, game, folder)):
                given = source, show.activity, rows_from, peers
                finished = train(folder, config, watch, stop, *given)
    last = last or (folder.read_metrics(lambda problem: None) or [{}])[-1]
    _say_end(args, folder, last, finished)
    if isinstance(rows_from, AgainSource) and finished:
        return 0 if _say_again(args, rows_from) else 1
    return 0 if finished else INTERRUPTED


def _say_again(args: Args, source: AgainSource) -> bool:
    """Says whether a run has come to the weights of the one that it repeats; returns that."""
    steps = ", ".join(map(str, source.equal))
    of_all = f"{source.learned} of {source.batches} batches"
    is_whole = source.newest in source.equal and source.learned == source.batches
    if source.played:
        say(f"played again: {source.played} of {source.batches} batches, all with the same rows")
    if source.different:
        say(f"differs from {args.replay_of}: other weights at step {source.different[0]}")
    elif is_whole:
        say(f"equal to {args.replay_of}, bit by bit, at step {steps} ({of_all})")
    else:
        say(
            f"not compared to the end: after {of_all} this run did not stand where "
            f"{args.replay_of} saved step {source.newest}, its newest; equal at step "
            f"{steps or 'none'}. Its replay/order.jsonl may have lost lines, or a limit ended "
            "this run"
        )
    return is_whole and not source.different


def _rows_from(args: Args, held: contextlib.ExitStack) -> Source:
    """Returns where the run's rows come from; what was started for it ends with `held`."""
    if args.replay_of:
        return AgainSource(RunFolder(args.replay_of), args.play_again)
    if args.workers:
        return _from_ray(args, held)
    if not args.fleet:
        return LOCAL
    fleet, run_dir = pathlib.Path(args.fleet), folder_of(args)
    check_fleet(fleet, RunFolder(run_dir).run_id() if run_dir else "")
    durable.make_folder(fleet)  # workers may come from now on

    def open_transport(context: Context, ours: Own) -> FolderTransport:
        return FolderTransport(fleet, invite(context.config, ours))

    return FleetSource(open_transport)


def _from_ray(args: Args, held: contextlib.ExitStack) -> Source:
    """Returns rows from workers on Ray, which this starts or joins."""
    least, most = number_of_workers(args.workers)
    needs = {"CPU": max(1.0, (os.cpu_count() or 1) // most)} | resources(args.worker_resources)
    instead = "use --fleet FOLDER, which needs nothing"
    if args.lockstep:
        check_shares(args.config, most, devices_of(needs))
    ray = held.enter_context(ray_node.running(most, needs["CPU"], "train", instead))
    ray_node.check_room(ray, needs)
    if args.lockstep:
        return LockstepSource(functools.partial(OnRay, Team(ray, most, needs)))
    return FleetSource(ray_pool.opener(ray, ray_pool.Wanted(most, needs), consent.allowed()), least)


def _say_end(args: Args, folder: RunFolder, last: dict[str, Any], finished: bool) -> None:
    """Says where the run stands, and what goes on from there; `last` holds its newest numbers."""
    step = checkpoint_steps(folder.path)[-1]
    verdict = last.get("fixed_point", {}).get("verdict")
    if not finished:
        say(f"interrupted: {folder.path} is saved at step {step}; {_again(args, folder)} goes on")
    elif args.replay_of:
        say(f"done: {folder.path} at step {step}")
    elif verdict:
        say(f"done: {folder.path} at step {step}: {verdict}")
    else:
        limits = " and ".join(_limits_reached(args.config, last))
        say(f"done: {folder.path} reached its limit at step {step}; raise {limits} to go on")
    if finished and not step:
        say(
            f"note: it has not trained yet: that begins at --replay.min-rows "
            f"{args.config.replay.min_rows}, a row a position"
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
        ("--fleet", args.fleet),
        ("--workers", args.workers),
        ("--worker-resources", args.worker_resources),
    ):
        words += [flag, value] if value else []
    words += ["--lockstep"] if args.lockstep else []
    if args.hosts > 1:
        words += ["--hosts", str(args.hosts)]
    if args.coordinator:
        words += ["--coordinator", args.coordinator, "--rank", str(args.rank)]
    return shlex.join(words)


def _limits_reached(config: RunConfig, last: dict[str, Any]) -> list[str]:
    """Returns the flags of the limits at which a run ended: its time, where no other is reached."""
    iterations = bool(config.iterations and last.get("iteration", 0) >= config.iterations)
    minutes = bool(config.minutes and last.get("seconds", 0.0) >= 60 * config.minutes)
    flops = bool(config.flops and last.get("flops", 0) >= config.flops)
    rest = not (iterations or flops)
    reached = {"--iterations": iterations, "--flops": flops, "--minutes": minutes or rest}
    return [flag for flag, is_reached in reached.items() if is_reached]


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


@contextlib.contextmanager
def _display(config: RunConfig) -> Iterator["_Display"]:
    """Shows the run live."""
    scale = _scale(config)
    with progress("train", scale.total or None, scale.unit, config.amplify != "human") as update:
        yield _Display(config, scale, update)


class _Scale(NamedTuple):
    """How far a run has come, on the scale of its limit: of several, one that tells exactly."""

    total: float
    unit: str
    entry: str  # of a line of metrics
    size: float = 1.0  # of the unit, in those of the entry


def _scale(config: RunConfig) -> _Scale:
    if config.iterations:
        return _Scale(config.iterations, "iterations", "iteration")
    if config.flops:
        size, unit = unit_of(config.flops)
        return _Scale(config.flops / size, unit, "flops", size)
    return _Scale(config.minutes * 60, "s", "seconds")


class _Display:
    """Shows the lines of a run, as it is called with them, and what it does between them."""

    def __init__(self, config: RunConfig, scale: _Scale, update: Update) -> None:
        self._config, self._scale, self._update = config, scale, update
        self._previous: IterationLine | None = None
        self._fleet, self._peak = "", peak_of_all()
        self._done, self._note, self._told = 0.0, "", set[str]()

    def __call__(self, line: dict[str, Any]) -> None:
        config = self._config
        if line["kind"] == "evaluation":
            say(describe_evaluation(json_objects.read(EvaluationLine, line), config.amplify))
        elif line["kind"] == "fleet":
            self._fleet = f" | {in_words.fleet(json_objects.read(FleetLine, line))}"
            return
        elif line["kind"] == "gate":
            say(describe_gate(json_objects.read(GateLine, line)))
        else:
            iteration = json_objects.read(IterationLine, line)
            self._note = describe_iteration(
                iteration, self._previous, config.search.simulations, self._peak
            )
            self._note += self._fleet
            self._previous = iteration
        # An iteration's line waits for its losses: the evaluation after it may come before it.
        self._done = max(self._done, line.get(self._scale.entry, 0) / self._scale.size)
        self._update(self._done, self._note)

    def activity(self, text: str) -> None:
        """Shows what begins; where nothing stays in sight, once."""
        self._update(self._done, f"{text} {self._note}".rstrip())
        if not sys.stderr.isatty() and text not in self._told:
            self._told.add(text)
            say(f"train: {text}")


@contextlib.contextmanager
def _tensorboard(folder: RunFolder, config: RunConfig) -> Iterator[OnMetrics]:
    """Writes the numbers of metrics.jsonl as TensorBoard files, if the run asks for it."""
    if not config.tensorboard:
        yield lambda line: None
        return
    try:
        import tensorboardX
    except ModuleNotFoundError:
        raise ValueError("--tensorboard needs a package: pip install tensorboardX") from None
    with tensorboardX.SummaryWriter(str(folder.path / "tensorboard")) as writer:

        def write(line: dict[str, Any]) -> None:
            for name, value in line.items():
                if isinstance(value, int | float) and name != "iteration":
                    writer.add_scalar(f"{line['kind']}/{name}", value, line["iteration"])

        yield write
