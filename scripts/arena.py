"""`selfplay arena`."""

import contextlib
import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import games as games_package
import training
from games.game import Game
from scripts.terminal.console import INTERRUPTED, Positional, announce_devices, progress, say
from scripts.terminal.match_report import describe, report_all
from selfplay.arena import match
from selfplay.arena.folder import MatchFolder, match_settings
from selfplay.arena.opening_file import file_openings
from selfplay.arena.openings import (
    DEFAULT_PLIES,
    OPENINGS,
    Openings,
    balanced_openings,
    make_openings,
    purpose_key,
)
from selfplay.arena.result import MatchResult, PlayedGame, match_records, result_of
from selfplay.player_spec import parse_player, run_of
from selfplay.players import Player
from selfplay.rating.sprt import Sprt
from selfplay.records.game_record import check_path, write_records
from training.players import find_game

ENGINE_BLOCK = 32  # games side by side where a player is outside the device, and slow


@dataclasses.dataclass(frozen=True)
class Args:
    """Plays matches between two or more players, from varied openings, each from both seats.

    A player is a run folder R (its newest checkpoint), R@STEP, random, uniform (search with a
    uniform prior and zero value), gtp:COMMAND for an engine that speaks GTP (docs/gtp.md), or
    module:function for one of your own: a function of (states, key, history=None) that returns a
    SearchResult; `history` holds the actions so far, padded with -1. With an attribute
    on_device = True it is jitted and called without history. A run and uniform may have settings of
    their own, as in R:simulations=64,policy=puct. The score is the first player's, with a 95%
    interval in which the two games from one opening are one observation.
    More than two players meet all against all.

    Examples:
      selfplay arena runs/c4 random
      selfplay arena runs/c4 runs/c4@0 --games 512 --simulations 32 --out matches/c4-first-last
      selfplay arena runs/c4:simulations=64 runs/c4:simulations=64,policy=puct --openings balanced
      selfplay arena runs/c4 runs/c4@1200 --games 4000 --sprt 0 50
      selfplay arena uniform random --game tic_tac_toe --json
      selfplay arena runs/c4 my_module:my_player --records games.jsonl
    """

    players: Positional[tuple[str, ...]]
    """Two players or more; the first one's score is reported."""
    game: str = ""
    """The game; needed only if no player is a run."""
    games: int = 100
    """Games to play, of each two players; even, as each opening is played from both seats."""
    simulations: int = 32
    """Simulations of each search; 0: a run's raw policy."""
    seed: int = 0
    """Draws the openings, and the moves of players that draw lots."""
    openings: str = "random"
    """random: random plies; balanced: of eight times as many, those that the raw network of the
    first run values closest to a draw; else a file of game records (.jsonl, .sgf), or of a list of
    moves on each line."""
    opening_plies: int = DEFAULT_PLIES
    """Plies before the players take over: random ones, or those of a record."""
    sprt: tuple[float, float] | None = None
    """ELO0 ELO1: stop as soon as it is known whether the first player is rather ELO0 (H0) or ELO1
    (H1) stronger than the second; --games is the most that are played."""
    alpha: float = 0.05
    """Of --sprt: the chance of H1 where H0 is true."""
    beta: float = 0.05
    """Of --sprt: the chance of H0 where H1 is true."""
    out: str = ""
    """A folder for the finished games: after a kill or Ctrl-C, the same command goes on there."""
    block: int = 0
    """Games that are played side by side, then saved and judged by --sprt; 0: 256, or 32 where a
    player is outside the device."""
    records: str = ""
    """Also write the games to this file: one JSON line each, or SGF (Go) if it ends in .sgf."""
    json: bool = False
    """Print one JSON object on stdout."""


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
    game = games_package.load(spec)
    announce_devices()
    players = [
        parse_player(name, game, args.simulations, training.load_player) for name in args.players
    ]
    opened = _openings(args, game)
    try:
        results = _play_all(args, players, game, spec, opened, test)
    except Stopped as stopped:
        return _say_stopped(args, stopped.result)
    report_all(results, args.json, test)
    if args.records:
        extra = {"seed": args.seed, "simulations": args.simulations}
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
    test: Sprt | None,
) -> list[MatchResult]:
    """Plays all against all; raises `Stopped` on Ctrl-C."""
    results: list[MatchResult] = []
    pairings = list(itertools.combinations(range(len(players)), 2))
    with progress("arena", args.games * len(pairings)) as update:
        for first, second in pairings:
            pair = players[first], players[second]
            folder = pathlib.Path(args.out) if args.out else None
            if folder and len(players) > 2:
                folder /= f"{first + 1}-{second + 1}"
            before = args.games * len(results)

            def show(over: int, before: int = before) -> None:
                update(before + over)

            results.append(_play(args, pair, game, spec, opened, folder, test, show))
    return results


def _check(args: Args) -> Sprt | None:
    """Returns the test that is asked for. Raises ValueError about flags that cannot work."""
    if len(args.players) < 2:
        raise ValueError(f"arena needs two players or more, got {' '.join(args.players) or 'none'}")
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


def _openings(args: Args, game: Game[Any]) -> Openings:
    count, key = args.games // 2, purpose_key(args.seed, OPENINGS)
    match.check_games(args.games)
    if args.openings == "random":
        opened = make_openings(game, count, key, args.opening_plies)
    elif args.openings == "balanced":
        judge = _judge(args, game)
        opened = balanced_openings(game, count, key, judge, args.opening_plies)
    elif pathlib.Path(args.openings).is_file():
        opened = file_openings(args.openings, game, count, args.seed, args.opening_plies)
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


def _judge(args: Args, game: Game[Any]) -> Player:
    for name in args.players:
        found = run_of(name)
        if found:
            player = training.load_player(found[0], simulations=0, checkpoint=found[1])
            if player.game == game:
                return player
    raise ValueError("--openings balanced needs a run among the players: its network judges")


def _play(
    args: Args,
    pair: tuple[Player, Player],
    game: Game[Any],
    spec: str,
    opened: Openings,
    path: pathlib.Path | None,
    test: Sprt | None,
    show: Callable[[int], None],
) -> MatchResult:
    """Plays a match, or the rest of one; raises `Stopped` on Ctrl-C."""
    usual = match.BLOCK if all(player.on_device for player in pair) else ENGINE_BLOCK
    block = min(args.block or usual, args.games)
    names = pair[0].name, pair[1].name
    settings = match_settings(pair, spec, opened, args.seed, args.simulations, block)
    folder = MatchFolder(path, settings) if path else None
    with folder.open() if folder else contextlib.nullcontext(list[PlayedGame]()) as played:
        result = result_of(names, played, opened.distinct)
        if played:
            say(f"{path}: {len(played)} games are there already")
        if _decided(result, test):
            return result
        try:
            for games in match.play_blocks(
                *pair, game, opened, args.seed, block, progress=show, done=len(played)
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
    return bool(test and result.games and result.judge(test).verdict != "undecided")


def _say_stopped(args: Args, result: MatchResult | None) -> int:
    if result:
        say(describe(result))
    kept = f"what is finished is in {args.out}; the same command goes on"
    say(f"selfplay arena: interrupted; {kept if args.out else 'nothing is kept without --out'}")
    return INTERRUPTED if args.out else 1
