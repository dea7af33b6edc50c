"""`selfplay arena`: matches between players, kept by blocks, with intervals and SPRT."""

import contextlib
import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import games as games_package
import training
from games.game import Game
from scripts.flags.arena import Args
from scripts.terminal import csv_file, out_of_memory, signals
from scripts.terminal.console import announce_devices, note, progress, say
from scripts.terminal.match_report import Conditions, describe, report_all, write_csv
from scripts.terminal.signals import INTERRUPTED, NOTHING_KEPT, concluding
from selfplay.arena import match
from selfplay.arena.blocks import Elsewhere
from selfplay.arena.folder import MatchFolder, match_settings, plies_of
from selfplay.arena.opening_file import file_openings
from selfplay.arena.openings import (
    Openings,
    balanced_openings,
    default_plies,
    make_openings,
    purpose_key,
)
from selfplay.arena.result import MatchResult, PlayedGame, match_records, result_of
from selfplay.player_spec import parse_player, run_of
from selfplay.players import Player
from selfplay.randomness import MatchPurpose
from selfplay.rating.sprt import Sprt
from selfplay.records.game_record import check_path, write_records
from training.players import find_game
from training.workers import matches, pool

SIMULATIONS = 32  # of each search, where nobody says how many
ENGINE_BLOCK = 32  # games side by side where a player is outside the device, and slow


class Stopped(Exception):
    """Ctrl-C, with the result of the blocks that were finished by then, if any."""

    def __init__(self, result: MatchResult | None) -> None:
        super().__init__("interrupted")
        self.result = result


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    test = _check(args)
    spec = find_game(args.players, args.game)
    if args.records:
        check_path(args.records, spec)
    if args.csv:
        csv_file.check(args.csv)
    with pool.start(args.workers, "arena") as workers:
        code = _run(args, spec, test, workers)
        if workers:  # to end Ray takes a moment, when all is said
            signals.conclude(code)
        return code


def _run(args: Args, spec: str, test: Sprt | None, workers: pool.Pool | None) -> int:
    game = games_package.load(spec)
    announce_devices()
    elsewhere = matches.players_of(workers, spec, simulations_of(args), note) if workers else None
    players = [
        parse_player(name, game, simulations_of(args), training.load_player)
        for name in args.players
    ]
    conditions = Conditions(args.openings, _opening_plies(args, game), (simulations_of(args),))
    opened = _openings(args, game, conditions.opening_plies)
    try:
        with concluding():
            results = _play_all(args, players, game, spec, opened, conditions, test, elsewhere)
    except Stopped as stopped:
        return _say_stopped(args, stopped.result, conditions)
    report_all(results, conditions, args.json, test)
    if args.csv:
        write_csv(args.csv, results, conditions)
    if args.records:
        extra = {"seed": args.seed, "simulations": simulations_of(args)}
        write_records(
            args.records, [r for result in results for r in match_records(result, spec, **extra)]
        )
    return 0


def _play_all(
    args: Args,
    players: Sequence[Player],
    game: Game[Any],
    spec: str,
    opened: Openings,
    conditions: Conditions,
    test: Sprt | None,
    elsewhere: Elsewhere | None,
) -> list[MatchResult]:
    """Plays all against all; raises `Stopped` on Ctrl-C."""
    results: list[MatchResult] = []
    pairings = list(itertools.combinations(range(len(players)), 2))
    with progress("arena", args.games * len(pairings), "games") as update:
        for first, second in pairings:
            pair = players[first], players[second]
            folder = pathlib.Path(args.out) if args.out else None
            if folder and len(players) > 2:
                folder /= f"{first + 1}-{second + 1}"
            before = args.games * len(results)

            def show(over: int, before: int = before) -> None:
                update(before + over)

            given = (args, pair, game, spec, opened, conditions, folder, test, show, elsewhere)
            results.append(_play(*given))
    return results


def simulations_of(args: Args) -> int:
    """Simulations of each search of a match."""
    return args.simulations[0] if args.simulations else SIMULATIONS


def less_memory(args: Args) -> str:
    """Advice where a device has no memory left."""
    return out_of_memory.halve(dataclasses.replace(args, simulations=(simulations_of(args),)))


def _check(args: Args) -> Sprt | None:
    """Returns the test that is asked for. Raises ValueError about flags that cannot work."""
    if args.block < 0:
        raise ValueError(f"--block must be at least 0, got {args.block}")
    if args.sprt is None:
        return None
    if len(args.players) > 2:
        raise ValueError(f"--sprt is a test of two players, got {len(args.players)}")
    test = Sprt(*args.sprt, alpha=args.alpha, beta=args.beta)
    if problems := test.problems():
        raise ValueError("; ".join(problems))
    return test


def _opening_plies(args: Args, game: Game[Any]) -> int:
    """The flag, else the plies of the match that goes on, else the game's default."""
    if args.opening_plies is not None:
        return args.opening_plies
    begun = plies_of(args.out) if args.out else None
    return default_plies(game) if begun is None else begun


def _openings(args: Args, game: Game[Any], plies: int) -> Openings:
    count, key = args.games // 2, purpose_key(args.seed, MatchPurpose.OPENINGS)
    match.check_games(args.games)
    if args.openings == "random":
        opened = make_openings(game, count, key, plies)
    elif args.openings == "balanced":
        evaluate_states = _states_evaluator(args, game)
        opened = balanced_openings(game, count, key, evaluate_states, plies)
    elif pathlib.Path(args.openings).is_file():
        opened = file_openings(args.openings, game, count, args.seed, plies)
    else:
        raise ValueError(
            f"--openings must be random, balanced or a file, and there is no file {args.openings!r}"
        )
    if opened.distinct < count:
        say(
            f"note: there are only {opened.distinct} such openings for {count} pairs of games; "
            "repeated games add no certainty"
        )
    return opened


def _states_evaluator(args: Args, game: Game[Any]) -> Player:
    for name in args.players:
        source = run_of(name)
        if source:
            player = training.load_player(source[0], simulations=0, checkpoint=source[1])
            if player.game == game:
                return player
    raise ValueError("--openings balanced needs a run among the players: its network judges")


def _play(
    args: Args,
    pair: tuple[Player, Player],
    game: Game[Any],
    spec: str,
    opened: Openings,
    conditions: Conditions,
    path: pathlib.Path | None,
    test: Sprt | None,
    show: Callable[[int], None],
    elsewhere: Elsewhere | None,
) -> MatchResult:
    """Plays a match, or the rest of one; raises `Stopped` on Ctrl-C."""
    usual = match.BLOCK if all(player.on_device for player in pair) else ENGINE_BLOCK
    block = min(args.block or usual, args.games)
    names = pair[0].name, pair[1].name
    settings = match_settings(pair, spec, opened, args.seed, simulations_of(args), block)
    settings["opening_plies"] = conditions.opening_plies
    folder = MatchFolder(path, settings) if path else None
    with folder.open() if folder else contextlib.nullcontext(list[PlayedGame]()) as played:
        result = result_of(names, played, opened.distinct)
        if played:
            say(f"{path}: {len(played)} games are there already")
        if _decided(result, test):
            return result
        try:
            for games in match.play_blocks(
                *(*pair, game, opened, args.seed, block),
                progress=show,
                done=len(played),
                elsewhere=elsewhere,
            ):
                if folder:
                    folder.append(names, games)
                result = result_of(names, [*result.played, *games], opened.distinct)
                if _decided(result, test):
                    break
        except KeyboardInterrupt:
            raise Stopped(result if result.games else None) from None
    return result


def _decided(result: MatchResult, test: Sprt | None) -> bool:
    return bool(test and result.games and result.decide(test).verdict != "undecided")


def _say_stopped(args: Args, result: MatchResult | None, conditions: Conditions) -> int:
    if result:
        say(describe(result, conditions))
    kept = f"what is finished is in {args.out}; the same command goes on"
    say(f"selfplay arena: interrupted; {kept if args.out else 'nothing is kept without --out'}")
    return INTERRUPTED if args.out else NOTHING_KEPT
