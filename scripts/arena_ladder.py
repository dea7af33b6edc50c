"""`selfplay arena --ladder`: ratings (Bradley-Terry, in Elo) by games between many players."""

import dataclasses
import itertools
import math
import pathlib
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import games as games_package
import training
from games.game import Game
from scripts.flags.arena import Args
from scripts.terminal import csv_file, signals
from scripts.terminal.console import (
    announce_devices,
    note,
    print_json,
    print_text,
    progress,
    say,
)
from scripts.terminal.match_report import BY_FAULTS, Conditions
from scripts.terminal.signals import INTERRUPTED, concluding
from selfplay import shipped
from selfplay.arena.ladder import ROUND, Ladder, Round, stored_players
from selfplay.arena.openings import default_plies
from selfplay.arena.rounds import Elsewhere, play_rounds
from selfplay.files import durable
from selfplay.player_spec import parse_player, run_of, split_settings
from selfplay.players import Player
from selfplay.rating import bradley_terry
from selfplay.rating.bradley_terry import Ratings
from training import metrics
from training.evaluation.ladder import FOLDER
from training.players import find_game
from training.report.ladder_plot import Point, plot_ladder
from training.storage.run_folder import RunFolder
from training.workers import matches, pool

BUDGET = 32  # simulations, where nobody says how many
SHOWN_PLAYERS = 8  # of a store, where none of those asked for has a game in it


class Entrant(NamedTuple):
    """A player, and where it stands in its run, if it is of one."""

    spec: str
    run: str = ""
    step: int = 0
    simulations: int = 0


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    if args.minutes < 0 or args.games < 0:
        raise ValueError(
            f"--minutes and --games must be at least 0, got {args.minutes:g} and {args.games}"
        )
    if args.games % 2:
        raise ValueError(
            f"--games must be even, each opening being played from both seats, got {args.games}"
        )
    if args.csv:
        csv_file.check(args.csv)
    spec = find_game(args.players, args.game)
    with pool.start(args.workers if _plays(args) else 0, "ladder") as workers:
        code = _run(args, spec, workers)
        if workers:  # to end Ray takes a moment, when all is said
            signals.conclude(code)
        return code


def _run(args: Args, spec: str, workers: pool.Pool | None) -> int:
    game: Game[Any] = games_package.load(spec)
    announce_devices()
    folder = pathlib.Path(args.out or f"ladders/{spec.replace('/', '-').replace(':', '-')}")
    held = stored_players(folder / "games.jsonl", spec)
    args = dataclasses.replace(
        args,
        simulations=args.simulations or _budgets(args, held),
        opening_plies=default_plies(game) if args.opening_plies is None else args.opening_plies,
    )
    entrants = _entrants(args)
    players = [_load(entrant, game) for entrant in entrants]
    if RunFolder(folder.parent).exists():
        durable.make_folder(folder)  # not through a link: the run may be somebody else's
    with durable.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    ladder = Ladder(
        folder / "games.jsonl",
        spec,
        game,
        players,
        args.seed,
        args.opening_plies,
        home=_home(folder),
    )
    say(f"store: {folder}, {ladder.games} games of these {len(players)} players")
    if not (ladder.games or _plays(args)):
        raise ValueError(_nothing_held(folder, held, args))
    code = 0
    try:
        with concluding():
            _play(args, ladder, matches.rounds_of(workers, ladder, note) if workers else None)
    except KeyboardInterrupt:
        say("selfplay arena: interrupted; the games are kept, the same command goes on")
        code = INTERRUPTED
    _report(args, ladder, entrants, folder)
    return code


def _plays(args: Args) -> bool:
    return bool(args.minutes or args.games)


def _budgets(args: Args, held: Mapping[str, int]) -> tuple[int, ...]:
    """Returns the numbers of simulations of a ladder whose command names none."""
    known = {int(match[1]) for name in held if (match := re.search(r":simulations=(\d+)$", name))}
    return (BUDGET,) if _plays(args) or not known else tuple(sorted(known))


def _nothing_held(folder: pathlib.Path, held: Mapping[str, int], args: Args) -> str:
    """The message where there is nothing to rate and nothing to play."""
    asked = f"{' '.join(args.players)} (--simulations {' '.join(map(str, args.simulations))})"
    if not held:
        return f"{folder} holds no games yet, and --minutes 0 plays none: leave out --minutes"
    known = sorted(held)
    more = f" and {len(known) - SHOWN_PLAYERS} more" if len(known) > SHOWN_PLAYERS else ""
    return (
        f"{folder} holds no games between players of {asked}, and --minutes 0 plays none; it holds "
        f"games of {', '.join(known[:SHOWN_PLAYERS])}{more}"
    )


def _entrants(args: Args) -> list[Entrant]:
    """Returns the players that the specs stand for, each once."""
    entrants: dict[str, Entrant] = {}
    for spec in args.players:
        bare, own = split_settings(spec)
        counts = args.simulations if own.simulations is None else (own.simulations,)
        run = run_of(bare)
        if run is None and bare != "uniform":
            entrants[spec] = Entrant(spec)
            continue
        steps = [0]
        if run:
            steps = training.checkpoint_steps(run[0]) if run[1] is None else [run[1]]
        for step, count in itertools.product(steps, counts):
            settings = own.text or f":simulations={count}"
            if own.text and own.simulations is None:
                settings += f",simulations={count}"
            name = f"{shipped.name_of(run[0])}@{step}{settings}" if run else bare + settings
            entrants[name] = Entrant(name, run[0], step, count) if run else Entrant(name)
    return list(entrants.values())


def _home(store: pathlib.Path) -> pathlib.Path | None:
    """Returns the run whose own ladder lies in this folder, if one's does."""
    run = store.resolve().parent
    return run if store.resolve().name == FOLDER and RunFolder(run).exists() else None


def _load(entrant: Entrant, game: Game[Any]) -> Player:
    return parse_player(entrant.spec, game, entrant.simulations, training.load_player)


def _play(args: Args, ladder: Ladder, elsewhere: Elsewhere | None) -> None:
    """Plays until the budget is spent."""
    if not _plays(args):
        return
    began, begun, played, over = time.monotonic(), 0, 0, False
    most, limit = args.games or math.inf, 60 * args.minutes or math.inf

    def begin() -> Round | None:
        nonlocal begun, over
        show()
        over = over or begun >= most or time.monotonic() - began >= limit
        pairing = None if over else ladder.next_pairing()
        if pairing is None:
            return None
        one = ladder.begin(*pairing, int(min(ROUND, most - begun)))
        begun += one.games
        return one

    def show() -> None:
        update(played if args.games else time.monotonic() - began, f"{played} games")

    with progress("ladder", args.games or limit, "games" if args.games else "s") as update:
        for one in play_rounds(ladder, begin, show, elsewhere):
            played += one.games
        show()
    if not over:
        say("all pairings repeat their games, or only faults decide them: no more is told")


def _report(args: Args, ladder: Ladder, entrants: list[Entrant], folder: pathlib.Path) -> None:
    """Prints the ratings, and writes them and the plots into the folder."""
    ratings = ladder.ratings()
    intervals = bradley_terry.intervals(ratings, ladder.tally())
    anchor, rated = ladder.names[ladder.anchor], ladder.rated
    rows: list[dict[str, Any]] = [
        {
            "player": name,
            "elo": float(ratings.elo[i]) if rated[i] else None,
            "interval": intervals[i].tolist() if rated[i] else None,
            "games": ladder.games_of(i),
            "faults": dict(ladder.faults[i].most_common()),
        }
        for i, name in enumerate(ladder.names)
    ]
    rows.sort(key=lambda row: math.inf if row["elo"] is None else -row["elo"])
    points = [
        _point(entrant, float(ratings.elo[i]), *intervals[i].tolist())
        for i, entrant in enumerate(entrants)
        if entrant.run and rated[i]
    ]
    conditions = _conditions(args)
    if args.csv:
        _write_csv(args.csv, rows, dict(zip(ladder.names, entrants, strict=True)))
    plots = plot_ladder(folder, points, anchor)
    if args.json:
        print_json(
            {
                "anchor": anchor,
                "ratings": rows,
                "first_move_elo": ratings.advantage,
                "first_move_error": ratings.advantage_error,
                "draws_between_equals": ratings.draws,
                "games": ladder.games,
                "store": str(folder),
                **(conditions.summary() if conditions else {}),
                "plots": [str(plot) for plot in plots],
            }
        )
    else:
        print_text("\n".join(_lines(rows, ratings, anchor, ladder.games)))
        if conditions:
            print_text(f"new games had {conditions}")
    for plot in plots:
        say(f"plot: {plot}")


COLUMNS = ("player", "run", "step", "simulations", "elo", "low", "high", "games", "faults")


def _write_csv(path: str, rows: list[dict[str, Any]], entrants: Mapping[str, Entrant]) -> None:
    """Writes the ratings, the best first; `entrants` are by the names of their players."""
    lines = []
    for row in rows:
        entrant = entrants[row["player"]]
        low, high = row["interval"] or (None, None)
        of_run = (
            {"run": entrant.run, "step": entrant.step, "simulations": entrant.simulations}
            if entrant.run
            else {}
        )
        faults = sum(row["faults"].values())
        lines.append({**row, **of_run, "low": low, "high": high, "faults": faults})
    csv_file.write(path, COLUMNS, lines)


def _lines(rows: list[dict[str, Any]], ratings: Ratings, anchor: str, games: int) -> list[str]:
    width = max(len(row["player"]) for row in rows)
    head = f"{'player':{width}}  {'Elo':>6}  {'95% interval':>16}  {'games':>6}"
    table = [
        f"{row['player']:{width}}  {row['elo']:>+6.0f}  "
        f"{row['interval'][0]:>+6.0f} to {row['interval'][1]:>+6.0f}  {row['games']:>6}"
        for row in rows
        if row["elo"] is not None
    ]
    return [
        head,
        *table,
        f"{games} distinct games; Elo above {anchor}; the first move is worth "
        f"{ratings.advantage:+.0f} Elo (standard error {ratings.advantage_error:.0f}); equals draw "
        f"{ratings.draws:.0%}",
        *(
            f"{row['player']} lost {times} games by a fault: {reason}"
            for row in rows
            for reason, times in row["faults"].items()
        ),
        *(
            f"{row['player']} is not rated: "
            f"{f'its games are {BY_FAULTS}' if row['games'] else 'it has no games yet'}"
            for row in rows
            if row["elo"] is None
        ),
    ]


def _conditions(args: Args) -> Conditions | None:
    """Returns those of the games that were played now; older ones may have had others."""
    if not _plays(args) or args.opening_plies is None:
        return None
    return Conditions("random", args.opening_plies, args.simulations)


def _point(entrant: Entrant, elo: float, low: float, high: float) -> Point:
    """Returns where a checkpoint lies on the plots; its metrics may have been lost."""
    iterations = metrics.history(RunFolder(entrant.run).read_metrics()).iterations
    before = [line for line in iterations if line.step <= entrant.step]
    seconds, positions = (before[-1].seconds, before[-1].positions) if before else (0.0, 0)
    flops = before[-1].flops if before else None
    return Point(
        run=entrant.run,
        step=entrant.step,
        simulations=entrant.simulations,
        minutes=seconds / 60,
        positions=positions,
        tflop=None if flops is None else flops / 1e12,
        elo=elo,
        low=low,
        high=high,
    )
