"""The flags of `selfplay train`."""

import dataclasses

import games
from games import registry
from games.catalogue import GAMES
from scripts.flags import checks
from scripts.terminal.console import (
    Flat,
    FromFlag,
    Positional,
    flag_value,
    flag_words,
    say,
)
from selfplay import shipped
from training import presets
from training.config import RunConfig
from training.imitation.config import ImitationConfig
from training.storage.run_folder import RunFolder

IN_SIGHT = {  # what `--help` shows
    *("game", "preset", "seed", "minutes", "iterations", "flops"),
    *("run", "run_dir", "from_", "imitate", "dry_run", "json"),
    *("amplify", "distil", "network.name", "network.blocks", "network.channels"),
    *("search.policy", "search.simulations", "self_play.batch", "learner.batch"),
    *("learner.learning_rate", "replay.capacity"),
}


@dataclasses.dataclass(frozen=True)
class Args:
    """Trains a network by self-play, or goes on with a run that is already there.

    Every setting of the run is a flag; their defaults come from the preset, tuned for some games.
    Ctrl-C (or SIGTERM) finishes the iteration, saves, and exits with code 75: the same command
    goes on from there.

    With --imitate, a new run starts from an expert's recorded games: JSON lines, as games/ of every
    run holds, SGF (.sgf: Go, Hex, gomoku, Othello) or PGN (.pgn: pgx:chess), gzipped or not. Each
    is replayed by the rules; those that they forbid, and those of another game, are named and
    skipped. A share is held out, and the pass that does best on it is step 0 of the run; the same
    folder without --imitate then learns by self-play.

    Examples:
      selfplay train --game tic_tac_toe
      selfplay train --game connect_four --run-dir runs/c4 --minutes 6
      selfplay train --game tic_tac_toe --until-fixed-point
      selfplay train --game connect_four --network nbt --network.blocks 3
      selfplay train --game connect_four --network my_pkg.my_net:MyNet:width=64
      selfplay train --game my_pkg.my_game:MyGame:size=5 --preset quick --minutes 10
      selfplay train runs/c4 --minutes 12      # go on for another 6 minutes
      selfplay train --game go:size=9 --preset gpu --dry-run
      selfplay train --from runs/c4@1200 --run-dir runs/c4b --learner.learning-rate 1e-3
      selfplay train --from shipped:othello_8x8 --run-dir runs/oth
      selfplay train --imitate pro/*.sgf --run-dir runs/go9    # then: selfplay train runs/go9
      selfplay train runs/c4 --workers 4-32    # workers on Ray play for it
      srun selfplay train runs/c4 --hosts 4    # a process on each of 4 nodes
      selfplay train runs/c4 --hosts 2 --coordinator gpu1:2345 --rank 0  # on gpu1; on gpu2 --rank 1
    """

    config: Flat[RunConfig]
    run: Positional[str] = ""
    """A run's folder: short for --run-dir."""
    run_dir: str = ""
    """The run's folder; by default runs/<game>-<n>, the first free n."""
    from_: FromFlag = ""
    """R, R@STEP or shipped:NAME: start a new run from these weights."""
    imitate: tuple[str, ...] = ()
    """Files of games to imitate: start a new run from them; the game is the first file's, if --game
    does not say which."""
    imitation: ImitationConfig = ImitationConfig()
    dry_run: bool = False
    """Say what the run will take (memory, disk, compilation, speed, hours), and write nothing."""
    deterministic: bool = False
    """On a GPU, use only operations that give the same bits each time, as a CPU's do. Slower, by
    how much we have not measured; give it again when the run goes on."""
    workers: str = ""
    """N or LEAST-MOST: so many workers on Ray play for this run, on this machine or, with
    RAY_ADDRESS, on a cluster; this process only learns (pip install 'selfplay-zero[ray]',
    docs/distributed.md)."""
    worker_resources: str = ""
    """What each of these workers needs, as in GPU=1 or CPU=4,TPU=1; by default its share of this
    machine's cores."""
    hosts: int = 0
    """N: this is one of N processes that train one network together, each with its part of the
    games and examples, in a run folder on a shared disk (docs/distributed.md). Slurm, Open MPI and
    Kubernetes say which process it is."""
    local: bool = False
    """With --hosts N: start all N processes on this machine, for a try."""
    coordinator: str = ""
    """With --hosts, where no launcher says it: HOST:PORT of process 0; the same on all hosts."""
    rank: int = -1
    """With --coordinator: the number of this process, from 0."""
    json: bool = False
    """Print one JSON object about the run on stdout when it stops."""


def defaults(argv: list[str]) -> Args:
    """Returns what holds where no flag is given: the run's own settings, or its preset's.

    Raises:
      ValueError: a run's name is empty: a shell's variable without a value would start a new run.
    """
    if "" in argv or any("" in (flag_words(argv, flag) or ()) for flag in ("run-dir", "from")):
        raise ValueError("an argument is empty; leave it out, or say what it should be")
    run_dir, source = _run_dir(argv), flag_value(argv, "from")
    if run_dir and RunFolder(run_dir).exists():
        return Args(RunFolder(run_dir).read_config())
    old = RunFolder(_split_source(source)[0]).read_config() if source else RunConfig()
    recorded = flag_words(argv, "imitate") or []
    game = flag_value(argv, "game") or _recorded_game(recorded) or old.game
    preset = flag_value(argv, "preset") or old.preset
    config = presets.preset(preset, game)  # type: ignore[arg-type]
    if not _has_board(game):
        config = presets.without_board(config)
    if source:
        # The policy is there: what an overseer decides need not argue with what search prefers.
        overseer = dataclasses.replace(config.overseer, games_policy=0.0)
        config = dataclasses.replace(config, network=old.network, overseer=overseer)
    to_the_end = flag_words(argv, "until-fixed-point") is not None
    counted = flag_value(argv, "iterations") or flag_value(argv, "flops")
    if (to_the_end or counted) and not flag_value(argv, "minutes"):
        config = dataclasses.replace(config, minutes=0.0)
    return Args(config)


def _has_board(game: str) -> bool:
    """Whether a game is seen as a board; one that is not ours is loaded to know."""
    if game.partition(":")[0] in (*GAMES, "pgx"):
        return True
    try:
        registry.check_name(game)
        # Here, since a game takes jax; of ours, and of unknown ones, nobody waits for it.
        from scripts.terminal import devices

        devices.one_per_core()
        return len(games.load(game).observation_shape) == 3
    except Exception:  # whoever trains on it says what is wrong
        return True


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    if args.run and args.run_dir:
        raise ValueError(f"{args.run} and --run-dir {args.run_dir}: name one folder")
    _check_imitate(args)
    _check_hosts(args)
    number_of_workers(args.workers)
    resources(args.worker_resources)
    if args.worker_resources and not args.workers:
        raise ValueError("--worker-resources needs --workers")
    checks.game(args.config.game)
    kind, _, overseer = args.config.amplify.partition(":")
    if kind == "player":
        checks.players([overseer], args.config.game)
    if args.from_:
        checks.run(args.from_, shipped_too=True)
    _check_word(args)
    folder = RunFolder(folder_of(args))
    if folder_of(args) and folder.exists():
        folder.check_same(args.config)


def script(args: Args) -> str:
    """The module that does the work: with `--local`, what starts the processes."""
    if args.imitate:
        return "train_imitate"
    is_started = bool(args.coordinator) or args.dry_run
    return "local_hosts" if args.local and not is_started else "train"


def _check_imitate(args: Args) -> None:
    """Raises ValueError for flags that --imitate does not go with."""
    if not args.imitate:
        if args.imitation != ImitationConfig():
            raise ValueError("--imitation.* are settings of --imitate FILES, which is not given")
        return
    for flag in ("from_", "workers", "hosts", "dry_run"):
        if getattr(args, flag):
            name = flag.strip("_").replace("_", "-")
            raise ValueError(f"--imitate fits a network and ends; --{name} is not for it")


def _recorded_game(paths: list[str]) -> str:
    """The game of the first record; empty without one."""
    if not paths:
        return ""
    # Here, since records are replayed, which takes jax; `--help` names none.
    from scripts.terminal import devices
    from selfplay.records.game_record import scan_records

    say("starting: reading the records, for their game")
    devices.one_per_core()
    return next((record.game for path in paths for record in scan_records(path).records), "")


def _check_hosts(args: Args) -> None:
    """Raises ValueError for hosts that cannot be meant."""
    if args.hosts < 2:
        for flag, value in (
            ("--local", args.local),
            ("--coordinator", args.coordinator),
            ("--rank", args.rank >= 0),
        ):
            if value:
                raise ValueError(f"{flag} needs --hosts N, 2 or more")
        return
    args.config.check()  # here, once, and not in each process
    if not folder_of(args) and not args.dry_run:
        raise ValueError("--hosts needs a run folder that all processes see: --run-dir R")
    if args.workers:
        raise ValueError("--hosts and --workers do not go together: each host plays its own games")
    shared = {
        "self-play.batch": args.config.self_play.batch,
        "learner.batch": args.config.learner.batch,
    }
    for name, count in shared.items():
        if count % args.hosts:
            raise ValueError(
                f"--{name} is shared among the hosts: it must be a multiple of {args.hosts}, "
                f"got {count}"
            )
    _check_coordinator(args)


def _check_coordinator(args: Args) -> None:
    """Raises ValueError unless --coordinator and --rank go together, or neither is given."""
    if not args.coordinator and args.rank < 0:
        return
    if not args.coordinator or args.rank < 0:
        raise ValueError("--coordinator HOST:PORT and --rank R go together, with --hosts N")
    host, colon, port = args.coordinator.rpartition(":")
    if not (colon and host and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"--coordinator must be HOST:PORT of process 0, got {args.coordinator!r}")
    if args.rank >= args.hosts:
        raise ValueError(
            f"--rank must be 0 to {args.hosts - 1} with --hosts {args.hosts}, got {args.rank}"
        )


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
