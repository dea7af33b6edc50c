"""`selfplay evaluate`: a run in matches against random or its past, or beside perfect play."""

import itertools
from typing import Any

import games
import training
from scripts.flags.evaluate import Args
from scripts.terminal import signals
from scripts.terminal.console import (
    announce_devices,
    note,
    print_json,
    print_text,
    progress,
    say,
)
from scripts.terminal.match_report import Conditions, report_all
from selfplay import shipped
from selfplay.arena import play_match
from selfplay.arena.openings import default_plies
from selfplay.arena.result import MatchResult, match_records
from selfplay.files import durable
from selfplay.perfect import mistakes
from selfplay.player_spec import run_of
from selfplay.players import Player, random_player
from selfplay.records.game_record import append_records
from training.storage.run_folder import RunFolder
from training.workers import matches, pool


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    if args.positions and args.against != "perfect":
        raise ValueError("--positions is for --against perfect")
    path, step = run_of(args.run) or (args.run, None)
    spec = RunFolder(path).read_config().game
    if args.against == "perfect":
        announce_devices()
        _measure(args, path, step, args.game or spec)
        return 0
    with pool.start(args.workers, "evaluate") as workers:
        code = _play(args, path, step, spec, workers)
        if workers:  # to end Ray takes a moment, when all is said
            signals.conclude(code)
        return code


def _play(args: Args, path: str, step: int | None, spec: str, workers: pool.Pool | None) -> int:
    """Plays a match, keeps its games and prints its result."""
    announce_devices()
    elsewhere = matches.players_of(workers, spec, _one_budget(args), note) if workers else None
    player = training.load_player(path, simulations=_one_budget(args), checkpoint=step)
    opponent = _opponent(args, path, step, player)
    plies = default_plies(player.game) if args.opening_plies is None else args.opening_plies
    with progress(f"evaluate against {args.against}", args.games, "games") as update:
        result = play_match(
            *(player, opponent, player.game, args.games, args.seed, plies),
            progress=update,
            elsewhere=elsewhere,
        )
    if not shipped.is_name(args.run):
        _keep(result, args, path, spec)
    report_all([result], Conditions("random", plies, tuple(args.simulations)), args.json)
    return 0


def _one_budget(args: Args) -> int:
    if len(args.simulations) != 1:
        raise ValueError(
            f"--simulations takes one number, got {len(args.simulations)}; several are for "
            "--against perfect"
        )
    return args.simulations[0]


def _measure(args: Args, path: str, step: int | None, spec: str) -> None:
    if not args.simulations or min(args.simulations) < 1:
        raise ValueError(
            "--against perfect needs at least 1 simulation for each search, got "
            f"{' '.join(map(str, args.simulations)) or 'none'}"
        )
    game = games.load(spec)
    raw, *searching = (
        training.load_player(path, simulations=simulations, checkpoint=step, game=game)
        for simulations in (0, *dict.fromkeys(args.simulations))
    )
    if raw.game != game:
        raise ValueError(f"{raw.name} does not play {spec}: leave out --game")
    budgets = dict(zip(dict.fromkeys(args.simulations), searching, strict=True))
    with progress(f"solving {spec}", None, "positions") as update:
        sets = mistakes.load_positions(spec, args.positions or None, update)
    rates = {}
    turns = itertools.count(1)
    with progress("evaluate against perfect", len(sets) * (1 + len(budgets))) as update:
        for name, solved in sets.items():
            rates[name] = mistakes.measure(raw, budgets, solved, lambda: update(next(turns)))
    if args.json:
        print_json(rates)
        return
    print_text(f"{raw.name}: mistakes against perfect play")
    for name, rate in rates.items():
        print_text(
            f"  {name}, {rate['positions']} positions, a mistake possible in "
            f"{rate['possible']:.1%}: raw policy {rate['raw']:.2%}, "
            + ", ".join(
                f"search of {budget} simulations {value:.2%}"
                for budget, value in rate["budgets"].items()
            )
        )
        print_text(_table(rate))


def _table(rate: dict[str, Any]) -> str:
    """Returns the rates by ply as lines of text."""
    lines = ["    ply  positions     raw" + "".join(f"{b:>8}" for b in rate["budgets"])]
    for row in rate["by_ply"]:
        shares = (row["raw"], *row["budgets"].values())
        lines.append(
            f"  {row['ply']:5d}{row['positions']:11d}" + "".join(f"{s:8.1%}" for s in shares)
        )
    return "\n".join(lines)


def _opponent(args: Args, path: str, step: int | None, player: Player) -> Player:
    if args.against == "random":
        return random_player(player.game)
    steps = training.checkpoint_steps(path)
    earlier = [known for known in steps if known < (steps[-1] if step is None else step)]
    if not earlier:
        raise ValueError(f"{player.name} is the run's first checkpoint: there is none before it")
    wanted = earlier[0 if args.against == "initial" else -1]
    return training.load_player(path, simulations=_one_budget(args), checkpoint=wanted)


def _keep(result: MatchResult, args: Args, path: str, spec: str) -> None:
    """Adds the games to the run's records; a folder that cannot be written to is no failure."""
    file = RunFolder(path).games / "evaluation.jsonl"
    extra = {"against": args.against, "seed": args.seed, "simulations": _one_budget(args)}
    try:
        durable.make_folder(file.parent)
        append_records(file, match_records(result, spec, **extra))
    except OSError as error:
        say(f"note: the games are not kept: {error}")
