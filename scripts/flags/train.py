"""The flags of `selfplay train`."""

import dataclasses
import os

from games import registry
from scripts.flags import checks
from scripts.hosts import child
from scripts.hosts.place import Place, place_of
from scripts.terminal.console import (
    Flat,
    FromFlag,
    Positional,
    flag_value,
    flag_words,
)
from selfplay import shipped
from training import presets
from training.config import RunConfig
from training.storage.run_folder import RunFolder

IN_SIGHT = {  # what `--help` shows
    *("game", "preset", "seed", "minutes", "iterations", "flops"),
    *("run", "run_dir", "from_", "dry_run", "json"),
    *("amplify", "distil", "network.blocks", "network.channels", "network.dtype"),
    *("search.policy", "search.simulations", "self_play.batch", "learner.batch"),
    *("learner.learning_rate", "replay.capacity"),
}


@dataclasses.dataclass(frozen=True)
class Args:
    """Trains a network by self-play, or goes on with a run that is already there.

    Every setting of the run is a flag; their defaults come from the preset, tuned for some games.
    Ctrl-C (or SIGTERM) finishes the iteration, saves, and exits with code 75: the same command
    goes on from there.

    Examples:
      selfplay train --game tic_tac_toe
      selfplay train --game connect_four --run-dir runs/c4 --minutes 6
      selfplay train --game tic_tac_toe --until-fixed-point
      selfplay train --game my_pkg.my_game:MyGame:size=5 --preset quick --minutes 10
      selfplay train runs/c4 --minutes 12      # go on for another 6 minutes
      selfplay train --game go:size=9 --preset gpu --dry-run
      selfplay train --from runs/c4@1200 --run-dir runs/c4b --learner.learning-rate 1e-3
      selfplay train --from shipped:othello_8x8 --run-dir runs/oth
      selfplay train runs/c4 --hosts 2 --coordinator gpu1:2345 --rank 0  # on gpu1; on gpu2 --rank 1
    """

    config: Flat[RunConfig]
    run: Positional[str] = ""
    """A run's folder: short for --run-dir."""
    run_dir: str = ""
    """The run's folder; by default runs/<game>-<n>, the first free n."""
    from_: FromFlag = ""
    """R, R@STEP or shipped:NAME: start a new run from these weights."""
    dry_run: bool = False
    """Say what the run will take (memory, disk, compilation, speed, hours), and write nothing."""
    deterministic: bool = False
    """On a GPU, use only operations that give the same bits each time, as a CPU's do. Slower, by
    how much we have not measured; give it again when the run goes on."""
    workers: str = ""
    """N or LEAST-MOST: so many workers play for this run, on this machine or, with RAY_ADDRESS,
    on a cluster; this process only learns (pip install 'selfplay-zero[ray]', docs/fleet.md)."""
    lockstep: bool = False
    """With --workers N: each call of self-play is shared among these N, and the run is, bit by
    bit, the one that a process with as many devices as they have together would be, also after a
    kill. Slower: each call waits for the last worker."""
    worker_resources: str = ""
    """What each of these workers needs, as in GPU=1 or CPU=4,TPU=1; by default its share of this
    machine's cores."""
    fleet: str = ""
    """A folder through which workers play for this run, `selfplay worker FOLDER` on any machine
    that sees it; this process then only learns (docs/fleet.md)."""
    hosts: int = 0
    """N: so many processes train one network together, each with its share of games and rows. Under
    Slurm, one a task; alone, all on this machine, for trying (docs/hosts.md)."""
    coordinator: str = ""
    """With --hosts: HOST:PORT, where that with --rank 0 is reached; the same on all hosts."""
    rank: int = -1
    """With --coordinator: this host's number, from 0; rank 0 has the run's folder."""
    replay_of: str = ""
    """Learn again, in a new run, what run R has learned from its workers, in the same order, and
    say whether the weights are equal bit by bit."""
    play_again: bool = False
    """With --replay-of R: play all batches of R's workers again, too, with the weights that they
    had, and stop at one whose rows are others. Takes as long as the workers took together."""
    json: bool = False
    """Print one JSON object about the run on stdout when it stops."""


def defaults(argv: list[str]) -> Args:
    """Returns what holds where no flag is given: the run's own settings, or its preset's.

    Raises:
      ValueError: a run's name is empty: a shell's variable without a value would start a new run.
    """
    if "" in argv or any("" in (flag_words(argv, flag) or ()) for flag in ("run-dir", "from")):
        raise ValueError("an argument is empty; leave it out, or say what it should be")
    if other := flag_value(argv, "replay-of"):
        return Args(_to_learn_again(RunFolder(other)), from_=f"{other}@0")
    run_dir, source = _run_dir(argv), flag_value(argv, "from")
    if run_dir and RunFolder(run_dir).exists():
        return Args(RunFolder(run_dir).read_config())
    old = RunFolder(_split_source(source)[0]).read_config() if source else RunConfig()
    game = flag_value(argv, "game") or old.game
    preset = flag_value(argv, "preset") or old.preset
    config = presets.preset(preset, game)  # type: ignore[arg-type]
    if source:
        # The policy is there: what an overseer decides need not argue with what search prefers.
        overseer = dataclasses.replace(config.overseer, games_policy=0.0)
        config = dataclasses.replace(config, network=old.network, overseer=overseer)
    to_the_end = flag_words(argv, "until-fixed-point") is not None
    counted = flag_value(argv, "iterations") or flag_value(argv, "flops")
    if (to_the_end or counted) and not flag_value(argv, "minutes"):
        config = dataclasses.replace(config, minutes=0.0)
    return Args(config)


def _to_learn_again(run: RunFolder) -> RunConfig:
    """Returns the settings with which a run is learned again: its own, without measurements."""
    config = run.read_config()
    return dataclasses.replace(
        config,
        minutes=0.0,
        iterations=0,
        flops=0.0,
        gate=0.0,
        until_fixed_point=False,
        evaluation=dataclasses.replace(config.evaluation, every=0),
    )


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    if args.run and args.run_dir:
        raise ValueError(f"{args.run} and --run-dir {args.run_dir}: name one folder")
    if sum(map(bool, (args.replay_of, args.fleet, args.workers))) > 1:
        raise ValueError("--replay-of, --fleet and --workers each say where rows come from: one")
    _check_hosts(args)
    number_of_workers(args.workers)
    resources(args.worker_resources)
    if args.worker_resources and not args.workers:
        raise ValueError("--worker-resources needs --workers")
    if args.play_again and not args.replay_of:
        raise ValueError("--play-again needs --replay-of R")
    if args.lockstep and not args.workers.isdigit():
        raise ValueError(f"--lockstep needs a fixed number, --workers N, got {args.workers!r}")
    checks.game(args.config.game)
    _check_word(args)
    folder = RunFolder(folder_of(args))
    if folder_of(args) and folder.exists():
        folder.check_same(args.config)


def script(args: Args) -> str:
    """Returns the module that does the work: with several hosts, what starts others of its kind."""
    is_parent = _place(args) is not None and child.settings() is None and not args.dry_run
    return "hosts.parent" if is_parent else "train"


def _place(args: Args) -> Place | None:
    return place_of(args.hosts, args.coordinator, args.rank, os.environ)


def _check_hosts(args: Args) -> None:
    """Raises ValueError for hosts that cannot be meant."""
    if (place := _place(args)) is None:
        return
    args.config.check()  # here, once, and not in each process
    shared = {
        "self-play.batch": args.config.self_play.batch,
        "learner.batch": args.config.learner.batch,
    }
    for name, count in shared.items():
        if count % place.hosts:
            raise ValueError(
                f"--{name} is shared among the hosts: it must be a multiple of {place.hosts}, "
                f"got {count}"
            )
    for flag, value in (("--replay-of", args.replay_of), ("--lockstep", args.lockstep)):
        if value:
            raise ValueError(f"--hosts and {flag} do not go together: leave one out")


def _check_word(args: Args) -> None:
    """Raises ValueError where the folder's name is that of something else: it was meant as that."""
    if shipped.is_name(folder_of(args)):
        raise ValueError(
            f"{folder_of(args)} comes with selfplay and stays as it is: selfplay train --from "
            f"{folder_of(args)} starts a run of your own from it"
        )
    if not args.run or args.run == args.config.game.partition(":")[0]:
        return
    if args.run in registry.names() and not RunFolder(args.run).exists():
        raise ValueError(
            f"{args.run} is a game, and a word without a flag is the run's folder: "
            f"selfplay train --game {args.run} trains it; --run-dir {args.run} is a folder so named"
        )


def number_of_workers(text: str) -> tuple[int, int]:
    """Returns the least and the most of `N` or `LEAST-MOST`; (0, 0) of an empty text.

    Raises:
      ValueError: it is something else.
    """
    first, dash, last = text.partition("-")
    if not text:
        return 0, 0
    if not first.isdigit() or (dash and not last.isdigit()) or int(first) < 1:
        raise ValueError(f"--workers must be N or LEAST-MOST, as in 8 or 4-32, got {text!r}")
    least, most = (int(first), int(last)) if dash else (1, int(first))
    if least > most:
        raise ValueError(f"--workers: the least, {least}, is above the most, {most}")
    return least, most


def resources(text: str) -> dict[str, float]:
    """Returns the amounts of `NAME=AMOUNT,...`. Raises ValueError if it is something else."""
    amounts = {}
    for part in filter(None, text.split(",")):
        name, _, amount = part.partition("=")
        try:
            amounts[name] = float(amount)
        except ValueError:
            amounts[name] = 0.0
        if not name or not 0 < amounts[name] < float("inf"):
            raise ValueError(f"--worker-resources must be NAME=AMOUNT,..., got {part!r}")
    return amounts


def folder_of(args: Args) -> str:
    """Returns the run's folder, if one is named."""
    return args.run or args.run_dir


def _run_dir(argv: list[str]) -> str:
    """Returns the run's folder, if one is named: a word that follows no flag, or names a run."""
    if given := flag_value(argv, "run-dir"):
        return given
    source = flag_value(argv, "from")
    for before, word in zip(["", *argv], argv, strict=False):
        if word.startswith("-") or word == source:
            continue
        if not before.startswith("--") or "=" in before or RunFolder(word).exists():
            return word
    return ""


def _split_source(text: str) -> tuple[str, str]:
    """Returns the folder and the step of R, R@STEP or `shipped:NAME`; the step may be empty."""
    path, at, step = text.rpartition("@")
    return (shipped.folder_of(path), step) if at else (shipped.folder_of(text), "")
